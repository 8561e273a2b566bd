//! The W3C's `traceparent` header: which trace a request belongs to, and which step of it asked.

use actix_web::http::header::HeaderMap;

/// The header's name.
pub const TRACEPARENT: &str = "traceparent";

/// A well-formed `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: u128,
    /// The step in it that sent the request.
    pub span_id: u64,
    /// The sender records this trace.
    pub sampled: bool,
}

impl TraceParent {
    /// The one of a request. One that is malformed, or given twice, counts as none: a broken trace breaks no request.
    pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
        let mut values = headers.get_all(TRACEPARENT);
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        TraceParent::parse(value.to_str().ok()?)
    }

    /// Reads `VERSION-TRACE-SPAN-FLAGS`. Later versions may add fields; version 00 has none more.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let mut fields = text.trim().split('-');
        let version = hexadecimal(fields.next()?, 2)?;
        let trace_id = hexadecimal(fields.next()?, 32)?;
        let span_id = u64::try_from(hexadecimal(fields.next()?, 16)?).ok()?;
        let flags = hexadecimal(fields.next()?, 2)?;
        let more = fields.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
            return None;
        }
        Some(TraceParent { trace_id, span_id, sampled: flags & 1 == 1 })
    }

    /// The trace's id as events carry it: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let valid = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if valid { u128::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests;
