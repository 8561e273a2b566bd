//! The OpenAI Chat Completions protocol, as OpenAI and the many compatible servers speak it.

mod calls;
mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod usage;

use verbatim_events::event::RequestRecipe;
use verbatim_events::ids::AttemptId;
use verbatim_events::model::Prompt;

use crate::files::Takes;
use crate::http::{Dialect, KeyHeader};
use crate::options::ProviderOptions;
use crate::protocol::{HttpProtocol, HttpProvider, Protocol};
use crate::secret::Secret;

pub use decode::{ChatAnswer, ChatDecoder};

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "openai_chat";

/// The number of this encoder. Whoever changes a byte it writes counts it up.
pub const ENCODER: u32 = 2;

/// Where OpenAI itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// What a provider of this protocol needs to know. `base_url` has `/v1` where the server has it.
pub type OpenAiChatOptions = ProviderOptions;

/// A provider that speaks Chat Completions.
pub type OpenAiChat = HttpProvider<ChatCompletions>;

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub struct ChatCompletions;

impl Protocol for ChatCompletions {
    const NAME: &'static str = PROTOCOL;
    const ENCODER: u32 = ENCODER;
    const TAKES: Option<Takes> =
        Some(Takes { kinds: encode::file_kinds, image_max_bytes: u64::MAX, in_results: false });

    fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Result<Vec<u8>, serde_json::Error> {
        encode::body(recipe, prompt)
    }
}

impl HttpProtocol for ChatCompletions {
    const DIALECT: Dialect =
        Dialect { version: None, path: &["chat", "completions"], key: KeyHeader::Bearer, headers: &[] };
    type Decoder = ChatDecoder;

    fn decoder(provider: &str, key: Option<Secret>, attempt_id: AttemptId) -> ChatDecoder {
        ChatDecoder::new(provider, key, attempt_id)
    }
}
