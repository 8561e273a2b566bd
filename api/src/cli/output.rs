//! Words for people: colours where a terminal shows them and nobody minds, plain text elsewhere.

use std::io::{self, IsTerminal, Write};

/// Whether a stream takes colours: it is a terminal, and `NO_COLOR` is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colours: bool,
}

impl Style {
    /// No colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Style = Style { colours: false };

    /// For what is written to standard output.
    pub(crate) fn of_stdout() -> Style {
        Style { colours: io::stdout().is_terminal() && colours_wanted() }
    }

    /// For what is written to standard error.
    pub(crate) fn of_stderr() -> Style {
        Style { colours: io::stderr().is_terminal() && colours_wanted() }
    }

    /// Whether there are any.
    pub(crate) fn shows_faces(self) -> bool {
        self.colours
    }

    /// Less important.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// Important.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Bad news.
    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Good news.
    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Something to notice.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Says on standard error that something failed.
pub(crate) fn problem(error: &anyhow::Error) {
    let style = Style::of_stderr();
    note(&format!("{} {}", style.red("error:"), sentence(error)));
}

/// An error with its causes, each said once: many errors repeat their cause in their own words.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.as_str() {
            "" => cause,
            _ if said.contains(&cause) => said,
            _ => format!("{said}: {cause}"),
        }
    })
}

/// Says something on standard error.
pub(crate) fn note(text: &str) {
    // Nobody listens any more: nothing to do about it.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// Writes to standard output at once. Fails when the reader went away, so that a command can stop.
pub(crate) fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Text of others, safe for a terminal: control characters other than line breaks and tabs are shown, not obeyed.
pub(crate) fn harmless(text: &str) -> String {
    let shown = text.chars().filter(|character| *character != '\r').map(|character| match character {
        '\n' | '\t' => character,
        control if control.is_control() => '\u{fffd}',
        other => other,
    });
    shown.collect()
}

/// At most `characters` of a text on one line.
pub(crate) fn shortened(text: &str, characters: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= characters {
        return harmless(&line);
    }
    let start: String = line.chars().take(characters.saturating_sub(1)).collect();
    harmless(&start) + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\nc\td\u{9b}31m"), "a\u{fffd}[2Jb\nc\td\u{fffd}31m");
    }

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(shortened("one  two\nthree", 80), "one two three");
        assert_eq!(shortened("ääääää", 4), "äää…");
    }

    #[test]
    fn a_cause_is_said_once() {
        let inner = std::io::Error::other("the disk is full");
        let error = anyhow::Error::new(inner).context("nothing was written").context("the log: nothing was written");
        assert_eq!(sentence(&error), "the log: nothing was written: the disk is full");
    }

    #[test]
    fn plain_style_adds_nothing() {
        assert_eq!(Style::PLAIN.red("x"), "x");
        assert_eq!(Style { colours: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
