//! A chat that lives through commands: every state in these tests is reached the way the server reaches it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::chat::{Chat, NextAction, Outline, StateName, decide, evolve};
use crate::command::{Busy, Command, Context, CreateChat, EditMessage, Generated, RecordAttempt, SendMessage, Step};
use crate::envelope::Recorded;
use crate::error::{ChatError, ErrorKind};
use crate::event::{
    ActionResolution, AttemptAction, ContextSource, Event, InterruptCause, PromotedTo, ToolDefinition, ToolPolicy,
    TurnOutcome, TurnReason, UsagePurpose, UsageRecorded,
};
use crate::ids::{AttemptId, ChatId, Digest, MessageId, QueuedId};
use crate::limits::Limits;
use crate::message::{FinishReason, Message, Origin, Role, Usage};
use crate::part::Part;
use crate::rejection::Rejection;
use crate::spending::CallSpent;

/// The tool that clients run in these tests.
pub const CLIENT_TOOL: &str = "lookup";
/// A tool of the server that wants an approval.
pub const ASK_TOOL: &str = "execute";
/// A tool of the server that just runs.
pub const SERVER_TOOL: &str = "read_file";

/// The one chat of a test.
pub const CHAT: ChatId = ChatId(Uuid::from_u128(7));

/// A chat and everything that happened to it.
#[derive(Clone)]
pub struct Story {
    /// The chat, once it exists.
    pub chat: Option<Chat>,
    /// Its events.
    pub log: Vec<Recorded>,
    /// The time of the next decision.
    pub now: DateTime<Utc>,
    /// The bounds.
    pub limits: Limits,
    /// What the open attempt's model call has spent.
    pub call: CallSpent,
}

impl Story {
    /// Before the chat exists.
    pub fn new() -> Story {
        let now = DateTime::from_timestamp(1_750_000_000, 0).expect("a time of this century");
        Story { chat: None, log: Vec::new(), now, limits: Limits::default(), call: CallSpent::Nothing }
    }

    /// A resting chat in which nothing was said.
    pub fn empty() -> Story {
        let mut story = Story::new();
        story.must(Command::CreateChat(Box::new(creation(""))));
        story
    }

    /// A chat whose first message runs.
    pub fn asked() -> Story {
        let mut story = Story::new();
        story.must(Command::CreateChat(Box::new(creation("What is a monad?"))));
        story
    }

    /// A resting chat with one answered message.
    pub fn answered() -> Story {
        let mut story = Story::asked();
        story.answer("A monoid.");
        story.finish();
        story
    }

    /// The chat; it exists.
    pub fn chat(&self) -> &Chat {
        self.chat.as_ref().expect("the chat exists")
    }

    /// The chat's outline.
    pub fn outline(&self) -> &Outline {
        &self.chat().outline
    }

    /// The state in the table's words.
    pub fn state(&self) -> StateName {
        match &self.chat {
            None => StateName::N,
            Some(chat) => StateName::of(&chat.outline).expect("one of the thirteen states"),
        }
    }

    /// Decides without consequences.
    pub fn try_out(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let context = Context { call: self.call, ..Context::new(self.now, &self.limits) };
        decide(self.chat.as_ref(), command, context)
    }

    /// Decides and applies. A second passes.
    pub fn run(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        let decided = self.try_out(&command);
        if let Ok(events) = &decided {
            for event in events {
                self.apply(event.clone());
            }
        }
        self.pass_ms(1000);
        decided
    }

    /// Decides, applies and shows what happened.
    pub fn must(&mut self, command: Command) -> String {
        let name = command.name();
        match self.run(command) {
            Ok(events) => shown(&events),
            Err(rejection) => panic!("{name} in {:?}: {rejection}", self.state()),
        }
    }

    /// Decides and expects a refusal; nothing changed.
    pub fn refused(&mut self, command: Command) -> Rejection {
        let name = command.name();
        match self.run(command) {
            Ok(events) => panic!("{name} was to be refused, not to yield {}", shown(&events)),
            Err(rejection) => rejection,
        }
    }

    /// Time passes.
    pub fn pass_ms(&mut self, ms: i64) {
        self.now += TimeDelta::milliseconds(ms);
    }

    fn apply(&mut self, event: Event) {
        let version = self.log.len() as u64 + 1;
        let recorded = Recorded {
            position: version * 10,
            chat_id: CHAT,
            version,
            recorded_at: self.now,
            hash: Digest::of(&version.to_be_bytes()),
            event,
        };
        let evolved = evolve(self.chat.take(), &recorded).expect("what is decided can happen");
        self.chat = Some(evolved);
        self.log.push(recorded);
    }

    /// Says something.
    pub fn send(&mut self, text: &str, busy: Busy) -> String {
        self.must(send(text, busy))
    }

    /// The message that waits at this place.
    pub fn queued(&self, index: usize) -> QueuedId {
        self.outline().queue[index]
    }

    /// Begins an attempt.
    pub fn attempt(&mut self, action: AttemptAction) -> AttemptId {
        self.must(record(action));
        self.open_attempt()
    }

    /// The open attempt, or an id that none has.
    pub fn open_attempt(&self) -> AttemptId {
        let open = self.chat.as_ref().and_then(|chat| chat.outline.attempt.as_ref());
        open.map_or(999_999, |attempt| attempt.id)
    }

    /// The model says `parts`.
    pub fn generate(&mut self, parts: Vec<Part>) -> String {
        let attempt_id = self.attempt(AttemptAction::Generate);
        self.must(Command::CommitStep { attempt_id, step: generated(parts, 10) })
    }

    /// The model answers.
    pub fn answer(&mut self, text: &str) -> String {
        self.generate(vec![Part::text(text)])
    }

    /// The model answers, and its provider counted that many tokens of prompt.
    pub fn answer_counting(&mut self, text: &str, tokens: u64) {
        let attempt_id = self.attempt(AttemptAction::Generate);
        self.must(Command::CommitStep { attempt_id, step: generated(vec![Part::text(text)], tokens) });
    }

    /// The model calls tools: pairs of call id and tool.
    pub fn call(&mut self, calls: &[(&str, &str)]) -> String {
        self.generate(calls.iter().map(|(call_id, name)| call(call_id, name)).collect())
    }

    /// The server answers these calls.
    pub fn run_tools(&mut self, results: Vec<Part>) -> String {
        let attempt_id = self.attempt(AttemptAction::RunTools);
        self.must(Command::CommitStep { attempt_id, step: Step::ToolResults { results } })
    }

    /// The turn ends well.
    pub fn finish(&mut self) -> String {
        self.must(finish())
    }

    /// The turn fails.
    pub fn fail(&mut self) -> String {
        self.must(fail())
    }

    /// What the running turn does next, for a model of unknown size.
    pub fn next_action(&self) -> NextAction {
        self.next_action_within(None)
    }

    /// What the running turn does next, for a model with this window.
    pub fn next_action_within(&self, context_window: Option<u64>) -> NextAction {
        crate::chat::next_action(self.chat(), &crate::chat::ModelFacts { context_window }, &self.limits)
    }

    /// The live messages, one line each.
    pub fn transcript(&self) -> Vec<String> {
        self.chat().history.iter().map(|message| line(message)).collect()
    }

    /// The id of the live message that says this.
    pub fn message_id(&self, text: &str) -> MessageId {
        let says = |message: &&std::sync::Arc<Message>| message.parts == [Part::text(text)];
        self.chat().history.iter().find(says).map(|message| message.id).expect("somebody said it")
    }
}

fn line(message: &Message) -> String {
    let parts: Vec<String> = message
        .parts
        .iter()
        .map(|part| match part {
            Part::Text { text } => text.clone(),
            Part::ToolCall { call_id, .. } => format!("call {call_id}"),
            Part::ToolResult { call_id, is_error, .. } => format!("{} {call_id}", if *is_error { "no" } else { "ok" }),
            other => format!("{other:?}"),
        })
        .collect();
    format!("{}: {}", role_name(message.role), parts.join(", "))
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Events as the tables of these tests show them.
pub fn shown(events: &[Event]) -> String {
    events.iter().map(shown_event).collect::<Vec<_>>().join(" ")
}

fn shown_event(event: &Event) -> String {
    let name = match event {
        Event::ChatCreated(_) => "ChatCreated",
        Event::MessagesWithdrawn(_) => "MessagesWithdrawn",
        Event::MessageQueued(_) => "MessageQueued",
        Event::QueuedMessageDeleted(_) => "QueuedMessageDeleted",
        Event::AttemptRecorded(_) => "AttemptRecorded",
        Event::ToolCallStarted(_) => "ToolCallStarted",
        Event::ToolCallFinished(_) => "ToolCallFinished",
        Event::CapacityAwaited(_) => "CapacityAwaited",
        Event::RetryScheduled(_) => "RetryScheduled",
        Event::AttemptAbandoned(_) => "AttemptAbandoned",
        Event::ActionRequired(_) => "ActionRequired",
        Event::ApprovalsDecided(_) => "ApprovalsDecided",
        Event::CompactionRequested(_) => "CompactionRequested",
        Event::ContextCompacted(_) => "ContextCompacted",
        Event::ContextCleared(_) => "ContextCleared",
        Event::SettingsChanged(_) => "SettingsChanged",
        Event::ChatArchived(_) => "ChatArchived",
        Event::ChatUnarchived(_) => "ChatUnarchived",
        Event::ChatErased(_) => "ChatErased",
        Event::ChildSpawned(_) => "ChildSpawned",
        Event::UsageRecorded(_) => "UsageRecorded",
        Event::MessageCommitted(committed) => match (committed.role, committed.origin) {
            (Role::Tool, Origin::Synthetic) => return "MessageCommitted(synthetic)".to_owned(),
            (role, _) => return format!("MessageCommitted({})", role_name(role)),
        },
        Event::QueuedMessagePromoted(promoted) => match promoted.to {
            PromotedTo::History => "QueuedMessagePromoted(history)",
            PromotedTo::Head => "QueuedMessagePromoted(head)",
        },
        Event::TurnStarted(started) => match started.reason {
            TurnReason::Message => "TurnStarted(message)",
            TurnReason::Edit => "TurnStarted(edit)",
            TurnReason::Promotion => "TurnStarted(promotion)",
            TurnReason::Compaction => "TurnStarted(compaction)",
            TurnReason::Fork => "TurnStarted(fork)",
        },
        Event::ActionResolved(resolved) => match resolved.resolution {
            ActionResolution::Submitted => "ActionResolved(submitted)",
            ActionResolution::Cancelled => "ActionResolved(cancelled)",
            ActionResolution::Expired => "ActionResolved(expired)",
            ActionResolution::Superseded => "ActionResolved(superseded)",
        },
        Event::InterruptRequested(requested) => match requested.cause {
            InterruptCause::User => "InterruptRequested(user)",
            InterruptCause::Message => "InterruptRequested(message)",
            InterruptCause::Promotion => "InterruptRequested(promotion)",
        },
        Event::TurnFinished(finished) => match finished.outcome {
            TurnOutcome::Complete => "TurnFinished(complete)",
            TurnOutcome::StopAfterTool => "TurnFinished(stop_after_tool)",
            TurnOutcome::MaxSteps => "TurnFinished(max_steps)",
            TurnOutcome::NoOutput => "TurnFinished(no_output)",
            TurnOutcome::Interrupted => "TurnFinished(interrupted)",
            TurnOutcome::Failed => "TurnFinished(failed)",
        },
    };
    name.to_owned()
}

/// The creation of the test's chat; an empty text begins it without a message.
pub fn creation(text: &str) -> CreateChat {
    let tool = ToolDefinition {
        name: CLIENT_TOOL.to_owned(),
        description: "Looks something up.".to_owned(),
        parameters: json!({"type": "object"}),
    };
    let content = if text.is_empty() { Vec::new() } else { vec![Part::text(text)] };
    CreateChat {
        model: Some("small".to_owned()),
        tools: vec![tool.into()],
        tool_policy: BTreeMap::from([(ASK_TOOL.to_owned(), ToolPolicy::Ask)]),
        ..CreateChat::new(CHAT, "ada", content)
    }
}

pub fn send(text: &str, busy: Busy) -> Command {
    Command::SendMessage(SendMessage {
        parts: vec![Part::text(text)],
        author: "ada".to_owned(),
        busy,
        model: None,
        effort: None,
    })
}

pub fn edit(message_id: MessageId, text: &str) -> Command {
    Command::EditMessage(EditMessage {
        message_id,
        parts: vec![Part::text(text)],
        author: "ada".to_owned(),
        model: None,
        effort: None,
    })
}

pub fn record(action: AttemptAction) -> Command {
    Command::RecordAttempt(RecordAttempt {
        action,
        model: Some("small".to_owned()),
        prompt_digest: None,
        request: None,
        offer: None,
        node: "node-1".to_owned(),
    })
}

pub fn generated(parts: Vec<Part>, input_tokens: u64) -> Step {
    Step::Generated(Generated {
        parts,
        model: "small".to_owned(),
        usage: Some(Usage { input_tokens, output_tokens: 5, ..Usage::default() }),
        cost_micros: Some(3 * input_tokens),
        finish_reason: FinishReason::Stop,
        response_id: None,
        first_part_ms: Some(3),
        refused_calls: Default::default(),
    })
}

/// Tokens of a call that left no message.
pub fn usage_recorded() -> Event {
    Event::UsageRecorded(UsageRecorded {
        purpose: UsagePurpose::Advice,
        model: Some("wise".to_owned()),
        usage: Usage { input_tokens: 7, output_tokens: 1, ..Usage::default() },
        cost_micros: Some(700),
        attempt_id: None,
    })
}

pub fn record_usage() -> Command {
    match usage_recorded() {
        Event::UsageRecorded(recorded) => Command::RecordUsage(recorded),
        other => panic!("no usage: {other:?}"),
    }
}

pub fn finish() -> Command {
    Command::FinishTurn { attempt_id: None, outcome: TurnOutcome::Complete }
}

pub fn fail() -> Command {
    Command::FailTurn { attempt_id: None, error: overloaded(), partial: Vec::new() }
}

pub fn overloaded() -> ChatError {
    ChatError::retryable(ErrorKind::Overloaded, "the provider has no capacity")
}

pub fn call(call_id: &str, name: &str) -> Part {
    Part::ToolCall {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        args: json!({"of": call_id}),
        provider_executed: false,
        metadata: None,
    }
}

pub fn result(call_id: &str, name: &str) -> Part {
    Part::ToolResult {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        result: json!("done"),
        is_error: false,
        provider_executed: false,
        metadata: None,
    }
}

/// Where a chat's context files are read: its workspace, with no files in it.
pub fn found_in(chat: &Chat) -> ContextSource {
    let attached = chat.outline.workspace.as_ref().and_then(|bound| bound.id.clone());
    ContextSource { workspace_id: attached.unwrap_or_default(), ..ContextSource::default() }
}
