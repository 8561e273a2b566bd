//! What messages are made of, and the pieces that stream while one is being made.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::ids::Digest;
use crate::limits::VALUE_LEVELS_MAX;

/// One part of a message, tagged by `type` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// The model's reasoning.
    Reasoning {
        /// The readable text; may be empty when the provider hides it.
        text: String,
        /// The provider's own fields that must go back unchanged (signature, encrypted content …).
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
        metadata: Option<Value>,
    },
    /// The model calls a tool.
    ToolCall {
        /// The call's id, unique within the chat's open calls.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The arguments: a complete JSON value.
        args: Value,
        /// The provider runs this tool itself.
        #[serde(default, skip_serializing_if = "is_false")]
        provider_executed: bool,
        /// The provider's own fields that must go back unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
        metadata: Option<Value>,
    },
    /// A tool's answer.
    ToolResult {
        /// The answered call.
        call_id: String,
        /// The tool's name.
        name: String,
        /// The answer: a string or any JSON value.
        result: Value,
        /// The answer is an error.
        is_error: bool,
        /// The provider ran the tool itself.
        #[serde(default, skip_serializing_if = "is_false")]
        provider_executed: bool,
        /// The provider's own fields that must go back unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
        metadata: Option<Value>,
    },
    /// A source that the model cites.
    Source {
        /// Where.
        url: String,
        /// Its title.
        title: String,
    },
    /// A stored file.
    File {
        /// The file's id.
        file_id: String,
        /// Its media type.
        media_type: String,
        /// Its name.
        name: String,
        /// What stands in it; absent where nobody said, and then a model learns of it by its name alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<FileContent>,
    },
    /// A file of the workspace that the model reads as context.
    ContextFile {
        /// Its path within the workspace.
        path: String,
        /// What stands in it; for the model alone.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
}

/// Kinds of files, as models take them or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A picture.
    Image,
    /// A PDF document.
    Pdf,
    /// Text of any sort: every model takes it.
    Text,
}

impl FileKind {
    /// The kind of a media type, without parameters; none for what is no file of a chat.
    pub fn of(media_type: &str) -> Option<FileKind> {
        match media_type {
            "image/png" | "image/jpeg" | "image/gif" | "image/webp" => Some(FileKind::Image),
            "application/pdf" => Some(FileKind::Pdf),
            "application/json" => Some(FileKind::Text),
            text if text.starts_with("text/") => Some(FileKind::Text),
            _ => None,
        }
    }
}

/// Whether one of these media types is meant: `image/png`, or `image/*` for all of them.
pub fn is_accepted(accepted: &[String], media_type: &str) -> bool {
    accepted.iter().any(|accepted| match accepted.strip_suffix("/*") {
        Some(group) => media_type.split_once('/').is_some_and(|(first, _)| first == group),
        None => accepted == media_type,
    })
}

/// What stands in a file, by its digest: the bytes themselves lie outside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileContent {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size_bytes: u64,
}

/// Reads an optional value that is there: JSON's `null` is then a value like any other, not an absence.
pub(crate) fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}

/// Whether more than `VALUE_LEVELS_MAX` arrays and objects stand in each other.
pub fn nests_too_deeply(value: &Value) -> bool {
    fn exceeds(value: &Value, levels: usize) -> bool {
        match value {
            Value::Array(_) | Value::Object(_) if levels == 0 => true,
            Value::Array(items) => items.iter().any(|item| exceeds(item, levels - 1)),
            Value::Object(fields) => fields.values().any(|field| exceeds(field, levels - 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    exceeds(value, VALUE_LEVELS_MAX)
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<String>) -> Part {
        Part::Text { text: text.into() }
    }

    /// The id of a call that somebody other than the provider must answer.
    pub fn open_call_id(&self) -> Option<&str> {
        match self {
            Part::ToolCall { call_id, provider_executed: false, .. } => Some(call_id),
            _ => None,
        }
    }

    /// Whether it holds a value that `nests_too_deeply`.
    pub fn nests_too_deeply(&self) -> bool {
        let (value, metadata) = match self {
            Part::ToolCall { args, metadata, .. } => (Some(args), metadata.as_ref()),
            Part::ToolResult { result, metadata, .. } => (Some(result), metadata.as_ref()),
            Part::Reasoning { metadata, .. } => (None, metadata.as_ref()),
            Part::Text { .. } | Part::Source { .. } | Part::File { .. } | Part::ContextFile { .. } => (None, None),
        };
        value.into_iter().chain(metadata).any(nests_too_deeply)
    }

    /// The id of the call that this part answers.
    pub fn answered_call_id(&self) -> Option<&str> {
        match self {
            Part::ToolResult { call_id, .. } => Some(call_id),
            _ => None,
        }
    }
}

/// A streamed piece of an attempt's output. An attempt numbers its pieces 1, 2, 3 ….
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LivePart {
    /// More text.
    TextDelta {
        /// The piece.
        text: String,
    },
    /// More reasoning.
    ReasoningDelta {
        /// The piece.
        text: String,
    },
    /// More of a call's arguments.
    ToolArgsDelta {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// The next characters of the arguments' JSON text.
        args: String,
    },
    /// More of what a running tool prints.
    ToolOutputDelta {
        /// The call.
        call_id: String,
        /// The piece.
        output: String,
    },
    /// A whole part, as it will stand in the message.
    #[serde(untagged)]
    Whole(Part),
}

impl LivePart {
    /// Roughly how many bytes the piece holds; for bounds, not for accounting.
    pub fn size_bytes(&self) -> usize {
        match self {
            LivePart::TextDelta { text } | LivePart::ReasoningDelta { text } => text.len(),
            LivePart::ToolArgsDelta { call_id, name, args } => call_id.len() + name.len() + args.len(),
            LivePart::ToolOutputDelta { call_id, output } => call_id.len() + output.len(),
            LivePart::Whole(part) => serde_json::to_vec(part).map_or(0, |bytes| bytes.len()),
        }
    }
}

/// A live part with its address inside the chat's one order of events and parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberedPart {
    /// Its number within the attempt: 1, 2, 3 …
    pub n: u64,
    /// The version of the last event before it.
    pub after_version: u64,
    /// The piece.
    pub part: LivePart,
}

#[cfg(test)]
mod tests;
