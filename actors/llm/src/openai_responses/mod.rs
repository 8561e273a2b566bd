//! The OpenAI Responses protocol, spoken without state at the provider.

mod decode;
mod encode;
mod family;
mod items;
#[cfg(test)]
mod tests;
mod usage;

use std::fmt;
use std::sync::Arc;

use verbatim_events::error::{CallError, ChatError};
use verbatim_events::event::RequestRecipe;
use verbatim_events::log::BoxFuture;
use verbatim_events::model::{
    CallIdentity, EncodedRequest, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};

use crate::http::{Dialect, Endpoint, KeyHeader};
use crate::options::ProviderOptions;

pub use decode::{ResponseAnswer, ResponseDecoder};
pub use encode::ENCODER;

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "openai_responses";

/// Where OpenAI itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

const DIALECT: Dialect = Dialect { version: None, path: &["responses"], key: KeyHeader::Bearer, headers: &[] };

/// What a provider of this protocol needs to know. `base_url` has `/v1` where the server has it.
pub type OpenAiResponsesOptions = ProviderOptions;

/// A provider that speaks Responses. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct OpenAiResponses {
    options: Arc<OpenAiResponsesOptions>,
    endpoint: Arc<Endpoint>,
}

impl OpenAiResponses {
    /// Prepares a provider; no connection is opened. Fails with `config` where the address or the key cannot be used.
    pub fn new(options: OpenAiResponsesOptions) -> Result<OpenAiResponses, ChatError> {
        let options = options.normalised();
        let endpoint = Endpoint::new(&options, &DIALECT)?;
        Ok(OpenAiResponses { options: Arc::new(options), endpoint: Arc::new(endpoint) })
    }
}

impl fmt::Debug for OpenAiResponses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("OpenAiResponses").field(&self.options).finish()
    }
}

impl ModelProvider for OpenAiResponses {
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
            let key = this.options.api_key.clone();
            let mut decoder = ResponseDecoder::new(&this.options.name, key, identity.attempt_id);
            this.endpoint.call(request.body, identity, &[], &mut decoder, sink).await
        })
    }
}

/// The request that a recipe of this protocol makes of a prompt; nothing if another encoder made the bytes.
pub(crate) fn encode_with(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    (recipe.protocol == PROTOCOL && recipe.encoder == ENCODER).then(|| encode::encode(recipe.clone(), prompt).ok())?
}
