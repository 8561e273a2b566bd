//! Model providers: one module per wire protocol, and the built-in demo model.
//!
//! Each protocol has two halves without I/O, an encoder from a prompt to exact bytes and a decoder from bytes to parts;
//! `http` joins them over the network. What a provider answers when it fails is judged in one place, `classify`.

pub mod answer;
pub mod anthropic;
mod body;
mod call_ids;
pub mod classify;
pub mod demo;
mod effort;
mod feedback;
pub mod files;
pub mod http;
mod metadata;
pub mod openai_chat;
pub mod openai_responses;
pub mod options;
mod pieces;
mod plain;
mod protocol;
mod provider_tools;
pub mod secret;
pub mod sse;
pub mod strict;
#[cfg(test)]
mod testing;

use verbatim_events::event::RequestRecipe;
use verbatim_events::model::{EncodedRequest, Prompt};

pub use anthropic::{Anthropic, AnthropicOptions};
pub use demo::Demo;
pub use http::install_crypto;
pub use openai_chat::{OpenAiChat, OpenAiChatOptions};
pub use openai_responses::{OpenAiResponses, OpenAiResponsesOptions};
pub use options::ProviderOptions;
pub use protocol::HttpProvider;
pub use provider_tools::{PROVIDER_TOOL_MAX_BYTES, PROVIDER_TOOLS_MAX, provider_tool};
pub use secret::Secret;

/// Makes a request again from the recipe in the log and the prompt it was made of. Nothing if the protocol is unknown
/// here, or if the bytes were made by another encoder than today's.
pub fn encode_with(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    match recipe.protocol.as_str() {
        openai_chat::PROTOCOL => protocol::encode_with::<openai_chat::ChatCompletions>(recipe, prompt),
        openai_responses::PROTOCOL => protocol::encode_with::<openai_responses::Responses>(recipe, prompt),
        anthropic::PROTOCOL => protocol::encode_with::<anthropic::Messages>(recipe, prompt),
        demo::PROTOCOL => protocol::encode_with::<demo::Lines>(recipe, prompt),
        _ => None,
    }
}
