//! What a workspace says of itself to whoever works in it: AGENTS.md and its like, and which skills there are.

use std::collections::BTreeSet;

use verbatim_events::event::{ContextSource, ContextStamp};
use verbatim_events::part::Part;
use verbatim_events::tool::ContextFiles;

use super::skills::{self, named_well};
use crate::files::{FileError, Files, Gathered, Pattern};

/// The most of a file that prompts hold, in bytes.
const FILE_MAX_BYTES: usize = 64 * 1024;
/// The most of all files together that prompts hold, in bytes.
const ALL_MAX_BYTES: usize = 256 * 1024;
/// Files of one kind that are read.
const FILES_MAX: usize = 16;
/// Skills that are named.
const SKILLS_MAX: usize = 100;
/// How far a skill's description is looked for, in bytes.
const SKILL_HEAD_BYTES: usize = 4 * 1024;
/// The longest description of a skill, in characters.
const DESCRIPTION_MAX: usize = 300;
/// Where skills lie, as the list of them is called in a prompt.
const SKILLS_PLACE: &str = ".agents/skills";

/// What is read, in the order in which the model reads it.
const PATTERNS: &[Pattern] = &[
    whole("AGENTS.md"),
    whole("CLAUDE.md"),
    whole(".agents/*.md"),
    Pattern { path: ".agents/skills/*/SKILL.md", head_max_bytes: SKILL_HEAD_BYTES, files_max: SKILLS_MAX },
];

const fn whole(path: &'static str) -> Pattern {
    Pattern { path, head_max_bytes: FILE_MAX_BYTES, files_max: FILES_MAX }
}

/// The files that there are, with digests of all of each.
pub(super) async fn look(files: &dyn Files) -> Result<Vec<Gathered>, FileError> {
    files.gather(PATTERNS).await
}

/// How the files are remembered.
pub(super) fn stamps(gathered: &[Gathered]) -> Vec<ContextStamp> {
    let stamp =
        |file: &Gathered| ContextStamp { path: file.path.clone(), digest: file.digest, size_bytes: file.size_bytes };
    gathered.iter().map(stamp).collect()
}

/// What prompts hold of the files.
pub(super) fn told(workspace_id: String, gathered: &[Gathered]) -> ContextFiles {
    let source = ContextSource { workspace_id, files: stamps(gathered), unreachable: false };
    let (mut files, mut left_bytes) = (Vec::new(), ALL_MAX_BYTES);
    // The same words under two names, one a link to the other as a rule, are said once.
    let mut seen = BTreeSet::new();
    for file in gathered.iter().filter(|file| skill_of(&file.path).is_none()) {
        let text = text_of(file, left_bytes.min(FILE_MAX_BYTES));
        if !text.trim().is_empty() && seen.insert(file.digest.0) {
            left_bytes = left_bytes.saturating_sub(text.len());
            files.push(Part::ContextFile { path: readable(&file.path), text });
        }
    }
    if let Some(text) = skills_of(gathered) {
        files.push(Part::ContextFile { path: SKILLS_PLACE.to_owned(), text });
    }
    ContextFiles { files, source }
}

/// A file's text: at most so many bytes of it, and how many are missing.
fn text_of(file: &Gathered, max_bytes: usize) -> String {
    let head = &file.head[..file.head.len().min(max_bytes)];
    // A letter that the bound cuts is left out, not shown as damaged.
    let whole = match str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => &head[..error.valid_up_to()],
        Ok(_) | Err(_) => head,
    };
    let text = readable(&String::from_utf8_lossy(whole));
    let missing = file.size_bytes.saturating_sub(whole.len() as u64);
    if missing == 0 { text } else { format!("{text}\n… [{missing} more bytes are left out] …\n") }
}

/// Text without what nobody can see: control characters, and marks that hide letters or turn their order around.
fn readable(text: &str) -> String {
    let is_hidden = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
            || matches!(letter, '\u{e0000}'..='\u{e007f}')
    };
    text.chars().filter(|letter| !is_hidden(*letter)).collect()
}

/// The skill whose main file this is.
fn skill_of(path: &str) -> Option<&str> {
    path.strip_prefix(SKILLS_PLACE)?.strip_prefix('/')?.strip_suffix("/SKILL.md")
}

/// The list of skills; none where there are none.
fn skills_of(gathered: &[Gathered]) -> Option<String> {
    let lines: Vec<String> = gathered
        .iter()
        .filter_map(|file| {
            let name = skill_of(&file.path).filter(|name| named_well(name).is_ok())?;
            let head = readable(&String::from_utf8_lossy(&file.head));
            let description = skills::stated(&head, "description").unwrap_or_default();
            let description: String = description.chars().take(DESCRIPTION_MAX).collect();
            Some(if description.is_empty() { format!("- {name}") } else { format!("- {name}: {description}") })
        })
        .collect();
    let head = "Ways of working that are written down in this workspace; read_skill reads one:";
    (!lines.is_empty()).then(|| format!("{head}\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use verbatim_events::ids::Digest;

    use super::*;

    fn file(path: &str, content: &[u8]) -> Gathered {
        let head = content[..content.len().min(FILE_MAX_BYTES)].to_vec();
        Gathered { path: path.to_owned(), head, size_bytes: content.len() as u64, digest: Digest::of(content) }
    }

    fn texts(gathered: &[Gathered]) -> Vec<(String, String)> {
        let told = told("w1".to_owned(), gathered);
        assert_eq!(told.source.files, stamps(gathered));
        let text = |part| match part {
            Part::ContextFile { path, text } => (path, text),
            other => panic!("no context file: {other:?}"),
        };
        told.files.into_iter().map(text).collect()
    }

    #[test]
    fn the_same_words_are_told_once_and_blank_ones_never() {
        let found = [file("AGENTS.md", b"Be kind."), file("CLAUDE.md", b"Be kind."), file(".agents/a.md", b" \n")];
        assert_eq!(texts(&found), [("AGENTS.md".to_owned(), "Be kind.".to_owned())]);
    }

    #[test]
    fn a_long_file_says_how_much_of_it_is_missing() {
        let long = [b"x".repeat(FILE_MAX_BYTES - 1), "é".repeat(3).into_bytes()].concat();
        let told = texts(&[file("AGENTS.md", &long)]).remove(0).1;
        assert_eq!(told.trim_start_matches('x'), "\n… [6 more bytes are left out] …\n", "half a letter is none");
        let many: Vec<Gathered> =
            (0..8_u8).map(|number| file(&format!(".agents/{number}.md"), &vec![b'a' + number; 60_000])).collect();
        let all: usize = texts(&many).iter().map(|(_, text)| text.len()).sum();
        assert!(all <= ALL_MAX_BYTES + 8 * 60, "{all}");
        assert!(all > ALL_MAX_BYTES - 60_000, "{all}");
    }

    #[test]
    fn what_nobody_sees_is_left_out() {
        let told = texts(&[file("AGENTS.md", "a\u{202e}b\u{e0041}c\u{7}\r\n\td\u{feff}\0".as_bytes())]);
        assert_eq!(told[0].1, "abc\n\td");
        assert_eq!(texts(&[file("AGENTS.md", b"a\xffb")])[0].1, "a\u{fffd}b");
    }

    #[test]
    fn skills_are_listed_with_what_they_are_for() {
        let main = b"---\nname: make-tea\ndescription: \"How tea is made\"\n---\nBoil water.";
        let found = [
            file(".agents/skills/make-tea/SKILL.md", main),
            file(".agents/skills/plain/SKILL.md", b"no head"),
            file(".agents/skills/Bad Name/SKILL.md", b"x"),
        ];
        let told = texts(&found);
        assert_eq!(told[0].0, ".agents/skills");
        assert!(told[0].1.ends_with(":\n- make-tea: How tea is made\n- plain"), "{}", told[0].1);
    }
}
