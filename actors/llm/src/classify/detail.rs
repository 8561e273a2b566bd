//! What of a provider's own words may be shown: one line, short, without links, keys or, on request, ids.

use serde_json::Value;

use crate::secret::Secret;

/// The longest detail, in characters.
pub const DETAIL_MAX_CHARACTERS: usize = 500;

/// How much of an upstream's nested answer is read for classification.
const UPSTREAM_MAX_BYTES: usize = 2048;

/// How the keys of known providers begin. A word this long that begins so is not shown.
const KEY_PREFIXES: [&str; 8] = ["sk-", "sk_", "pk-", "gsk_", "xai-", "AIza", "key-", "hf_"];
const KEY_MIN_BYTES: usize = 12;

/// How the ids of a provider's items begin.
const ID_PREFIXES: [&str; 9] = ["call_", "fc_", "rs_", "msg_", "resp_", "item_", "ws_", "toolu_", "req_"];

/// An error in the provider's own structure.
#[derive(Debug, Default)]
pub(super) struct Structured {
    /// Its message.
    pub message: String,
    /// All that it says, for classification: message, type, code, status and an upstream's answer.
    pub all: String,
}

/// Reads the structure of an error's body, if it has one; a body that only ends in JSON counts.
pub(super) fn structured(body: &str) -> Option<Structured> {
    let parsed = serde_json::from_str(body).ok().or_else(|| {
        let (from, to) = (body.find('{')?, body.rfind('}')?);
        serde_json::from_str(body.get(from..=to)?).ok()
    })?;
    let value = match parsed {
        Value::Array(items) => items.into_iter().next()?,
        value => value,
    };
    let error = value.get("error").filter(|error| !error.is_null());
    let message = [
        error.and_then(|error| error.get("message")),
        value.get("message"),
        error,
        value.pointer("/detail/0/msg"),
        value.get("detail"),
    ]
    .into_iter()
    .flatten()
    .find_map(|candidate| candidate.as_str().filter(|text| !text.trim().is_empty()))?
    .to_owned();
    let mut all = message.clone();
    for holder in error.into_iter().chain([&value]) {
        for field in ["type", "code", "status"] {
            match holder.get(field) {
                Some(Value::String(text)) => all.extend([" ", text.as_str()]),
                Some(Value::Number(number)) => all.extend([" ", &number.to_string()]),
                _ => {}
            }
        }
    }
    if let Some(upstream) = error.and_then(|error| error.pointer("/metadata/raw")).and_then(Value::as_str) {
        all.extend([" ", &upstream[..upstream.floor_char_boundary(UPSTREAM_MAX_BYTES)]]);
    }
    Some(Structured { message, all })
}

/// A provider's own words as they may be shown; nothing if nothing is left of them.
pub(crate) fn shown(text: &str, secret: Option<&Secret>) -> Option<String> {
    let key = secret.map(Secret::expose).filter(|key| !key.is_empty());
    let mut words = Vec::new();
    let mut after_bearer = false;
    let gap = |character: char| character.is_whitespace() || character.is_control();
    for word in text.split(gap).filter(|word| !word.is_empty()) {
        let bare = word.trim_matches(|character: char| !character.is_alphanumeric());
        words.push(if after_bearer { "[key]".to_owned() } else { harmless(word, key) });
        after_bearer = bare.eq_ignore_ascii_case("bearer");
    }
    let line = words.join(" ");
    (!line.is_empty()).then(|| shortened(&line))
}

/// The raw text of an error as it may be shown. Text that holds a link is not shown at all: it may be all address.
pub(super) fn raw(text: &str, secret: Option<&Secret>) -> Option<String> {
    if text.contains("://") { None } else { shown(text, secret) }
}

/// The text with the ids of the provider's items made unreadable.
pub(super) fn without_ids(text: &str) -> String {
    replace_tokens(text, |token| ID_PREFIXES.iter().any(|prefix| starts_longer(token, prefix, 4)).then_some("[id]"))
}

/// A word without addresses and keys.
fn harmless(word: &str, key: Option<&str>) -> String {
    let word = without_link(word);
    let word = key.map_or(word.clone(), |key| word.replace(key, "[key]"));
    let is_key =
        |token: &str| token.len() >= KEY_MIN_BYTES && KEY_PREFIXES.iter().any(|prefix| starts_longer(token, prefix, 4));
    replace_tokens(&word, |token| is_key(token).then_some("[key]"))
}

fn starts_longer(token: &str, prefix: &str, more_bytes: usize) -> bool {
    token.starts_with(prefix) && token.len() >= prefix.len() + more_bytes
}

/// Replaces each run of letters, digits, `_`, `-` and `*` that `replacement` has something for.
fn replace_tokens(text: &str, replacement: impl Fn(&str) -> Option<&'static str>) -> String {
    let in_token = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '*');
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let token = &rest[..rest.find(|character| !in_token(character)).unwrap_or(rest.len())];
        result.push_str(replacement(token).unwrap_or(token));
        rest = &rest[token.len()..];
        let gap = &rest[..rest.find(in_token).unwrap_or(rest.len())];
        result.push_str(gap);
        rest = &rest[gap.len()..];
    }
    result
}

/// A word in which an address, from its scheme to the word's end, is replaced; closing brackets and stops are kept.
fn without_link(word: &str) -> String {
    let Some(at) = word.find("://") else { return word.to_owned() };
    let scheme =
        word[..at].bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?', '"', '\'', '>', ')', ']', '}', '`']);
    format!("{}[link]{}", &word[..at - scheme], &word[bare.len().max(at + 3)..])
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(DETAIL_MAX_CHARACTERS) {
        None => line.to_owned(),
        Some(_) => {
            let mut cut: String = line.chars().take(DETAIL_MAX_CHARACTERS - 1).collect();
            cut.push('…');
            cut
        }
    }
}
