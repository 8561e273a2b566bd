//! Parts as plain text, for what a protocol has no place of its own.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;
use verbatim_events::message::Message;
use verbatim_events::part::Part;
use verbatim_events::prompt::file_words;

/// All the text of a message, its parts a blank line apart.
pub(crate) fn text_of(message: &Message) -> Cow<'_, str> {
    let mut texts = message.parts.iter().filter_map(readable).filter(|text| !text.is_empty());
    let Some(first) = texts.next() else { return Cow::Borrowed("") };
    texts.fold(first, |mut all, text| {
        let _ = write!(all.to_mut(), "\n\n{text}");
        all
    })
}

/// The text of a part that is words; nothing for the others. A file that only has an id is named, not sent.
pub(crate) fn readable(part: &Part) -> Option<Cow<'_, str>> {
    match part {
        Part::Text { text } => Some(Cow::Borrowed(text)),
        Part::File { media_type, name, .. } => Some(Cow::Owned(file_words(name, media_type, None))),
        Part::ContextFile { path, text } => Some(Cow::Owned(format!("[file {path:?}]\n{text}"))),
        Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } | Part::Source { .. } => None,
    }
}

/// A tool's answer with what came with it.
pub(crate) struct ResultWithFiles<'m> {
    pub(crate) result: &'m Value,
    pub(crate) is_error: bool,
    /// Files, or words in the place of files.
    pub(crate) files: &'m [Part],
}

/// The answers that a message of a tool holds, in order.
pub(crate) fn results_of(message: &Message) -> impl Iterator<Item = ResultWithFiles<'_>> {
    let parts = message.parts.as_slice();
    parts.iter().enumerate().filter_map(|(index, part)| match part {
        Part::ToolResult { result, is_error, provider_executed: false, .. } => {
            let rest = &parts[index + 1..];
            let end = rest.iter().position(|part| !matches!(part, Part::File { .. } | Part::Text { .. }));
            Some(ResultWithFiles { result, is_error: *is_error, files: &rest[..end.unwrap_or(rest.len())] })
        }
        _ => None,
    })
}

/// A tool's result: its text, or its JSON.
pub(crate) fn result_text(result: &Value) -> Cow<'_, str> {
    match result {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        value => Cow::Owned(value.to_string()),
    }
}

/// A result in a protocol that has no field for errors: an error is marked in the text.
pub(crate) fn marked_result(result: &Value, is_error: bool) -> Cow<'_, str> {
    let text = result_text(result);
    if is_error { Cow::Owned(format!("Error: {text}")) } else { text }
}

/// What another provider ran itself, as a line of text; nothing for a result that says nothing.
pub(crate) fn foreign(part: &Part) -> Option<String> {
    match part {
        Part::ToolCall { name, args, .. } => Some(format!("[{name} was called with {args}]")),
        Part::ToolResult { name, result, is_error, .. } => {
            let is_empty = matches!(result, Value::Null) || result.as_str().is_some_and(|text| text.trim().is_empty());
            (!is_empty).then(|| format!("[{name} answered: {}]", marked_result(result, *is_error)))
        }
        _ => None,
    }
}
