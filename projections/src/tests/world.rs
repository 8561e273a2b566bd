//! A log with chats in it whose states are known: what the read models say must be what the chats say.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;
use verbatim_events::chat::{Chat, Status, decide, evolve};
use verbatim_events::command::{
    Busy, Command, Context, CreateChat, EditMessage, Generated, RecordAttempt, SendMessage, Step, SubmittedResult,
};
use verbatim_events::envelope::{Actor, Cause, Encoding, NewEvent, Recorded};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::event::{
    AbandonCause, AttemptAction, SettingsChanged, TitleChange, TitleSource, ToolDefinition, TurnOutcome,
};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::inbox::{self, InboxEvent};
use verbatim_events::limits::Limits;
use verbatim_events::log::{Append, EventLog, StreamAppend};
use verbatim_events::memory::MemoryLog;
use verbatim_events::message::{FinishReason, Role, Usage};
use verbatim_events::part::Part;
use verbatim_events::settings::{self, DefaultModelSet, SETTINGS_STREAM, SettingsEvent};
use verbatim_events::wire::seal;

/// Small numbers that are the same in every run with one seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound.max(1) as u64) as usize
    }
}

/// A log and the states of its chats.
pub struct World {
    pub log: Arc<MemoryLog>,
    pub chats: BTreeMap<ChatId, Chat>,
    /// Everything that happened, in order.
    pub recorded: Vec<Recorded>,
    /// What owners marked in their inboxes, with the position of each.
    pub marks: Vec<(u64, InboxEvent)>,
    pub now: DateTime<Utc>,
    limits: Limits,
    ids: u128,
}

impl World {
    pub fn new() -> World {
        World::on(Uuid::from_u128(1))
    }

    pub fn on(timeline: Uuid) -> World {
        World {
            log: Arc::new(MemoryLog::new(timeline)),
            chats: BTreeMap::new(),
            recorded: Vec::new(),
            marks: Vec::new(),
            now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            limits: Limits::default(),
            ids: 0,
        }
    }

    pub fn log(&self) -> Arc<dyn EventLog> {
        Arc::clone(&self.log) as Arc<dyn EventLog>
    }

    fn fresh_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + self.ids)
    }

    /// A chat of `owner` that says `text` at once.
    pub async fn begin(&mut self, owner: &str, text: &str) -> ChatId {
        self.begin_with(owner, text, |_| {}).await
    }

    pub async fn begin_with(&mut self, owner: &str, text: &str, change: impl FnOnce(&mut CreateChat)) -> ChatId {
        let id = ChatId(self.fresh_id());
        let lookup = ToolDefinition {
            name: "lookup".to_owned(),
            description: "Looks something up.".to_owned(),
            parameters: json!({"type": "object"}),
        };
        let mut create =
            CreateChat { tools: vec![lookup.into()], ..CreateChat::new(id, owner, vec![Part::text(text)]) };
        change(&mut create);
        assert!(self.act(id, &Command::CreateChat(Box::new(create))).await, "a chat can be made");
        id
    }

    /// Lets a chat decide a command and appends what comes of it. `false` if it was refused.
    pub async fn act(&mut self, chat_id: ChatId, command: &Command) -> bool {
        self.now += TimeDelta::milliseconds(1500);
        let before = self.chats.get(&chat_id).cloned();
        let Ok(events) = decide(before.as_ref(), command, Context::new(self.now, &self.limits)) else {
            return false;
        };
        let (version, hash) = before.as_ref().map_or((0, Digest::ZERO), |chat| (chat.outline.version, chat.head_hash));
        let cause = Cause { actor: Actor::System, command_id: self.fresh_id(), causation_id: None, trace_id: None };
        let mut ids = Vec::new();
        for _ in &events {
            ids.push(self.fresh_id());
        }
        let mut ids = ids.into_iter();
        let sealed = seal(chat_id, version, hash, events, &cause, self.now, &mut || ids.next().unwrap());
        let mut chat = before;
        let mut new = Vec::new();
        let first_position = self.log.known_head() + 1;
        for (index, (event, mut recorded)) in sealed.into_iter().enumerate() {
            recorded.position = first_position + index as u64;
            chat = Some(evolve(chat, &recorded).unwrap());
            self.recorded.push(recorded);
            new.push(event);
        }
        self.append(chat_id, version, hash, new).await;
        self.chats.insert(chat_id, chat.unwrap());
        true
    }

    async fn append(&self, chat_id: ChatId, version: u64, hash: Digest, events: Vec<NewEvent>) {
        let stream = StreamAppend { chat_id, expected_version: version, expected_hash: hash, events };
        self.log.append(Append { streams: vec![stream], receipt: None }).await.unwrap();
    }

    /// Changes the settings: events that belong to no chat.
    pub async fn set(&mut self, names: &[&str]) {
        let last = self.log.read_chat(SETTINGS_STREAM, 0, usize::MAX).await.unwrap().pop();
        let (version, hash) = last.map_or((0, Digest::ZERO), |last| (last.event.version, last.event.hash));
        let cause = Cause { actor: Actor::System, command_id: self.fresh_id(), causation_id: None, trace_id: None };
        let event = |name: &&str| SettingsEvent::DefaultModelSet(DefaultModelSet { name: (*name).to_owned() });
        let events: Vec<SettingsEvent> = names.iter().map(event).collect();
        let sealed = settings::seal(version, hash, &events, &cause, self.now, &mut Uuid::now_v7);
        self.append(SETTINGS_STREAM, version, hash, sealed).await;
    }

    /// An owner marks notifications: an event that belongs to no chat.
    pub async fn mark(&mut self, event: InboxEvent) {
        let stream = inbox::stream_id(event.owner());
        let last = self.log.read_chat(stream, 0, usize::MAX).await.unwrap().pop();
        let (version, hash) = last.map_or((0, Digest::ZERO), |last| (last.event.version, last.event.hash));
        let cause = Cause { actor: Actor::System, command_id: self.fresh_id(), causation_id: None, trace_id: None };
        let sealed = inbox::seal(version, &hash, &event, &cause, self.now, self.fresh_id());
        self.append(stream, version, hash, vec![sealed]).await;
        self.marks.push((self.log.known_head(), event));
    }

    /// Appends an event to a chat that no program can read. The chat cannot be used after that.
    pub async fn poison(&mut self, chat_id: ChatId) {
        self.append_unreadable(chat_id, Encoding::Plain).await;
    }

    /// Appends an event to a chat that was sealed with a key which is gone. The chat cannot be used after that.
    pub async fn seal_away(&mut self, chat_id: ChatId) {
        self.append_unreadable(chat_id, Encoding::Sealed).await;
        self.log.destroy_key(chat_id);
    }

    async fn append_unreadable(&mut self, chat_id: ChatId, encoding: Encoding) {
        let chat = self.chats.remove(&chat_id).unwrap();
        let event = NewEvent {
            chat_id,
            version: chat.outline.version + 1,
            event_id: self.fresh_id(),
            event_type: "message_committed".to_owned(),
            schema: 1,
            recorded_at: self.now,
            actor: Actor::System,
            command_id: self.fresh_id(),
            causation_id: None,
            trace_id: None,
            encoding,
            data: b"{\"role\":".to_vec(),
            hash: Digest([7; 32]),
        };
        let next = NewEvent { version: event.version + 1, event_type: "chat_archived".to_owned(), ..event.clone() };
        self.append(chat_id, chat.outline.version, chat.head_hash, vec![event, next]).await;
    }

    pub async fn say(&mut self, chat_id: ChatId, text: &str) {
        assert!(self.act(chat_id, &say(text, Busy::Queue)).await, "a message can be sent");
    }

    /// Brings the running turn of a chat to its end.
    pub async fn answer(&mut self, chat_id: ChatId, text: &str) {
        assert!(self.act(chat_id, &attempt()).await, "an attempt can begin");
        let attempt_id = self.chats[&chat_id].outline.attempt.as_ref().unwrap().id;
        assert!(self.act(chat_id, &commit(attempt_id, vec![Part::text(text)])).await, "a step can be committed");
        let finish = Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::Complete };
        assert!(self.act(chat_id, &finish).await, "a turn can end");
    }

    /// Lets `steps` things happen that `dice` choose.
    pub async fn live(&mut self, dice: &mut Dice, steps: usize) {
        for step in 0..steps {
            if self.chats.len() < 3 || dice.below(40) == 0 {
                let owner = ["ann", "bob"][dice.below(2)];
                self.begin(owner, &format!("Hello number {step}, wie geht's?")).await;
                continue;
            }
            let index = dice.below(self.chats.len());
            let chat_id = *self.chats.keys().nth(index).unwrap();
            let command = choose(&self.chats[&chat_id], dice, step);
            self.act(chat_id, &command).await;
        }
    }
}

fn say(text: &str, busy: Busy) -> Command {
    Command::SendMessage(SendMessage {
        parts: vec![Part::text(text)],
        author: "ann".to_owned(),
        busy,
        model: None,
        effort: None,
    })
}

fn attempt() -> Command {
    Command::RecordAttempt(RecordAttempt {
        action: AttemptAction::Generate,
        model: Some("demo".to_owned()),
        prompt_digest: None,
        request: None,
        offer: None,
        node: "n".to_owned(),
    })
}

fn commit(attempt_id: u64, parts: Vec<Part>) -> Command {
    let called = parts.iter().any(|part| part.open_call_id().is_some());
    Command::CommitStep {
        attempt_id,
        step: Step::Generated(Generated {
            parts,
            model: "demo".to_owned(),
            usage: Some(Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() }),
            cost_micros: Some(105),
            finish_reason: if called { FinishReason::ToolCalls } else { FinishReason::Stop },
            response_id: None,
            first_part_ms: Some(20),
            refused_calls: Default::default(),
        }),
    }
}

/// Something that may happen to a chat in its state; it may still be refused.
fn choose(chat: &Chat, dice: &mut Dice, step: usize) -> Command {
    let outline = &chat.outline;
    if dice.below(3) == 0 {
        return choose_any(chat, dice, step);
    }
    match (outline.status, &outline.attempt) {
        (Status::Interrupting, _) => Command::FinishInterruption { partial: vec![Part::text("so far")] },
        (Status::RequiresAction, _) => {
            let calls = outline.action.iter().flat_map(|action| &action.calls);
            let result = |call_id: &String| SubmittedResult {
                call_id: call_id.clone(),
                result: Some(json!({"found": step})),
                is_error: false,
            };
            Command::SubmitToolResults { results: calls.map(|call| result(&call.call_id)).collect() }
        }
        (Status::Running, Some(attempt)) => choose_of_attempt(attempt.id, dice, step),
        (Status::Running, None) if dice.below(4) == 0 => {
            Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::Complete }
        }
        (Status::Running, None) if dice.below(3) == 0 => Command::RequireAction,
        (Status::Running, None) => attempt(),
        (Status::Waiting | Status::Error, _) => say(&format!("Und dann {step}?"), Busy::Queue),
    }
}

fn choose_of_attempt(attempt_id: u64, dice: &mut Dice, step: usize) -> Command {
    let error = || ChatError::retryable(ErrorKind::Overloaded, "The provider has no capacity.");
    match dice.below(8) {
        0 => Command::ScheduleRetry {
            attempt_id,
            error: error(),
            delay_ms: 1000,
            partial: vec![Part::text("half")],
            files_refused: false,
        },
        1 => Command::FailTurn { attempt_id: Some(attempt_id), error: error(), partial: Vec::new() },
        2 => Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() },
        3 => {
            let call = Part::ToolCall {
                call_id: format!("call-{step}"),
                name: "lookup".to_owned(),
                args: json!({"step": step}),
                provider_executed: false,
                metadata: None,
            };
            commit(attempt_id, vec![Part::text("Let me look."), call])
        }
        _ => commit(attempt_id, vec![Part::text(format!("Answer {step}."))]),
    }
}

fn choose_any(chat: &Chat, dice: &mut Dice, step: usize) -> Command {
    let queued = |dice: &mut Dice| chat.queue.get(dice.below(chat.queue.len())).map_or(0, |queued| queued.id);
    match dice.below(16) {
        0..=3 => say(&format!("More {step}"), [Busy::Queue, Busy::Queue, Busy::Interrupt, Busy::Steer][dice.below(4)]),
        4 | 5 => {
            let users: Vec<_> = chat.history.iter().filter(|message| message.role == Role::User).collect();
            Command::EditMessage(EditMessage {
                message_id: users.get(dice.below(users.len())).map_or(0, |message| message.id),
                parts: vec![Part::text(format!("Rather {step}"))],
                author: "ann".to_owned(),
                model: None,
                effort: None,
            })
        }
        6 => Command::DeleteQueued { queued_id: queued(dice) },
        7 | 8 => Command::PromoteQueued { queued_id: queued(dice) },
        9 => Command::Interrupt,
        10 => Command::Archive,
        11 => Command::Unarchive,
        12 => Command::ClearContext,
        13 | 14 => {
            let labels = (0..dice.below(3)).map(|label| (format!("l{label}"), format!("v{}", dice.below(2)))).collect();
            let title = TitleChange { title: format!("Titel {step} Ä"), source: TitleSource::User };
            Command::ChangeSettings {
                patch: SettingsChanged {
                    title: Some(title),
                    labels: Some(labels),
                    pinned: Some(dice.below(2) == 0),
                    ..SettingsChanged::default()
                },
                archived: None,
            }
        }
        _ if dice.below(6) == 0 => Command::Erase { by: "ann".to_owned(), reason: None },
        _ => Command::RequestCompaction,
    }
}
