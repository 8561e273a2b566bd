//! The port to model providers. Encoding a prompt is pure and separate from the call, so that the digest of the exact
//! bytes is in the log before anything is sent.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use uuid::Uuid;

use crate::chat::KeptResponse;
use crate::error::{CallError, ChatError};
use crate::event::{RequestRecipe, ToolDefinition};
use crate::ids::{AttemptId, ChatId, Digest};
use crate::log::BoxFuture;
use crate::message::{FinishReason, Message, Usage};
use crate::part::{FileContent, FileKind, LivePart};
use crate::price::Price;
use crate::spending::CallSpent;

/// What a model is asked, independent of any provider (see `prompt::assemble`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Instructions.
    pub system: Option<String>,
    /// The conversation, valid for every provider: each call has its answer, no answer lacks its call.
    pub messages: Vec<Arc<Message>>,
    /// Tools the model may call.
    pub tools: Vec<Arc<ToolDefinition>>,
    /// An answer among the messages that its provider keeps and may continue; nothing before it has changed since.
    pub continues: Option<Continuation>,
}

/// How far a provider knows a conversation already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// The answer that it keeps.
    pub response: KeptResponse,
    /// How many of the prompt's messages it knows by that: all up to the answer, which is the last of them.
    pub messages_known: usize,
}

/// A model as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// The configured name.
    pub name: String,
    /// The configured provider's name.
    pub provider: String,
    /// What the provider calls it.
    pub provider_model: String,
    /// Tokens it can take in.
    pub context_window: Option<u64>,
    /// Tokens it may put out.
    pub max_output_tokens: Option<u64>,
    /// The efforts it knows; what is asked for becomes the nearest of them. `None`: whatever is asked for is passed on.
    pub efforts: Option<Vec<String>>,
    /// The kinds of files that it is shown besides text, now; what it accepts where absent.
    pub files: Option<Vec<FileKind>>,
    /// The media types of files that it accepts besides text, `image/*` for all pictures; what its protocol takes where
    /// absent.
    pub accepts: Option<Vec<String>>,
    /// The tools that its provider may run itself, in the provider's own words.
    pub provider_tools: Vec<Value>,
    /// What its tokens cost; `None` where nobody said.
    pub prices: Option<Price>,
}

impl ModelSettings {
    /// What a call to this model cost, in millionths of a US dollar; `None` where no price is known, or no tokens.
    pub fn cost_micros(&self, usage: Option<&Usage>) -> Option<u64> {
        self.prices?.cost_micros(usage?)
    }
}

/// Where the bytes of files are: outside the log.
pub trait FileSource: fmt::Debug + Send + Sync {
    /// The bytes of a file whose content a message tells of. `None` where they are gone, and `is_gone` says so from then
    /// on; an error, in words for a log, where nobody can tell.
    fn read(&self, file_id: &str, content: FileContent) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>>;

    /// The bytes of the file were asked for and are gone. Answers from memory.
    fn is_gone(&self, file_id: &str) -> bool;
}

/// A prompt in the bytes that are sent, with markers in the place of what stands in files.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedRequest {
    /// The request's body.
    pub body: Vec<u8>,
    /// SHA-256 of the body.
    pub digest: Digest,
    /// How the body can be made again.
    pub recipe: RequestRecipe,
}

/// Identifies a call to the provider, for its own deduplication and for traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallIdentity {
    /// The chat.
    pub chat_id: ChatId,
    /// The attempt: the fence.
    pub attempt_id: AttemptId,
    /// A fresh id of this call.
    pub request_id: Uuid,
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// No request was sent, or the provider refused it before any work.
    #[default]
    Nothing,
    /// A request may have been sent; the provider has not said yet what it costs.
    Unknown,
    /// The provider has said so much so far.
    Reported(Usage),
}

impl Reading {
    /// What that is at these prices.
    pub fn at(self, prices: Option<Price>) -> CallSpent {
        match self {
            Reading::Nothing => CallSpent::Nothing,
            Reading::Unknown => CallSpent::Unknown,
            Reading::Reported(usage) => {
                CallSpent::Known { usage, cost_micros: prices.and_then(|prices| prices.cost_micros(&usage)) }
            }
        }
    }
}

/// Counts what a call spends while it is under way: written by the provider, read by whoever cuts the call off. Its clones
/// are one meter.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Reading>>);

impl Meter {
    /// The request goes out now: from here on it may be paid for.
    pub fn sent(&self) {
        let mut reading = self.lock();
        if *reading == Reading::Nothing {
            *reading = Reading::Unknown;
        }
    }

    /// The request was surely not taken: it costs nothing. What was reported of others before it stays.
    pub fn refused(&self) {
        let mut reading = self.lock();
        if *reading == Reading::Unknown {
            *reading = Reading::Nothing;
        }
    }

    /// The provider says that so many tokens were spent until now, in all.
    pub fn report(&self, usage: Usage) {
        *self.lock() = Reading::Reported(usage);
    }

    /// The call ended well; a provider that did not say at what price is paid all the same.
    pub fn answered(&self, finished: &ModelFinished) {
        match finished.usage {
            Some(usage) => self.report(usage),
            None => self.sent(),
        }
    }

    /// What is known now.
    pub fn read(&self) -> Reading {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a model call ended well.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFinished {
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// Tokens, if the provider said.
    pub usage: Option<Usage>,
    /// The provider's id of the response.
    pub response_id: Option<String>,
    /// The provider's own words where it refused.
    pub refusal: Option<String>,
}

/// Takes each part as it comes. Never blocks. Returns `false` when nobody wants more; the call may then end early.
pub type PartSink = Box<dyn FnMut(LivePart) -> bool + Send>;

/// A model provider. Dropping the future of `call` cancels the call.
pub trait ModelProvider: Send + Sync {
    /// The exact bytes for a prompt. Pure: the same arguments give the same bytes.
    fn encode(&self, prompt: &Prompt, model: &ModelSettings, effort: Option<&str>)
    -> Result<EncodedRequest, ChatError>;

    /// Calls the model and feeds its output to `sink`, in order. `meter` is told when the request goes out and what the
    /// provider says it costs, as soon as it does.
    fn call(
        &self,
        request: EncodedRequest,
        identity: CallIdentity,
        sink: PartSink,
        meter: Meter,
    ) -> BoxFuture<'static, Result<ModelFinished, CallError>>;
}
