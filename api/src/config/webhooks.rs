//! `[webhooks.NAME]`: who is told what happens.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Environment;
use super::mcp::address;
use crate::webhooks::kinds;

/// How long a receiver may take to answer, in ms, where the file does not say.
const TIMEOUT_MS: u64 = 10_000;

/// The longest that it may say.
const TIMEOUT_MAX_MS: u64 = 60_000;

/// How many webhooks there may be.
const WEBHOOKS_MAX: usize = 50;

/// The longest name, in bytes.
const NAME_MAX_BYTES: usize = 64;

/// `[webhooks.NAME]` in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebhookLayer {
    url: Option<String>,
    secret_env: Option<String>,
    events: Option<Vec<String>>,
    owner: Option<String>,
    timeout_ms: Option<u64>,
}

/// A webhook as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where it sends to.
    pub url: String,
    /// The variable that holds its secret.
    pub secret_env: String,
    /// What it tells; names of `webhooks::kinds::KINDS`.
    pub events: BTreeSet<String>,
    /// Whose chats alone it tells about; everybody's where absent.
    pub owner: Option<String>,
    /// How long its receiver may take to answer, in ms.
    pub timeout_ms: u64,
}

impl WebhookConfig {
    /// Where it sends to, without what could be a secret.
    pub fn shown_url(&self) -> String {
        address(&self.url)
    }
}

/// The webhooks as configured, or the name, the key that is wrong, and what is wrong with it.
pub(super) fn settle(
    layers: &BTreeMap<String, WebhookLayer>,
) -> Result<BTreeMap<String, WebhookConfig>, (String, &'static str, String)> {
    if let Some(name) = layers.keys().nth(WEBHOOKS_MAX) {
        return Err((name.clone(), "url", format!("there may be at most {WEBHOOKS_MAX} webhooks")));
    }
    let settle = |(name, layer): (&String, &WebhookLayer)| {
        webhook(name, layer).map(|webhook| (name.clone(), webhook)).map_err(|(key, wrong)| (name.clone(), key, wrong))
    };
    layers.iter().map(settle).collect()
}

fn webhook(name: &str, layer: &WebhookLayer) -> Result<WebhookConfig, (&'static str, String)> {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !letters {
        let problem = format!("a webhook's name has 1 to {NAME_MAX_BYTES} letters, digits, - and _");
        return Err(("url", problem));
    }
    let url = layer.url.clone().ok_or_else(|| ("url", "the webhook has no url".to_owned()))?;
    if reqwest::Url::parse(&url).ok().is_none_or(|url| !matches!(url.scheme(), "http" | "https")) {
        return Err(("url", "a webhook's url is an absolute http or https URL".to_owned()));
    }
    let secret_env = layer.secret_env.clone();
    let secret_env =
        secret_env.ok_or_else(|| ("secret_env", "the webhook names no variable with its secret".to_owned()))?;
    let events: BTreeSet<String> = match &layer.events {
        None => kinds::DEFAULT.map(str::to_owned).into(),
        Some(events) => events.iter().cloned().collect(),
    };
    let known = kinds::KINDS.join(", ");
    if events.is_empty() {
        return Err(("events", format!("the webhook is told nothing; there are: {known}")));
    }
    if let Some(unknown) = events.iter().find(|event| !kinds::KINDS.contains(&event.as_str())) {
        return Err(("events", format!("there is no {unknown:?}; there are: {known}")));
    }
    let timeout_ms = layer.timeout_ms.unwrap_or(TIMEOUT_MS);
    if !(1..=TIMEOUT_MAX_MS).contains(&timeout_ms) {
        return Err(("timeout_ms", format!("it may be 1 to {TIMEOUT_MAX_MS}")));
    }
    Ok(WebhookConfig { url, secret_env, events, owner: layer.owner.clone(), timeout_ms })
}

/// A sentence for each variable with a secret that is not set.
pub(super) fn unset_variables(webhooks: &BTreeMap<String, WebhookConfig>, environment: &Environment) -> Vec<String> {
    let unset = webhooks.iter().filter(|(_, webhook)| environment.get(&webhook.secret_env).is_none());
    unset
        .map(|(name, webhook)| format!("the webhook {name} has no secret: {} is not set", webhook.secret_env))
        .collect()
}

/// A webhook as it is shown.
#[derive(Serialize)]
pub(super) struct WebhookShown<'a> {
    url: String,
    secret_env: &'a str,
    events: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    timeout_ms: u64,
}

impl<'a> WebhookShown<'a> {
    pub(super) fn new(webhook: &'a WebhookConfig) -> WebhookShown<'a> {
        WebhookShown {
            url: webhook.shown_url(),
            secret_env: &webhook.secret_env,
            events: &webhook.events,
            owner: webhook.owner.as_deref(),
            timeout_ms: webhook.timeout_ms,
        }
    }
}
