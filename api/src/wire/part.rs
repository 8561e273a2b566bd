//! Parts, without what belongs to providers and models alone: metadata that must go back to a provider unchanged, and
//! the text of context files, stay inside.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use verbatim_events::chat::ChatFiles;
use verbatim_events::ids::AttemptId;
use verbatim_events::part::{LivePart, NumberedPart, Part};

use super::{is_false, words};

/// A part of a message: `text {text}`, `reasoning {text}`, `tool_call {call_id, name, args, provider_executed?}`,
/// `tool_result {call_id, name, result, is_error, provider_executed?}`, `source {url, title}`,
/// `file {file_id, media_type, name, expired?}`, `context_file {path}`; tagged by `type`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Part)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::part::Part`")]
pub enum PartView<'a> {
    Text {
        text: &'a str,
    },
    Reasoning {
        text: &'a str,
    },
    ToolCall {
        call_id: &'a str,
        name: &'a str,
        args: &'a Value,
        #[serde(skip_serializing_if = "is_false")]
        provider_executed: bool,
    },
    ToolResult {
        call_id: &'a str,
        name: &'a str,
        result: &'a Value,
        is_error: bool,
        #[serde(skip_serializing_if = "is_false")]
        provider_executed: bool,
    },
    Source {
        url: &'a str,
        title: &'a str,
    },
    File {
        file_id: &'a str,
        media_type: &'a str,
        name: &'a str,
        /// It is not kept any more.
        #[serde(skip_serializing_if = "is_false")]
        expired: bool,
    },
    ContextFile {
        path: &'a str,
    },
}

impl<'a> From<&'a Part> for PartView<'a> {
    fn from(part: &'a Part) -> PartView<'a> {
        match part {
            Part::Text { text } => PartView::Text { text },
            Part::Reasoning { text, metadata: _ } => PartView::Reasoning { text },
            Part::ToolCall { call_id, name, args, provider_executed, metadata: _ } => {
                PartView::ToolCall { call_id, name, args, provider_executed: *provider_executed }
            }
            Part::ToolResult { call_id, name, result, is_error, provider_executed, metadata: _ } => {
                PartView::ToolResult {
                    call_id,
                    name,
                    result,
                    is_error: *is_error,
                    provider_executed: *provider_executed,
                }
            }
            Part::Source { url, title } => PartView::Source { url, title },
            Part::File { file_id, media_type, name, content: _ } => {
                PartView::File { file_id, media_type, name, expired: false }
            }
            Part::ContextFile { path, text: _ } => PartView::ContextFile { path },
        }
    }
}

/// The parts of a message.
pub fn parts(parts: &[Part]) -> Vec<PartView<'_>> {
    parts.iter().map(PartView::from).collect()
}

/// Marks the files among the parts that are expired by now.
pub fn mark_expired(parts: &mut [PartView<'_>], files: &ChatFiles) {
    for part in parts {
        if let PartView::File { file_id, expired, .. } = part {
            *expired = files.is_expired(file_id);
        }
    }
}

/// A streamed piece: `text_delta {text}`, `reasoning_delta {text}`, `tool_args_delta {call_id, name, args}`,
/// `tool_output_delta {call_id, output}`, or a whole part.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::part::LivePart`")]
pub enum LivePartView<'a> {
    TextDelta {
        text: &'a str,
    },
    ReasoningDelta {
        text: &'a str,
    },
    ToolArgsDelta {
        call_id: &'a str,
        name: &'a str,
        args: &'a str,
    },
    ToolOutputDelta {
        call_id: &'a str,
        output: &'a str,
    },
    #[serde(untagged)]
    Whole(PartView<'a>),
}

impl<'a> From<&'a LivePart> for LivePartView<'a> {
    fn from(part: &'a LivePart) -> LivePartView<'a> {
        match part {
            LivePart::TextDelta { text } => LivePartView::TextDelta { text },
            LivePart::ReasoningDelta { text } => LivePartView::ReasoningDelta { text },
            LivePart::ToolArgsDelta { call_id, name, args } => LivePartView::ToolArgsDelta { call_id, name, args },
            LivePart::ToolOutputDelta { call_id, output } => LivePartView::ToolOutputDelta { call_id, output },
            LivePart::Whole(part) => LivePartView::Whole(part.into()),
        }
    }
}

impl PartialSchema for LivePartView<'_> {
    fn schema() -> RefOr<Schema> {
        let delta = |name: &str, fields: &[&str]| {
            let mut properties = json!({"type": {"type": "string", "enum": [name]}});
            for field in fields {
                properties[*field] = json!({"type": "string"});
            }
            let required: Vec<&str> = ["type"].iter().chain(fields).copied().collect();
            json!({"type": "object", "required": required, "properties": properties})
        };
        words::schema_of(json!({
            "description": "A streamed piece: more of a text, of a call's arguments (JSON text) or of a tool's output; or a \
                            whole part.",
            "oneOf": [
                delta("text_delta", &["text"]),
                delta("reasoning_delta", &["text"]),
                delta("tool_args_delta", &["call_id", "name", "args"]),
                delta("tool_output_delta", &["call_id", "output"]),
                {"$ref": "#/components/schemas/Part"},
            ],
        }))
    }
}

impl ToSchema for LivePartView<'_> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("LivePart")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PartView::name().into_owned(), PartView::schema()));
        PartView::schemas(schemas);
    }
}

/// The data of a `part` frame: `{attempt, n, role, part}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PartFrame)]
pub struct PartFrameView<'a> {
    /// The attempt it belongs to.
    #[schema(value_type = u64)]
    pub attempt: AttemptId,
    /// Its number within the attempt.
    pub n: u64,
    /// The role of the message it will be part of: `assistant`, or `tool` for what a server tool says.
    pub role: &'static str,
    /// The piece.
    pub part: LivePartView<'a>,
}

impl<'a> PartFrameView<'a> {
    /// The frame of a numbered part.
    pub fn new(attempt: AttemptId, numbered: &'a NumberedPart) -> PartFrameView<'a> {
        PartFrameView { attempt, n: numbered.n, role: role(&numbered.part), part: (&numbered.part).into() }
    }
}

/// A provider's own results stand inside the model's answer; those of the server's tools make a message of their own.
fn role(part: &LivePart) -> &'static str {
    match part {
        LivePart::ToolOutputDelta { .. } | LivePart::Whole(Part::ToolResult { provider_executed: false, .. }) => "tool",
        LivePart::TextDelta { .. }
        | LivePart::ReasoningDelta { .. }
        | LivePart::ToolArgsDelta { .. }
        | LivePart::Whole(_) => "assistant",
    }
}

#[cfg(test)]
mod tests;
