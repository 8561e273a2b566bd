//! A conversation on a screen: what is known of the chat, and what to show of it.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use chrono::Utc;

use super::dock::{self, Dock, View};
use super::editor::{Editor, Key};
use super::page::Page;
use super::requests::{Frame, Purpose, Reading, Requests};
use super::terminal::Terminal;
use super::{Begin, Frames};
use crate::cli::chat::conversation::Reached;
use crate::cli::chat::follow::{Follow, Ours};
use crate::cli::chat::frames::BROKEN;
use crate::cli::chat::phrases;
use crate::cli::chat::questions::{self, Asking};
use crate::cli::chat::show::{Action, Decision, End, OpenCall, Show, Waiting};
use crate::cli::chat::slash;
use crate::cli::chat::talk::NewChat;
use crate::cli::chat::text::{Face, Row};
use crate::cli::output::{harmless, sentence, shortened};
use crate::cli::remote::Remote;

/// What comes from the user.
pub(super) enum Input {
    Key(Key),
    /// There is no terminal any more, or the program is to end.
    Gone,
}

/// What is under way, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing.
    Rests,
    /// Something, and since when.
    Works { what: String, since: Instant },
    /// An attempt failed; the next one begins then.
    Retries { attempt: u64, at: Instant },
}

/// A turn that waits for somebody.
#[derive(Debug)]
pub(super) struct Waits {
    /// The calls without a decision.
    pub calls: Vec<OpenCall>,
    /// When it gives up.
    pub deadline: Option<Instant>,
    /// What the user was typing when it began.
    pub draft: String,
}

/// The conversation.
pub(super) struct Session {
    pub(super) remote: Remote,
    pub(super) chat: Option<String>,
    pub(super) new: NewChat,
    pub(super) page: Page,
    pub(super) editor: Editor,
    pub(super) frames: Reading,
    pub(super) requests: Requests,
    pub(super) follow: Follow,
    pub(super) doing: Doing,
    pub(super) waits: Option<Waits>,
    pub(super) asking: Option<Asking>,
    /// The questions of a call that has no answer yet.
    asked: Option<Asking>,
    pub(super) queue: Vec<Waiting>,
    /// Messages that the server has not taken yet; the first one may be on its way.
    pub(super) outbox: VecDeque<String>,
    pub(super) sending: bool,
    /// The message being said anew.
    pub(super) editing: Option<u64>,
    pub(super) last_said: Option<(u64, String)>,
    /// The chats of the last list.
    pub(super) listed: Vec<String>,
    pub(super) title: String,
    pub(super) stopping: bool,
    has_keys: bool,
    /// The conversation is over with the turn.
    is_once: bool,
    leaving: bool,
    urgent: bool,
    cleaning: bool,
    pub(super) reached: Option<Reached>,
}

impl Session {
    pub(super) fn new(remote: Remote, new: NewChat, faces: bool, columns: usize, has_keys: bool) -> Session {
        Session {
            remote,
            chat: None,
            new,
            page: Page::new(faces, columns),
            editor: Editor::default(),
            frames: Reading::default(),
            requests: Requests::new(),
            follow: Follow::new(Ours::Everything),
            doing: Doing::Rests,
            waits: None,
            asking: None,
            asked: None,
            queue: Vec::new(),
            outbox: VecDeque::new(),
            sending: false,
            editing: None,
            last_said: None,
            listed: Vec::new(),
            title: String::new(),
            stopping: false,
            has_keys,
            is_once: false,
            leaving: false,
            urgent: true,
            cleaning: false,
            reached: None,
        }
    }

    /// Begins as the command line says.
    pub(super) fn begin(&mut self, begin: Begin) {
        if !matches!(begin, Begin::Asked(_)) {
            let url = self.remote.url().to_owned();
            self.page
                .remark(&format!("{url} — /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves"), Face::DIM);
        }
        match begin {
            Begin::Empty => {}
            Begin::Chat(chat) => self.go(Some(chat)),
            Begin::Asked(taken) => {
                self.is_once = true;
                self.follow = Follow::new(taken.ours);
                self.frames.begin(Frames::of(&self.remote, &taken.chat, Some(taken.before)));
                self.chat = Some(taken.chat);
                self.work("the model is asked");
            }
        }
    }

    /// Goes to a chat; to none for a new one.
    pub(super) fn go(&mut self, chat: Option<String>) {
        self.page.end();
        self.frames.end();
        self.follow = Follow::new(Ours::Everything);
        self.doing = Doing::Rests;
        self.waits = None;
        self.asking = None;
        self.asked = None;
        self.queue.clear();
        self.editing = None;
        self.last_said = None;
        self.title.clear();
        self.stopping = false;
        if let Some(chat) = &chat {
            self.frames.begin(Frames::of(&self.remote, chat, None));
        }
        self.chat = chat;
    }

    /// How the conversation ended, if it did.
    pub(super) fn reached(&self) -> Option<Reached> {
        self.reached
    }

    /// Something moves although nothing happens: a countdown.
    pub(super) fn moves(&self) -> bool {
        self.doing != Doing::Rests || self.waits.is_some()
    }

    /// Something has to be seen at once.
    pub(super) fn take_urgent(&mut self) -> bool {
        std::mem::take(&mut self.urgent)
    }

    /// The screen has to be emptied.
    pub(super) fn wants_cleaning(&mut self) -> bool {
        std::mem::take(&mut self.cleaning)
    }

    /// A turn is under way, or waits for somebody.
    pub(super) fn is_busy(&self) -> bool {
        self.doing != Doing::Rests || self.waits.is_some()
    }

    /// A key.
    pub(super) fn press(&mut self, input: Input) {
        self.urgent = true;
        let key = match input {
            Input::Key(key) => key,
            Input::Gone => return self.reached = Some(Reached::Left),
        };
        if key != Key::Stop {
            self.leaving = false;
        }
        match key {
            Key::Stop => self.stop_key(),
            // Nothing is typed that nobody sees.
            key if self.is_asked_only() && key != Key::Clean => {}
            Key::Leave if self.editor.text().is_empty() => self.reached = Some(Reached::Left),
            Key::Leave => drop(self.editor.press(Key::Delete)),
            Key::Clean => self.cleaning = true,
            Key::Escape => self.stop_editing(),
            Key::Tab => {
                if let Some(text) = slash::completed(self.editor.text()) {
                    self.editor.replace(&text);
                }
            }
            key => {
                if let Some(line) = self.editor.press(key) {
                    self.line(&line);
                }
            }
        }
    }

    /// Ctrl-C: stops the turn, else what is being typed, else the conversation.
    fn stop_key(&mut self) {
        if self.is_busy() && self.chat.is_some() {
            if std::mem::replace(&mut self.stopping, true) {
                self.reached = Some(Reached::Left);
            } else {
                self.stop();
            }
        } else if self.editing.is_some() || !self.editor.text().is_empty() {
            self.stop_editing();
            self.editor.replace("");
        } else if std::mem::replace(&mut self.leaving, true) {
            self.reached = Some(Reached::Left);
        } else {
            self.page.remark("Ctrl-C again leaves", Face::DIM);
        }
    }

    fn stop_editing(&mut self) {
        if self.editing.take().is_some() {
            self.editor.replace("");
        }
    }

    /// A frame of the chat's stream, or the end of it.
    pub(super) fn frame(&mut self, frame: Frame) -> anyhow::Result<()> {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if self.is_once => return Err(error),
            Err(error) => {
                // The chat is kept by the server; the next line looks for it again.
                self.page.remark(&sentence(&error), Face::RED);
                self.doing = Doing::Rests;
                self.waits = None;
                return Ok(());
            }
        };
        if frame.event == BROKEN {
            self.show(Show::Reconnecting, false);
            return Ok(());
        }
        let is_old = frame.event == "snapshot";
        for show in self.follow.feed(&frame.event, &frame.data) {
            self.show(show, is_old);
        }
        Ok(())
    }

    /// Something of the chat; `is_old` if it happened before we looked.
    fn show(&mut self, show: Show, is_old: bool) {
        match show {
            Show::Said { id, text } => {
                self.page.said(&text);
                if is_old {
                    self.editor.remember(&text);
                }
                self.asking = None;
                self.last_said = Some((id, text));
                self.work("the model is asked");
            }
            Show::Asked { action } => match action.as_str() {
                "run_tools" => self.work("tools are running"),
                "compact" => self.work("what was said is being summarised"),
                "load_context" => self.work("the workspace is being read"),
                _ => self.work("the model is asked"),
            },
            Show::Text(text) => {
                self.page.answer(&text);
                self.work("answering");
            }
            Show::Reasoning(text) => {
                self.page.thought(&text);
                self.work("thinking");
            }
            Show::Calling { name } => self.work(&format!("calling {}", shortened(&name, 64))),
            Show::ToolCall { name, args } => {
                self.asked = Asking::of(&args).filter(|_| name == questions::TOOL && self.has_keys);
                // A question is shown when the tool has taken it.
                if self.asked.is_none() {
                    self.page.call(&name, &args);
                }
            }
            Show::ToolOutput { call_id, output } => self.page.output(&call_id, &output),
            Show::ToolResult { call_id, name, result, is_error } => {
                match self.asked.take_if(|_| name == questions::TOOL).filter(|_| !is_error) {
                    Some(asking) => {
                        self.page.question(&asking);
                        self.asking = Some(asking);
                    }
                    None => self.page.result(&call_id, &name, &result, is_error),
                }
            }
            Show::Void => self.page.void(),
            Show::Retry { attempt, delay_ms, retry_at, error } => {
                self.retry(attempt, delay_ms, &retry_at, &error, is_old)
            }
            Show::Answer { text, streamed } => {
                self.page.answer(&text[streamed..]);
                self.page.end();
            }
            Show::Waits => self.work("waits for the answer that is under way"),
            Show::WaitsForCapacity => self.work(phrases::WAITS_FOR_CAPACITY),
            Show::Action(action) => self.action(action),
            Show::Decided(decisions) => self.decided(&decisions),
            Show::Resolved => self.resolved(),
            Show::Queue(queue) => self.queue = queue,
            Show::Title(title) => self.titled(title),
            Show::Remark(remark) => self.page.remark(&remark, Face::DIM),
            Show::Reconnecting => self.page.remark("the server does not answer; trying again", Face::YELLOW),
            Show::End(end) => self.end(&end),
        }
    }

    /// The same thing goes on, or another begins.
    fn work(&mut self, what: &str) {
        let is_same = matches!(&self.doing, Doing::Works { what: before, .. } if before == what);
        if !is_same {
            self.doing = Doing::Works { what: what.to_owned(), since: Instant::now() };
        }
    }

    fn retry(&mut self, attempt: u64, delay_ms: u64, retry_at: &str, error: &str, is_old: bool) {
        self.page.remark(&phrases::failed_attempt(attempt, error, delay_ms), Face::YELLOW);
        // Of a wait that began before, the clocks tell how much is left, as well as they agree.
        let left_ms = match phrases::until(retry_at, Utc::now()) {
            Some(left_ms) if is_old => left_ms.min(delay_ms),
            _ => delay_ms,
        };
        self.doing = Doing::Retries { attempt, at: after(left_ms) };
    }

    fn titled(&mut self, title: String) {
        if let Some(chat) = self.chat.as_ref().filter(|_| title != self.title) {
            self.page.remark(&format!("{} · {chat}", shortened(&title, 80)), Face::DIM);
        }
        self.title = title;
    }

    fn action(&mut self, action: Action) {
        self.page.end();
        self.doing = Doing::Rests;
        for call in &action.calls {
            self.page.open_call(call);
        }
        let deadline = phrases::until(&action.deadline, Utc::now()).map(after);
        let is_ours = action.calls.iter().any(|call| call.needs_approval);
        let draft = if is_ours { self.editor.replace("") } else { String::new() };
        self.waits = Some(Waits { calls: action.calls, deadline, draft });
        if self.is_once && !self.has_keys {
            let go_on = self.chat.as_deref().unwrap_or_default();
            self.page.remark(&format!("go on on a terminal with: verbatim chat --chat {go_on}"), Face::DIM);
            self.reached = Some(Reached::Nothing);
        }
    }

    fn decided(&mut self, decisions: &[Decision]) {
        let Some(waits) = &mut self.waits else { return };
        for decision in decisions {
            let Some(index) = waits.calls.iter().position(|call| call.call_id == decision.call_id) else { continue };
            let call = waits.calls.remove(index);
            let reason = decision.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            let (word, face) = if decision.approved { ("approved", Face::GREEN) } else { ("denied", Face::RED) };
            self.page.remark(&format!("{word}: {}{reason}", harmless(&call.name)), face);
        }
    }

    fn resolved(&mut self) {
        if let Some(waits) = self.waits.take() {
            if self.editor.text().is_empty() {
                self.editor.replace(&waits.draft);
            }
            self.work("tools are running");
        }
    }

    fn end(&mut self, end: &End) {
        self.page.end();
        self.resolved();
        self.doing = Doing::Rests;
        self.stopping = false;
        let (line, face) = match end {
            End::Complete => (None, Face::PLAIN),
            End::NoOutput => (Some("the model had nothing to say".to_owned()), Face::YELLOW),
            End::Interrupted => (Some("interrupted".to_owned()), Face::YELLOW),
            End::Failed { message } => (Some(format!("the turn failed: {message}")), Face::RED),
            End::Withdrawn => (Some("the message was taken back".to_owned()), Face::YELLOW),
        };
        if let Some(line) = line {
            self.page.remark(&line, face);
        }
        if self.is_once {
            if *end == End::Complete && self.asking.is_some() {
                // The model asked something: the conversation goes on for the answer.
                self.is_once = false;
                self.follow.widen();
            } else {
                self.reached = Some(if *end == End::Complete { Reached::Answer } else { Reached::Nothing });
            }
        }
    }

    /// The call that the user is asked about.
    pub(super) fn open_approval(&self) -> Option<&OpenCall> {
        self.waits.as_ref()?.calls.iter().find(|call| call.needs_approval)
    }

    /// What the dock shows now.
    pub(super) fn view(&self) -> View<'_> {
        let prompt = match (self.open_approval(), &self.asking, self.editing) {
            (Some(_), ..) => "y/n> ",
            (None, Some(_), _) => "answer> ",
            (None, None, Some(_)) => "edit> ",
            (None, None, None) => "> ",
        };
        View {
            unfinished: self.page.unfinished(),
            waiting: &self.queue,
            sending: self.outbox.iter().map(String::as_str).collect(),
            status: self.status(),
            input: (self.has_keys && !self.is_asked_only()).then(|| dock::Input {
                prompt,
                text: self.editor.text(),
                at: self.editor.at(),
            }),
        }
    }

    /// One question was asked, and the user is not needed for its answer.
    fn is_asked_only(&self) -> bool {
        self.is_once && self.open_approval().is_none()
    }

    fn status(&self) -> Option<Row> {
        if let Some(waits) = &self.waits {
            let left = waits.deadline.map_or_else(String::new, |at| format!(" · {} left", phrases::left(left_ms(at))));
            let text = match self.open_approval() {
                Some(call) => {
                    let approvals = waits.calls.iter().filter(|call| call.needs_approval).count();
                    let all = if approvals > 1 { ", a: yes to all" } else { "" };
                    format!("{}: y or n{all}, n REASON to say why{left}", shortened(&call.name, 64))
                }
                None => format!("waits for the client that runs {}{left} · Ctrl-C stops", names(&waits.calls)),
            };
            return Some(Row::of(text, Face::YELLOW));
        }
        match &self.doing {
            Doing::Rests => None,
            Doing::Works { since, .. } if self.stopping => {
                Some(dock::working("stopping; leaves at once", elapsed_ms(*since)))
            }
            Doing::Works { what, since } => Some(dock::working(what, elapsed_ms(*since))),
            Doing::Retries { attempt, at } => Some(dock::retrying(*attempt, left_ms(*at))),
        }
    }

    /// The last of it: the dock goes, and where to go on is said.
    pub(super) fn leave(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        self.page.end();
        if let Some(chat) = self.chat.as_ref().filter(|_| !self.is_once) {
            if self.is_busy() {
                self.page.remark("the answer goes on without you", Face::DIM);
            }
            self.page.remark(&format!("go on with: verbatim chat --chat {chat}"), Face::DIM);
        }
        let unsent: Vec<&str> = self.outbox.iter().map(String::as_str).collect();
        if !unsent.is_empty() {
            self.page.remark(&format!("not sent: {}", unsent.join("\n")), Face::RED);
        }
        terminal.update(&self.page.take(), &Dock::default())
    }

    /// Whether a purpose's request is under way cannot be asked of the requests; who needs to know remembers it.
    pub(super) fn ask(
        &mut self,
        purpose: Purpose,
        request: impl Future<Output = anyhow::Result<serde_json::Value>> + 'static,
    ) {
        self.requests.push(Box::pin(async move { super::requests::Done { purpose, answer: request.await } }));
    }
}

fn names(calls: &[OpenCall]) -> String {
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    shortened(&names.join(", "), 80)
}

fn after(ms: u64) -> Instant {
    // A deadline further away than clocks reach is none that a person waits for.
    let ms = ms.min(366 * 24 * 3_600_000);
    Instant::now() + std::time::Duration::from_millis(ms)
}

fn left_ms(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX)
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
