//! Words from outside, made fit to be shown: short, and without what only a terminal would obey.

/// Cuts a text to at most `bytes_max` bytes and says so.
pub(super) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max);
    format!("{}… ({} more bytes)", &text[..end], text.len() - end)
}

/// A text without control characters other than line breaks and tabs, and no longer than that.
pub(super) fn clean(text: &str, bytes_max: usize) -> String {
    let hidden = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if text.contains(hidden) {
        let shown: String = text.chars().filter(|letter| !hidden(*letter)).collect();
        cut(&shown, bytes_max)
    } else {
        cut(text, bytes_max)
    }
}

/// The same on one line, for the log.
pub(super) fn line(text: &str, bytes_max: usize) -> String {
    let shown: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    cut(shown.trim(), bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_stays_text() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("ääää", 3), "ä… (6 more bytes)");
        assert_eq!(clean("a\u{1b}[31mb\n\tc\0", 100), "a[31mb\n\tc");
        assert_eq!(line(" a\r\nb\u{7} ", 100), "a  b");
    }
}
