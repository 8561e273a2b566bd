//! What the actors need from outside besides the log, the journal and the clock: models and tools.

use std::sync::Arc;

use serde_json::Value;
use verbatim_events::chat::Chat;
use verbatim_events::error::ChatError;
use verbatim_events::event::{EffectClass, ToolDefinition};
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::log::BoxFuture;
use verbatim_events::model::{ModelProvider, ModelSettings};

/// A model ready to be called.
#[derive(Clone)]
pub struct ResolvedModel {
    /// Its settings.
    pub settings: ModelSettings,
    /// Its provider.
    pub provider: Arc<dyn ModelProvider>,
}

/// The models that are configured now. Answers from memory: it is asked before every model call.
pub trait ModelCatalog: Send + Sync {
    /// The model of this name; the default one where no name is given or the named one is gone.
    /// A `config` error where there is none left.
    fn resolve(&self, name: Option<&str>) -> Result<ResolvedModel, ChatError>;
}

/// A call to a server tool.
#[derive(Clone, Debug)]
pub struct ToolInvocation {
    /// The chat.
    pub chat_id: ChatId,
    /// The attempt: the fence that travels with the call.
    pub attempt_id: AttemptId,
    /// The call.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// The call was started before a crash and is to be found again, not started anew.
    pub reattach: bool,
}

/// A tool's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolAnswer {
    /// For the model.
    pub result: Value,
    /// The answer is an error.
    pub is_error: bool,
}

/// Takes what a running tool prints, as it comes.
pub type OutputSink = Box<dyn FnMut(String) + Send>;

/// The server's tools.
pub trait ToolBox: Send + Sync {
    /// The definitions of the tools that this chat may use now.
    fn definitions(&self, chat: &Chat) -> Vec<ToolDefinition>;

    /// The effect class of a tool; `None` for one that does not exist.
    fn effect_class(&self, name: &str) -> Option<EffectClass>;

    /// Runs a tool. Dropping the future cancels what can be cancelled.
    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer>;
}

/// No tools at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTools;

impl ToolBox for NoTools {
    fn definitions(&self, _chat: &Chat) -> Vec<ToolDefinition> {
        Vec::new()
    }

    fn effect_class(&self, _name: &str) -> Option<EffectClass> {
        None
    }

    fn run(&self, invocation: ToolInvocation, _output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        Box::pin(async move {
            ToolAnswer {
                result: Value::String(format!("there is no tool named {:?}", invocation.name)),
                is_error: true,
            }
        })
    }
}
