//! Answers that the provider pauses: it stops after many calls of its own tools and wants to be given back what it said, as
//! it came, so that it goes on from there.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::pieces::text_at;

/// How often one answer is taken up again; one that is paused once more counts as cut.
pub(super) const PAUSES_MAX: usize = 8;

/// A block as it comes: its beginning with what its deltas added, and the input of a call, which comes as pieces of JSON.
#[derive(Clone, Debug)]
struct Raw {
    block: Value,
    input: String,
}

/// What the provider said, in its own words.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// What it said before it was taken up again.
    before: Vec<Value>,
    /// What it says since, by index.
    blocks: BTreeMap<u64, Raw>,
}

impl Said {
    /// An answer that goes on after this.
    pub(super) fn after(before: Vec<Value>) -> Said {
        Said { before, blocks: BTreeMap::new() }
    }

    /// A block begins.
    pub(super) fn begin(&mut self, index: u64, given: &Value) {
        self.blocks.insert(index, Raw { block: given.clone(), input: String::new() });
    }

    /// A block gets more.
    pub(super) fn take(&mut self, index: u64, delta: &Value) {
        let Some(Raw { block, input }) = self.blocks.get_mut(&index) else { return };
        match text_at(delta, "type") {
            "text_delta" => append(block, "text", text_at(delta, "text")),
            "thinking_delta" => append(block, "thinking", text_at(delta, "thinking")),
            "signature_delta" => append(block, "signature", text_at(delta, "signature")),
            "input_json_delta" => input.push_str(text_at(delta, "partial_json")),
            "citations_delta" => {
                if let (Some(citation), Some(fields)) = (delta.get("citation"), block.as_object_mut()) {
                    match fields.get_mut("citations").and_then(Value::as_array_mut) {
                        Some(citations) => citations.push(citation.clone()),
                        None => drop(fields.insert("citations".to_owned(), json!([citation]))),
                    }
                }
            }
            _ => {}
        }
    }

    /// All of it, to be given back; nothing where it cannot go on from there: nothing was said, a call waits for somebody
    /// else, or what was said cannot be read.
    pub(super) fn content(&self) -> Option<Vec<Value>> {
        let mut content = self.before.clone();
        for Raw { block, input } in self.blocks.values() {
            let mut block = block.clone();
            if !input.trim().is_empty() {
                block["input"] = serde_json::from_str(input).ok()?;
            }
            match text_at(&block, "type") {
                "tool_use" => return None,
                // The provider refuses what it said itself where that is blank.
                "text" if text_at(&block, "text").trim().is_empty() => {}
                _ => content.push(block),
            }
        }
        (!content.is_empty()).then_some(content)
    }
}

fn append(block: &mut Value, field: &str, text: &str) {
    match block.get_mut(field) {
        Some(Value::String(said)) => said.push_str(text),
        _ => block[field] = text.into(),
    }
}

/// The request with `content` as the model's own words behind its last message. Works on the bytes, since the bytes of
/// files are put into them later.
pub(super) fn with_answer(body: &[u8], content: &[Value]) -> Option<Vec<u8>> {
    let end = end_of_messages(body)?;
    let answer = json!({ "role": "assistant", "content": content }).to_string();
    Some([&body[..end], b",", answer.as_bytes(), &body[end..]].concat())
}

/// Where the list of messages ends.
fn end_of_messages(body: &[u8]) -> Option<usize> {
    let (mut depth, mut in_messages, mut is_escaped) = (0_usize, false, false);
    let mut string: Option<usize> = None;
    let mut last_string: &[u8] = b"";
    for (index, &byte) in body.iter().enumerate() {
        if let Some(start) = string {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => (last_string, string) = (&body[start..index], None),
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => string = Some(index + 1),
            b'{' | b'[' => {
                in_messages |= depth == 1 && byte == b'[' && last_string == b"messages";
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if in_messages && depth == 1 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}
