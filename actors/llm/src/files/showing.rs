//! Which of a conversation's files a model is shown. A function of the recipe and the prompt alone.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use verbatim_events::event::RequestRecipe;
use verbatim_events::message::{Message, Role};
use verbatim_events::model::{FileSource, Prompt};
use verbatim_events::part::{FileContent, FileKind, Part, is_accepted};
use verbatim_events::prompt::file_words;

use super::{REQUEST_FILES_MAX_BYTES, TEXT_MAX_BYTES};

/// What a protocol takes.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    /// The kinds besides text that a model of this name is shown, unless its settings say otherwise.
    pub(crate) kinds: fn(provider_model: &str) -> &'static [FileKind],
    /// The largest picture, in bytes.
    pub(crate) image_max_bytes: u64,
    /// Answers of tools can show pictures and documents.
    pub(crate) in_results: bool,
}

/// Why a file is named and not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Withheld {
    Kind,
    Place,
    Size,
    Room,
    Gone,
}

impl Withheld {
    fn words(self) -> &'static str {
        match self {
            Withheld::Kind => "this model cannot be shown files of this type",
            Withheld::Place => "a tool's answer cannot show it",
            Withheld::Size => "it is too large to be shown",
            Withheld::Room => "newer files leave no room for it",
            Withheld::Gone => "it is gone",
        }
    }
}

/// The prompt with words in the place of every file that the model is not shown.
pub(crate) fn shown<'p>(recipe: &RequestRecipe, prompt: &'p Prompt, takes: &Takes) -> Cow<'p, Prompt> {
    if !prompt.messages.iter().any(|message| message.parts.iter().any(has_content)) {
        return Cow::Borrowed(prompt);
    }
    let mut judge = Judge { recipe, takes, room: REQUEST_FILES_MAX_BYTES };
    let mut changed: Vec<(usize, Arc<Message>)> = Vec::new();
    for (index, message) in prompt.messages.iter().enumerate().rev() {
        changed.extend(judge.message(message).map(|message| (index, Arc::new(message))));
    }
    if changed.is_empty() {
        return Cow::Borrowed(prompt);
    }
    let mut prompt = prompt.clone();
    for (index, message) in changed {
        prompt.messages[index] = message;
    }
    Cow::Owned(prompt)
}

/// The ids of the prompt's files that are known to be gone, each once, in order.
pub(crate) fn gone(source: Option<&dyn FileSource>, prompt: &Prompt) -> Vec<String> {
    let ids = prompt.messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::File { file_id, content: Some(_), .. } => Some(file_id),
        _ => None,
    });
    let gone = ids.filter(|file_id| source.is_none_or(|source| source.is_gone(file_id)));
    gone.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

fn has_content(part: &Part) -> bool {
    matches!(part, Part::File { content: Some(_), .. })
}

struct Judge<'a> {
    recipe: &'a RequestRecipe,
    takes: &'a Takes,
    /// How many more bytes fit.
    room: u64,
}

impl Judge<'_> {
    /// The message as it is shown; none where it stays as it is. Newer files take their room first.
    fn message(&mut self, message: &Message) -> Option<Message> {
        let mut parts: Option<Vec<Part>> = None;
        for index in (0..message.parts.len()).rev() {
            let Part::File { file_id, media_type, name, content: Some(content) } = &message.parts[index] else {
                continue;
            };
            if let Err(why) = self.file(message.role, file_id, media_type, *content) {
                let words = Part::text(file_words(name, media_type, Some(why.words())));
                parts.get_or_insert_with(|| message.parts.clone())[index] = words;
            }
        }
        parts.map(|parts| Message { parts, ..message.clone() })
    }

    fn file(&mut self, role: Role, file_id: &str, media_type: &str, content: FileContent) -> Result<(), Withheld> {
        let kind = FileKind::of(media_type).ok_or(Withheld::Kind)?;
        if kind != FileKind::Text {
            let is_taken = match (&self.recipe.files, &self.recipe.accepts) {
                (Some(kinds), _) => kinds.contains(&kind),
                (None, Some(accepts)) => is_accepted(accepts, media_type),
                (None, None) => (self.takes.kinds)(&self.recipe.provider_model).contains(&kind),
            };
            if !is_taken {
                return Err(Withheld::Kind);
            }
        }
        // Only people and tools show files; a model's own are told of in words.
        let has_place = role == Role::User || role == Role::Tool && (kind == FileKind::Text || self.takes.in_results);
        if !has_place {
            return Err(Withheld::Place);
        }
        let is_id = !file_id.is_empty() && file_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_id || self.recipe.files_gone.iter().any(|gone| gone == file_id) {
            return Err(Withheld::Gone);
        }
        let bytes = match kind {
            FileKind::Image if content.size_bytes > self.takes.image_max_bytes => return Err(Withheld::Size),
            FileKind::Image | FileKind::Pdf => content.size_bytes,
            FileKind::Text => content.size_bytes.min(TEXT_MAX_BYTES),
        };
        self.room = self.room.checked_sub(bytes).ok_or(Withheld::Room)?;
        Ok(())
    }
}
