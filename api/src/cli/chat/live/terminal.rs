//! The terminal itself: its keys, its size, and what is written to it.
//!
//! Answers go to standard output, all else to standard error: both are the same screen. What was written above the dock is
//! never touched again.

use std::io::{self, Write};

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::dock::Dock;
use super::editor::Key;
use crate::cli::chat::text::Row;

/// Keys that may wait for their turn.
const KEYS_MAX: usize = 256;

/// The size of a terminal that does not tell.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// From here to the end of the update nothing is shown, where the terminal can do that.
const UPDATE_BEGINS: &str = "\u{1b}[?2026h";
const UPDATE_ENDS: &str = "\u{1b}[?2026l";

const PASTE_ON: &str = "\u{1b}[?2004h";
const PASTE_OFF: &str = "\u{1b}[?2004l";

/// Where a row goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sink {
    /// What the model said.
    Answer,
    /// All else.
    Aside,
}

/// The screen.
pub(super) struct Terminal {
    faces: bool,
    /// The rows of the dock that are on the screen above the cursor's, by their columns, and the cursor's column.
    above: Vec<usize>,
    column: usize,
}

impl Terminal {
    pub(super) fn new(faces: bool) -> Terminal {
        Terminal { faces, above: Vec::new(), column: 0 }
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        match terminal::size() {
            Ok((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
            Ok(_) | Err(_) => USUAL_SIZE,
        }
    }

    /// Writes rows above the dock, and the dock anew.
    pub(super) fn update(&mut self, rows: &[(Sink, Row)], dock: &Dock) -> io::Result<()> {
        let mut aside = format!("{UPDATE_BEGINS}{}", self.cleared());
        for group in rows.chunk_by(|(one, _), (other, _)| one == other) {
            let text: String = group.iter().map(|(_, row)| row.painted(self.faces) + "\n").collect();
            match group.first() {
                Some((Sink::Answer, _)) => {
                    write(&mut io::stderr().lock(), &std::mem::take(&mut aside))?;
                    write(&mut io::stdout().lock(), &text)?;
                }
                _ => aside.push_str(&text),
            }
        }
        let painted: Vec<String> = dock.rows.iter().map(|row| row.painted(self.faces)).collect();
        aside.push_str(&painted.join("\n"));
        let (row, column) = dock.cursor;
        match dock.rows.len().saturating_sub(1).saturating_sub(row) {
            0 => {}
            up => aside.push_str(&format!("\u{1b}[{up}A")),
        }
        aside.push('\r');
        if column > 0 {
            aside.push_str(&format!("\u{1b}[{column}C"));
        }
        aside.push_str(UPDATE_ENDS);
        self.above = dock.rows.iter().take(row).map(Row::width).collect();
        self.column = column;
        write(&mut io::stderr().lock(), &aside)
    }

    /// Empties the screen; what scrolled out of it stays.
    pub(super) fn clean(&mut self) -> io::Result<()> {
        self.above.clear();
        self.column = 0;
        write(&mut io::stderr().lock(), "\u{1b}[2J\u{1b}[H")
    }

    /// Takes the dock away: the cursor stands where it began.
    fn cleared(&self) -> String {
        // A terminal that was made narrower has broken the dock's rows in two.
        let columns = self.size().0;
        let broken = |width: usize| width.saturating_sub(1) / columns;
        let up = self.above.iter().map(|width| 1 + broken(*width)).sum::<usize>() + self.column / columns;
        let up = if up > 0 { format!("\u{1b}[{up}A") } else { String::new() };
        format!("\r{up}\u{1b}[J")
    }
}

fn write(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The keyboard, every key of which comes to us as it is pressed. Dropping it gives the terminal back as it was.
pub(super) struct Keyboard {
    keys: mpsc::Receiver<Key>,
}

impl Keyboard {
    /// Takes the keyboard.
    pub(super) fn take() -> io::Result<Keyboard> {
        terminal::enable_raw_mode()?;
        let (sender, keys) = mpsc::channel(KEYS_MAX);
        let keyboard = Keyboard { keys };
        // Line breaks stay line breaks, whoever writes them.
        let mut modes = tcgetattr(io::stdin())?;
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        write(&mut io::stderr().lock(), PASTE_ON)?;
        // The thread is left behind in its read when the program ends; nothing waits for it.
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if let Some(key) = key(event)
                    && sender.blocking_send(key).is_err()
                {
                    return;
                }
            }
        });
        Ok(keyboard)
    }

    /// The next key; none when the terminal is gone.
    pub(super) async fn next(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // The terminal may be gone: then there is nothing to give back.
        write(&mut io::stderr().lock(), PASTE_OFF).ok();
        terminal::disable_raw_mode().ok();
    }
}

fn key(event: Event) -> Option<Key> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(key),
        Event::Paste(text) => Some(Key::Paste(text)),
        Event::Resize(..) => Some(Key::Resized),
        _ => None,
    }
}

fn pressed(key: KeyEvent) -> Option<Key> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let by_word = control || alt;
    Some(match key.code {
        KeyCode::Enter if alt || key.modifiers.contains(KeyModifiers::SHIFT) => Key::Break,
        KeyCode::Enter => Key::Enter,
        KeyCode::Backspace if by_word => Key::CutWord,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Left if by_word => Key::WordLeft,
        KeyCode::Left => Key::Left,
        KeyCode::Right if by_word => Key::WordRight,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Tab => Key::Tab,
        KeyCode::Esc => Key::Escape,
        KeyCode::Char(character) if control => match character.to_ascii_lowercase() {
            'a' => Key::Home,
            'b' => Key::Left,
            'c' => Key::Stop,
            'd' => Key::Leave,
            'e' => Key::End,
            'f' => Key::Right,
            'h' => Key::Backspace,
            'j' => Key::Break,
            'k' => Key::CutAfter,
            'l' => Key::Clean,
            'n' => Key::Down,
            'p' => Key::Up,
            'u' => Key::CutBefore,
            'w' => Key::CutWord,
            'y' => Key::PutBack,
            _ => return None,
        },
        KeyCode::Char('b') if alt => Key::WordLeft,
        KeyCode::Char('f') if alt => Key::WordRight,
        KeyCode::Char(character) => Key::Character(character),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        key(Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_mean_what_they_do_in_a_shell() {
        let cases = [
            (KeyCode::Char('x'), KeyModifiers::NONE, Some(Key::Character('x'))),
            (KeyCode::Char('X'), KeyModifiers::SHIFT, Some(Key::Character('X'))),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Key::Stop)),
            (KeyCode::Char('d'), KeyModifiers::CONTROL, Some(Key::Leave)),
            (KeyCode::Char('w'), KeyModifiers::CONTROL, Some(Key::CutWord)),
            (KeyCode::Char('q'), KeyModifiers::CONTROL, None),
            (KeyCode::Char('b'), KeyModifiers::ALT, Some(Key::WordLeft)),
            (KeyCode::Left, KeyModifiers::CONTROL, Some(Key::WordLeft)),
            (KeyCode::Enter, KeyModifiers::NONE, Some(Key::Enter)),
            (KeyCode::Enter, KeyModifiers::ALT, Some(Key::Break)),
            (KeyCode::F(1), KeyModifiers::NONE, None),
        ];
        for (code, modifiers, meaning) in cases {
            assert_eq!(of(code, modifiers), meaning, "{code:?} {modifiers:?}");
        }
        assert_eq!(key(Event::Resize(1, 2)), Some(Key::Resized));
        assert_eq!(key(Event::Paste("a\nb".to_owned())), Some(Key::Paste("a\nb".to_owned())));
    }

    #[test]
    fn a_dock_is_taken_away_row_by_row() {
        let mut terminal = Terminal::new(false);
        assert_eq!(terminal.cleared(), "\r\u{1b}[J");
        terminal.above = vec![10, 0, 20];
        assert_eq!(terminal.cleared(), "\r\u{1b}[3A\u{1b}[J");
    }
}
