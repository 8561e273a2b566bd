//! Providers and models as they are set, and what makes one of them whole.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::OWNER_MAX_BYTES;
use crate::part::FileKind;
use crate::price::Price;

/// The longest name of a provider or model, in bytes.
pub const NAME_MAX_BYTES: usize = 64;

/// The longest address of a provider, in bytes.
const URL_MAX_BYTES: usize = 2048;

/// The longest name that a provider has for a model, in bytes.
const PROVIDER_MODEL_MAX_BYTES: usize = 256;

/// How many efforts a model may know.
const EFFORTS_MAX: usize = 16;

/// The longest name of an effort, in bytes.
const EFFORT_MAX_BYTES: usize = 32;

/// How many tools of its provider's a model may have.
const PROVIDER_TOOLS_MAX: usize = 16;

/// How many media types may be named that a model takes.
const ACCEPTS_MAX: usize = 16;

/// Tokens beyond this are a mistake.
const TOKENS_MAX: u64 = 1_000_000_000;

/// A provider's wire protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderKind {
    /// OpenAI's Responses.
    #[serde(rename = "openai_responses")]
    OpenAiResponses,
    /// OpenAI's Chat Completions, and every server compatible with it.
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    /// Anthropic's Messages.
    #[serde(rename = "anthropic")]
    Anthropic,
    /// The built-in model that needs neither key nor network.
    #[serde(rename = "demo")]
    Demo,
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [ProviderKind; 4] =
        [ProviderKind::OpenAiResponses, ProviderKind::OpenAiChat, ProviderKind::Anthropic, ProviderKind::Demo];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            ProviderKind::OpenAiResponses => "openai_responses",
            ProviderKind::OpenAiChat => "openai_chat",
            ProviderKind::Anthropic => "anthropic",
            ProviderKind::Demo => "demo",
        }
    }
}

/// A model provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its wire protocol.
    pub kind: ProviderKind,
    /// Where it is, as its own client libraries take it; where the protocol's makers listen if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment variable that holds its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Its key, sealed by whoever set it; never both this and a variable. Opaque here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_sealed: Option<String>,
    /// It is told to keep its answers, and continues the last one where it can.
    pub store: bool,
    /// Calls are made.
    pub enabled: bool,
}

impl Provider {
    /// A provider of this kind with nothing else said.
    pub fn of(kind: ProviderKind) -> Provider {
        Provider { kind, base_url: None, api_key_env: None, api_key_sealed: None, store: false, enabled: true }
    }

    /// What is wrong with it: the field, and in what way.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if self.kind == ProviderKind::Demo {
            if self.base_url.is_some() {
                return Err(("base_url", "a demo provider has no address".to_owned()));
            }
            if self.api_key_env.is_some() || self.api_key_sealed.is_some() {
                return Err(("api_key", "a demo provider has no key".to_owned()));
            }
        }
        if self.api_key_env.is_some() && self.api_key_sealed.is_some() {
            return Err(("api_key", "a provider has api_key_env or api_key, not both".to_owned()));
        }
        if self.store && self.kind != ProviderKind::OpenAiResponses {
            let kind = ProviderKind::OpenAiResponses.name();
            return Err(("store", format!("only providers of kind {kind} keep answers")));
        }
        match self.base_url.as_deref().map_or(Ok(()), check_url) {
            Ok(()) => Ok(()),
            Err(problem) => Err(("base_url", problem.to_owned())),
        }
    }
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its provider's name.
    pub provider: String,
    /// What the provider calls it.
    pub provider_model: String,
    /// Tokens it can take in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens it may put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// The efforts it knows; any where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub efforts: Option<Vec<String>>,
    /// The tools that its provider may run itself, in the provider's own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provider_tools: Vec<Value>,
    /// The media types of files that it takes besides text, `image/*` for all pictures; what its protocol takes where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts: Option<Vec<String>>,
    /// What its tokens cost; unknown where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Price>,
    /// Chats may use it.
    pub enabled: bool,
}

impl Model {
    /// A model with nothing else said.
    pub fn of(provider: impl Into<String>, provider_model: impl Into<String>) -> Model {
        Model {
            provider: provider.into(),
            provider_model: provider_model.into(),
            context_window: None,
            max_output_tokens: None,
            efforts: None,
            provider_tools: Vec::new(),
            accepts: None,
            prices: None,
            enabled: true,
        }
    }

    /// What is wrong with it: the field, and in what way.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let provider_model = &self.provider_model;
        let named = (1..=PROVIDER_MODEL_MAX_BYTES).contains(&provider_model.len());
        if !named || provider_model.contains(char::is_control) || provider_model.trim() != provider_model {
            let problem = format!("what its provider calls it has 1 to {PROVIDER_MODEL_MAX_BYTES} printable bytes");
            return Err(("model", problem));
        }
        for (field, tokens) in [("context_window", self.context_window), ("max_output_tokens", self.max_output_tokens)]
        {
            if tokens.is_some_and(|tokens| !(1..=TOKENS_MAX).contains(&tokens)) {
                return Err((field, format!("it must be 1 to {TOKENS_MAX}")));
            }
        }
        let odd = |effort: &String| effort.trim().is_empty() || effort.len() > EFFORT_MAX_BYTES;
        if self.efforts.as_ref().is_some_and(|efforts| efforts.len() > EFFORTS_MAX || efforts.iter().any(odd)) {
            let problem =
                format!("a model knows at most {EFFORTS_MAX} efforts, each a word of at most {EFFORT_MAX_BYTES} bytes");
            return Err(("efforts", problem));
        }
        if self.provider_tools.len() > PROVIDER_TOOLS_MAX {
            let problem = format!("a model may have at most {PROVIDER_TOOLS_MAX} tools of its provider's");
            return Err(("provider_tools", problem));
        }
        if let Some(problem) = self.accepts.as_deref().and_then(|accepts| check_accepts(accepts).err()) {
            return Err(("accepts", problem));
        }
        match self.prices.map_or(Ok(()), |prices| prices.check()) {
            Ok(()) => Ok(()),
            Err(problem) => Err(("prices", problem.to_string())),
        }
    }
}

/// What is wrong with the media types that a model is said to take.
pub fn check_accepts(accepts: &[String]) -> Result<(), String> {
    if accepts.len() > ACCEPTS_MAX {
        return Err(format!("at most {ACCEPTS_MAX} media types are named"));
    }
    let is_known = |media_type: &str| match media_type.strip_suffix("/*") {
        Some(group) => matches!(group, "image" | "text"),
        None => FileKind::of(media_type).is_some(),
    };
    match accepts.iter().find(|media_type| !is_known(media_type)) {
        Some(unknown) => Err(format!(
            "{unknown:?} is no media type of files in chats: image/png, image/jpeg, image/gif, image/webp, application/pdf, \
             those of text, image/* and text/*"
        )),
        None => Ok(()),
    }
}

/// What is wrong with a name that is to be set. `more` are characters that may stand in it beside `[A-Za-z0-9._:-]`.
pub(super) fn check_name(name: &str, more: &[char]) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-') || more.contains(&c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= NAME_MAX_BYTES && name.chars().all(allowed) {
        return Ok(());
    }
    let more: String = more.iter().collect();
    Err(format!("a name has 1 to {NAME_MAX_BYTES} of [A-Za-z0-9._:{more}-] and begins with a letter or digit"))
}

/// What may stand in a provider's name. No `/`: `PROVIDER/MODEL` names a provider's other models.
pub(super) const PROVIDER_NAME: &[char] = &[];

/// What may stand in a model's name.
pub(super) const MODEL_NAME: &[char] = &['/', '@'];

/// An address is absolute, http or https, without a user, a query or a fragment: none of these survives what is put
/// behind it, and a password in it would be shown.
fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else { return Err("a base_url is an absolute http or https URL") };
    if url.len() > URL_MAX_BYTES {
        return Err("a base_url has at most 2048 bytes");
    }
    if url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("a base_url holds no blanks, control characters or backslashes");
    }
    if rest.contains(['?', '#']) {
        return Err("a base_url has neither a query nor a fragment");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a base_url names no user and no password; keys are set apart from it");
    }
    let (host, port) = match authority.rfind(']') {
        Some(end) if authority.starts_with('[') => (&authority[..=end], &authority[end + 1..]),
        Some(_) => return Err("a base_url names a host"),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port_is_right = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    if host.is_empty() || host == "[]" || !port_is_right {
        return Err("a base_url names a host, and if it names a port, then a number up to 65535");
    }
    Ok(())
}

/// Refuses what is no owner's name: whose budget it were, nobody could ever say.
pub(super) fn check_owner(owner: &str) -> Result<(), String> {
    if owner.trim().is_empty() || owner.len() > OWNER_MAX_BYTES || owner.chars().any(char::is_control) {
        return Err(format!("an owner's name has 1 to {OWNER_MAX_BYTES} bytes and no control characters"));
    }
    Ok(())
}
