//! Answers of scripts that run in a workspace, wherever that is.
//!
//! An answer stands between two marked lines, its data in base64, so that greetings, warnings and terminals that alter line
//! ends do no harm. The mark is put together at run time: a terminal that echoes the script echoes no mark.

/// What the lines of an answer begin with.
pub(super) const MARK: &str = "VERBATIM";

/// What makes a script able to answer: `say` begins the answer, `end` ends it and the script.
pub(super) const PRELUDE: &str = r#"
m=VERBA; m=${m}TIM
say() { printf '%s %s\n' "$m" "$*"; }
end() { printf '%s.\n' "$m"; exit 0; }
"#;

/// What a script said: its words, and the data that followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub words: Vec<String>,
    pub data: Vec<u8>,
}

impl Told {
    /// The answer in what was printed; `None` where it is not whole: half an answer must not pass for a whole one.
    pub fn read(output: &str) -> Option<Told> {
        let mut lines = output.lines().map(|line| line.trim_end_matches('\r'));
        let first = lines.by_ref().find_map(|line| line.strip_prefix(MARK)?.strip_prefix(' '))?;
        let (mut data, mut is_whole) = (String::new(), false);
        for line in lines {
            if line == format!("{MARK}.") {
                is_whole = true;
                break;
            }
            data.push_str(line);
        }
        let data = base64_of(&data).filter(|_| is_whole)?;
        Some(Told { words: first.split(' ').map(str::to_owned).collect(), data })
    }
}

/// The bytes behind base64, line ends and padding passed over; `None` for what is none.
pub(super) fn base64_of(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut number, mut bits) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        number = number << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((number >> bits) as u8);
            number &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}
