//! Model providers: one module per wire protocol, and the built-in demo model.
//!
//! Each protocol has two halves without I/O, an encoder from a prompt to exact bytes and a decoder from bytes to parts;
//! `http` joins them over the network. What a provider answers when it fails is judged in one place, `classify`.

pub mod classify;
pub mod demo;
pub mod http;
pub mod openai_chat;
pub mod secret;
pub mod sse;

use verbatim_events::event::RequestRecipe;
use verbatim_events::model::{EncodedRequest, Prompt};

pub use demo::Demo;
pub use http::install_crypto;
pub use openai_chat::{OpenAiChat, OpenAiChatOptions};
pub use secret::Secret;

/// Makes a request again from the recipe in the log and the prompt it was made of. Nothing if the protocol is unknown
/// here, or if the bytes were made by another encoder than today's.
pub fn encode_with(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    match recipe.protocol.as_str() {
        openai_chat::PROTOCOL => openai_chat::encode_with(recipe, prompt),
        demo::PROTOCOL => demo::encode_with(recipe, prompt),
        _ => None,
    }
}
