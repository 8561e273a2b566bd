//! Token figures.

use serde_json::Value;
use verbatim_events::message::Usage;

/// Reads a `usage` object; nothing if it holds no figure.
pub(super) fn read(value: &Value) -> Option<Usage> {
    let at = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    let (input, output) = (at("/input_tokens"), at("/output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let (input, output_tokens) = (input.unwrap_or(0), output.unwrap_or(0));
    let read = at("/input_tokens_details/cached_tokens").unwrap_or(0).min(input);
    let written = at("/input_tokens_details/cache_write_tokens").unwrap_or(0).min(input - read);
    Some(Usage {
        input_tokens: input - read - written,
        output_tokens,
        cache_read_tokens: read,
        cache_write_tokens: written,
        reasoning_tokens: at("/output_tokens_details/reasoning_tokens").unwrap_or(0).min(output_tokens),
    })
}
