//! What a family of tools must be able to do to stand in the registry, and how the families that there are do it.

use std::sync::Arc;

use verbatim_events::chat::Chat;
use verbatim_events::event::{EffectClass, ToolDefinition};
use verbatim_events::ids::MessageId;
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::{CallKey, ContextFiles, OutputSink, ToolAnswer, ToolInvocation};

use crate::mcp::McpServers;
use crate::workspace::WorkspaceTools;

/// Tools that belong together.
pub trait ToolFamily: Send + Sync {
    /// The tools that this chat could use now, from memory, in the order in which the model sees them.
    fn definitions(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>>;

    /// What the model must know to use those of them well that it is offered.
    fn guidance(&self, chat: &Chat, offered: &[Arc<ToolDefinition>]) -> Option<String> {
        let _ = (chat, offered);
        None
    }

    /// The tool changes nothing outside the conversation: it may be used while the user and the model only plan.
    fn is_harmless(&self, name: &str) -> bool;

    /// What must be done before `definitions` is complete; `None` where nothing is missing.
    fn prepare(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let _ = chat;
        None
    }

    /// Reads the context files of the chat's workspace; `None` where this family knows of none.
    fn context(&self, chat: &Chat) -> Option<BoxFuture<'static, ContextFiles>> {
        let _ = chat;
        None
    }

    /// A turn of the chat began: what is looked at beside it; `None` where there is nothing to look at.
    fn turn_began(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let _ = chat;
        None
    }

    /// The effect class of a tool; `None` where it is not of this family, or the chat does not have it.
    fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass>;

    /// Why a tool that the chat may use is not there now, in words for the model; `None` where there never was one.
    fn absence(&self, chat: &Chat, name: &str) -> Option<String> {
        let _ = (chat, name);
        None
    }

    /// Runs a tool of this family.
    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer>;

    /// The user stopped the turn that this call runs in.
    fn cancel(&self, key: CallKey, name: &str) -> BoxFuture<'static, ()> {
        let _ = (key, name);
        Box::pin(async {})
    }

    /// The calls of this family, with their tools' names, of which something runs without their futures.
    fn left_running(&self) -> BoxFuture<'static, Vec<(CallKey, String)>> {
        Box::pin(async { Vec::new() })
    }

    /// The user stops the chat's turn, whatever it is doing.
    fn stop(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let _ = chat;
        None
    }

    /// The chat's messages from this one on are taken back; `chat` is as it was before.
    fn withdrawn(&self, chat: &Chat, from: MessageId) -> Option<BoxFuture<'static, ()>> {
        let _ = (chat, from);
        None
    }
}

impl ToolFamily for WorkspaceTools {
    fn definitions(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        WorkspaceTools::definitions(self, chat)
    }

    fn is_harmless(&self, name: &str) -> bool {
        matches!(
            name,
            "list_templates"
                | "read_template"
                | "read_file"
                | "read_skill"
                | "read_skill_file"
                | "process_output"
                | "process_list"
        )
    }

    fn context(&self, chat: &Chat) -> Option<BoxFuture<'static, ContextFiles>> {
        WorkspaceTools::context(self, chat)
    }

    fn turn_began(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        WorkspaceTools::turn_began(self, chat)
    }

    fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass> {
        WorkspaceTools::effect_class(self, chat, name)
    }

    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        WorkspaceTools::run(self, invocation, output)
    }

    fn cancel(&self, key: CallKey, name: &str) -> BoxFuture<'static, ()> {
        WorkspaceTools::cancel(self, key, name)
    }

    fn left_running(&self) -> BoxFuture<'static, Vec<(CallKey, String)>> {
        WorkspaceTools::left_running(self)
    }
}

impl ToolFamily for McpServers {
    fn definitions(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        McpServers::definitions(self, chat)
    }

    fn is_harmless(&self, _name: &str) -> bool {
        // What a foreign server says of itself is no reason to trust it with a plan's promise.
        false
    }

    fn prepare(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        McpServers::prepare(self, chat)
    }

    fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass> {
        McpServers::effect_class(self, chat, name)
    }

    fn absence(&self, chat: &Chat, name: &str) -> Option<String> {
        McpServers::absence(self, chat, name)
    }

    fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        McpServers::run(self, invocation, output)
    }
}
