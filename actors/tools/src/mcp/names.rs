//! Names: what a server may be called, and what a model sees of a tool's name.

use sha2::{Digest as _, Sha256};

/// What stands between a server's name and its tool's.
pub(super) const SEPARATOR: &str = "__";
/// The longest name that every model provider takes, in bytes.
pub(super) const NAME_MAX_BYTES: usize = 64;
/// The longest name of a server, in bytes: half is left for its tools.
const SERVER_MAX_BYTES: usize = 32;
/// The longest name of a tool that is looked at, in bytes.
const RAW_MAX_BYTES: usize = 256;
/// How much of a name's hash stands for what was cut off, in hex digits.
const HASH_DIGITS: usize = 8;

/// Why a server cannot have this name; `None` if it can.
pub(super) fn server_problem(name: &str) -> Option<&'static str> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if name.is_empty() || name.len() > SERVER_MAX_BYTES || !name.chars().all(allowed) {
        Some("the name of an MCP server has 1 to 32 letters, digits, _ or -")
    } else if name.contains(SEPARATOR) || name.starts_with('_') || name.ends_with('_') {
        // Else two servers could share a tool's name.
        Some("the name of an MCP server neither has two _ in a row nor one at an end")
    } else {
        None
    }
}

/// The name that a model sees: `<server>__<tool>`, every foreign character an underscore, and what is too long cut and
/// told apart by a hash of the whole. `None` for a name that is none.
pub(super) fn exposed(server: &str, tool: &str) -> Option<String> {
    if tool.trim().is_empty() || tool.len() > RAW_MAX_BYTES {
        return None;
    }
    let safe = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let mut name = format!("{server}{SEPARATOR}");
    name.extend(tool.chars().map(safe));
    if name.len() > NAME_MAX_BYTES {
        // All of it is ASCII here, so any byte is a boundary.
        name.truncate(NAME_MAX_BYTES - HASH_DIGITS - 1);
        name.push('_');
        let hash = Sha256::digest(tool.as_bytes());
        name.extend(hash.iter().take(HASH_DIGITS / 2).map(|byte| format!("{byte:02x}")));
    }
    Some(name)
}

/// The server that a tool belongs to, by the name that a model sees.
pub(super) fn server_of(name: &str) -> Option<&str> {
    name.split_once(SEPARATOR).map(|(server, _)| server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_s_name_is_safe_and_short_whatever_its_server_calls_it() {
        for (tool, name) in [
            ("read_file", Some("files__read_file")),
            ("fs/read.file", Some("files__fs_read_file")),
            ("läs\u{202e}\n", Some("files__l_s__")),
            ("a__b", Some("files__a__b")),
            ("", None),
            ("  ", None),
        ] {
            assert_eq!(exposed("files", tool).as_deref(), name, "{tool:?}");
        }
        assert_eq!(exposed("files", &"x".repeat(RAW_MAX_BYTES + 1)), None);

        let (one, two) = (format!("{}1", "x".repeat(100)), format!("{}2", "x".repeat(100)));
        let names = [&one, &two].map(|tool| exposed("files", tool).expect("a long name is cut"));
        assert_ne!(names[0], names[1]);
        for name in names {
            assert_eq!(name.len(), NAME_MAX_BYTES);
            assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')), "{name}");
            assert_eq!(server_of(&name), Some("files"));
        }
    }

    #[test]
    fn a_server_s_name_cannot_be_mistaken_for_part_of_a_tool_s() {
        for name in ["files", "a", "My-Server_2"] {
            assert_eq!(server_problem(name), None, "{name}");
        }
        for name in ["", "a__b", "_a", "a_", "a b", "ä", "a.b", &"x".repeat(33)] {
            assert!(server_problem(name).is_some(), "{name}");
        }
    }
}
