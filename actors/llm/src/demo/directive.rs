//! What a user's message tells the demo model to do, between double square brackets.

use serde_json::{Value, json};

/// The longest wait before a token, in ms.
const SLOW_MAX_MS: u64 = 60_000;
/// The longest answer, in tokens.
const TOKENS_MAX: usize = 100_000;

/// The directives of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Directives {
    /// Wait this long before each token, in ms.
    pub slow_ms: u64,
    /// Answer with exactly so many tokens.
    pub tokens: Option<usize>,
    /// Fail before the answer begins.
    pub fail: Option<Fail>,
    /// Fall silent in mid-answer.
    pub stall: Option<Break>,
    /// Break off in mid-answer.
    pub cut: Option<Break>,
    /// Call these tools.
    pub tools: Vec<(String, Value)>,
    /// Think aloud first.
    pub reasoning: bool,
    /// Answer nothing.
    pub empty: bool,
    /// Refuse, as a provider's filter does.
    pub refuse: bool,
    /// Answer exactly this.
    pub say: Option<String>,
}

/// A failure that was ordered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fail {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
    /// How many attempts fail; all if absent.
    pub times: Option<u32>,
}

/// An interruption that was ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Break {
    /// Tokens before it.
    pub after_tokens: usize,
    /// How many attempts it befalls; all if absent.
    pub times: Option<u32>,
}

impl Directives {
    /// Some directive counts attempts.
    pub(super) fn counts(&self) -> bool {
        let fail = self.fail.as_ref().and_then(|fail| fail.times);
        fail.or(self.stall.and_then(|stall| stall.times)).or(self.cut.and_then(|cut| cut.times)).is_some()
    }
}

/// The directives in a text, and the text without them. What is no directive stays text.
pub(super) fn parse(text: &str) -> (Directives, String) {
    let mut directives = Directives::default();
    let mut said = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("[[") {
        said.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        match directive(inner, &mut directives) {
            Some(length) => rest = &inner[length..],
            None => {
                said.push_str("[[");
                rest = inner;
            }
        }
    }
    said.push_str(rest);
    (directives, said.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Reads one directive; gives the bytes it takes, closing brackets included.
fn directive(inner: &str, directives: &mut Directives) -> Option<usize> {
    if let Some(length) = inner.strip_prefix("tool ").and_then(|rest| tool(rest, &mut directives.tools)) {
        return Some("tool ".len() + length);
    }
    let end = inner.find("]]")?;
    if let Some(text) = inner[..end].strip_prefix("say ") {
        directives.say = Some(text.to_owned());
        return Some(end + 2);
    }
    let words: Vec<&str> = inner[..end].split_whitespace().collect();
    match words.as_slice() {
        ["slow", ms] => directives.slow_ms = ms.parse::<u64>().ok()?.min(SLOW_MAX_MS),
        ["tokens", count] => directives.tokens = Some(count.parse::<usize>().ok()?.min(TOKENS_MAX)),
        ["fail", status, options @ ..] => directives.fail = Some(fail(status, options)?),
        ["stall", options @ ..] => directives.stall = Some(interruption(options)?),
        ["cut", options @ ..] => directives.cut = Some(interruption(options)?),
        ["reasoning"] => directives.reasoning = true,
        ["empty"] => directives.empty = true,
        ["refuse"] => directives.refuse = true,
        _ => return None,
    }
    Some(end + 2)
}

/// `NAME` or `NAME {json}`, up to the closing brackets; the JSON may hold brackets itself.
fn tool(rest: &str, tools: &mut Vec<(String, Value)>) -> Option<usize> {
    let start = rest.len() - rest.trim_start().len();
    let name_end = start + rest[start..].find(|character: char| character.is_whitespace() || character == ']')?;
    let name = &rest[start..name_end];
    let args_at = rest.len() - rest[name_end..].trim_start().len();
    let (args, args_end) = if rest[args_at..].starts_with("]]") {
        (json!({}), args_at)
    } else {
        let mut values = serde_json::Deserializer::from_str(&rest[args_at..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        (value, args_at + values.byte_offset())
    };
    let close = rest.len() - rest[args_end..].trim_start().len();
    if name.is_empty() || !rest[close..].starts_with("]]") {
        return None;
    }
    tools.push((name.to_owned(), args));
    Some(close + 2)
}

fn fail(status: &str, options: &[&str]) -> Option<Fail> {
    let status = status.parse().ok().filter(|status| (400..600).contains(status))?;
    let mut fail = Fail { status, retry_after: None, times: None };
    for option in options.chunks(2) {
        match option {
            ["retry-after", seconds] => fail.retry_after = Some((*seconds).to_owned()),
            ["times", count] => fail.times = Some(count.parse().ok()?),
            _ => return None,
        }
    }
    Some(fail)
}

fn interruption(options: &[&str]) -> Option<Break> {
    let (after_tokens, times) = match options {
        [] => (0, None),
        [after] => (after.parse().ok()?, None),
        ["times", count] => (0, Some(count.parse().ok()?)),
        [after, "times", count] => (after.parse().ok()?, Some(count.parse().ok()?)),
        _ => return None,
    };
    Some(Break { after_tokens, times })
}
