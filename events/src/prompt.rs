//! From a chat's state to what a model is asked: a pure function, so that every prompt can be made again from the log.

use crate::chat::Chat;
use crate::event::ToolDefinition;
use crate::model::Prompt;

/// The prompt of the chat's next model call. `server_tools` are the definitions of the server's tools the chat may use.
/// Valid for every provider: each call has its answer directly after it, no answer lacks its call, and the conversation
/// ends with something to answer.
pub fn assemble(chat: &Chat, server_tools: &[ToolDefinition]) -> Prompt {
    let _ = (chat, server_tools);
    unimplemented!()
}
