//! read_skill, read_skill_file: ways of working that lie in the workspace, each a directory of its own below `.agents/skills`.
//!
//! A skill's `SKILL.md` says what it is good for and how it goes; the files beside it are read when they are needed. What
//! leads out of the workspace is refused by the files port, whoever wrote the links.

use serde::Deserialize;
use serde_json::json;
use verbatim_events::tool::ToolAnswer;

use crate::files::{Content, EntryKind, FileError, Files, Window};

/// Where skills lie, from the workspace's root.
const PLACE: &str = ".agents/skills";
/// What every skill has.
const MAIN: &str = "SKILL.md";
/// The longest name, in bytes.
const NAME_MAX_BYTES: usize = 64;
/// The largest `SKILL.md`, in bytes.
const MAIN_MAX_BYTES: usize = 64 * 1024;
/// The largest file beside it, in bytes.
const FILE_MAX_BYTES: usize = 512 * 1024;
/// Skills, or files of one, that are named in an answer.
const NAMED_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SkillArguments {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SkillFileArguments {
    name: String,
    path: String,
}

/// A skill's `SKILL.md`, and which files lie beside it.
pub(super) async fn read(files: &dyn Files, arguments: SkillArguments) -> ToolAnswer {
    read_main(files, &arguments.name).await.unwrap_or_else(ToolAnswer::error)
}

/// A file of a skill.
pub(super) async fn read_file(files: &dyn Files, arguments: SkillFileArguments) -> ToolAnswer {
    read_other(files, &arguments.name, &arguments.path).await.unwrap_or_else(ToolAnswer::error)
}

async fn read_main(files: &dyn Files, name: &str) -> Result<ToolAnswer, String> {
    named_well(name)?;
    let content = match files.load(&format!("{PLACE}/{name}/{MAIN}"), MAIN_MAX_BYTES).await {
        Ok(bytes) => text(bytes, MAIN)?,
        Err(FileError::NotFound { .. }) => return Err(missing(files, name).await),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(stated) = stated(&content, "name").filter(|stated| *stated != name) {
        return Err(format!("{PLACE}/{name}/{MAIN} calls itself {stated:?}; a skill has its directory's name"));
    }
    let (mut others, more) = entries(files, &format!("{PLACE}/{name}")).await.map_err(|error| error.to_string())?;
    others.retain(|other| other != MAIN);
    Ok(ToolAnswer::ok(json!({"name": name, "content": content, "files": others, "more": more})))
}

async fn read_other(files: &dyn Files, name: &str, path: &str) -> Result<ToolAnswer, String> {
    named_well(name)?;
    if path.is_empty() || path.split('/').any(|step| step.is_empty() || step.starts_with('.')) {
        let rule = "a file of a skill is named from its directory on, without \"..\" and hidden names";
        return Err(format!("{path:?}: {rule}"));
    }
    let bytes = files.load(&format!("{PLACE}/{name}/{path}"), FILE_MAX_BYTES).await;
    let content = text(bytes.map_err(|error| error.to_string())?, path)?;
    Ok(ToolAnswer::ok(json!({"name": name, "path": path, "content": content})))
}

/// What the model is told of a skill that is not there: which ones are.
async fn missing(files: &dyn Files, name: &str) -> String {
    match entries(files, PLACE).await {
        Ok((names, _)) if !names.is_empty() => {
            let names: Vec<&str> = names.iter().map(|name| name.trim_end_matches('/')).collect();
            format!("there is no skill named {name:?}; there are: {}", names.join(", "))
        }
        Ok(_) | Err(FileError::NotFound { .. }) => {
            format!("there is no skill named {name:?}, and no other in this workspace")
        }
        Err(error) => error.to_string(),
    }
}

/// What lies in a directory and is not hidden, a slash behind directories; and whether there is more than is told.
async fn entries(files: &dyn Files, path: &str) -> Result<(Vec<String>, bool), FileError> {
    match files.read(path, Window { offset: 1, limit: NAMED_MAX }).await? {
        Content::Directory { entries, more } => {
            let seen = entries.into_iter().filter(|entry| !entry.name.starts_with('.'));
            let named = seen.map(|entry| match entry.kind {
                EntryKind::Directory => entry.name + "/",
                EntryKind::File | EntryKind::Link | EntryKind::Other => entry.name,
            });
            Ok((named.collect(), more))
        }
        Content::Text(_) => Ok((Vec::new(), false)),
    }
}

/// Words in small letters and digits, a dash between them.
pub(super) fn named_well(name: &str) -> Result<(), String> {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if name.len() <= NAME_MAX_BYTES && name.split('-').all(word) {
        return Ok(());
    }
    Err(format!(
        "{name:?} can be no skill's name: small letters and digits, words joined by a dash, at most {NAME_MAX_BYTES}"
    ))
}

/// A field in the lines between dashes at the head of a `SKILL.md`, if it has any.
pub(super) fn stated<'a>(content: &'a str, field: &str) -> Option<&'a str> {
    let mut lines = content.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let head = lines.take_while(|line| line.trim_end() != "---");
    let value = head.filter_map(|line| line.strip_prefix(field)?.strip_prefix(':')).next()?;
    Some(value.trim().trim_matches(['"', '\'']))
}

fn text(bytes: Vec<u8>, path: &str) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| format!("{path}: it is no UTF-8 text"))
}
