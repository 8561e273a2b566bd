//! The OpenAI Chat Completions protocol, as OpenAI and the many compatible servers speak it.

mod calls;
mod decode;
mod encode;
#[cfg(test)]
mod tests;
mod usage;

use std::fmt;
use std::sync::Arc;

use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::event::RequestRecipe;
use verbatim_events::log::BoxFuture;
use verbatim_events::model::{
    CallIdentity, EncodedRequest, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};

use crate::http::{Endpoint, KeyHeader};
use crate::secret::Secret;

pub use decode::ChatDecoder;
pub use encode::ENCODER;

/// The protocol's name in recipes and settings.
pub const PROTOCOL: &str = "openai_chat";

/// Where OpenAI itself listens.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// What a provider of this protocol needs to know.
#[derive(Clone, Debug)]
pub struct OpenAiChatOptions {
    /// The provider's configured name.
    pub name: String,
    /// Its address, with `/v1` where the server has it, as client libraries take it.
    pub base_url: String,
    /// Its key; servers of one's own mostly need none.
    pub api_key: Option<Secret>,
    /// Where the key was looked for (an environment variable's name) if there has to be one. With no key in `api_key`
    /// every call then fails as `missing_key` and names this place.
    pub api_key_expected_in: Option<String>,
}

/// A provider that speaks Chat Completions. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct OpenAiChat {
    options: Arc<OpenAiChatOptions>,
    endpoint: Arc<Endpoint>,
}

impl OpenAiChat {
    /// Prepares a provider; no connection is opened. Fails with `config` where the address or the key cannot be used.
    pub fn new(mut options: OpenAiChatOptions) -> Result<OpenAiChat, ChatError> {
        // An environment variable that is set to nothing holds no key.
        options.api_key = options.api_key.filter(|key| !key.expose().is_empty());
        let path = ["chat", "completions"];
        let key = options.api_key.clone();
        let endpoint = Endpoint::new(&options.name, &options.base_url, &path, key, KeyHeader::Bearer)?;
        Ok(OpenAiChat { options: Arc::new(options), endpoint: Arc::new(endpoint) })
    }

    fn missing_key(&self) -> Option<ChatError> {
        let place = self.options.api_key_expected_in.as_ref().filter(|_| self.options.api_key.is_none())?;
        let name = &self.options.name;
        let message = format!("The provider {name} has no API key: set {place}, or give it a key in the settings.");
        Some(ChatError { provider: Some(name.clone()), ..ChatError::terminal(ErrorKind::MissingKey, message) })
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
            if let Some(error) = this.missing_key() {
                return Err(error.into());
            }
            let mut decoder = ChatDecoder::new(&this.options.name, this.options.api_key.clone(), identity.attempt_id);
            this.endpoint.call(request.body, identity, &mut decoder, sink).await
        })
    }
}

/// The request that a recipe of this protocol makes of a prompt; nothing if another encoder made the bytes.
pub(crate) fn encode_with(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    (recipe.protocol == PROTOCOL && recipe.encoder == ENCODER).then(|| encode::encode(recipe.clone(), prompt).ok())?
}
