//! The port to the server's tools: what a chat is offered, what becomes of a call after a crash, and how a call is run.
//!
//! **Invariant:** a call is in the log as started before `ToolBox::run` is asked, and its answer is in the log before
//! anybody builds on it. So a tool decides by its effect class alone what a crash in between means.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::chat::Chat;
use crate::command::Command;
use crate::event::{ContextSource, EffectClass, Offer, UsageRecorded};
use crate::ids::{AttemptId, ChatId, Digest, MessageId, TurnId};
use crate::log::BoxFuture;
use crate::outcome::Outcome;
use crate::part::Part;
use crate::rejection::Rejection;

/// The one address of a call. A provider may use a call's id again in a later message; this never comes twice, and it is
/// the same after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// The chat.
    pub chat_id: ChatId,
    /// The assistant message that holds the call.
    pub message_id: MessageId,
    /// The call, as its provider named it.
    pub call_id: String,
}

impl CallKey {
    /// A name for what the call makes (a process, a workspace, a child chat), so that a second run finds the first's.
    pub fn uuid(&self) -> Uuid {
        let text = format!("{}/{}/{}", self.chat_id, self.message_id, self.call_id);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&Digest::of(text.as_bytes()).0[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// A call to a server tool.
#[derive(Clone, Debug)]
pub struct ToolInvocation {
    /// The chat as it was when the batch began. What other calls of the batch change is in the log, not here.
    pub chat: Arc<Chat>,
    /// The call's one address.
    pub key: CallKey,
    /// The attempt: the fence that travels with the call.
    pub attempt_id: AttemptId,
    /// The tool.
    pub name: String,
    /// Its arguments, valid by its schema.
    pub args: Value,
    /// The call was started before a crash and is to be found again, not started anew.
    pub reattach: bool,
    /// The trace that the call belongs to.
    pub trace_id: Option<String>,
}

/// A tool's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolAnswer {
    /// For the model.
    pub result: Value,
    /// The answer is an error.
    pub is_error: bool,
    /// Files that came with it: `Part::File` alone.
    pub attachments: Vec<Part>,
    /// Tokens that a model spent on it.
    pub spent: Option<Box<UsageRecorded>>,
}

impl ToolAnswer {
    /// A good answer.
    pub fn ok(result: impl Into<Value>) -> ToolAnswer {
        ToolAnswer { result: result.into(), ..ToolAnswer::default() }
    }

    /// An answer that tells the model what went wrong.
    pub fn error(message: impl Into<String>) -> ToolAnswer {
        ToolAnswer { result: Value::String(message.into()), is_error: true, ..ToolAnswer::default() }
    }
}

/// What a look at the context files of a chat's workspace brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContextFiles {
    /// `Part::ContextFile` each, in the order in which a model reads them.
    pub files: Vec<Part>,
    /// Where they were read.
    pub source: ContextSource,
}

impl ContextFiles {
    /// No files of the chat's workspace; of one that cannot be reached that is all there is to say for now.
    pub fn none(chat: &Chat, unreachable: bool) -> ContextFiles {
        let workspace_id = chat.outline.workspace.as_ref().and_then(|bound| bound.id.clone()).unwrap_or_default();
        let source = ContextSource { workspace_id, files: Vec::new(), unreachable };
        ContextFiles { files: Vec::new(), source }
    }
}

/// Takes what a running tool prints, as it comes. Never blocks.
pub type OutputSink = Box<dyn FnMut(String) + Send>;

/// The server's tools.
pub trait ToolBox: Send + Sync {
    /// What this chat is offered now. Answers from memory: it is asked before every model call.
    fn offer(&self, chat: &Chat) -> Arc<Offer>;

    /// What must be done before `offer` is complete and calls can be run (servers to connect to, say); `None` where nothing is missing. The
    /// work is bounded in time and always ends well: what cannot be had is left out of the offer.
    fn prepare(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let _ = chat;
        None
    }

    /// Reads the context files of the chat's workspace. Always ends well: what cannot be had is said so in the answer.
    /// Dropping the future stops it.
    fn context(&self, chat: &Chat) -> BoxFuture<'static, ContextFiles> {
        let none = ContextFiles::none(chat, false);
        Box::pin(async move { none })
    }

    /// A turn of the chat began: what it is to know of the world around it is looked at now, beside the turn and without
    /// holding it up. What comes of it the chat is told in commands. `None` where there is nothing to look at.
    fn turn_began(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let _ = chat;
        None
    }

    /// The effect class of a call; `None` where this chat has no such tool.
    fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass>;

    /// Why a call is not run, in words for the model: the chat has no such tool, client's or server's, or the arguments do
    /// not fit its schema, and in which field. `None` where it may run.
    fn violation(&self, chat: &Chat, name: &str, args: &Value) -> Option<String> {
        let _ = (chat, name, args);
        None
    }

    /// Runs a tool. Dropping the future cancels what can be cancelled: the turn was interrupted or the server stops. A
    /// `Resumable` tool cannot tell the two apart and must leave its work running; `cancel` is called for the first.
    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer>;

    /// The user stopped the turn that this call runs in: what outlives its future (a process, a child's turn) is to end.
    fn cancel(&self, key: CallKey, name: &str) -> BoxFuture<'static, ()> {
        let _ = (key, name);
        Box::pin(async {})
    }

    /// The calls, with their tools' names, of which something runs on this machine without their futures, whoever waits for it
    /// and whoever does not. Whether a call still wants it the log says; what no call wants is told to end by `cancel`.
    fn left_running(&self) -> BoxFuture<'static, Vec<(CallKey, String)>> {
        Box::pin(async { Vec::new() })
    }

    /// The user stops the chat's turn, whatever it is doing: what its tools set going elsewhere (turns of chats that it
    /// made) is to stop, too. `None` where there is nothing.
    fn stop(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let _ = chat;
        None
    }

    /// The chat's messages from this one on are about to be taken back. What their calls set going elsewhere
    /// is to stop, as with `stop`; what other calls did goes on. `None` where there is nothing.
    fn withdrawn(&self, chat: &Chat, from: MessageId) -> Option<BoxFuture<'static, ()>> {
        let _ = (chat, from);
        None
    }
}

/// Why a tool could not look at or change a chat.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessError {
    /// The chat refused the command.
    Rejected(Rejection),
    /// It cannot be had now; trying again may help. In words for the model.
    Unavailable(String),
}

impl std::fmt::Display for AccessError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AccessError::Rejected(rejection) => rejection.fmt(formatter),
            AccessError::Unavailable(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for AccessError {}

/// How tools reach chats, their own one included.
pub trait ChatAccess: Send + Sync {
    /// The chat as it is now; `None` where there is none.
    fn look(&self, chat_id: ChatId) -> BoxFuture<'static, Result<Option<Arc<Chat>>, AccessError>>;

    /// Sends a command. The same key sent again is answered like the first time and appends nothing, so a tool that runs
    /// again after a crash repeats nothing.
    fn send(&self, chat_id: ChatId, command: Command, key: String) -> BoxFuture<'static, Result<Outcome, AccessError>>;

    /// The call does nothing but wait for another chat: its own chat's turn needs no place among those that are at work at
    /// once until its next step. Without it two chats could wait for each other.
    fn give_up_place(&self, chat_id: ChatId, turn_id: TurnId) {
        let _ = (chat_id, turn_id);
    }

    /// Ends once the chat's status may have changed since `version`, or at the latest after `wait_ms`.
    fn changed(&self, chat_id: ChatId, version: u64, wait_ms: u64) -> BoxFuture<'static, Result<(), AccessError>>;
}

/// No tools at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

impl ToolBox for NoTools {
    fn offer(&self, _chat: &Chat) -> Arc<Offer> {
        Arc::default()
    }

    fn effect_class(&self, _chat: &Chat, _name: &str) -> Option<EffectClass> {
        None
    }

    fn run(&self, invocation: ToolInvocation, _output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        Box::pin(async move { ToolAnswer::error(format!("there is no tool named {:?}", invocation.name)) })
    }
}
