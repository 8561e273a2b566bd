//! The content blocks of a request.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

/// Marks the end of what the provider keeps in its cache.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl CacheControl {
    pub(super) const EPHEMERAL: CacheControl = CacheControl { kind: "ephemeral" };
}

/// A content block.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Block<'a> {
    Text(TextBlock<'a>),
    Thinking(ThinkingBlock<'a>),
    Redacted(RedactedBlock<'a>),
    Call(CallBlock<'a>),
    Result(ResultBlock<'a>),
    Provider(ProviderBlock<'a>),
    File(FileBlock<'a>),
}

/// A picture or a document.
#[derive(Serialize)]
pub(super) struct FileBlock<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) source: FileBytes<'a>,
    /// A document's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<&'a str>,
}

/// The bytes of a file.
#[derive(Serialize)]
pub(super) struct FileBytes<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) media_type: &'a str,
    pub(super) data: String,
}

/// What a tool answered: a text, or blocks where files came with it.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Answer<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

impl Answer<'_> {
    fn is_empty(&self) -> bool {
        matches!(self, Answer::Text(text) if text.is_empty())
    }
}

#[derive(Serialize)]
pub(super) struct TextBlock<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cache_control: Option<CacheControl>,
}

impl<'a> TextBlock<'a> {
    pub(super) fn new(text: Cow<'a, str>) -> TextBlock<'a> {
        TextBlock { kind: "text", text, cache_control: None }
    }
}

#[derive(Serialize)]
pub(super) struct ThinkingBlock<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) thinking: &'a str,
    pub(super) signature: &'a str,
}

#[derive(Serialize)]
pub(super) struct RedactedBlock<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) data: &'a Value,
}

#[derive(Serialize)]
pub(super) struct CallBlock<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) id: &'a str,
    pub(super) name: String,
    pub(super) input: Cow<'a, Value>,
    /// What came with the call that this crate does not know.
    #[serde(flatten)]
    pub(super) more: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
pub(super) struct ResultBlock<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) tool_use_id: &'a str,
    #[serde(skip_serializing_if = "Answer::is_empty")]
    pub(super) content: Answer<'a>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_error: bool,
}

/// A block of the provider's own tools, as it came.
#[derive(Serialize)]
pub(super) struct ProviderBlock<'a> {
    #[serde(flatten)]
    pub(super) fields: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Cow<'a, Value>>,
}

impl Block<'_> {
    /// The block may end what the provider keeps in its cache; thinking may not.
    pub(super) fn takes_mark(&self) -> bool {
        !self.is_thinking()
    }

    pub(super) fn is_thinking(&self) -> bool {
        matches!(self, Block::Thinking(_) | Block::Redacted(_))
    }
}
