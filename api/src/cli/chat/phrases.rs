//! Words about what happens: waits, calls, answers of tools. Pure.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::cli::output::{harmless, shortened};

/// Characters of a call's arguments that are shown.
const ARGS_CHARACTERS: usize = 160;

/// Characters of a tool's answer that are shown.
const RESULT_CHARACTERS: usize = 200;

/// Characters of one value among a call's arguments.
const VALUE_CHARACTERS: usize = 60;

/// What is said while a turn waits for its place.
pub(super) const WAITS_FOR_CAPACITY: &str = "waiting: as many turns are at work as may be at once";

/// A time that is left, as people say it: exact where it is short, rounded up where it is long.
pub(super) fn left(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match ms {
        0 => "now".to_owned(),
        1..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        3_600_000..172_800_000 => format!("{}:{:02} h", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time that has passed.
pub(super) fn passed(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long it is until a time of the server's, by the clock of this machine; nothing of what it says is too far off to show.
pub(super) fn until(time: &str, now: DateTime<Utc>) -> Option<u64> {
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    Some(u64::try_from((time.to_utc() - now).num_milliseconds()).unwrap_or(0))
}

/// How long ago a time of the server's was.
pub(super) fn ago(time: &str, now: DateTime<Utc>) -> String {
    let Ok(time) = DateTime::parse_from_rfc3339(time) else { return String::new() };
    let minutes = (now - time.to_utc()).num_minutes();
    match minutes {
        ..1 => "just now".to_owned(),
        1..60 => format!("{minutes} min ago"),
        60..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

/// A call in one line: the tool, and its arguments by name.
pub(super) fn call(name: &str, args: &Value) -> String {
    let args = match args {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}: {}", self::value(value)));
            members.collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        other => value(other),
    };
    format!("{}({})", harmless(name), shortened(&args, ARGS_CHARACTERS))
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shortened(text, VALUE_CHARACTERS)),
        other => shortened(&other.to_string(), VALUE_CHARACTERS),
    }
}

/// A tool's answer in one line.
pub(super) fn result(result: &Value) -> String {
    let said = match result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let lines = said.trim_end().lines().count();
    let short = shortened(&said, RESULT_CHARACTERS);
    if lines > 1 { format!("{short} ({lines} lines)") } else { short }
}

/// An attempt that failed.
pub(super) fn failed_attempt(attempt: u64, error: &str, delay_ms: u64) -> String {
    let error = harmless(error.trim_end_matches('.'));
    format!("attempt {attempt} failed: {error}; the next one in {}", left(delay_ms))
}

/// The sentence of an error for a person, with the provider's own words if there are any.
pub(super) fn error(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("no reason was given");
    match error["detail"].as_str() {
        Some(detail) if detail != message => format!("{message} ({detail})"),
        Some(_) | None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn countdowns() {
        let cases = [
            (0, "now"),
            (90, "0.0 s"),
            (999, "0.9 s"),
            (1_250, "1.2 s"),
            (9_999, "9.9 s"),
            (10_000, "10 s"),
            (59_001, "60 s"),
            (60_000, "1:00 min"),
            (299_500, "5:00 min"),
            (3_600_000, "1:00 h"),
            (86_400_000, "24:00 h"),
            (172_800_000, "2 days"),
            (u64::MAX, "213503982334 days"),
        ];
        for (ms, text) in cases {
            assert_eq!(left(ms), text, "{ms}");
        }
        assert_eq!(
            [passed(900), passed(59_999), passed(61_000), passed(7_260_000)],
            ["0 s", "59 s", "1:01 min", "2:01 h"]
        );
    }

    #[test]
    fn times_of_the_server() {
        let now = DateTime::parse_from_rfc3339("2030-01-01T12:00:00Z").unwrap().to_utc();
        assert_eq!(until("2030-01-01T12:00:01.500Z", now), Some(1500));
        assert_eq!(until("2030-01-01T11:59:59Z", now), Some(0));
        assert_eq!(until("soon", now), None);
        assert_eq!(ago("2030-01-01T11:59:59Z", now), "just now");
        assert_eq!(ago("2030-01-01T11:15:00Z", now), "45 min ago");
        assert_eq!(ago("2029-12-31T10:00:00Z", now), "26 h ago");
        assert_eq!(ago("2029-12-20T10:00:00Z", now), "12 days ago");
    }

    #[test]
    fn calls_and_answers_fit_on_a_line() {
        let args = json!({ "path": "a\n b", "limit": 3, "text": "x".repeat(500) });
        let line = call("read\u{1b}", &args);
        assert!(line.starts_with("read\u{fffd}(limit: 3, path: \"a b\", text: \"xxx"), "{line}");
        assert!(line.ends_with("…\")") && line.chars().count() < 180, "{line}");
        assert_eq!(call("look", &json!({})), "look()");
        assert_eq!(result(&json!("one\ntwo\n")), "one two (2 lines)");
        assert_eq!(result(&json!({ "ok": true })), "{\"ok\":true}");
        assert!(result(&json!("x".repeat(900))).chars().count() <= RESULT_CHARACTERS);
    }

    #[test]
    fn failures() {
        assert_eq!(
            failed_attempt(2, "the provider is overloaded.", 1900),
            "attempt 2 failed: the provider is overloaded; the next one in 1.9 s"
        );
        assert_eq!(error(&json!({ "message": "busy", "detail": "try later" })), "busy (try later)");
    }
}
