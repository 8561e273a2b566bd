//! The OpenAI Chat Completions protocol, as OpenAI and the many compatible servers speak it.

mod calls;
mod decode;
mod encode;
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

pub use decode::{ChatAnswer, ChatDecoder};
pub use encode::ENCODER;

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "openai_chat";

/// Where OpenAI itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

const DIALECT: Dialect =
    Dialect { version: None, path: &["chat", "completions"], key: KeyHeader::Bearer, headers: &[] };

/// What a provider of this protocol needs to know. `base_url` has `/v1` where the server has it.
pub type OpenAiChatOptions = ProviderOptions;

/// A provider that speaks Chat Completions. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct OpenAiChat {
    options: Arc<OpenAiChatOptions>,
    endpoint: Arc<Endpoint>,
}

impl OpenAiChat {
    /// Prepares a provider; no connection is opened. Fails with `config` where the address or the key cannot be used.
    pub fn new(options: OpenAiChatOptions) -> Result<OpenAiChat, ChatError> {
        let options = options.normalised();
        let endpoint = Endpoint::new(&options, &DIALECT)?;
        Ok(OpenAiChat { options: Arc::new(options), endpoint: Arc::new(endpoint) })
    }
}

impl fmt::Debug for OpenAiChat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("OpenAiChat").field(&self.options).finish()
    }
}

impl ModelProvider for OpenAiChat {
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
            let mut decoder = ChatDecoder::new(&this.options.name, this.options.api_key.clone(), identity.attempt_id);
            this.endpoint.call(request.body, identity, &[], &mut decoder, sink).await
        })
    }
}

/// The request that a recipe of this protocol makes of a prompt; nothing if another encoder made the bytes.
pub(crate) fn encode_with(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    (recipe.protocol == PROTOCOL && recipe.encoder == ENCODER).then(|| encode::encode(recipe.clone(), prompt).ok())?
}
