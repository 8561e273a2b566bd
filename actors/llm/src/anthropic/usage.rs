//! Token figures. The beginning and the end of an answer tell them; what is told again only grows.

use serde_json::Value;
use verbatim_events::message::Usage;

/// Takes a `usage` object into what is known already.
pub(super) fn take(known: &mut Option<Usage>, value: &Value) {
    let at = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
    let figures = [
        at("/input_tokens"),
        at("/output_tokens"),
        at("/cache_read_input_tokens"),
        at("/cache_creation_input_tokens"),
        at("/output_tokens_details/thinking_tokens"),
    ];
    if figures.iter().all(Option::is_none) {
        return;
    }
    let [input, output, read, written, thinking] = figures.map(Option::unwrap_or_default);
    let usage = known.get_or_insert_default();
    usage.input_tokens = usage.input_tokens.max(input);
    usage.output_tokens = usage.output_tokens.max(output);
    usage.cache_read_tokens = usage.cache_read_tokens.max(read);
    usage.cache_write_tokens = usage.cache_write_tokens.max(written);
    usage.reasoning_tokens = usage.reasoning_tokens.max(thinking).min(usage.output_tokens);
}
