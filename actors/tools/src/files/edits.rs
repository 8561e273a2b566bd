//! Edits of text: each replaces words that must be there, exactly once unless all are meant.

use serde::Deserialize;

use super::FILE_MAX_BYTES;

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file.
    pub path: String,
    /// What is there.
    pub old_text: String,
    /// What comes in its place.
    pub new_text: String,
    /// Every occurrence is meant.
    #[serde(default)]
    pub replace_all: bool,
}

/// Why an edit cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditProblem {
    /// There is nothing to look for.
    #[error("old_text is empty; write_file writes whole files")]
    Empty,
    /// Old and new are the same.
    #[error("old_text and new_text are the same")]
    Same,
    /// The words are not there.
    #[error("old_text was not found; it must match the file exactly, white space included")]
    NotFound,
    /// The words are there more than once.
    #[error("old_text occurs {times} times; give more of its surroundings, or set replace_all")]
    Ambiguous {
        /// How often.
        times: usize,
    },
    /// The file would grow beyond the bound.
    #[error("the file would have {size_bytes} bytes; {FILE_MAX_BYTES} is the most")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
}

/// The text after an edit, and how many places changed.
pub fn apply(text: &str, edit: &Edit) -> Result<(String, usize), EditProblem> {
    if edit.old_text.is_empty() {
        return Err(EditProblem::Empty);
    }
    if edit.old_text == edit.new_text {
        return Err(EditProblem::Same);
    }
    let times = text.matches(&edit.old_text).count();
    match times {
        0 => return Err(EditProblem::NotFound),
        1 => {}
        // Occurrences that overlap count once here and are ambiguous all the same.
        _ if !edit.replace_all => return Err(EditProblem::Ambiguous { times }),
        _ => {}
    }
    if !edit.replace_all && overlaps(text, &edit.old_text) {
        return Err(EditProblem::Ambiguous { times: 2 });
    }
    // Known before it is made: a small edit of many places must not fill the memory.
    let size_bytes =
        (text.len() - times * edit.old_text.len()).saturating_add(times.saturating_mul(edit.new_text.len()));
    if size_bytes > FILE_MAX_BYTES {
        return Err(EditProblem::TooLarge { size_bytes });
    }
    Ok((text.replace(&edit.old_text, &edit.new_text), times))
}

/// Whether the words stand in the text a second time, over their first occurrence.
fn overlaps(text: &str, words: &str) -> bool {
    let Some(first) = text.find(words) else { return false };
    let step = text[first..].chars().next().map_or(1, char::len_utf8);
    text[first + step..].contains(words)
}
