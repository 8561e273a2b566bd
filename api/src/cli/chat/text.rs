//! Rows of text with faces: measured, wrapped and cut by the columns that a terminal gives them. Pure.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Face {
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underlined: bool,
    pub struck: bool,
    pub colour: Option<Colour>,
}

/// A colour of the terminal's own palette, so that it fits what the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Face {
    pub(super) const PLAIN: Face =
        Face { bold: false, dim: false, italic: false, underlined: false, struck: false, colour: None };
    pub(super) const BOLD: Face = Face { bold: true, ..Face::PLAIN };
    pub(super) const DIM: Face = Face { dim: true, ..Face::PLAIN };
    pub(super) const RED: Face = Face { colour: Some(Colour::Red), ..Face::PLAIN };
    pub(super) const GREEN: Face = Face { colour: Some(Colour::Green), ..Face::PLAIN };
    pub(super) const YELLOW: Face = Face { colour: Some(Colour::Yellow), ..Face::PLAIN };
    pub(super) const CODE: Face = Face { colour: Some(Colour::Cyan), ..Face::PLAIN };

    /// The parameters of the terminal's "select graphic rendition"; empty for plain text.
    fn codes(self) -> String {
        let colour = self.colour.map(|colour| match colour {
            Colour::Red => "31",
            Colour::Green => "32",
            Colour::Yellow => "33",
            Colour::Cyan => "36",
        });
        let faces = [(self.bold, "1"), (self.dim, "2"), (self.italic, "3"), (self.underlined, "4"), (self.struck, "9")];
        let codes: Vec<&str> =
            faces.into_iter().filter_map(|(is_set, code)| is_set.then_some(code)).chain(colour).collect();
        codes.join(";")
    }
}

/// A piece of text in one face.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub text: String,
    pub face: Face,
}

/// One row of a screen, or one line before it is wrapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(pub Vec<Span>);

impl Row {
    /// A row in one face.
    pub(super) fn of(text: impl Into<String>, face: Face) -> Row {
        let text = text.into();
        Row(if text.is_empty() { Vec::new() } else { vec![Span { text, face }] })
    }

    /// A row without a face.
    pub(super) fn plain(text: impl Into<String>) -> Row {
        Row::of(text, Face::PLAIN)
    }

    /// Adds text at the end; it joins the last span when it looks the same.
    pub(super) fn push(&mut self, text: &str, face: Face) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.face == face => last.text.push_str(text),
            _ => self.0.push(Span { text: text.to_owned(), face }),
        }
    }

    /// The columns that it takes.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|span| width(&span.text)).sum()
    }

    /// As a terminal takes it; without `faces` the text alone.
    pub(super) fn painted(&self, faces: bool) -> String {
        let mut out = String::new();
        for span in &self.0 {
            match span.face.codes() {
                codes if faces && !codes.is_empty() => {
                    out.push_str(&format!("\u{1b}[{codes}m{}\u{1b}[0m", span.text));
                }
                _ => out.push_str(&span.text),
            }
        }
        out
    }

    /// At most `columns` of it; what was cut is marked.
    pub(super) fn cut(self, columns: usize) -> Row {
        if self.width() <= columns {
            return self;
        }
        let mut row = Row::default();
        let mut left = columns.saturating_sub(1);
        'spans: for span in self.0 {
            for cluster in span.text.graphemes(true) {
                match left.checked_sub(width(cluster)) {
                    Some(rest) => left = rest,
                    None => {
                        row.push("…", span.face);
                        break 'spans;
                    }
                }
                row.push(cluster, span.face);
            }
        }
        row
    }
}

/// The columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks a line into rows of at most `columns`, between words where it can. `first` stands before the first row,
/// `next` before all others.
pub(super) fn wrap(line: &Row, columns: usize, first: &Row, next: &Row) -> Vec<Row> {
    let columns = columns.max(first.width().max(next.width()) + 8);
    let mut rows = Vec::new();
    let mut row = first.clone();
    let mut used = first.width();
    let mut is_bare = true;
    for word in words(line) {
        let needed = word.width();
        let is_space = word.0.iter().all(|span| span.text.chars().all(|character| character == ' '));
        if used + needed > columns && !is_bare {
            rows.push(trimmed(std::mem::replace(&mut row, next.clone())));
            (used, is_bare) = (next.width(), true);
        }
        if is_bare && is_space && !rows.is_empty() {
            continue;
        }
        for span in word.0 {
            for cluster in span.text.graphemes(true) {
                let needed = width(cluster);
                if used + needed > columns {
                    rows.push(trimmed(std::mem::replace(&mut row, next.clone())));
                    used = next.width();
                }
                row.push(cluster, span.face);
                used += needed;
            }
        }
        is_bare = false;
    }
    rows.push(trimmed(row));
    rows
}

/// A line as words and the spaces between them, faces kept: a word may change its face within.
fn words(line: &Row) -> Vec<Row> {
    let mut words: Vec<(bool, Row)> = Vec::new();
    for span in &line.0 {
        let mut rest = span.text.as_str();
        while let Some(first) = rest.chars().next() {
            let is_space = first == ' ';
            let end = rest.find(|character| (character == ' ') != is_space).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            match words.last_mut() {
                Some((kind, word)) if *kind == is_space => word.push(piece, span.face),
                _ => words.push((is_space, Row::of(piece, span.face))),
            }
            rest = after;
        }
    }
    words.into_iter().map(|(_, word)| word).collect()
}

fn trimmed(mut row: Row) -> Row {
    while let Some(last) = row.0.last_mut() {
        last.text.truncate(last.text.trim_end_matches(' ').len());
        if !last.text.is_empty() {
            break;
        }
        row.0.pop();
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, columns: usize) -> Vec<String> {
        let rows = wrap(&Row::plain(text), columns, &Row::default(), &Row::default());
        rows.iter().map(|row| row.painted(false)).collect()
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("one two", 80), ["one two"]);
        assert_eq!(wrapped("", 80), [""]);
    }

    #[test]
    fn words_that_are_too_long_break_within() {
        assert_eq!(wrapped("abcdefghijkl mn", 8), ["abcdefgh", "ijkl mn"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("日本"), 4);
        assert_eq!(wrapped("日本語日本語日本語", 9), ["日本語日", "本語日本", "語"]);
    }

    #[test]
    fn rows_hang_under_their_mark() {
        let rows = wrap(&Row::plain("one two three"), 10, &Row::plain("• "), &Row::plain("  "));
        let rows: Vec<String> = rows.iter().map(|row| row.painted(false)).collect();
        assert_eq!(rows, ["• one two", "  three"]);
    }

    #[test]
    fn a_word_keeps_its_faces_across_a_break() {
        let mut line = Row::plain("one ");
        line.push("two th", Face::BOLD);
        line.push("ree", Face::PLAIN);
        let rows = wrap(&line, 8, &Row::default(), &Row::default());
        assert_eq!(rows[0].painted(true), "one \u{1b}[1mtwo\u{1b}[0m");
        assert_eq!(rows[1].painted(true), "\u{1b}[1mth\u{1b}[0mree");
    }

    #[test]
    fn cut_rows_say_so() {
        assert_eq!(Row::plain("abcdef").cut(4).painted(false), "abc…");
        assert_eq!(Row::plain("abcd").cut(4).painted(false), "abcd");
        assert_eq!(Row::plain("日本語").cut(4).painted(false), "日…");
    }
}
