//! How much of a tool's answer a model gets: its beginning and its end, and how much is missing between them.

use serde_json::Value;

/// The least that any model gets of an answer, in bytes.
const BUDGET_MIN_BYTES: usize = 16 * 1024;
/// What a model gets whose window nobody knows, in bytes.
const BUDGET_UNKNOWN_BYTES: usize = 64 * 1024;
/// Bytes of text per token, roughly.
const BYTES_PER_TOKEN: u64 = 3;
/// One answer may take this part of the window.
const WINDOW_SHARE: u64 = 3;

/// The most bytes of one answer that a model with this window gets.
pub fn budget_bytes(context_window: Option<u64>) -> usize {
    let Some(window) = context_window else { return BUDGET_UNKNOWN_BYTES };
    let bytes = window / WINDOW_SHARE * BYTES_PER_TOKEN;
    usize::try_from(bytes).unwrap_or(usize::MAX).max(BUDGET_MIN_BYTES)
}

/// A text cut to about `budget` bytes: its first two thirds and its last third of them, with what is missing said in
/// between. Characters stay whole. `None` where it fits.
pub fn shorten_text(text: &str, budget: usize) -> Option<String> {
    if text.len() <= budget {
        return None;
    }
    let head = text.floor_char_boundary(budget / 3 * 2);
    let tail = text.ceil_char_boundary(text.len() - budget / 3);
    let missing = tail - head;
    Some(format!("{}\n[… {missing} of {} bytes are left out here …]\n{}", &text[..head], text.len(), &text[tail..]))
}

/// An answer cut to about `budget` bytes of JSON. Of an object or a list, the longest texts are cut first, so that it
/// keeps its shape; where that does not help, its JSON text is cut and the answer is that text.
pub fn shorten(result: Value, budget: usize) -> Value {
    if let Value::String(text) = &result {
        return shorten_text(text, budget).map_or(result, Value::String);
    }
    let text = result.to_string();
    if text.len() <= budget {
        return result;
    }
    let mut shaped = result;
    let over = text.len() - budget;
    if let Some(longest) = longest_text(&mut shaped)
        && longest.len() > over
        && let Some(cut) = shorten_text(longest, longest.len() - over)
    {
        *longest = cut;
        return shaped;
    }
    Value::String(shorten_text(&text, budget).unwrap_or(text))
}

/// The longest text among an object's fields.
fn longest_text(value: &mut Value) -> Option<&mut String> {
    let Value::Object(fields) = value else { return None };
    let texts = fields.values_mut().filter_map(|field| match field {
        Value::String(text) => Some(text),
        _ => None,
    });
    texts.max_by_key(|text| text.len())
}

#[cfg(test)]
mod tests;
