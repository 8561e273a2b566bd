//! Long chats, made quickly: turn after turn is decided and appended through the log's port, as the server would have
//! done it, without a server.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use verbatim_events::chat::{Chat, decide, evolve};
use verbatim_events::command::{Busy, Command, Context, CreateChat, Generated, RecordAttempt, SendMessage, Step};
use verbatim_events::envelope::{Actor, Cause, NewEvent};
use verbatim_events::event::{AttemptAction, ToolDefinition, TurnOutcome};
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::limits::Limits;
use verbatim_events::log::{Append, EventLog, StreamAppend};
use verbatim_events::message::{FinishReason, Usage};
use verbatim_events::part::Part;
use verbatim_events::vault::Sealer;
use verbatim_events::wire;

use crate::shell::{new_chat, text};

/// Events per append.
const APPEND_EVENTS: usize = 500;

/// A chat that grows.
#[derive(Clone, Debug)]
pub struct Saga {
    /// Its id.
    pub chat_id: ChatId,
    /// Its state after its last event, once it has one.
    pub chat: Option<Arc<Chat>>,
    now: DateTime<Utc>,
    limits: Limits,
    tools: Vec<Arc<ToolDefinition>>,
    sealer: Option<Arc<dyn Sealer>>,
    written: Vec<NewEvent>,
}

impl Saga {
    /// Before its first event.
    pub fn new() -> Saga {
        Saga::with_tools(Vec::new())
    }

    /// Before its first event; the chat will have these tools, whatever they are.
    pub fn with_tools(tools: Vec<Arc<ToolDefinition>>) -> Saga {
        Saga {
            chat_id: ChatId(Uuid::now_v7()),
            chat: None,
            now: DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default(),
            limits: Limits::default(),
            tools,
            sealer: None,
            written: Vec::new(),
        }
    }

    /// Its events will be sealed by this.
    pub fn sealed_by(mut self, sealer: Arc<dyn Sealer>) -> Saga {
        self.sealer = Some(sealer);
        self
    }

    /// The version of its last event.
    pub fn version(&self) -> Version {
        self.chat.as_ref().map_or(0, |chat| chat.outline.version)
    }

    /// Grows to at least `events` events in `log`: each turn is a question and the answer that `words` gives for its
    /// number.
    ///
    /// # Panics
    /// When the log refuses.
    pub async fn grow(&mut self, log: &dyn EventLog, events: Version, words: impl Fn(Version) -> String) {
        let (mut version, mut hash) = self.head();
        while self.version() < events {
            self.turn(&words);
            if self.written.len() >= APPEND_EVENTS || self.version() >= events {
                self.append(log, version, hash).await;
                (version, hash) = self.head();
            }
        }
    }

    /// Does one command more, and appends what it yields.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn command(&mut self, log: &dyn EventLog, command: Command) {
        let (version, hash) = self.head();
        self.act(command);
        self.append(log, version, hash).await;
    }

    async fn append(&mut self, log: &dyn EventLog, version: Version, hash: Digest) {
        let events = std::mem::take(&mut self.written);
        let stream = StreamAppend { chat_id: self.chat_id, expected_version: version, expected_hash: hash, events };
        log.append(Append { streams: vec![stream], receipt: None }).await.expect("the log takes a saga");
    }

    fn head(&self) -> (Version, Digest) {
        self.chat.as_ref().map_or((0, Digest::ZERO), |chat| (chat.outline.version, chat.head_hash))
    }

    fn turn(&mut self, words: &impl Fn(Version) -> String) {
        let number = self.version();
        let question = format!("Question {number}?");
        if self.chat.is_none() {
            let tools = std::mem::take(&mut self.tools);
            let created = CreateChat { tools, ..new_chat(self.chat_id, text(&question)) };
            self.act(Command::CreateChat(Box::new(created)));
        } else {
            let parts = text(&question);
            let message = SendMessage { parts, author: "ann".to_owned(), busy: Busy::Queue, model: None, effort: None };
            self.act(Command::SendMessage(message));
        }
        self.act(Command::RecordAttempt(RecordAttempt {
            action: AttemptAction::Generate,
            model: Some("demo".to_owned()),
            prompt_digest: None,
            request: None,
            offer: None,
            node: "saga".to_owned(),
        }));
        let attempt_id = self.version();
        let answer = Generated {
            parts: vec![Part::text(words(number))],
            model: "demo".to_owned(),
            usage: Some(Usage { input_tokens: 100, output_tokens: 20, ..Usage::default() }),
            cost_micros: Some(600),
            finish_reason: FinishReason::Stop,
            response_id: None,
            first_part_ms: Some(5),
            refused_calls: Default::default(),
        };
        self.act(Command::CommitStep { attempt_id, step: Step::Generated(answer) });
        self.act(Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::Complete });
    }

    fn act(&mut self, command: Command) {
        self.now += TimeDelta::milliseconds(250);
        let before = self.chat.as_deref();
        let context = Context::new(self.now, &self.limits);
        let events = decide(before, &command, context).expect("a saga does what may be done");
        let (version, hash) = self.head();
        let cause = Cause {
            actor: Actor::User("ann".to_owned()),
            command_id: Uuid::now_v7(),
            causation_id: None,
            trace_id: None,
        };
        let mut chat = self.chat.take().map(Arc::unwrap_or_clone);
        let sealer = self.sealer.as_deref();
        let sealed = wire::seal_with(sealer, self.chat_id, version, hash, events, &cause, self.now, &mut Uuid::now_v7);
        for (new, recorded) in sealed.expect("a saga's sealer seals") {
            chat = Some(evolve(chat, &recorded).expect("what is decided can happen"));
            self.written.push(new);
        }
        self.chat = chat.map(Arc::new);
    }
}

impl Default for Saga {
    fn default() -> Saga {
        Saga::new()
    }
}
