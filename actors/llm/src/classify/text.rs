//! Reading an error's text: which words are in it, and which status it names.

/// The longest text that is read; an error that needs more to say what it is says nothing.
const TEXT_MAX_BYTES: usize = 64 * 1024;

/// Statuses that mean something even where they stand alone.
const LONE_STATUSES: [u16; 9] = [401, 403, 408, 429, 500, 502, 503, 504, 529];

/// The text in lower case, cut to what is worth reading.
pub(super) fn lower(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_MAX_BYTES)].to_lowercase()
}

/// Any of `needles` is in the text.
pub(super) fn has_any(text: &str, needles: &[&str]) -> bool {
    needles.iter().any(|needle| text.contains(needle))
}

/// `word` is in the text and no part of a longer word: "eof" is not in "typeof".
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// `second` follows `first` within `distance_bytes`, on the same line.
pub(super) fn has_near(text: &str, first: &str, second: &str, distance_bytes: usize) -> bool {
    text.match_indices(first).any(|(at, _)| {
        let rest = &text[at + first.len()..];
        let rest = &rest[..rest.floor_char_boundary(distance_bytes + second.len())];
        rest.lines().next().is_some_and(|line| line.contains(second))
    })
}

/// The HTTP status that a text in lower case names: the number after "status", "status code" or "http", else a lone one of
/// the statuses that matter. A port and a stream's id are no statuses.
pub(super) fn status_in(text: &str) -> Option<u16> {
    let mut named: Vec<(usize, u16)> = ["status", "http"]
        .into_iter()
        .flat_map(|word| text.match_indices(word).map(move |(at, _)| (at, at + word.len())))
        .filter_map(|(at, end)| Some((at, number_after(&text[end..])?)))
        .collect();
    named.sort_unstable();
    named.first().map(|(_, status)| *status).or_else(|| lone_status(text))
}

/// The status at the start of what follows "status" or "http".
fn number_after(rest: &str) -> Option<u16> {
    let rest = rest.strip_prefix([' ', '_', '-']).and_then(|rest| rest.strip_prefix("code")).unwrap_or(rest);
    let rest =
        ["/1.0", "/1.1", "/2.0", "/2", "/3"].iter().find_map(|version| rest.strip_prefix(version)).unwrap_or(rest);
    let rest = rest.trim_start_matches([' ', ':', '=', '"', '\'']);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let alone = !rest[digits..].starts_with(is_word);
    let status = rest[..digits].parse().ok().filter(|_| digits == 3 && alone)?;
    (400..600).contains(&status).then_some(status)
}

fn lone_status(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 3
            && let Ok(status) = text[at..at + 3].parse()
            && LONE_STATUSES.contains(&status)
            && stands_alone(&text[..at], &text[at + 3..])
        {
            return Some(status);
        }
        at += digits.max(1);
    }
    None
}

fn stands_alone(before: &str, after: &str) -> bool {
    let part_of_number = |edge: Option<char>, beyond: Option<char>| {
        matches!(edge, Some('.' | ',')) && beyond.is_some_and(|character| character.is_ascii_digit())
    };
    let mut left = before.chars().rev();
    let mut right = after.chars();
    let (left_edge, left_beyond) = (left.next(), left.next());
    let (right_edge, right_beyond) = (right.next(), right.next());
    let port = left_edge == Some(':');
    let stream_id = before.trim_end_matches([' ', '=', '#', ':']).ends_with("stream id");
    !port
        && !stream_id
        && !left_edge.is_some_and(is_word)
        && !right_edge.is_some_and(is_word)
        && !part_of_number(left_edge, left_beyond)
        && !part_of_number(right_edge, right_beyond)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
