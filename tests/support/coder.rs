//! A Coder deployment that is none: the documented interface over HTTP, with builds and agents that behave as a test wants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use uuid::Uuid;

/// The token of the deployment's only user.
pub const TOKEN: &str = "t0ken-of-ada";

/// How an agent behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentMood {
    /// It is ready at the second look.
    #[default]
    Quick,
    /// It is ready after this many looks.
    Slow(u32),
    /// It never is.
    Never,
    /// It was there and is gone.
    Lost,
    /// There is none.
    None,
}

/// How the deployment behaves.
#[derive(Clone, Debug, Default)]
pub struct Moods {
    /// How its agents do.
    pub agent: AgentMood,
    /// Builds end at the first look, and their agents are ready by then.
    pub prompt: bool,
    /// Builds never end.
    pub hang: bool,
    /// Workspaces vanish while they are built.
    pub vanish: bool,
    /// Answers of status 503 to come, by method, each after doing what was asked or instead.
    pub failures: Vec<(&'static str, bool)>,
    /// Every answer is a 502 page.
    pub down: bool,
}

struct Built {
    name: String,
    template: Value,
    status: &'static str,
    looks: u32,
    agent_looks: u32,
}

#[derive(Default)]
struct State {
    moods: Moods,
    workspaces: BTreeMap<String, Built>,
    requests: Vec<String>,
    bodies: Vec<Value>,
}

/// The deployment.
#[derive(Clone)]
pub struct StandIn {
    /// Where it listens.
    pub url: String,
    homes: PathBuf,
    state: Arc<Mutex<State>>,
    /// Somebody asked for something.
    news: Arc<Notify>,
}

fn templates() -> Value {
    json!([
        {"id": Uuid::from_u128(1), "name": "good", "description": "A good one", "active_version_id": Uuid::from_u128(11)},
        {"id": Uuid::from_u128(2), "name": "docker-broken", "description": "Broken", "active_version_id": Uuid::from_u128(12)},
    ])
}

fn parameters() -> Value {
    json!([
        {"name": "language", "description": "Which", "type": "string", "default_value": "rust", "required": false,
         "ephemeral": false, "options": []},
        {"name": "cpus", "type": "number", "default_value": "2", "required": false, "ephemeral": false,
         "options": [{"name": "two", "value": "2"}, {"name": "four", "value": "4"}]},
        {"name": "once", "type": "bool", "default_value": "", "required": true, "ephemeral": true},
    ])
}

impl StandIn {
    /// Starts it; what its workspaces hold lies below `home`.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn start(home: &Path) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stand_in = StandIn { url, homes: home.join("homes"), state: Arc::default(), news: Arc::default() };
        let serving = stand_in.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.answer(stream).await });
            }
        });
        stand_in
    }

    /// The deployment's command line: runs commands in a directory per workspace, after a greeting.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn program(&self, home: &Path) -> PathBuf {
        let path = home.join("coder");
        let script = format!(
            "#!/bin/sh\n[ \"$CODER_SESSION_TOKEN\" = {TOKEN} ] && [ \"$CODER_URL\" = {} ] || {{ echo 'signed out' >&2; exit 1; }}\n\
             [ \"$1 $2 $3\" = 'ssh --disable-autostart --wait=no' ] || {{ echo \"flags: $*\" >&2; exit 1; }}\n\
             HOME={}/$(basename \"$4\"); export HOME; mkdir -p \"$HOME/project\"; cd \"$HOME\"\n\
             echo 'Welcome to the machine'; exec sh -c \"$5\"\n",
            self.url,
            self.homes.display(),
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// Makes it behave otherwise from now on.
    pub fn set(&self, change: impl FnOnce(&mut Moods)) {
        change(&mut self.state.lock().moods);
    }

    /// Somebody else's workspace of this name.
    pub fn take(&self, name: &str) {
        self.state.lock().build(name, templates()[0].clone(), "running");
    }

    /// How often an address was asked for, by how the line begins.
    pub fn asked(&self, line: &str) -> usize {
        self.state.lock().requests.iter().filter(|one| one.starts_with(line)).count()
    }

    /// What was sent to make workspaces and builds.
    pub fn bodies(&self) -> Vec<Value> {
        self.state.lock().bodies.clone()
    }

    /// The names of all workspaces that were ever made.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().workspaces.values().map(|one| one.name.clone()).collect()
    }

    /// The names of the workspaces that are still there.
    pub fn existing(&self) -> Vec<String> {
        let state = self.state.lock();
        state.workspaces.values().filter(|one| one.status != "deleted").map(|one| one.name.clone()).collect()
    }

    /// Waits until no workspace is there any more.
    pub async fn until_gone(&self) {
        self.until(|| self.existing().is_empty()).await;
    }

    /// Waits until an address was asked for.
    pub async fn until_asked(&self, line: &str) {
        self.until(|| self.asked(line) > 0).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Registered before looking, so that no request in between is missed.
            news.as_mut().enable();
            if is_so() {
                return;
            }
            news.await;
        }
    }

    async fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let (mut length, mut token) = (0, String::new());
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "coder-session-token" => token = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let path = path.strip_prefix("/api/v2/")?.to_owned();
        let (status, answer) = self.state.lock().judge(&method, &path, body, &token, &self.homes);
        self.news.notify_waiters();
        let answer = answer.to_string();
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
        stream.write_all(format!("{head}{answer}").as_bytes()).await.ok()?;
        stream.shutdown().await.ok()
    }
}

fn refusal(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"message": message, "detail": "", "validations": []}))
}

impl State {
    fn judge(&mut self, method: &str, path: &str, body: Value, token: &str, homes: &Path) -> (u16, Value) {
        self.requests.push(format!("{method} {path}"));
        if self.moods.down {
            return (502, json!("<html>bad gateway</html>"));
        }
        if token != TOKEN {
            return refusal(401, "You are signed out or your session has expired.");
        }
        let failure = self.moods.failures.iter().position(|(failing, _)| *failing == method);
        let failure = failure.map(|index| self.moods.failures.remove(index).1);
        if failure == Some(false) {
            return refusal(503, "Try later.");
        }
        let answer = self.route(method, path, body, homes);
        if failure == Some(true) { refusal(503, "Try later.") } else { answer }
    }

    fn route(&mut self, method: &str, path: &str, body: Value, homes: &Path) -> (u16, Value) {
        let whole = path;
        let path = path.split('?').next().unwrap_or_default();
        match (method, path.split('/').collect::<Vec<_>>()[..].as_ref()) {
            ("GET", ["templates"]) => (200, templates()),
            ("GET", ["templateversions", _, "rich-parameters"]) => (200, parameters()),
            ("GET", ["workspaces"]) => {
                assert!(whole.contains("q=owner:me") || whole.contains("q=owner%3Ame"), "{whole}");
                let ids: Vec<String> = self.workspaces.keys().cloned().collect();
                let all: Vec<Value> = ids.iter().map(|id| self.show(id, homes)).collect();
                (200, json!({"workspaces": all, "count": all.len()}))
            }
            ("GET", ["users", "me", "workspace", name]) => {
                let found = self.workspaces.iter().find(|(_, one)| one.name == *name).map(|(id, _)| id.clone());
                found.map_or(refusal(404, "Resource not found."), |id| (200, self.show(&id, homes)))
            }
            ("POST", ["users", "me", "workspaces"]) => {
                self.bodies.push(body.clone());
                let name = body["name"].as_str().unwrap_or_default();
                if self.workspaces.values().any(|one| one.name == name) {
                    return refusal(409, &format!("Workspace \"{name}\" already exists."));
                }
                let all = templates();
                let Some(template) = all.as_array().into_iter().flatten().find(|one| one["id"] == body["template_id"])
                else {
                    return refusal(400, "Template doesn't exist.");
                };
                let id = self.build(name, template.clone(), "pending");
                (201, self.show(&id, homes))
            }
            ("GET", ["workspaces", id]) => {
                let id = (*id).to_owned();
                self.advance(&id);
                match self.workspaces.get(&id) {
                    None => refusal(404, "Resource not found."),
                    Some(one) if one.status == "deleted" => refusal(410, "Workspace was deleted."),
                    Some(_) => (200, self.show(&id, homes)),
                }
            }
            ("POST", ["workspaces", id, "builds"]) => {
                self.bodies.push(body.clone());
                let Some(one) = self.workspaces.get_mut(*id) else { return refusal(404, "Resource not found.") };
                if ["pending", "starting", "stopping", "deleting"].contains(&one.status) {
                    return refusal(409, "A workspace build is already active.");
                }
                one.status = match body["transition"].as_str() {
                    Some("start") => "pending",
                    Some("stop") => "stopping",
                    _ => "deleting",
                };
                (one.looks, one.agent_looks) = (0, 0);
                (201, json!({"id": Uuid::from_u128(99), "status": one.status}))
            }
            _ => refusal(404, "Route not found."),
        }
    }

    fn build(&mut self, name: &str, template: Value, status: &'static str) -> String {
        let id = Uuid::from_u128(100 + self.workspaces.len() as u128).to_string();
        let built = Built { name: name.to_owned(), template, status, looks: 0, agent_looks: 0 };
        self.workspaces.insert(id.clone(), built);
        id
    }

    /// Time passes with every look.
    fn advance(&mut self, id: &str) {
        let Moods { vanish, hang, prompt, .. } = self.moods;
        let Some(one) = self.workspaces.get_mut(id) else { return };
        one.looks += if prompt { 3 } else { 1 };
        if prompt && one.status == "pending" {
            one.status = "starting";
        }
        let is_broken = one.template["name"] == "docker-broken";
        one.status = match (one.status, one.looks) {
            ("pending", _) => "starting",
            ("starting", 3..) if vanish => "deleted",
            ("starting", 3..) if hang => "starting",
            ("starting", 3..) if is_broken => "failed",
            ("starting", 3..) => "running",
            ("stopping", 2..) => "stopped",
            ("deleting", 2..) => "deleted",
            (status, _) => status,
        };
        if one.status == "running" {
            one.agent_looks += 1;
        }
    }

    fn show(&self, id: &str, homes: &Path) -> Value {
        let one = &self.workspaces[id];
        let ready_after = match self.moods.agent {
            AgentMood::Quick if self.moods.prompt => 1,
            AgentMood::Quick => 2,
            AgentMood::Slow(looks) => looks,
            AgentMood::Never | AgentMood::Lost | AgentMood::None => u32::MAX,
        };
        let (status, lifecycle) = match self.moods.agent {
            AgentMood::Lost => ("disconnected", "ready"),
            _ if one.agent_looks >= ready_after => ("connected", "ready"),
            _ if one.agent_looks > 0 => ("connected", "starting"),
            _ => ("connecting", "created"),
        };
        let directory = homes.join(&one.name).join("project");
        let agent = json!({
            "id": id, "name": "main", "status": status, "lifecycle_state": lifecycle, "expanded_directory": directory,
        });
        let agents = if self.moods.agent == AgentMood::None { Value::Null } else { json!([agent]) };
        let error = if one.status == "failed" { "terraform apply: exit status 1" } else { "" };
        json!({
            "id": id, "name": one.name, "owner_name": "ada", "template_id": one.template["id"],
            "template_name": one.template["name"], "created_at": "2026-01-02T03:04:05.678901Z",
            "latest_build": {
                "id": Uuid::from_u128(99), "status": one.status, "transition": "start",
                "job": {"status": "succeeded", "error": error}, "resources": [{"agents": agents}, {"agents": []}],
            },
        })
    }
}
