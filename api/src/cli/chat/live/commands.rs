//! What the user's lines do, and what came of it.

use anyhow::bail;
use chrono::Utc;
use reqwest::Method;
use serde_json::{Value, json};
use verbatim_events::price::dollars;

use super::Frames;
use super::requests::{Done, Purpose};
use super::state::{Session, Waits};
use crate::cli::chat::phrases;
use crate::cli::chat::slash::{self, Slash};
use crate::cli::chat::talk::{create, edit, interrupt, say};
use crate::cli::chat::text::Face;
use crate::cli::output::{harmless, sentence, shortened};

/// Messages that may wait to be sent, before the server's own queue.
const OUTBOX_MAX: usize = 32;

/// Chats that are listed.
const LISTED_MAX: usize = 20;

/// Models that are listed.
const MODELS_MAX: usize = 200;

impl Session {
    /// A complete line.
    pub(super) fn line(&mut self, line: &str) {
        if let Some(command) = slash::read(line) {
            match command {
                Ok(command) => self.command(command),
                Err(wrong) => self.page.remark(&wrong, Face::YELLOW),
            }
            return;
        }
        let text = slash::message(line);
        if text.trim().is_empty() {
            return;
        }
        if self.open_approval().is_some() {
            return self.approval(text.trim());
        }
        if let Some(asking) = &mut self.asking {
            match asking.answer(text) {
                Ok(Some(answer)) => {
                    self.asking = None;
                    self.send(answer);
                }
                Ok(None) => {
                    let asking = asking.clone();
                    self.page.question(&asking);
                }
                Err(wrong) => self.page.remark(&wrong, Face::YELLOW),
            }
            return;
        }
        match self.editing.take() {
            Some(message) => self.reword(message, text.to_owned()),
            None => self.send(text.to_owned()),
        }
    }

    fn command(&mut self, command: Slash) {
        match command {
            Slash::Help => self.page.remark(&slash::help().join("\n"), Face::PLAIN),
            Slash::Quit => self.reached = Some(crate::cli::chat::conversation::Reached::Left),
            Slash::New => {
                self.go(None);
                self.page.remark("the next line begins a new chat", Face::DIM);
            }
            Slash::Chats => {
                let remote = self.remote.clone();
                let path = format!("/chats?limit={LISTED_MAX}");
                self.ask(Purpose::Chats, async move { remote.get(&path).await });
            }
            Slash::Chat(which) => self.go_to(&which),
            Slash::Model(model) => self.model(model),
            Slash::Title(None) => self.page.remark(&shortened(&self.title.clone(), 200), Face::PLAIN),
            Slash::Title(Some(title)) => self.patch(Purpose::Quiet, json!({ "title": title })),
            Slash::Status => {
                let remote = self.remote.clone();
                if let Some(chat) = self.needed_chat() {
                    self.ask(Purpose::Status, async move { remote.get(&format!("/chats/{chat}")).await });
                }
            }
            Slash::Queue => self.list_queue(),
            Slash::Promote(id) => {
                if let Some(id) = self.waiting(id) {
                    self.post(Purpose::Quiet, &format!("/queue/{id}/promote"), json!({}));
                }
            }
            Slash::Drop(id) => {
                if let (Some(id), Some(chat)) = (self.waiting(id), self.chat.clone()) {
                    let remote = self.remote.clone();
                    let path = format!("/chats/{chat}/queue/{id}");
                    self.ask(
                        Purpose::Remark("taken back"),
                        async move { remote.delete(&path).await.map(|()| Value::Null) },
                    );
                }
            }
            Slash::Steer(text) => {
                let remote = self.remote.clone();
                if let Some(chat) = self.needed_chat() {
                    self.ask(Purpose::Words { text: text.clone() }, async move {
                        say(&remote, &chat, &text, None, "steer").await
                    });
                }
            }
            Slash::Edit(text) => self.begin_edit(text),
            Slash::Stop => self.stop(),
            Slash::Compact => self.post(Purpose::Quiet, "/compact", json!({})),
            Slash::Clear => self.post(Purpose::Quiet, "/clear", json!({})),
            Slash::Archive => self.patch(Purpose::Quiet, json!({ "archived": true })),
            Slash::Unarchive => self.patch(Purpose::Quiet, json!({ "archived": false })),
        }
    }

    /// Stops the turn.
    pub(super) fn stop(&mut self) {
        let remote = self.remote.clone();
        if let Some(chat) = self.needed_chat() {
            self.ask(Purpose::Stop, async move { interrupt(&remote, &chat).await });
        }
    }

    /// The chat, or a word that there is none yet.
    fn needed_chat(&mut self) -> Option<String> {
        if self.chat.is_none() {
            self.page.remark("there is no chat yet: the next line begins one", Face::YELLOW);
        }
        self.chat.clone()
    }

    fn post(&mut self, purpose: Purpose, path: &str, body: Value) {
        self.change(Method::POST, purpose, path, body);
    }

    fn patch(&mut self, purpose: Purpose, body: Value) {
        self.change(Method::PATCH, purpose, "", body);
    }

    fn change(&mut self, method: Method, purpose: Purpose, path: &str, body: Value) {
        let remote = self.remote.clone();
        if let Some(chat) = self.needed_chat() {
            let path = format!("/chats/{chat}{path}");
            self.ask(purpose, async move { remote.change(method, &path, &body).await });
        }
    }

    fn model(&mut self, model: Option<String>) {
        match (model, self.chat.is_some()) {
            (None, _) => {
                let (remote, chat, new) = (self.remote.clone(), self.chat.clone(), self.new.model.clone());
                self.ask(Purpose::Models, async move {
                    let mut answer = remote.get(&format!("/models?limit={MODELS_MAX}")).await?;
                    answer["chosen"] = match (chat, new) {
                        (_, Some(new)) => json!(new),
                        (Some(chat), None) => remote.get(&format!("/chats/{chat}")).await?["model"].clone(),
                        (None, None) => Value::Null,
                    };
                    Ok(answer)
                });
            }
            (Some(model), true) => {
                self.new.model = None;
                self.patch(Purpose::Quiet, json!({ "model": model }));
            }
            (Some(model), false) => {
                self.page.remark(&format!("the new chat talks to {model}"), Face::DIM);
                self.new.model = Some(model);
            }
        }
    }

    fn go_to(&mut self, which: &str) {
        let listed = which.parse::<usize>().ok().and_then(|number| self.listed.get(number.checked_sub(1)?));
        let chat = listed.cloned().unwrap_or_else(|| which.to_owned());
        let is_id = chat.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !is_id {
            return self
                .page
                .remark("that is neither a chat's id nor a number of the list; /chats lists them", Face::YELLOW);
        }
        let remote = self.remote.clone();
        self.ask(Purpose::Go, async move { remote.get(&format!("/chats/{chat}")).await });
    }

    fn list_queue(&mut self) {
        let lines: Vec<String> = self
            .queue
            .iter()
            .map(|waiting| {
                let steer = if waiting.steer { " (steers)" } else { "" };
                format!("  #{}{steer}  {}", waiting.id, shortened(&waiting.text, 400))
            })
            .collect();
        let text = if lines.is_empty() { "nothing waits".to_owned() } else { lines.join("\n") };
        self.page.remark(&text, Face::PLAIN);
    }

    /// The waiting message that is meant, or a word that there is none.
    fn waiting(&mut self, id: Option<u64>) -> Option<u64> {
        let id = id.or_else(|| self.queue.last().map(|waiting| waiting.id));
        let is_there = self.queue.iter().any(|waiting| Some(waiting.id) == id);
        if !is_there {
            self.page.remark("no such message waits", Face::YELLOW);
        }
        id.filter(|_| is_there)
    }

    fn begin_edit(&mut self, text: Option<String>) {
        match (self.last_said.clone(), text) {
            (None, _) => self.page.remark("nothing was said yet", Face::YELLOW),
            (Some((message, _)), Some(text)) => self.reword(message, text),
            (Some((message, before)), None) => {
                self.editing = Some(message);
                self.editor.replace(&before);
            }
        }
    }

    fn reword(&mut self, message: u64, text: String) {
        let remote = self.remote.clone();
        if let Some(chat) = self.needed_chat() {
            self.ask(Purpose::Words { text: text.clone() }, async move { edit(&remote, &chat, message, &text).await });
        }
    }

    /// Sends a message after those that are on their way.
    fn send(&mut self, text: String) {
        if self.outbox.len() >= OUTBOX_MAX {
            self.page.remark("the server is behind; this was not sent", Face::RED);
            self.editor.replace(&text);
            return;
        }
        self.outbox.push_back(text);
        self.send_next();
    }

    fn send_next(&mut self) {
        if self.sending {
            return;
        }
        let Some(text) = self.outbox.front().cloned() else { return };
        self.sending = true;
        let (remote, new) = (self.remote.clone(), self.new.clone());
        match self.chat.clone() {
            None => self.ask(Purpose::Begin { text: text.clone() }, async move {
                create(&remote, &text, &new).await.map(|taken| json!(taken.chat))
            }),
            Some(chat) => {
                if !self.frames.is_open() {
                    self.go(Some(chat.clone()));
                }
                self.ask(Purpose::Say { text: text.clone() }, async move {
                    say(&remote, &chat, &text, new.model.as_deref(), "queue").await
                });
            }
        }
    }

    /// Yes or no to the call that is asked about.
    fn approval(&mut self, typed: &str) {
        let Some(Waits { calls, .. }) = &self.waits else { return };
        let open = calls.iter().filter(|call| call.needs_approval).map(|call| call.call_id.clone());
        let Some(answer) = yes_or_no(typed) else {
            let how = "y approves, n denies, n REASON says why, a approves all; Ctrl-C stops the turn";
            return self.page.remark(how, Face::YELLOW);
        };
        let call_ids: Vec<String> = if answer.all { open.collect() } else { open.take(1).collect() };
        let decision = |call_id: &String| {
            let word = if answer.approved { "approve" } else { "deny" };
            let mut decision = json!({ "call_id": call_id, "decision": word });
            if let Some(reason) = &answer.reason {
                decision["reason"] = json!(reason);
            }
            decision
        };
        let decisions: Vec<Value> = call_ids.iter().map(decision).collect();
        self.post(Purpose::Decide { call_ids }, "/approvals", json!({ "decisions": decisions }));
    }

    /// What came of a request.
    pub(super) fn done(&mut self, done: Done) {
        let Done { purpose, answer } = done;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.failed(purpose, &sentence(&error)),
        };
        match purpose {
            Purpose::Begin { .. } => {
                self.sending = false;
                self.outbox.pop_front();
                let chat = answer.as_str().unwrap_or_default().to_owned();
                self.frames.begin(Frames::of(&self.remote, &chat, Some(0)));
                self.chat = Some(chat);
                self.send_next();
            }
            Purpose::Say { .. } => {
                self.sending = false;
                self.outbox.pop_front();
                self.send_next();
            }
            Purpose::Chats => self.list_chats(&answer),
            Purpose::Go => self.go(answer["id"].as_str().map(str::to_owned)),
            Purpose::Status => self.page.remark(&status(&answer, self.remote.url()), Face::PLAIN),
            Purpose::Models => self.page.remark(&models(&answer), Face::PLAIN),
            Purpose::Remark(remark) => self.page.remark(remark, Face::DIM),
            // The stream tells what became of these.
            Purpose::Words { .. } | Purpose::Decide { .. } | Purpose::Stop | Purpose::Quiet => {}
        }
    }

    fn failed(&mut self, purpose: Purpose, why: &str) {
        self.page.remark(why, Face::RED);
        match purpose {
            Purpose::Begin { .. } | Purpose::Say { .. } => {
                self.sending = false;
                let texts: Vec<String> = self.outbox.drain(..).collect();
                self.give_back(&texts.join("\n"));
            }
            Purpose::Words { text } => self.give_back(&text),
            // The turn may have ended by itself at this very moment.
            Purpose::Stop => self.stopping = false,
            Purpose::Decide { .. } | Purpose::Chats | Purpose::Go | Purpose::Status | Purpose::Quiet => {}
            Purpose::Models | Purpose::Remark(_) => {}
        }
    }

    /// Words that the server did not take are the user's again.
    fn give_back(&mut self, text: &str) {
        if self.editor.text().is_empty() {
            self.editor.replace(text);
        } else {
            self.editor.remember(text);
            self.page.remark("the arrow up brings back what was not sent", Face::DIM);
        }
    }

    fn list_chats(&mut self, page: &Value) {
        let now = Utc::now();
        let chats = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.listed = chats.iter().filter_map(|chat| chat["id"].as_str()).map(str::to_owned).collect();
        let word = |chat: &Value, name: &str| chat[name].as_str().unwrap_or_default().to_owned();
        let lines = chats.iter().enumerate().map(|(index, chat)| {
            let is_this = chat["id"].as_str() == self.chat.as_deref();
            let mark = if is_this { '*' } else { ' ' };
            let ago = phrases::ago(&word(chat, "updated_at"), now);
            let title = shortened(&word(chat, "title"), 60);
            format!("{mark}{:>3}  {title} · {} · {ago}", index + 1, word(chat, "status"))
        });
        let mut text = lines.collect::<Vec<_>>().join("\n");
        text.push_str(if self.listed.is_empty() { "there is no chat yet" } else { "\n/chat NUMBER goes to one" });
        self.page.remark(&text, Face::PLAIN);
    }
}

/// A chat in a few lines.
fn status(chat: &Value, url: &str) -> String {
    let word = |name: &str| harmless(chat[name].as_str().unwrap_or("none"));
    let archived = if chat["archived"] == true { ", archived" } else { "" };
    let tokens = |name: &str| chat["usage"][name].as_u64().unwrap_or(0);
    let mut lines = vec![
        word("title"),
        format!("  id      {}", word("id")),
        format!("  server  {url}"),
        format!("  model   {}", word("model")),
        format!("  status  {}{archived}, {} waiting", word("status"), chat["queue_length"].as_u64().unwrap_or(0)),
        format!("  tokens  {} in, {} out", tokens("input_tokens"), tokens("output_tokens")),
    ];
    if let Some(micros) = chat["cost_micros"].as_u64() {
        lines.push(format!("  cost    {}", dollars(micros)));
    }
    if chat["last_error"].is_object() {
        lines.push(format!("  error   {}", harmless(&phrases::error(&chat["last_error"]))));
    }
    lines.join("\n")
}

/// The models there are, a line each; a star marks the one that answers.
fn models(answer: &Value) -> String {
    let word = |model: &Value, name: &str| harmless(model[name].as_str().unwrap_or_default());
    let none = Vec::new();
    let items = answer["items"].as_array().unwrap_or(&none);
    let default = items.iter().find(|model| model["default"] == true).map(|model| &model["name"]);
    let chosen = if answer["chosen"].is_null() { default } else { Some(&answer["chosen"]) };
    let mut lines: Vec<String> = items
        .iter()
        .map(|model| {
            let mark = if Some(&model["name"]) == chosen { "*" } else { " " };
            let window = model["context_window"].as_u64().map(|tokens| format!(", {tokens} tokens"));
            let what = match (model["enabled"] == true, model["available"] == true, model["default"] == true) {
                (false, ..) => ", disabled",
                (true, false, _) => ", its provider is disabled",
                (true, true, true) => ", the default one",
                (true, true, false) => "",
            };
            format!(
                "{mark} {}  at {}{}{what}",
                word(model, "name"),
                word(model, "provider"),
                window.unwrap_or_default()
            )
        })
        .collect();
    match chosen.filter(|chosen| items.iter().all(|model| model["name"] != **chosen)).and_then(Value::as_str) {
        Some(other) => lines.push(format!("* {}  not in the list", harmless(other))),
        None => lines.push("/model NAME takes one".to_owned()),
    }
    lines.join("\n")
}

/// An answer to an approval.
#[derive(Debug, PartialEq, Eq)]
struct YesOrNo {
    approved: bool,
    reason: Option<String>,
    all: bool,
}

fn yes_or_no(typed: &str) -> Option<YesOrNo> {
    let (word, rest) = typed.split_once([' ', ',', ':', '\n']).unwrap_or((typed, ""));
    let reason = Some(rest.trim_start_matches([' ', ',', ':']).trim().to_owned()).filter(|rest| !rest.is_empty());
    let answer = |approved, all| Some(YesOrNo { approved, reason: reason.clone(), all });
    match word.to_lowercase().as_str() {
        "y" | "yes" => answer(true, false),
        "n" | "no" => answer(false, false),
        "a" | "all" if reason.is_none() => answer(true, true),
        _ => None,
    }
}

/// A list of client tools, as a chat's creation takes it.
pub(in crate::cli::chat) fn client_tools(text: &str) -> anyhow::Result<Value> {
    match serde_json::from_str(text) {
        Ok(Value::Array(tools)) => Ok(Value::Array(tools)),
        Ok(_) => bail!("it is no list of tools: [{{\"name\": …, \"description\": …, \"parameters\": {{…}}}}]"),
        Err(error) => bail!("it is no JSON: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_listed_with_the_one_that_answers() {
        let items = json!([
            {"name": "big", "provider": "far", "context_window": 9000, "enabled": true, "available": false},
            {"name": "demo", "provider": "demo", "enabled": true, "available": true, "default": true},
            {"name": "old", "provider": "demo", "enabled": false, "available": false},
        ]);
        let listed = |chosen: Value| models(&json!({"items": items, "chosen": chosen}));
        let all = "* big  at far, 9000 tokens, its provider is disabled\n  demo  at demo, the default one\n\
                   \x20 old  at demo, disabled\n/model NAME takes one";
        assert_eq!(listed(json!("big")), all);
        assert!(listed(Value::Null).contains("* demo"));
        assert!(listed(json!("far/x")).ends_with("* far/x  not in the list"));
    }

    #[test]
    fn yes_no_and_why() {
        let cases = [
            ("y", Some((true, None, false))),
            ("Yes", Some((true, None, false))),
            ("a", Some((true, None, true))),
            ("n", Some((false, None, false))),
            ("n, that is the wrong file", Some((false, Some("that is the wrong file"), false))),
            ("no not now", Some((false, Some("not now"), false))),
            ("a file", None),
            ("maybe", None),
            ("yesterday", None),
        ];
        for (typed, meant) in cases {
            let meant =
                meant.map(|(approved, reason, all)| YesOrNo { approved, reason: reason.map(str::to_owned), all });
            assert_eq!(yes_or_no(typed), meant, "{typed:?}");
        }
    }

    #[test]
    fn a_status_is_a_few_lines() {
        let chat = json!({
            "id": "c", "title": "T", "model": null, "status": "error", "archived": true, "queue_length": 2,
            "usage": { "input_tokens": 5, "output_tokens": 7 }, "cost_micros": 1250000, "last_error": { "message": "no key" },
        });
        let text = status(&chat, "http://x");
        assert!(text.contains("status  error, archived, 2 waiting") && text.contains("tokens  5 in, 7 out"), "{text}");
        assert!(text.contains("cost    $1.25"), "{text}");
        assert!(text.contains("model   none") && text.ends_with("error   no key"), "{text}");
    }

    #[test]
    fn tools_are_a_list() {
        assert!(client_tools("[{\"name\": \"x\"}]").is_ok());
        assert!(client_tools("{}").unwrap_err().to_string().contains("no list"));
        assert!(client_tools("[").unwrap_err().to_string().contains("no JSON"));
    }
}
