//! What a workspace says of itself to whoever works in it: AGENTS.md and its like, and which skills there are.

use std::collections::BTreeSet;

use verbatim_events::event::{ContextSource, ContextStamp};
use verbatim_events::part::Part;
use verbatim_events::tool::ContextFiles;

use super::skills::{self, named_well};
use crate::files::gather::LEFT_OUT_MAX;
use crate::files::{FileError, Files, Gathered, Gathering, Pattern};

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

/// What a prompt says in the place of a file that is no text.
const NO_TEXT: &str = "… [this file is left out: it is no UTF-8 text] …";
/// The place of the skills among the patterns: the last.
const SKILLS: usize = 3;
/// What is read, in the order in which the model reads it.
const PATTERNS: &[Pattern; SKILLS + 1] = &[
    whole("AGENTS.md"),
    whole("CLAUDE.md"),
    whole(".agents/*.md"),
    Pattern { path: ".agents/skills/*/SKILL.md", head_max_bytes: SKILL_HEAD_BYTES, files_max: SKILLS_MAX },
];

const fn whole(path: &'static str) -> Pattern {
    Pattern { path, head_max_bytes: FILE_MAX_BYTES, files_max: FILES_MAX }
}

/// The files that there are, with digests of all of each, and how many more.
pub(super) async fn look(files: &dyn Files) -> Result<Gathering, FileError> {
    files.gather(PATTERNS).await
}

/// How the files are remembered of which prompts hold something.
fn stamps(gathering: &Gathering) -> Vec<ContextStamp> {
    let stamp =
        |file: &Gathered| ContextStamp { path: file.path.clone(), digest: file.digest, size_bytes: file.size_bytes };
    gathering.files.iter().filter(|file| is_text(file)).map(stamp).collect()
}

/// What prompts hold of the files, and what they say of those that are left out. Two looks whose answers are alike are of the
/// same files, as far as prompts are concerned.
pub(super) fn told(workspace_id: String, gathering: &Gathering) -> ContextFiles {
    let source = ContextSource { workspace_id, files: stamps(gathering), unreachable: false };
    let (mut files, mut left_bytes) = (Vec::new(), ALL_MAX_BYTES);
    // The same words under two names, one a link to the other as a rule, are said once.
    let mut seen = BTreeSet::new();
    for file in gathering.files.iter().filter(|file| skill_of(&file.path).is_none()) {
        if !is_text(file) {
            files.push(Part::ContextFile { path: readable(&file.path), text: NO_TEXT.to_owned() });
            continue;
        }
        let text = text_of(file, left_bytes.min(FILE_MAX_BYTES));
        if !text.trim().is_empty() && seen.insert(file.digest.0) {
            left_bytes = left_bytes.saturating_sub(text.len());
            files.push(Part::ContextFile { path: readable(&file.path), text });
        }
    }
    for (place, pattern) in PATTERNS.iter().enumerate().take(SKILLS) {
        if let Some(words) = left_out_words(gathering.left_out_of(place), "file", pattern.files_max) {
            files.push(Part::ContextFile { path: pattern.path.to_owned(), text: words });
        }
    }
    if let Some(text) = skills_of(gathering) {
        files.push(Part::ContextFile { path: SKILLS_PLACE.to_owned(), text });
    }
    ContextFiles { files, source }
}

/// Whether a file is text, as far as it was read; a letter that the bound cuts is none that is damaged.
fn is_text(file: &Gathered) -> bool {
    match str::from_utf8(&file.head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && file.size_bytes > file.head.len() as u64,
    }
}

/// How many things of a kind are left out, in words; nothing where none are.
fn left_out_words(left_out: usize, kind: &str, shown: usize) -> Option<String> {
    let count = match left_out {
        0 => return None,
        1 => format!("1 more {kind} is"),
        LEFT_OUT_MAX.. => format!("{LEFT_OUT_MAX} or more other {kind}s are"),
        count => format!("{count} more {kind}s are"),
    };
    Some(format!("… [{count} left out; the first {shown} by name are told of] …"))
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
fn skills_of(gathering: &Gathering) -> Option<String> {
    let mut lines: Vec<String> = gathering
        .files
        .iter()
        .filter_map(|file| {
            let name = skill_of(&file.path).filter(|name| named_well(name).is_ok())?;
            if !is_text(file) {
                return Some(format!("- {name}: {NO_TEXT}"));
            }
            let head = readable(&String::from_utf8_lossy(&file.head));
            let description = skills::stated(&head, "description").unwrap_or_default();
            let description: String = description.chars().take(DESCRIPTION_MAX).collect();
            Some(if description.is_empty() { format!("- {name}") } else { format!("- {name}: {description}") })
        })
        .collect();
    lines.extend(left_out_words(gathering.left_out_of(SKILLS), "skill", SKILLS_MAX));
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

    fn texts(files: &[Gathered]) -> Vec<(String, String)> {
        texts_of(&Gathering { files: files.to_vec(), left_out: Vec::new() })
    }

    fn texts_of(gathering: &Gathering) -> Vec<(String, String)> {
        let told = told("w1".to_owned(), gathering);
        assert_eq!(told.source.files, stamps(gathering));
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
    }

    #[test]
    fn what_is_no_text_is_named_and_left_out() {
        let skill = ".agents/skills/make-tea/SKILL.md";
        let found =
            [file("AGENTS.md", b"a\xffb"), file("CLAUDE.md", b"a\xc3"), file(skill, b"---\xff"), file("b", b"c")];
        let told = texts(&found);
        let named = ["AGENTS.md", "CLAUDE.md"].map(|path| (path.to_owned(), NO_TEXT.to_owned()));
        assert_eq!(told[..2], named);
        assert!(told[3].1.ends_with(&format!("\n- make-tea: {NO_TEXT}")), "{told:?}");
        let same = [file("AGENTS.md", b"\xfe"), file("CLAUDE.md", b"\xff\xff"), file(skill, b"\xff"), file("b", b"c")];
        let look = |files: &[Gathered]| {
            super::told("w1".to_owned(), &Gathering { files: files.to_vec(), left_out: Vec::new() })
        };
        assert_eq!(look(&same), look(&found), "what is left out may change as it likes");
        assert_eq!(look(&found).source.files.len(), 1);
    }

    #[test]
    fn how_many_are_left_out_is_said_in_words() {
        let files = vec![file(".agents/a.md", b"a"), file(".agents/skills/make-tea/SKILL.md", b"")];
        for (agents, skills, of_agents, of_skills) in [
            (1, 0, Some("… [1 more file is left out; the first 16 by name are told of] …"), None),
            (999, 2, Some("… [999 more files are left out"), Some("\n… [2 more skills are left out; the first 100 by")),
            (LEFT_OUT_MAX, 0, Some("… [1000 or more other files are left out"), None),
        ] {
            let told = texts_of(&Gathering { files: files.clone(), left_out: vec![0, 0, agents, skills] });
            let said = told.iter().find(|(path, _)| path == ".agents/*.md").map(|(_, text)| text.as_str());
            assert!(said.zip(of_agents).is_some_and(|(said, words)| said.starts_with(words)), "{told:?}");
            assert!(of_skills.is_none_or(|words| told[2].1.contains(words)), "{told:?}");
            assert_eq!(told[2].1.contains("left out"), of_skills.is_some());
        }
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
