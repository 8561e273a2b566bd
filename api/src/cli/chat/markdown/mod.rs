//! Markdown as it streams in: a line is rendered when it is complete, and never again. Pure.
//!
//! What needs a look ahead (underlined headings, the widths of a table's columns) stays as it was written.

mod inline;

use super::text::{Face, Row, width, wrap};
use crate::cli::output::harmless;

/// The longest row of running text: longer ones are hard to read.
const COLUMNS_MAX: usize = 100;

/// The longest frame around code.
const FRAME_COLUMNS: usize = 60;

/// Columns of a tab.
const TAB: &str = "    ";

/// A text on its way to the screen.
#[derive(Clone, Debug)]
pub(super) struct Markdown {
    is_rich: bool,
    /// The line that is not complete yet.
    line: String,
    /// The code block that is open.
    code: Option<Fence>,
}

/// How a code block began, and thereby how it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Markdown {
    /// A text that begins. Unless it is `is_rich` every line stays as it is.
    pub(super) fn new(is_rich: bool) -> Markdown {
        Markdown { is_rich, line: String::new(), code: None }
    }

    /// More of the text. Gives the rows of all lines that are complete now.
    pub(super) fn feed(&mut self, text: &str, columns: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece);
            if piece.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                rows.extend(self.rendered(line.trim_end_matches(['\n', '\r']), columns));
            }
        }
        rows
    }

    /// The rows of the line that is not complete yet, as it looks so far.
    pub(super) fn unfinished(&self, columns: usize) -> Vec<Row> {
        if self.line.is_empty() { Vec::new() } else { self.clone().rendered(&self.line, columns) }
    }

    /// The end of the text: gives the rows that are left, and is ready for another.
    pub(super) fn finish(&mut self, columns: usize) -> Vec<Row> {
        let line = std::mem::take(&mut self.line);
        let mut rows = if line.is_empty() { Vec::new() } else { self.rendered(&line, columns) };
        if self.code.take().is_some() && self.is_rich {
            rows.push(frame('╰', "", columns));
        }
        rows
    }

    /// Forgets what is not complete: it is void.
    pub(super) fn drop_unfinished(&mut self, columns: usize) -> Vec<Row> {
        self.line.clear();
        self.finish(columns)
    }

    fn rendered(&mut self, line: &str, columns: usize) -> Vec<Row> {
        let line = harmless(&line.replace('\t', TAB));
        if !self.is_rich {
            return vec![Row::plain(line)];
        }
        if let Some(fence) = &self.code {
            if fence.is_closed_by(&line) {
                self.code = None;
                return vec![frame('╰', "", columns)];
            }
            return vec![Row::of(without_indent(&line, fence.indent), Face::CODE)];
        }
        if let Some((fence, language)) = Fence::opened_by(&line) {
            self.code = Some(fence);
            return vec![frame('╭', &language, columns)];
        }
        block(&line, columns.min(COLUMNS_MAX))
    }
}

impl Fence {
    /// The fence that a line opens, and the language behind it.
    fn opened_by(line: &str) -> Option<(Fence, String)> {
        let indent = leading(line, ' ');
        let rest = &line[indent..];
        let mark = rest.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let length = leading(rest, mark);
        let language = rest[length..].trim();
        if length < 3 || (mark == '`' && language.contains('`')) {
            return None;
        }
        let language = language.split_whitespace().next().unwrap_or_default().to_owned();
        Some((Fence { mark, length, indent }, language))
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let rest = line.trim();
        leading(rest, self.mark) >= self.length && rest.chars().all(|character| character == self.mark)
    }
}

/// How many times a line begins with an ASCII character.
fn leading(line: &str, mark: char) -> usize {
    line.chars().take_while(|character| *character == mark).count()
}

fn without_indent(line: &str, indent: usize) -> &str {
    &line[leading(line, ' ').min(indent)..]
}

/// The top or the bottom of a frame. Its sides stay open, so that code can be copied from the screen.
fn frame(corner: char, language: &str, columns: usize) -> Row {
    let mut text = format!("{corner}─");
    if !language.is_empty() {
        text.push_str(&format!(" {language} "));
    }
    let left = columns.min(FRAME_COLUMNS).saturating_sub(width(&text));
    text.push_str(&"─".repeat(left));
    Row::of(text, Face::DIM).cut(columns)
}

/// A line outside of code.
fn block(line: &str, columns: usize) -> Vec<Row> {
    let indent = leading(line, ' ');
    let rest = &line[indent..];
    if rest.is_empty() {
        return vec![Row::default()];
    }
    if rest.starts_with('|') {
        return vec![Row::plain(line)];
    }
    if is_rule(rest) {
        return vec![Row::of("─".repeat(columns.min(FRAME_COLUMNS)), Face::DIM)];
    }
    if let Some((level, title)) = heading(rest) {
        let face = Face { bold: true, underlined: level == 1, dim: level > 3, ..Face::PLAIN };
        return wrap(&inline::spans(title, face), columns, &Row::default(), &Row::default());
    }
    if let Some(quoted) = rest.strip_prefix('>') {
        let bar = Row::of(format!("{}│ ", " ".repeat(indent)), Face::DIM);
        let line = inline::spans(quoted.strip_prefix(' ').unwrap_or(quoted), Face { italic: true, ..Face::PLAIN });
        return wrap(&line, columns, &bar, &bar);
    }
    let (mark, text) = item(rest).unwrap_or_else(|| (String::new(), rest));
    let mut first = Row::plain(" ".repeat(indent));
    first.push(&mark, Face::PLAIN);
    let next = Row::plain(" ".repeat(indent + width(&mark)));
    wrap(&inline::spans(text, Face::PLAIN), columns, &first, &next)
}

fn is_rule(rest: &str) -> bool {
    let marks: String = rest.chars().filter(|character| *character != ' ').collect();
    marks.len() >= 3 && ['-', '*', '_'].into_iter().any(|mark| leading(&marks, mark) == marks.len())
}

fn heading(rest: &str) -> Option<(usize, &str)> {
    let level = leading(rest, '#');
    let title = rest[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| (level, title.trim().trim_end_matches('#').trim_end()))
}

/// A list item: its mark as it is shown, and what follows.
fn item(rest: &str) -> Option<(String, &str)> {
    let text = ["- ", "* ", "+ "].into_iter().find_map(|mark| rest.strip_prefix(mark));
    if let Some(text) = text {
        let text = text.trim_start();
        let boxes = [("[ ] ", "☐ "), ("[x] ", "☑ "), ("[X] ", "☑ ")];
        let task = boxes.into_iter().find_map(|(mark, shown)| Some((shown.to_owned(), text.strip_prefix(mark)?)));
        return Some(task.unwrap_or_else(|| ("• ".to_owned(), text)));
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let text = rest[digits..].strip_prefix(['.', ')'])?.strip_prefix(' ')?;
    (1..=9).contains(&digits).then(|| (format!("{} ", &rest[..=digits]), text.trim_start()))
}

#[cfg(test)]
mod tests;
