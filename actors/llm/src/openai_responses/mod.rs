//! The OpenAI Responses protocol.
//!
//! Spoken without state at the provider, or, where the provider is told to keep its answers, by continuing the last one as
//! long as it is there.

mod decode;
mod encode;
mod family;
mod items;
#[cfg(test)]
mod tests;
mod usage;

use verbatim_events::event::RequestRecipe;
use verbatim_events::ids::AttemptId;
use verbatim_events::model::Prompt;
use verbatim_events::part::FileKind;

use crate::files::Takes;
use crate::http::{Dialect, KeyHeader};
use crate::options::ProviderOptions;
use crate::protocol::{HttpProtocol, HttpProvider, Protocol};
use crate::secret::Secret;

pub use decode::{ResponseAnswer, ResponseDecoder};

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "openai_responses";

/// The number of this encoder. Whoever changes a byte it writes counts it up.
pub const ENCODER: u32 = 2;

/// Where OpenAI itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// What a provider of this protocol needs to know. `base_url` has `/v1` where the server has it.
pub type OpenAiResponsesOptions = ProviderOptions;

/// A provider that speaks Responses.
pub type OpenAiResponses = HttpProvider<Responses>;

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub struct Responses;

impl Protocol for Responses {
    const NAME: &'static str = PROTOCOL;
    const ENCODER: u32 = ENCODER;
    const TAKES: Option<Takes> =
        Some(Takes { kinds: |_| &[FileKind::Image, FileKind::Pdf], image_max_bytes: u64::MAX, in_results: true });
    const KEEPS_ANSWERS: bool = true;

    fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Result<Vec<u8>, serde_json::Error> {
        encode::body(recipe, prompt)
    }
}

impl HttpProtocol for Responses {
    const DIALECT: Dialect = Dialect { version: None, path: &["responses"], key: KeyHeader::Bearer, headers: &[] };
    type Decoder = ResponseDecoder;

    fn decoder(provider: &str, key: Option<Secret>, attempt_id: AttemptId) -> ResponseDecoder {
        ResponseDecoder::new(provider, key, attempt_id)
    }
}
