//! Workspaces that are directories on this machine.
//!
//! `workspaces/<id>/` holds `state.json`, the workspace's own `files/`, `tmp/` for its commands, and `changes/` for the
//! changes of its files. Only the first is looked at to know how a workspace is, and it is replaced, never written over.

mod copy;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use verbatim_events::ids::ChatId;
use verbatim_events::log::BoxFuture;

use super::locks::Locks;
use super::port::{
    AgentStatus, CommandPlan, Found, NewWorkspace, ProvisionError, Provisioner, ProvisionerKind, TemplateDetail,
    WorkspaceStatus, WorkspaceView,
};
use super::template::{TemplateConfig, describe, parameters_of};
use crate::files::{Files, LocalFiles};

/// How a directory that is being taken away is called meanwhile.
const GOING: &str = "gone-";
/// Open views of workspaces' files that are remembered.
const OPEN_MAX: usize = 256;

/// What is known of a workspace, on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    id: String,
    name: String,
    template_id: String,
    template: TemplateConfig,
    parameters: std::collections::BTreeMap<String, Value>,
    chat_id: ChatId,
    status: WorkspaceStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    created_at: DateTime<Utc>,
}

/// Makes workspaces in a directory of this machine.
pub struct LocalProvisioner {
    root: PathBuf,
    locks: Locks,
    /// One view per workspace, so that changes of its files come one after the other.
    open: Mutex<std::collections::HashMap<String, LocalFiles>>,
}

impl LocalProvisioner {
    /// Workspaces below `root`, which is made if it is not there. What was being taken away when the server stopped goes now.
    pub fn open(root: PathBuf) -> std::io::Result<LocalProvisioner> {
        std::fs::create_dir_all(&root)?;
        let root = root.canonicalize()?;
        for entry in std::fs::read_dir(&root)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(GOING) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(LocalProvisioner { root, locks: Locks::default(), open: Mutex::default() })
    }

    /// The directory of a workspace; none for an id that is not one of ours.
    fn home(&self, id: &str) -> Option<PathBuf> {
        let digits = id.strip_prefix("local-")?;
        let fits = (8..=64).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        fits.then(|| self.root.join(id))
    }

    async fn state(&self, id: &str) -> Result<Option<(PathBuf, State)>, ProvisionError> {
        let Some(home) = self.home(id) else { return Ok(None) };
        blocking(move || match std::fs::read(home.join("state.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(|state| Some((home, state))).map_err(std::io::Error::other),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn known(&self, id: &str) -> Result<(PathBuf, State), ProvisionError> {
        let missing = || ProvisionError::NotFound(format!("there is no workspace {id:?}"));
        self.state(id).await?.ok_or_else(missing)
    }

    /// The workspace's directory, if it can be worked in.
    async fn running(&self, id: &str) -> Result<PathBuf, ProvisionError> {
        let (home, state) = self.known(id).await?;
        match state.status {
            WorkspaceStatus::Running => Ok(home),
            WorkspaceStatus::Stopped => {
                Err(ProvisionError::Refused("the workspace is stopped; start_workspace starts it".to_owned()))
            }
            _ => Err(ProvisionError::Refused("the workspace is not ready; create_workspace waits for it".to_owned())),
        }
    }

    async fn set_status(&self, id: &str, status: WorkspaceStatus) -> Result<(), ProvisionError> {
        let _turn = self.locks.turn(id).await;
        let (home, state) = self.known(id).await?;
        if state.status == status {
            return Ok(());
        }
        blocking(move || write_state(&home, &State { status, detail: None, ..state })).await
    }
}

/// Runs file work where waiting for a disk harms nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ProvisionError> {
    let failed = |error: std::io::Error| ProvisionError::Unavailable(format!("the workspace's disk: {error}"));
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(std::io::Error::other("the work was cut short"))).map_err(failed)
}

fn write_state(home: &Path, state: &State) -> std::io::Result<()> {
    let writing = home.join("state.json.new");
    let mut file = File::create(&writing)?;
    file.write_all(&serde_json::to_vec_pretty(state)?)?;
    file.sync_all()?;
    std::fs::rename(&writing, home.join("state.json"))?;
    File::open(home)?.sync_all()
}

/// Makes the workspace's own directory out of its template: whole or not at all.
fn build(home: &Path, state: State) -> std::io::Result<State> {
    let built = match home.join("files").is_dir() {
        // It was finished, and the server stopped before it could say so.
        true => Ok(()),
        false => copy::template(&state.template, &state.parameters, home),
    };
    let state = match built {
        Ok(()) => State { status: WorkspaceStatus::Running, detail: None, ..state },
        Err(error) => State { status: WorkspaceStatus::Failed, detail: Some(error.to_string()), ..state },
    };
    write_state(home, &state)?;
    Ok(state)
}

fn view(home: &Path, state: State) -> WorkspaceView {
    let lost = state.status == WorkspaceStatus::Running && !home.join("files").is_dir();
    let status = if lost { WorkspaceStatus::Unreachable } else { state.status };
    WorkspaceView {
        id: state.id,
        name: state.name,
        template_id: Some(state.template_id),
        status,
        detail: if lost { Some("its directory is gone".to_owned()) } else { state.detail },
        agent_status: agent_of(status),
        chat_id: Some(state.chat_id),
        created_at: Some(state.created_at),
    }
}

fn agent_of(status: WorkspaceStatus) -> AgentStatus {
    if status == WorkspaceStatus::Running { AgentStatus::Ready } else { AgentStatus::NotReady }
}

/// The id of the workspace that a wish becomes.
fn id_of(wanted: &NewWorkspace) -> String {
    format!("local-{}", wanted.key)
}

impl Provisioner for LocalProvisioner {
    fn template<'a>(
        &'a self,
        id: &'a str,
        template: &'a TemplateConfig,
    ) -> BoxFuture<'a, Result<TemplateDetail, ProvisionError>> {
        let (id, template) = (id.to_owned(), template.clone());
        Box::pin(async move {
            let unusable = |problem: String| ProvisionError::Refused(format!("the template cannot be used: {problem}"));
            let path = template.path.clone().unwrap_or_default();
            let own = blocking(move || {
                Ok(if path.is_dir() { describe(&path) } else { Err("its directory is not there".to_owned()) })
            })
            .await?
            .map_err(unusable)?;
            // What the settings say wins over what the template says of itself.
            let mut parameters = own.parameters;
            parameters.extend(template.parameters);
            Ok(TemplateDetail {
                id,
                description: template.description.or(own.description).unwrap_or_default(),
                provisioner: ProvisionerKind::Local,
                parameters: parameters_of(&parameters).map_err(unusable)?,
            })
        })
    }

    fn finds_by_key(&self) -> bool {
        true
    }

    fn find<'a>(&'a self, wanted: &'a NewWorkspace, _intended: bool) -> BoxFuture<'a, Result<Found, ProvisionError>> {
        Box::pin(async move {
            let found = self.state(&id_of(wanted)).await?;
            Ok(found.map_or(Found::Free, |(home, state)| Found::Ours(Box::new(view(&home, state)))))
        })
    }

    fn begin<'a>(&'a self, wanted: &'a NewWorkspace) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>> {
        Box::pin(async move {
            let id = id_of(wanted);
            let bad = || ProvisionError::Refused("the workspace's key is no key".to_owned());
            let home = self.home(&id).ok_or_else(bad)?;
            let _turn = self.locks.turn(&id).await;
            if let Some((home, state)) = self.state(&id).await? {
                return Ok(view(&home, state));
            }
            let state = State {
                id,
                name: wanted.name.clone(),
                template_id: wanted.template_id.clone(),
                template: wanted.template.clone(),
                parameters: wanted.parameters.clone(),
                chat_id: wanted.chat_id,
                status: WorkspaceStatus::Building,
                detail: None,
                created_at: wanted.now,
            };
            blocking(move || {
                std::fs::create_dir_all(&home)?;
                write_state(&home, &state)?;
                Ok(view(&home, state))
            })
            .await
        })
    }

    fn look<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>> {
        Box::pin(async move {
            Ok(self.state(id).await?.map_or_else(|| WorkspaceView::gone(id), |(home, state)| view(&home, state)))
        })
    }

    fn settle<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>> {
        Box::pin(async move {
            let _turn = self.locks.turn(id).await;
            let Some((home, state)) = self.state(id).await? else { return Ok(WorkspaceView::gone(id)) };
            if state.status != WorkspaceStatus::Building {
                return Ok(view(&home, state));
            }
            // Also what a server began that is no more: a build goes on from its beginning, and nobody sees a half one.
            blocking(move || build(&home, state).map(|state| view(&home, state))).await
        })
    }

    fn agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<AgentStatus, ProvisionError>> {
        Box::pin(async move { Ok(self.look(id).await?.agent_status) })
    }

    fn start<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async move { self.set_status(id, WorkspaceStatus::Building).await })
    }

    fn stop<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async move { self.set_status(id, WorkspaceStatus::Stopped).await })
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(async move {
            let _turn = self.locks.turn(id).await;
            let Some((home, _)) = self.state(id).await? else { return Ok(()) };
            self.open.lock().remove(id);
            let going = self.root.join(format!("{GOING}{id}"));
            blocking(move || {
                // Out of sight at once; what is left of it by a crash goes at the next start.
                std::fs::rename(&home, &going)?;
                std::fs::remove_dir_all(&going)
            })
            .await
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<WorkspaceView>, ProvisionError>> {
        let root = self.root.clone();
        Box::pin(async move {
            let ids = blocking(move || {
                let names = std::fs::read_dir(&root)?.flatten().map(|entry| entry.file_name());
                Ok(names.filter_map(|name| name.into_string().ok()).collect::<Vec<String>>())
            })
            .await?;
            let mut views = Vec::new();
            for id in ids {
                if let Some((home, state)) = self.state(&id).await? {
                    views.push(view(&home, state));
                }
            }
            views.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
            Ok(views)
        })
    }

    fn files<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Arc<dyn Files>, ProvisionError>> {
        Box::pin(async move {
            let home = self.running(id).await?;
            let mut open = self.open.lock();
            if open.len() >= OPEN_MAX && !open.contains_key(id) {
                open.clear();
            }
            let files =
                open.entry(id.to_owned()).or_insert_with(|| LocalFiles::new(home.join("files"), home.join("changes")));
            Ok(Arc::new(files.clone()) as Arc<dyn Files>)
        })
    }

    fn command<'a>(
        &'a self,
        id: &'a str,
        _line: &'a str,
        _workdir: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CommandPlan, ProvisionError>> {
        Box::pin(async move {
            let home = self.running(id).await?;
            let (root, scratch) = (home.join("files"), home.join("tmp"));
            let made = scratch.clone();
            blocking(move || std::fs::create_dir_all(made)).await?;
            Ok(CommandPlan::Confined { root, scratch })
        })
    }
}
