//! What a tool answered, as the model reads it: text joined, structure kept, everything else described; all of it
//! bounded, since it becomes an event for ever.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Value, json};
use verbatim_events::tool::ToolAnswer;

use super::{schema, words};

/// The most text of one answer, in bytes; the batch cuts it further to what fits the model.
const TEXT_MAX_BYTES: usize = 1024 * 1024;
/// The largest structured part of an answer, in bytes of JSON.
const STRUCTURE_MAX_BYTES: usize = 1024 * 1024;
/// The deepest structured part of an answer, in levels. It lies some levels deep in an event, which must be readable.
const STRUCTURE_DEPTH_MAX: usize = 48;
/// The most parts of an answer that are looked at.
const PARTS_MAX: usize = 1_000;
/// The longest description of what is not shown, in bytes.
const DESCRIPTION_MAX_BYTES: usize = 500;

/// Turns an answer into the one for the model.
pub(super) fn convert(answer: CallToolResult) -> ToolAnswer {
    let is_error = answer.is_error == Some(true);
    let text = text(&answer.content);
    let result = match answer.structured_content.map(structure) {
        None => Value::String(text),
        // Servers repeat the structure as text for clients that know no structure.
        Some(Ok(structure)) if repeats(&text, &structure) => structure,
        Some(Ok(structure)) => json!({ "text": text, "structured": structure }),
        Some(Err(problem)) => Value::String(joined(text, problem)),
    };
    ToolAnswer { result, is_error, ..ToolAnswer::default() }
}

fn structure(value: Value) -> Result<Value, &'static str> {
    if schema::depth(&value) > STRUCTURE_DEPTH_MAX {
        return Err("[structured content: nested too deeply to be shown]");
    }
    if serde_json::to_vec(&value).map_or(usize::MAX, |bytes| bytes.len()) > STRUCTURE_MAX_BYTES {
        return Err("[structured content: too large to be shown]");
    }
    Ok(value)
}

fn repeats(text: &str, structure: &Value) -> bool {
    text.is_empty() || serde_json::from_str::<Value>(text).is_ok_and(|value| value == *structure)
}

fn text(parts: &[ContentBlock]) -> String {
    let mut text = String::new();
    for part in parts.iter().take(PARTS_MAX) {
        if text.len() > TEXT_MAX_BYTES {
            break;
        }
        text = joined(text, &shown(part));
    }
    if parts.len() > PARTS_MAX {
        text = joined(text, &format!("[{} more parts]", parts.len() - PARTS_MAX));
    }
    words::cut(&text, TEXT_MAX_BYTES)
}

fn joined(mut text: String, more: &str) -> String {
    if !text.is_empty() && !more.is_empty() {
        text.push('\n');
    }
    text.push_str(more);
    text
}

fn shown(part: &ContentBlock) -> String {
    match part {
        ContentBlock::Text(text) => words::clean(&text.text, TEXT_MAX_BYTES),
        ContentBlock::Image(image) => encoded("image", &image.mime_type, None, &image.data),
        ContentBlock::Audio(audio) => encoded("audio", &audio.mime_type, None, &audio.data),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => {
                let head = words::line(&format!("[resource {uri}]"), DESCRIPTION_MAX_BYTES);
                joined(head, &words::clean(text, TEXT_MAX_BYTES))
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                encoded("resource", mime_type.as_deref().unwrap_or("unknown type"), Some(uri), blob)
            }
            _ => "[a resource of a kind that is not known here]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => {
            let kind = link.mime_type.as_deref().unwrap_or("unknown type");
            words::line(&format!("[resource {:?} at {}, {kind}]", link.name, link.uri), DESCRIPTION_MAX_BYTES)
        }
        _ => "[content of a kind that is not known here]".to_owned(),
    }
}

/// Describes what came as base64.
fn encoded(what: &str, kind: &str, uri: Option<&str>, data: &str) -> String {
    let bytes = data.trim_end_matches('=').len() / 4 * 3 + data.trim_end_matches('=').len() % 4 * 3 / 4;
    let place = uri.map(|uri| format!(" {uri}")).unwrap_or_default();
    words::line(&format!("[{what}{place}: {kind}, {bytes} bytes, not shown]"), DESCRIPTION_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(answer: Value) -> ToolAnswer {
        convert(serde_json::from_value(answer).expect("it is an answer"))
    }

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!([]), |inner, _| json!([inner]))
    }

    #[test]
    fn text_is_joined_and_other_content_described() {
        let answer = converted(json!({ "content": [
            { "type": "text", "text": "one" },
            { "type": "text", "text": "two\u{1b}[31m" },
            { "type": "image", "data": "aGVsbG8=", "mimeType": "image/png" },
            { "type": "audio", "data": "aGVsbG8h", "mimeType": "audio/wav" },
            { "type": "resource", "resource": { "uri": "file:///a", "text": "inside" } },
            { "type": "resource", "resource": { "uri": "file:///b", "blob": "aGk=", "mimeType": "a/b" } },
            { "type": "resource_link", "uri": "file:///c", "name": "c" },
        ] }));
        let lines = [
            "one",
            "two[31m",
            "[image: image/png, 5 bytes, not shown]",
            "[audio: audio/wav, 6 bytes, not shown]",
            "[resource file:///a]",
            "inside",
            "[resource file:///b: a/b, 2 bytes, not shown]",
            "[resource \"c\" at file:///c, unknown type]",
        ];
        assert_eq!(answer, ToolAnswer::ok(lines.join("\n")));
    }

    #[test]
    fn structure_is_kept_once_and_errors_stay_errors() {
        let text = |text: &str| json!([{ "type": "text", "text": text }]);
        let both = converted(json!({ "content": text("{\"a\": 1}"), "structuredContent": { "a": 1 } }));
        assert_eq!(both.result, json!({ "a": 1 }));
        let different = converted(json!({ "content": text("see"), "structuredContent": { "a": 1 } }));
        assert_eq!(different.result, json!({ "text": "see", "structured": { "a": 1 } }));
        let error = converted(json!({ "content": text("no such file"), "isError": true }));
        assert_eq!(error, ToolAnswer::error("no such file"));
        assert_eq!(converted(json!({ "content": [] })), ToolAnswer::ok(""));
    }

    #[test]
    fn bombs_are_bounded() {
        let deep = converted(json!({ "content": [], "structuredContent": nested(STRUCTURE_DEPTH_MAX + 1) }));
        assert_eq!(deep.result, json!("[structured content: nested too deeply to be shown]"));
        assert!(
            converted(json!({ "content": [], "structuredContent": nested(STRUCTURE_DEPTH_MAX) })).result.is_array()
        );
        let large = vec![0; STRUCTURE_MAX_BYTES];
        let large = converted(json!({ "content": [], "structuredContent": large }));
        assert_eq!(large.result, json!("[structured content: too large to be shown]"));

        let long = json!([{ "type": "text", "text": "x".repeat(3 * TEXT_MAX_BYTES) }]);
        let Value::String(long) = converted(json!({ "content": long })).result else { panic!("it is text") };
        assert!(long.len() < TEXT_MAX_BYTES + 64 && long.ends_with("more bytes)"), "{}", long.len());

        let many: Vec<Value> = (0..PARTS_MAX + 5).map(|_| json!({ "type": "text", "text": "x" })).collect();
        let Value::String(many) = converted(json!({ "content": many })).result else { panic!("it is text") };
        assert!(many.ends_with("x\n[5 more parts]"), "{}", many.len());
    }
}
