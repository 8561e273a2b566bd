//! Stored JSON: one whole text, as deep as the log's may be.

use serde::Deserialize;

/// How deep stored JSON may nest. Everything enters through a parser that stops at 128 levels; an event adds a few of its
/// own, and must still be readable.
pub const NESTING_MAX: usize = 192;

/// Reads one whole JSON text that nests at most `deepest` levels.
pub(crate) fn read_json<'a, T: Deserialize<'a>>(data: &'a [u8], deepest: usize) -> Result<T, String> {
    if nesting(data) > deepest {
        return Err(format!("its JSON nests deeper than {deepest} levels"));
    }
    let mut reader = serde_json::Deserializer::from_slice(data);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|problem| format!("malformed JSON: {problem}"))
}

/// How deep a JSON text nests: open brackets outside of strings. Of other bytes, no less than a parser would find.
fn nesting(data: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in data {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_counts_open_brackets_outside_of_strings() {
        let table =
            [("1", 0), ("[]", 1), (r#"{"a":[1,[2]],"b":[3]}"#, 3), (r#"["[[","]\"[["]"#, 1), (r#"["\\",[]]"#, 2)];
        for (text, levels) in table {
            assert_eq!(nesting(text.as_bytes()), levels, "{text}");
        }
    }
}
