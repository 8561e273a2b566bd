//! A chat that is decided and evolved as ever, without a log behind it, and a server that crashes where a test wants it to.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;
use verbatim_events::chat::{Chat, decide, evolve};
use verbatim_events::command::{Command, Context, CreateChat};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{Event, SettingsChanged, WorkspaceBinding};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::limits::Limits;
use verbatim_events::log::BoxFuture;
use verbatim_events::outcome::Outcome;
use verbatim_events::tool::{AccessError, ChatAccess};

/// The chat of these tests.
pub const CHAT: ChatId = ChatId(Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_0001));

/// Where the server crashes: at which change of the chat (from 1), and whether that change is in the log by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    pub change: usize,
    pub recorded: bool,
}

struct State {
    chat: Arc<Chat>,
    receipts: HashMap<String, Outcome>,
    crash: Option<Crash>,
    sends: usize,
}

/// The only chat.
pub struct Chats {
    state: Arc<Mutex<State>>,
    crashed: watch::Sender<bool>,
}

impl Default for Chats {
    fn default() -> Chats {
        let create = CreateChat::new(CHAT, "ada", Vec::new());
        let (chat, _) = run(None, &Command::CreateChat(Box::new(create)));
        let state = State { chat: Arc::new(chat), receipts: HashMap::new(), crash: None, sends: 0 };
        Chats { state: Arc::new(Mutex::new(state)), crashed: watch::channel(false).0 }
    }
}

fn run(before: Option<Chat>, command: &Command) -> (Chat, Vec<Recorded>) {
    let now = DateTime::UNIX_EPOCH;
    let events: Vec<Event> =
        decide(before.as_ref(), command, Context::new(now, &Limits::default())).expect("the chat takes it");
    let (mut chat, mut recorded) = (before, Vec::new());
    for event in events {
        let version = chat.as_ref().map_or(0, |chat| chat.outline.version) + 1;
        let one =
            Recorded { position: version, chat_id: CHAT, version, recorded_at: now, hash: Digest::of(b"test"), event };
        chat = Some(evolve(chat, &one).expect("what is decided can happen"));
        recorded.push(one);
    }
    (chat.expect("there is a chat"), recorded)
}

impl Chats {
    pub fn chat(&self) -> Arc<Chat> {
        Arc::clone(&self.state.lock().chat)
    }

    /// The server will crash there, once.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.state.lock();
        (state.crash, state.sends) = (Some(crash), 0);
    }

    /// Waits for the crash.
    pub async fn crashed(&self) {
        self.crashed.subscribe().wait_for(|crashed| *crashed).await.expect("the chats are there");
    }

    /// Changes the chat.
    pub fn change(&self, command: &Command) {
        let mut state = self.state.lock();
        state.chat = Arc::new(run(Some(Chat::clone(&state.chat)), command).0);
    }

    /// Binds the chat to a workspace that nobody has made.
    pub fn promise(&self, template_id: &str, name: &str) {
        let binding = WorkspaceBinding {
            id: None,
            template_id: Some(template_id.to_owned()),
            name: Some(name.to_owned()),
            parameters: None,
        };
        let patch = SettingsChanged { workspace: Some(binding), ..SettingsChanged::default() };
        self.change(&Command::ChangeSettings { patch, archived: None });
    }
}

impl ChatAccess for Chats {
    fn look(&self, chat_id: ChatId) -> BoxFuture<'static, Result<Option<Arc<Chat>>, AccessError>> {
        let found = (chat_id == CHAT).then(|| self.chat());
        Box::pin(async move { Ok(found) })
    }

    fn send(&self, _chat: ChatId, command: Command, key: String) -> BoxFuture<'static, Result<Outcome, AccessError>> {
        let (state, crashed) = (Arc::clone(&self.state), self.crashed.clone());
        Box::pin(async move {
            let (outcome, crashes) = {
                let mut state = state.lock();
                state.sends += 1;
                let crashes = state.crash.filter(|crash| crash.change == state.sends);
                if crashes.is_some() {
                    state.crash = None;
                }
                if crashes.is_some_and(|crash| !crash.recorded) {
                    (None, true)
                } else if let Some(receipt) = state.receipts.get(&key) {
                    (Some(receipt.clone()), crashes.is_some())
                } else {
                    let before = Chat::clone(&state.chat);
                    let (chat, events) = run(Some(before.clone()), &command);
                    let outcome = Outcome::of(Some(&before), &events, &chat);
                    state.chat = Arc::new(chat);
                    state.receipts.insert(key, outcome.clone());
                    (Some(outcome), crashes.is_some())
                }
            };
            match outcome {
                Some(outcome) if !crashes => Ok(outcome),
                Some(_) | None => {
                    crashed.send_replace(true);
                    std::future::pending().await
                }
            }
        })
    }

    fn changed(&self, _chat: ChatId, _version: u64, _wait_ms: u64) -> BoxFuture<'static, Result<(), AccessError>> {
        Box::pin(async { Ok(()) })
    }
}
