//! Text that stands on one line: titles, labels. What would end the line, control a terminal or turn the order of letters
//! around is no part of it.

/// What begins a terminal's control sequence.
const SEQUENCE_BEGIN: &str = "\u{1b}[";

/// Control characters, ends of lines, and marks that turn the order of letters around (Unicode's bidirectional formatting
/// characters).
pub fn is_no_part_of_a_line(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The words of a text on one line, single blanks between them, without what is no part of a line. May be empty.
pub fn one_line(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    let mut rest = text;
    // What stands between a terminal's escape and its last letter is no word.
    while let Some((before, after)) = rest.split_once(SEQUENCE_BEGIN) {
        printable.push_str(before);
        rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, ';' | '?'));
        rest = rest.strip_prefix(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(rest);
    }
    printable.push_str(rest);
    let printable = printable.replace(is_no_part_of_a_line, " ");
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_one_line() {
        for (text, expected) in [
            ("two\nlines\tand  blanks ", "two lines and blanks"),
            ("\u{202e}evil \u{1b}[31;1mred\u{1b}[0m", "evil red"),
            ("a\u{2028}b\u{2029}c\u{61c}d\u{7}", "a b c d"),
            ("half an escape \u{1b}[12", "half an escape"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
            assert!(!one_line(text).contains(is_no_part_of_a_line));
        }
    }
}
