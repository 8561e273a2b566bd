//! What an attempt sent, made again from the log.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use verbatim_events::event::{AttemptAction, AttemptRecorded};
use verbatim_events::ids::{AttemptId, Digest};

use super::message::MessageView;
use super::{Time, words};

/// An attempt and its prompt: `{attempt_id, attempt, action, model?, at, prompt?, reason?, messages, tools, audit?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptPrompt)]
pub(crate) struct AttemptPromptView<'a> {
    /// Its id.
    #[schema(value_type = u64)]
    pub attempt_id: AttemptId,
    /// Its number within the history version.
    pub attempt: u32,
    /// What it does.
    #[schema(value_type = words::AttemptAction)]
    pub action: AttemptAction,
    /// The model, by its configured name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// When it was recorded.
    pub at: Time,
    /// Whether what the log yields is, byte by byte, what was sent: `same`, `differs` or `not_comparable`. Absent where
    /// nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<&'static str>,
    /// Why it cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The messages in it, in order; those for the model alone without their words.
    pub messages: Vec<MessageView<'a>>,
    /// The names of the tools in it.
    pub tools: Vec<&'a str>,
    /// For auditors and administrators: everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AttemptAuditView<'a>>,
}

/// What only auditors and administrators see of an attempt: `{node, protocol?, provider?, provider_model?, effort?,
/// sent_digest?, rebuilt_digest?, request?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptAudit)]
pub(crate) struct AttemptAuditView<'a> {
    /// The node that did it.
    pub node: &'a str,
    /// The wire protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'a str>,
    /// The provider, by its configured name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<&'a str>,
    /// The provider's own name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_model: Option<&'a str>,
    /// The effort sent along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<&'a str>,
    /// SHA-256 of the bytes that were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sent_digest: Option<Digest>,
    /// SHA-256 of the bytes that the log yields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub rebuilt_digest: Option<Digest>,
    /// The bytes that the log yields: the request's JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub request: Option<&'a RawValue>,
}

impl<'a> AttemptAuditView<'a> {
    /// What the record says.
    pub fn of(attempt: &'a AttemptRecorded) -> AttemptAuditView<'a> {
        let recipe = attempt.request.as_ref();
        AttemptAuditView {
            node: &attempt.node,
            protocol: recipe.map(|recipe| recipe.protocol.as_str()),
            provider: recipe.map(|recipe| recipe.provider.as_str()),
            provider_model: recipe.map(|recipe| recipe.provider_model.as_str()),
            effort: recipe.and_then(|recipe| recipe.effort.as_deref()),
            sent_digest: attempt.prompt_digest,
            rebuilt_digest: None,
            request: None,
        }
    }
}
