//! What wire protocols differ in, and the one provider over HTTP that speaks any of them.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use verbatim_events::error::{CallError, ChatError, ErrorKind};
use verbatim_events::event::RequestRecipe;
use verbatim_events::ids::{AttemptId, Digest};
use verbatim_events::log::BoxFuture;
use verbatim_events::model::{
    CallIdentity, EncodedRequest, FileSource, Meter, ModelFinished, ModelProvider, ModelSettings, PartSink, Prompt,
};

use crate::effort;
use crate::files::{self, Takes};
use crate::http::{Decoder, Dialect, Endpoint};
use crate::options::ProviderOptions;
use crate::secret::Secret;

/// A protocol's way of writing requests.
pub trait Protocol: Send + Sync + 'static {
    /// Its name in recipes and settings.
    const NAME: &'static str;
    /// The number of its encoder. Whoever changes a byte that it writes counts it up.
    const ENCODER: u32;
    /// Its providers keep answers where they are told to, and continue them.
    const KEEPS_ANSWERS: bool = false;

    /// Which files its requests show; none where it has no place for them.
    const TAKES: Option<Takes> = None;

    /// The exact bytes that `recipe` makes of `prompt`: a function of the two alone.
    fn body(recipe: &RequestRecipe, prompt: &Prompt) -> Result<Vec<u8>, serde_json::Error>;
}

/// A protocol over HTTP.
pub(crate) trait HttpProtocol: Protocol {
    /// How it is spoken.
    const DIALECT: Dialect;
    /// Its reader.
    type Decoder: Decoder;

    /// A reader of one attempt's answer; `key` is kept out of errors.
    fn decoder(provider: &str, key: Option<Secret>, attempt_id: AttemptId) -> Self::Decoder;

    /// Whether the provider may pause its answer to this request, and go on when asked again.
    fn can_pause(_recipe: &RequestRecipe) -> bool {
        false
    }

    /// The reader of what follows an answer that the provider paused, and the request that asks for it: `body`, which the
    /// answer began with, and all that was said since. Nothing where the answer was not paused, or was so too often.
    fn taken_up(_decoder: &Self::Decoder, _body: &[u8]) -> Option<(Self::Decoder, Vec<u8>)> {
        None
    }

    /// Headers that this request needs besides those of the dialect: name in lower case, and value.
    fn headers(_recipe: &RequestRecipe) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The recipe of the request that `provider` makes for a model.
pub(crate) fn recipe<P: Protocol>(
    provider: &str,
    store: bool,
    files: Option<&dyn FileSource>,
    prompt: &Prompt,
    model: &ModelSettings,
    effort: Option<&str>,
) -> RequestRecipe {
    let store = store && P::KEEPS_ANSWERS;
    let continues = prompt.continues.as_ref().map(|continuation| &continuation.response);
    let own =
        continues.filter(|kept| store && kept.provider == provider && kept.provider_model == model.provider_model);
    RequestRecipe {
        protocol: P::NAME.to_owned(),
        provider: provider.to_owned(),
        provider_model: model.provider_model.clone(),
        max_output_tokens: model.max_output_tokens,
        effort: effort.and_then(|effort| effort::within(effort, model.efforts.as_deref())).map(str::to_owned),
        provider_tools: model.provider_tools.clone(),
        store,
        files: model.files.clone().filter(|_| P::TAKES.is_some()),
        accepts: model.accepts.clone().filter(|_| P::TAKES.is_some()),
        files_gone: if P::TAKES.is_some() { files::gone(files, prompt) } else { Vec::new() },
        previous_response_id: own.map(|kept| kept.response_id.clone()),
        encoder: P::ENCODER,
    }
}

/// The request that `recipe` makes of `prompt`.
pub(crate) fn encode<P: Protocol>(recipe: RequestRecipe, prompt: &Prompt) -> Result<EncodedRequest, ChatError> {
    let shown = P::TAKES.map_or(Cow::Borrowed(prompt), |takes| files::shown(&recipe, prompt, &takes));
    let body = P::body(&recipe, &shown).map_err(|error| {
        ChatError::terminal(ErrorKind::Generic, format!("The request to the model cannot be written as JSON: {error}."))
    })?;
    Ok(EncodedRequest { digest: Digest::of(&body), body, recipe })
}

/// The request that a recipe of this protocol makes of a prompt; nothing if another encoder made the bytes.
pub(crate) fn encode_with<P: Protocol>(recipe: &RequestRecipe, prompt: &Prompt) -> Option<EncodedRequest> {
    let is_known = recipe.protocol == P::NAME && recipe.encoder == P::ENCODER;
    is_known.then(|| encode::<P>(recipe.clone(), prompt).ok())?
}

/// A provider that speaks `P` over HTTP. Cheap to clone; clones share their connections.
pub struct HttpProvider<P> {
    options: Arc<ProviderOptions>,
    endpoint: Arc<Endpoint>,
    protocol: PhantomData<fn() -> P>,
}

impl<P> Clone for HttpProvider<P> {
    fn clone(&self) -> HttpProvider<P> {
        HttpProvider { options: Arc::clone(&self.options), endpoint: Arc::clone(&self.endpoint), protocol: PhantomData }
    }
}

impl<P: Protocol> fmt::Debug for HttpProvider<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpProvider").field("protocol", &P::NAME).field("options", &self.options).finish()
    }
}

#[allow(private_bounds, reason = "the protocols are this crate's own; outside they are only named")]
impl<P: HttpProtocol> HttpProvider<P> {
    /// Prepares a provider; no connection is opened. Fails with `config` where the address or the key cannot be used.
    pub fn new(options: ProviderOptions) -> Result<HttpProvider<P>, ChatError> {
        let options = options.normalised();
        let endpoint = Endpoint::new(&options, &P::DIALECT)?;
        Ok(HttpProvider { options: Arc::new(options), endpoint: Arc::new(endpoint), protocol: PhantomData })
    }

    /// Sends a request and reads the answer to its end, however often the provider pauses in it.
    async fn converse(
        &self,
        body: Vec<u8>,
        recipe: &RequestRecipe,
        identity: CallIdentity,
        mut sink: PartSink,
        meter: &Meter,
    ) -> Result<ModelFinished, CallError> {
        let (endpoint, files, headers) = (&self.endpoint, self.options.files.as_deref(), P::headers(recipe));
        let mut decoder = P::decoder(&self.options.name, self.options.api_key.clone(), identity.attempt_id);
        let first = P::can_pause(recipe).then(|| body.clone());
        let body = files::fill(body, files).await?;
        endpoint.stream(body, identity, &headers, &mut decoder, &mut sink, meter).await?;
        while let Some((mut next, body)) = first.as_ref().and_then(|first| P::taken_up(&decoder, first)) {
            let body = files::fill(body, files).await?;
            match endpoint.stream(body, identity, &headers, &mut next, &mut sink, meter).await {
                Ok(()) => decoder = next,
                // It does not take its own words back: what it said until then is the answer.
                Err(failed) if !failed.error.retryable && matches!(failed.error.status_code, Some(400 | 413 | 422)) => {
                    tracing::warn!(provider = %self.options.name, "A paused answer could not be taken up again.");
                    break;
                }
                Err(failed) => return Err(failed),
            }
        }
        endpoint.conclude(&mut decoder, &mut sink)
    }
}

impl<P: HttpProtocol> ModelProvider for HttpProvider<P> {
    fn encode(
        &self,
        prompt: &Prompt,
        model: &ModelSettings,
        effort: Option<&str>,
    ) -> Result<EncodedRequest, ChatError> {
        let files = self.options.files.as_deref();
        encode::<P>(recipe::<P>(&self.options.name, self.options.store, files, prompt, model, effort), prompt)
    }

    fn call(
        &self,
        request: EncodedRequest,
        identity: CallIdentity,
        sink: PartSink,
        meter: Meter,
    ) -> BoxFuture<'static, Result<ModelFinished, CallError>> {
        let this = self.clone();
        Box::pin(async move {
            if let Some(error) = this.options.missing_key() {
                return Err(error.into());
            }
            let EncodedRequest { body, recipe, .. } = request;
            let shows_media = files::shows_media(&body);
            let called = this.converse(body, &recipe, identity, sink, &meter).await;
            called.map_err(|error| {
                let error = if recipe.previous_response_id.is_some() { unchained(error) } else { error };
                if shows_media { without_files(error) } else { error }
            })
        })
    }
}

/// What a provider refuses in a request that continues an answer may lie in the answer that it kept, which nobody here can
/// see: the whole conversation may still be accepted.
fn unchained(failed: CallError) -> CallError {
    let error = &failed.error;
    let is_refused = error.kind == ErrorKind::Generic && !error.retryable;
    if !is_refused || !matches!(error.status_code, Some(400 | 404 | 422)) {
        return failed;
    }
    let provider = error.provider.as_deref().unwrap_or_default();
    let message = format!("The provider {provider} refused the request that continues its last answer.");
    ChatError { kind: ErrorKind::ChainBroken, message, retryable: true, ..failed.error }.into()
}

/// What a provider refuses in a request that shows pictures or documents may be those: not every model takes them, and some
/// are not what they claim to be. The rest of the conversation may still be accepted.
fn without_files(failed: CallError) -> CallError {
    let error = &failed.error;
    let is_refused = matches!(error.kind, ErrorKind::Generic | ErrorKind::Config) && !error.retryable;
    if !is_refused || !is_about_content(error) {
        return failed;
    }
    let provider = error.provider.as_deref().unwrap_or_default();
    let message =
        format!("The provider {provider} refused the request with its files; it is asked again without them.");
    let error = ChatError { kind: ErrorKind::Config, message, retryable: true, ..failed.error };
    CallError { refuses_files: true, ..error.into() }
}

/// Whether a provider refuses what stands in a request: by its status, or, where that says that something is not to be found,
/// by its words.
fn is_about_content(error: &ChatError) -> bool {
    const FILES: [&str; 5] = ["image", "vision", "pdf", "document", "file input"];
    match error.status_code {
        Some(400 | 413 | 415 | 422) => true,
        Some(404) => {
            let words = error.detail.as_deref().unwrap_or_default().to_lowercase();
            FILES.iter().any(|word| words.contains(word))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status_code: Option<u16>, kind: ErrorKind, detail: &str) -> CallError {
        let error = ChatError { status_code, detail: Some(detail.to_owned()), ..ChatError::terminal(kind, "No.") };
        error.into()
    }

    #[test]
    fn only_a_refusal_of_the_content_leaves_files_out() {
        for (status, kind, detail, leaves_out) in [
            (Some(400), ErrorKind::Generic, "unsupported", true),
            (Some(413), ErrorKind::Generic, "too large", true),
            (Some(415), ErrorKind::Generic, "media type", true),
            (Some(422), ErrorKind::Config, "context length exceeded", true),
            (Some(404), ErrorKind::Generic, "No endpoints found that support image input", true),
            (Some(404), ErrorKind::Config, "model not found: gpt-x", false),
            (Some(401), ErrorKind::Auth, "the image key is wrong", false),
            (Some(500), ErrorKind::Generic, "image", false),
            (None, ErrorKind::Config, "image", false),
        ] {
            let failed = without_files(refused(status, kind, detail));
            assert_eq!((failed.refuses_files, failed.error.retryable), (leaves_out, leaves_out), "{status:?} {detail}");
        }
        let passing = ChatError { status_code: Some(400), ..ChatError::retryable(ErrorKind::Generic, "Again.") };
        assert!(!without_files(passing.into()).refuses_files, "what is tried again anyway is tried with its files");
    }
}
