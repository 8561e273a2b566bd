//! The line that the user types: text, cursor, history. Pure; a grapheme is what a cursor steps over.

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation as _;

/// Lines that are remembered.
const HISTORY_MAX: usize = 500;

/// The longest line, in bytes; what the server takes for a request is less.
const LINE_MAX_BYTES: usize = 1024 * 1024;

/// What a keyboard says, free of any terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character.
    Character(char),
    /// Text that was pasted, perhaps with line breaks.
    Paste(String),
    /// Send the line.
    Enter,
    /// A line break within the line.
    Break,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Cut the word before the cursor.
    CutWord,
    /// Cut what stands before the cursor.
    CutBefore,
    /// Cut what stands behind the cursor.
    CutAfter,
    /// Put back what was cut last.
    PutBack,
    Tab,
    Escape,
    /// Ctrl-C.
    Stop,
    /// Ctrl-D.
    Leave,
    /// Ctrl-L.
    Clean,
    /// The terminal has another size.
    Resized,
}

/// The line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// The cursor's place, in bytes; always between graphemes.
    at: usize,
    history: VecDeque<String>,
    /// The remembered line that is shown, counted from the newest, and what was being typed before.
    looking_at: Option<(usize, String)>,
    cut: String,
}

impl Editor {
    /// What was typed so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The cursor's place, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Another text to edit, the cursor behind it; gives the one before.
    pub(super) fn replace(&mut self, text: &str) -> String {
        self.at = text.len();
        self.looking_at = None;
        std::mem::replace(&mut self.text, text.to_owned())
    }

    /// Remembers a line as if it had been typed.
    pub(super) fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || self.history.back().is_some_and(|last| last == line) {
            return;
        }
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(line.to_owned());
    }

    /// A key; gives the line when it is complete. Keys that are no matter of the line do nothing.
    pub(super) fn press(&mut self, key: Key) -> Option<String> {
        match key {
            Key::Character(character) => self.insert(character.encode_utf8(&mut [0; 4])),
            Key::Paste(text) => self.insert(text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n')),
            Key::Break => self.insert("\n"),
            Key::Enter => {
                let line = self.replace("");
                self.remember(&line);
                return Some(line);
            }
            Key::Backspace => self.remove(self.left(), self.at),
            Key::Delete => self.remove(self.at, self.right()),
            Key::Left => self.at = self.left(),
            Key::Right => self.at = self.right(),
            Key::WordLeft => self.at = self.word_left(),
            Key::WordRight => self.at = self.word_right(),
            Key::Home => self.at = self.line_start(self.at),
            Key::End => self.at = self.line_end(self.at),
            Key::Up => self.up(),
            Key::Down => self.down(),
            Key::CutWord => self.take(self.word_left(), self.at),
            Key::CutBefore => self.take(self.line_start(self.at), self.at),
            Key::CutAfter => self.take(self.at, self.line_end(self.at)),
            Key::PutBack => {
                let cut = std::mem::take(&mut self.cut);
                self.insert(&cut);
                self.cut = cut;
            }
            Key::Tab | Key::Escape | Key::Stop | Key::Leave | Key::Clean | Key::Resized => {}
        }
        None
    }

    fn insert(&mut self, text: &str) {
        if self.text.len() + text.len() > LINE_MAX_BYTES {
            return;
        }
        self.text.insert_str(self.at, text);
        // What was inserted may join the grapheme behind it; the cursor never stands within one.
        let at = self.at + text.len();
        self.at = self.boundary_from(at);
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.at = self.boundary_from(from);
    }

    fn take(&mut self, from: usize, to: usize) {
        if from < to {
            self.cut = self.text[from..to].to_owned();
            self.remove(from, to);
        }
    }

    /// The first place from here on that stands between graphemes.
    fn boundary_from(&self, at: usize) -> usize {
        let boundaries = self.text.grapheme_indices(true).map(|(boundary, _)| boundary);
        boundaries.into_iter().find(|boundary| *boundary >= at).unwrap_or(self.text.len())
    }

    fn left(&self) -> usize {
        self.text[..self.at].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn right(&self) -> usize {
        self.text[self.at..].graphemes(true).next().map_or(self.at, |cluster| self.at + cluster.len())
    }

    fn word_left(&self) -> usize {
        let before = self.text[..self.at].trim_end_matches(|character: char| !character.is_alphanumeric());
        before.trim_end_matches(char::is_alphanumeric).len()
    }

    fn word_right(&self) -> usize {
        let after = self.text[self.at..].trim_start_matches(|character: char| !character.is_alphanumeric());
        self.text.len() - after.trim_start_matches(char::is_alphanumeric).len()
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |line_break| line_break + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |line_break| at + line_break)
    }

    /// A line up within the text; from its first line to what was typed before.
    fn up(&mut self) {
        let start = self.line_start(self.at);
        if start > 0 {
            let column = self.text[start..self.at].graphemes(true).count();
            self.go_to(self.line_start(start - 1), column);
            return;
        }
        let older = self.looking_at.as_ref().map_or(0, |(index, _)| index + 1);
        if let Some(line) = self.history.iter().rev().nth(older).cloned() {
            let typed = self.looking_at.take().map_or_else(|| self.text.clone(), |(_, typed)| typed);
            self.replace(&line);
            self.looking_at = Some((older, typed));
        }
    }

    /// A line down within the text; from its last line to what was typed after.
    fn down(&mut self) {
        let end = self.line_end(self.at);
        if end < self.text.len() {
            let column = self.text[self.line_start(self.at)..self.at].graphemes(true).count();
            self.go_to(end + 1, column);
            return;
        }
        match self.looking_at.take() {
            Some((0, typed)) => {
                self.replace(&typed);
            }
            Some((index, typed)) => {
                if let Some(line) = self.history.iter().rev().nth(index - 1).cloned() {
                    self.replace(&line);
                    self.looking_at = Some((index - 1, typed));
                }
            }
            None => {}
        }
    }

    fn go_to(&mut self, start: usize, column: usize) {
        let line = &self.text[start..self.line_end(start)];
        self.at = line.grapheme_indices(true).nth(column).map_or(start + line.len(), |(at, _)| start + at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor, text: &str) {
        for character in text.chars() {
            assert_eq!(editor.press(Key::Character(character)), None);
        }
    }

    /// The text with a bar where the cursor stands.
    fn shown(editor: &Editor) -> String {
        format!("{}|{}", &editor.text()[..editor.at()], &editor.text()[editor.at()..])
    }

    fn after(text: &str, keys: &[Key]) -> String {
        let mut editor = Editor::default();
        typed(&mut editor, text);
        for key in keys {
            editor.press(key.clone());
        }
        shown(&editor)
    }

    #[test]
    fn keys_edit_the_line() {
        use Key::*;
        assert_eq!(after("abc", &[Left, Character('x')]), "abx|c");
        assert_eq!(after("abc", &[Backspace, Backspace]), "a|");
        assert_eq!(after("abc", &[Home, Delete, Right]), "b|c");
        assert_eq!(after("", &[Left, Backspace, Delete, Right, CutWord]), "|");
        assert_eq!(after("one two, ", &[CutWord]), "one |");
        assert_eq!(after("one two", &[WordLeft, CutBefore]), "|two");
        assert_eq!(after("one two", &[WordLeft, WordLeft, WordRight, CutAfter]), "one|");
        assert_eq!(after("one two", &[CutWord, Home, PutBack, PutBack]), "twotwo|one ");
        assert_eq!(after("one", &[Tab, Escape, Stop, Leave, Clean, Resized]), "one|");
    }

    #[test]
    fn a_cursor_steps_over_what_looks_like_one_character() {
        use Key::*;
        assert_eq!(after("ae\u{301}b", &[Left, Left]), "a|e\u{301}b");
        assert_eq!(after("a👩‍🚀", &[Backspace]), "a|");
        assert_eq!(after("日本", &[Left]), "日|本");
        assert_eq!(after("e", &[Home, Character('\u{301}')]), "\u{301}|e");
        assert_eq!(after("ab", &[Left, Character('\u{301}')]), "a\u{301}|b");
    }

    #[test]
    fn lines_within_the_line() {
        use Key::*;
        assert_eq!(after("", &[Paste("one\r\ntwo\n".into())]), "one\ntwo|");
        assert_eq!(after("one", &[Break, Character('x'), Up]), "o|ne\nx");
        assert_eq!(after("one", &[Break, Character('x'), Up, End, Down]), "one\nx|");
        assert_eq!(after("one", &[Break, Character('x'), Home, Character('y')]), "one\ny|x");
        assert_eq!(after("one", &[Break, Character('x'), CutBefore]), "one\n|");
    }

    #[test]
    fn the_history_gives_back_what_was_typed() {
        let mut editor = Editor::default();
        for line in ["first", "second", "second", " "] {
            typed(&mut editor, line);
            assert_eq!(editor.press(Key::Enter).as_deref(), Some(line));
        }
        typed(&mut editor, "draft");
        let seen: Vec<String> = [Key::Up, Key::Up, Key::Up, Key::Down, Key::Down, Key::Down]
            .into_iter()
            .map(|key| {
                editor.press(key);
                shown(&editor)
            })
            .collect();
        assert_eq!(seen, ["second|", "first|", "first|", "second|", "draft|", "draft|"]);
    }

    #[test]
    fn the_history_is_bounded() {
        let mut editor = Editor::default();
        for number in 0..HISTORY_MAX + 10 {
            editor.remember(&number.to_string());
        }
        for _ in 0..HISTORY_MAX + 10 {
            editor.press(Key::Up);
        }
        assert_eq!(editor.text(), "10");
    }
}
