//! A window of a text's lines, found while the text flows by, in bounded memory.

use std::fmt::Write as _;

/// Lines that are shown when nobody says how many.
pub const LINES_DEFAULT: usize = 2000;
/// The longest line that is shown whole, in bytes.
pub const LINE_MAX_BYTES: usize = 2000;
/// Bytes of lines that are shown at once.
pub const WINDOW_MAX_BYTES: usize = 256 * 1024;
/// Bytes from the beginning in which a NUL makes a file binary.
const BINARY_PROBE_BYTES: usize = 8 * 1024;

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first, from 1.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

impl Default for Window {
    fn default() -> Window {
        Window { offset: 1, limit: LINES_DEFAULT }
    }
}

/// The lines that were wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// `number`, a tab, the line; a line break between.
    pub text: String,
    /// How many lines that is.
    pub count: usize,
    /// Lines follow that are not shown.
    pub more: bool,
    /// How many lines the file has, where that was found out.
    pub total: Option<usize>,
}

/// Whether a text that begins so is no text.
pub fn is_binary(beginning: &[u8]) -> bool {
    beginning.iter().take(BINARY_PROBE_BYTES).any(|byte| *byte == 0)
}

/// Picks lines out of bytes that come in pieces.
#[derive(Debug)]
pub struct LineWindow {
    window: Window,
    /// The number of the line that is under way.
    number: usize,
    /// What is kept of it.
    line: Vec<u8>,
    /// Bytes of it that are not kept.
    cut_bytes: usize,
    /// It has begun: the last line need not end in a line break.
    begun: bool,
    lines: Lines,
    full: bool,
}

impl LineWindow {
    /// The window over a text whose first line has the number `first`.
    pub fn starting_at(window: Window, first: usize) -> LineWindow {
        LineWindow {
            window,
            number: first,
            line: Vec::new(),
            cut_bytes: 0,
            begun: false,
            lines: Lines::default(),
            full: false,
        }
    }

    /// Takes the next bytes. False: nothing that follows is shown, though lines may be counted.
    pub fn push(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            self.begun = true;
            if self.is_shown() {
                let kept = piece.len().min(LINE_MAX_BYTES - self.line.len());
                self.line.extend_from_slice(&piece[..kept]);
                self.cut_bytes += piece.len() - kept;
            }
            match end {
                Some(end) => {
                    self.end_line();
                    bytes = &bytes[end + 1..];
                }
                None => break,
            }
        }
        !self.full
    }

    /// The lines; `whole` says that the text came to its end.
    pub fn finish(mut self, whole: bool) -> Lines {
        if self.begun {
            self.end_line();
        }
        self.lines.total = whole.then(|| self.number - 1);
        self.lines.more |= !whole;
        self.lines
    }

    fn is_shown(&self) -> bool {
        !self.full && self.number >= self.window.offset && self.lines.count < self.window.limit
    }

    fn end_line(&mut self) {
        if self.is_shown() {
            let line = String::from_utf8_lossy(&self.line);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if self.lines.text.len() + line.len() > WINDOW_MAX_BYTES {
                self.full = true;
                self.lines.more = true;
            } else {
                if self.lines.count > 0 {
                    self.lines.text.push('\n');
                }
                let _ = write!(self.lines.text, "{}\t{line}", self.number);
                if self.cut_bytes > 0 {
                    let _ = write!(self.lines.text, " … [{} more bytes on this line]", self.cut_bytes);
                }
                self.lines.count += 1;
            }
        } else if self.number >= self.window.offset {
            self.full = true;
            self.lines.more = true;
        }
        self.number += 1;
        self.line.clear();
        self.cut_bytes = 0;
        self.begun = false;
    }
}
