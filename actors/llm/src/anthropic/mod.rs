//! The Anthropic Messages protocol.

mod blocks;
mod decode;
mod encode;
mod family;
#[cfg(test)]
mod tests;
mod turns;
mod usage;

use std::fmt;
use std::sync::Arc;

use verbatim_events::error::{CallError, ChatError};
use verbatim_events::event::RequestRecipe;
use verbatim_events::log::BoxFuture;
use verbatim_events::model::{
    CallIdentity, EncodedRequest, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};

use self::family::Family;
use crate::http::{Dialect, Endpoint, KeyHeader};
use crate::options::ProviderOptions;

pub use decode::{MessageAnswer, MessageDecoder};
pub use encode::ENCODER;

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "anthropic";

/// Where Anthropic itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";

/// The version of the protocol that is spoken here.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

const DIALECT: Dialect =
    Dialect { version: Some("v1"), path: &["messages"], key: KeyHeader::ApiKey, headers: &[VERSION] };

/// What a provider of this protocol needs to know. `base_url` has no `/v1`; one that has it does no harm.
pub type AnthropicOptions = ProviderOptions;

/// A provider that speaks Messages. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Anthropic {
    options: Arc<AnthropicOptions>,
    endpoint: Arc<Endpoint>,
}

impl Anthropic {
    /// Prepares a provider; no connection is opened. Fails with `config` where the address or the key cannot be used.
    pub fn new(options: AnthropicOptions) -> Result<Anthropic, ChatError> {
        let options = options.normalised();
        let endpoint = Endpoint::new(&options, &DIALECT)?;
        Ok(Anthropic { options: Arc::new(options), endpoint: Arc::new(endpoint) })
    }
}

impl fmt::Debug for Anthropic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Anthropic").field(&self.options).finish()
    }
}

impl ModelProvider for Anthropic {
    fn encode(
        &self,
        prompt: &Prompt,
        model: &ModelSettings,
        effort: Option<&str>,
    ) -> Result<EncodedRequest, ChatError> {
        let limit = model.max_output_tokens;
        encode::encode(encode::recipe(&self.options.name, &model.provider_model, limit, effort), prompt)
    }

    fn call(
        &self,
        request: EncodedRequest,
        identity: CallIdentity,
        sink: PartSink,
    ) -> BoxFuture<'static, Result<ModelFinished, CallError>> {
        let this = self.clone();
        Box::pin(async move {
            if let Some(error) = this.options.missing_key() {
                return Err(error.into());
            }
            let headers = Family::of(&request.recipe.provider_model).headers();
            let key = this.options.api_key.clone();
            let mut decoder = MessageDecoder::new(&this.options.name, key, identity.attempt_id);
            this.endpoint.call(request.body, identity, headers, &mut decoder, sink).await
        })
    }
}

/// The request that a recipe of this protocol makes of a prompt; nothing if another encoder made the bytes.
pub(crate) fn encode_with(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    (recipe.protocol == PROTOCOL && recipe.encoder == ENCODER).then(|| encode::encode(recipe.clone(), prompt).ok())?
}
