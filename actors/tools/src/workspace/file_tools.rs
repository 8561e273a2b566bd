//! read_file, write_file, edit_files: on whatever files a workspace has.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use verbatim_events::tool::ToolAnswer;

use crate::files::edits::apply;
use crate::files::lines::LINES_DEFAULT;
use crate::files::{CHANGE_FILES_MAX, Change, Content, Edit, FILE_MAX_BYTES, FileError, Files, NewContent, Window};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArguments {
    path: String,
    offset: Option<usize>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteArguments {
    path: String,
    content: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EditArguments {
    edits: Vec<Edit>,
}

fn told(error: &FileError) -> ToolAnswer {
    ToolAnswer::error(error.to_string())
}

pub(super) async fn read(files: &dyn Files, arguments: ReadArguments) -> ToolAnswer {
    let ReadArguments { path, offset, limit } = arguments;
    let window =
        Window { offset: offset.unwrap_or(1).max(1), limit: limit.unwrap_or(LINES_DEFAULT).clamp(1, LINES_DEFAULT) };
    match files.read(&path, window).await {
        Ok(Content::Text(lines)) => {
            let mut result = json!({"path": path, "content": lines.text, "lines": lines.count, "more": lines.more});
            if let Some(total) = lines.total {
                result["total_lines"] = json!(total);
            }
            ToolAnswer::ok(result)
        }
        Ok(Content::Directory { entries, more }) => {
            ToolAnswer::ok(json!({"path": path, "entries": entries, "more": more}))
        }
        Err(error) => told(&error),
    }
}

pub(super) async fn write(files: &dyn Files, key: String, arguments: WriteArguments) -> ToolAnswer {
    let WriteArguments { path, content } = arguments;
    if content.len() > FILE_MAX_BYTES {
        let (size_bytes, max_bytes) = (content.len() as u64, FILE_MAX_BYTES as u64);
        return told(&FileError::TooLarge { path, size_bytes, max_bytes });
    }
    let answer = json!({"path": path, "bytes": content.len()});
    let file = NewContent { path, before: None, after: content.into_bytes() };
    match files.change(Change { key, files: vec![file], answer: answer.clone() }).await {
        Ok(()) => ToolAnswer::ok(answer),
        Err(error) => told(&error),
    }
}

pub(super) async fn edit(files: Arc<dyn Files>, key: String, arguments: EditArguments) -> ToolAnswer {
    // Made before a crash: made once is enough, and by now the old text is gone.
    match files.made(&key).await {
        Ok(Some(answer)) => return ToolAnswer::ok(answer),
        Ok(None) => {}
        Err(error) => return told(&error),
    }
    match edited(&*files, &arguments.edits).await {
        Ok((changed, answer)) => match files.change(Change { key, files: changed, answer: answer.clone() }).await {
            Ok(()) => ToolAnswer::ok(answer),
            Err(error) => ToolAnswer::error(format!("no file was changed. {error}")),
        },
        Err(problem) => ToolAnswer::error(format!("no file was changed. {problem}")),
    }
}

/// The files as they are to be; in words, the edit that cannot be made.
async fn edited(files: &dyn Files, edits: &[Edit]) -> Result<(Vec<NewContent>, Value), String> {
    if edits.is_empty() || edits.len() > CHANGE_FILES_MAX {
        return Err(format!("edits takes 1 to {CHANGE_FILES_MAX} edits, not {}", edits.len()));
    }
    // By path, in the order in which they come up first: what was there, what will be, how many places changed.
    let mut order: Vec<&str> = Vec::new();
    let mut texts: BTreeMap<&str, (String, String, usize)> = BTreeMap::new();
    for (index, edit) in edits.iter().enumerate() {
        let problem = |words: String| format!("edits[{index}] ({}): {words}", edit.path);
        if !texts.contains_key(edit.path.as_str()) {
            let bytes = files.load(&edit.path, FILE_MAX_BYTES).await.map_err(|error| problem(error.to_string()))?;
            let before = String::from_utf8(bytes).map_err(|_| problem("it is no UTF-8 text".to_owned()))?;
            order.push(&edit.path);
            texts.insert(&edit.path, (before.clone(), before, 0));
        }
        if let Some((_, after, places)) = texts.get_mut(edit.path.as_str()) {
            let (text, times) = apply(after, edit).map_err(|error| problem(error.to_string()))?;
            *after = text;
            *places += times;
        }
    }
    let mut changed = Vec::new();
    let mut told = Vec::new();
    for path in order {
        if let Some((before, after, places)) = texts.remove(path) {
            told.push(json!({"path": path, "replacements": places}));
            let before = Some(before.into_bytes());
            changed.push(NewContent { path: path.to_owned(), before, after: after.into_bytes() });
        }
    }
    Ok((changed, json!({"files": told})))
}
