//! The Anthropic Messages protocol.

mod blocks;
mod content;
mod decode;
mod encode;
mod family;
mod pause;
mod request;
#[cfg(test)]
mod tests;
mod turns;
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

pub use decode::{MessageAnswer, MessageDecoder};

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "anthropic";

/// The number of this encoder. Whoever changes a byte it writes counts it up.
pub const ENCODER: u32 = 2;

/// Where Anthropic itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

/// The largest picture, in bytes: the provider counts those of its base64, of which it takes 5 MiB.
const IMAGE_MAX_BYTES: u64 = 5 * 1024 * 1024 / 4 * 3;

/// The version of the protocol that is spoken here.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// What a provider of this protocol needs to know. `base_url` has no `/v1`; one that has it does no harm.
pub type AnthropicOptions = ProviderOptions;

/// A provider that speaks Messages.
pub type Anthropic = HttpProvider<Messages>;

/// The protocol.
#[derive(Clone, Copy, Debug)]
pub struct Messages;

impl Protocol for Messages {
    const NAME: &'static str = PROTOCOL;
    const ENCODER: u32 = ENCODER;
    const TAKES: Option<Takes> = Some(Takes {
        kinds: |_| &[FileKind::Image, FileKind::Pdf],
        image_max_bytes: IMAGE_MAX_BYTES,
        in_results: true,
    });

    fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Result<Vec<u8>, serde_json::Error> {
        encode::body(recipe, prompt)
    }
}

impl HttpProtocol for Messages {
    const DIALECT: Dialect =
        Dialect { version: Some("v1"), path: &["messages"], key: KeyHeader::ApiKey, headers: &[VERSION] };
    type Decoder = MessageDecoder;

    fn decoder(provider: &str, key: Option<Secret>, attempt_id: AttemptId) -> MessageDecoder {
        MessageDecoder::new(provider, key, attempt_id)
    }

    fn headers(recipe: &RequestRecipe) -> Vec<(&'static str, String)> {
        let betas = encode::betas(recipe);
        if betas.is_empty() { Vec::new() } else { vec![("anthropic-beta", betas.join(","))] }
    }

    fn can_pause(recipe: &RequestRecipe) -> bool {
        !recipe.provider_tools.is_empty()
    }

    fn taken_up(decoder: &MessageDecoder, body: &[u8]) -> Option<(MessageDecoder, Vec<u8>)> {
        let (decoder, content) = decoder.taken_up()?;
        Some((decoder, pause::with_answer(body, &content)?))
    }
}
