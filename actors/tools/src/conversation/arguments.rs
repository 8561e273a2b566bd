//! Reading a call's arguments. They fit the tool's schema when they come here; what a schema cannot say is said here.

use serde_json::Value;
use verbatim_events::tool::ToolAnswer;

/// A text that must be there and say something.
pub(super) fn text(args: &Value, field: &str) -> Result<String, ToolAnswer> {
    match args.get(field).and_then(Value::as_str).map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(ToolAnswer::error(format!("{field} is missing or empty"))),
    }
}

/// A text that may be left out.
pub(super) fn optional_text(args: &Value, field: &str) -> Option<String> {
    let text = args.get(field).and_then(Value::as_str).map(str::trim)?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A number that may be left out, within its bounds.
pub(super) fn number(args: &Value, field: &str, default: u64, max: u64) -> u64 {
    args.get(field).and_then(Value::as_u64).unwrap_or(default).min(max)
}
