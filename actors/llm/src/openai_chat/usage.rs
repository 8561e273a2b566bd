//! Token figures, in the dialects of compatible servers.

use serde_json::Value;
use verbatim_events::message::Usage;

/// Reads a `usage` object; nothing if it holds no figure.
pub(super) fn read(value: &Value) -> Option<Usage> {
    let at = |pointers: &[&str]| pointers.iter().find_map(|pointer| value.pointer(pointer)?.as_u64());
    let prompt = at(&["/prompt_tokens", "/input_tokens"]);
    let made = at(&["/completion_tokens", "/output_tokens"]);
    if prompt.is_none() && made.is_none() {
        return None;
    }
    let (prompt, made) = (prompt.unwrap_or(0), made.unwrap_or(0));
    let read = at(&["/prompt_tokens_details/cached_tokens", "/prompt_cache_hit_tokens", "/cached_tokens"]);
    let read = read.unwrap_or(0).min(prompt);
    let written = at(&["/prompt_tokens_details/cache_write_tokens", "/cache_creation_input_tokens"]);
    let written = written.unwrap_or(0).min(prompt - read);
    let reasoning = at(&["/completion_tokens_details/reasoning_tokens", "/reasoning_tokens"]).unwrap_or(0);
    // Some servers count reasoning beside the completion instead of within it; the total gives them away.
    let beside = at(&["/total_tokens"]).is_some_and(|total| {
        reasoning > 0 && prompt.checked_add(made).and_then(|sum| sum.checked_add(reasoning)) == Some(total)
    });
    let output_tokens = if beside { made.saturating_add(reasoning) } else { made };
    Some(Usage {
        input_tokens: prompt - read - written,
        output_tokens,
        cache_read_tokens: read,
        cache_write_tokens: written,
        reasoning_tokens: reasoning.min(output_tokens),
    })
}
