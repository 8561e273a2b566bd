//! Emphasis, code, links: what stands within a line.

use crate::cli::chat::text::{Colour, Face, Row};

/// Marks of emphasis: longer ones first.
const MARKS: [(&str, Emphasis); 6] = [
    ("***", Emphasis::Both),
    ("**", Emphasis::Strong),
    ("__", Emphasis::Strong),
    ("~~", Emphasis::Struck),
    ("*", Emphasis::Light),
    ("_", Emphasis::Light),
];

#[derive(Clone, Copy, Debug)]
enum Emphasis {
    Light,
    Strong,
    Both,
    Struck,
}

impl Emphasis {
    fn on(self, face: Face) -> Face {
        match self {
            Emphasis::Light => Face { italic: true, ..face },
            Emphasis::Strong => Face { bold: true, ..face },
            Emphasis::Both => Face { bold: true, italic: true, ..face },
            Emphasis::Struck => Face { struck: true, ..face },
        }
    }
}

/// Emphasis within emphasis beyond this stays as it is written.
const DEPTH_MAX: usize = 8;

/// The spans of a line, upon a face of its own.
pub(super) fn spans(line: &str, face: Face) -> Row {
    let mut row = Row::default();
    put(&mut row, line, face, DEPTH_MAX);
    row
}

fn put(row: &mut Row, text: &str, face: Face, depth: usize) {
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let taken = match character {
            '\\' => escaped(row, rest, face),
            '`' => code(row, rest, face),
            '*' | '_' | '~' if depth > 0 => emphasis(row, text, at, face, depth),
            '[' if depth > 0 => link(row, rest, face, depth),
            '!' if depth > 0 && rest[1..].starts_with('[') => link(row, &rest[1..], face, depth).map(|taken| taken + 1),
            _ => None,
        };
        let taken = taken.unwrap_or_else(|| {
            row.push(&rest[..character.len_utf8()], face);
            character.len_utf8()
        });
        at += taken;
    }
}

/// A backslash before a mark: the mark itself.
fn escaped(row: &mut Row, rest: &str, face: Face) -> Option<usize> {
    let mark = rest[1..].chars().next().filter(char::is_ascii_punctuation)?;
    row.push(&mark.to_string(), face);
    Some(1 + mark.len_utf8())
}

/// Code between as many backticks as began it.
fn code(row: &mut Row, rest: &str, face: Face) -> Option<usize> {
    let length = rest.chars().take_while(|character| *character == '`').count();
    let inner = &rest[length..];
    let mut from = 0;
    let end = loop {
        let begin = from + inner[from..].find('`')?;
        let run = inner[begin..].chars().take_while(|character| *character == '`').count();
        if run == length {
            break begin;
        }
        from = begin + run;
    };
    let said = &inner[..end];
    let is_padded = said.starts_with(' ') && said.ends_with(' ') && !said.trim().is_empty();
    let said = if is_padded { &said[1..said.len() - 1] } else { said };
    row.push(said, Face { colour: Some(Colour::Cyan), ..face });
    Some(length + end + length)
}

/// Text between two equal marks, the first before a word, the second behind one.
fn emphasis(row: &mut Row, text: &str, at: usize, face: Face, depth: usize) -> Option<usize> {
    let rest = &text[at..];
    let before = text[..at].chars().next_back();
    let (mark, emphasis) = MARKS.into_iter().find(|(mark, _)| rest.starts_with(mark))?;
    let inner = &rest[mark.len()..];
    let is_within_word = mark.starts_with('_') && before.is_some_and(char::is_alphanumeric);
    if is_within_word || inner.chars().next().is_none_or(char::is_whitespace) {
        return None;
    }
    let end = closing(inner, mark)?;
    put(row, &inner[..end], emphasis.on(face), depth - 1);
    Some(mark.len() + end + mark.len())
}

/// Where `mark` closes what it opened.
fn closing(inner: &str, mark: &str) -> Option<usize> {
    let sign = mark.chars().next()?;
    let mut from = 0;
    loop {
        let at = from + inner[from..].find(mark)?;
        let before = inner[..at].chars().next_back();
        // Of a longer run the last marks close; the ones before belong to what stands inside.
        let run = inner[at..].chars().take_while(|character| *character == sign).count();
        let surplus = run - mark.len();
        let after = inner[at + run..].chars().next();
        let ends_word = before.is_some_and(|character| !character.is_whitespace() && character != '\\');
        let within_word = sign == '_' && after.is_some_and(char::is_alphanumeric);
        let is_other = mark.len() == 1 && run == 2;
        if ends_word && !within_word && !is_other {
            return Some(at + surplus);
        }
        from = at + run;
    }
}

/// `[text](address)`: the text, and the address unless it is the same.
fn link(row: &mut Row, rest: &str, face: Face, depth: usize) -> Option<usize> {
    let middle = rest.find("](")?;
    let label = &rest[1..middle];
    let target = &rest[middle + 2..];
    let end = target.find(')')?;
    let address = target[..end].split_whitespace().next().unwrap_or_default();
    if label.contains('[') {
        return None;
    }
    put(row, label, Face { underlined: true, ..face }, depth - 1);
    if !address.is_empty() && address != label {
        row.push(&format!(" ({address})"), Face { dim: true, ..face });
    }
    Some(middle + 2 + end + 1)
}
