//! What every provider over HTTP needs to know.

use verbatim_events::error::{ChatError, ErrorKind};

use crate::files::Files;
use crate::secret::Secret;

/// A provider's name, address and key.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    /// The provider's configured name.
    pub name: String,
    /// Its address, as the protocol's own client libraries take it.
    pub base_url: String,
    /// Its key; servers of one's own mostly need none.
    pub api_key: Option<Secret>,
    /// Where the key was looked for (an environment variable's name) if there has to be one. With no key in `api_key`
    /// every call then fails as `missing_key` and names this place.
    pub api_key_expected_in: Option<String>,
    /// The provider is told to keep its answers, and continues the last one where it can instead of reading the whole
    /// conversation again. Only Responses knows this; the others ignore it.
    pub store: bool,
    /// Where it finds the bytes of files; without, files are only named.
    pub files: Files,
}

impl ProviderOptions {
    /// The options without a key that holds nothing: an environment variable may be set to the empty text.
    pub(crate) fn normalised(mut self) -> ProviderOptions {
        self.api_key = self.api_key.filter(|key| !key.expose().is_empty());
        self
    }

    /// The error of a call without the key that it needs.
    pub(crate) fn missing_key(&self) -> Option<ChatError> {
        let place = self.api_key_expected_in.as_ref().filter(|_| self.api_key.is_none())?;
        let name = &self.name;
        let message = format!("The provider {name} has no API key: set {place}, or give it a key in the settings.");
        Some(ChatError { provider: Some(name.clone()), ..ChatError::terminal(ErrorKind::MissingKey, message) })
    }
}
