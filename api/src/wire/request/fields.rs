//! Fields that several requests share.

use std::collections::BTreeMap;

use serde_json::Value;
use verbatim_events::ids::ChatId;
use verbatim_events::limits::{
    LABEL_KEY_MAX_BYTES, LABEL_VALUE_MAX_BYTES, LABELS_MAX, SYSTEM_PROMPT_MAX_BYTES, TITLE_MAX_CHARACTERS,
};
use verbatim_events::line::is_no_part_of_a_line;
use verbatim_events::part::Part;

use crate::wire::reader::{Errors, Null, Object, below, string, wrong_type};

/// The longest name of a model, an effort or a policy's tool, in bytes: names are for people.
pub(crate) const NAME_MAX_BYTES: usize = 200;

pub(super) fn needed_content(errors: &mut Errors, object: &mut Object) -> Vec<Part> {
    object.need(errors, "content").map(|value| content(errors, value)).unwrap_or_default()
}

/// A message's content: a string, or parts of text and files. Text is kept word for word, blanks at the ends included. Of a file
/// only the id counts here: what it is called, and whether there is such a file, the store knows.
pub(super) fn content(errors: &mut Errors, value: Value) -> Vec<Part> {
    let values = match value {
        Value::String(_) => return text_part(errors, "/content", value).into_iter().collect(),
        Value::Array(values) => values,
        other => {
            wrong_type(errors, "/content", "a string or an array of parts", &other);
            return Vec::new();
        }
    };
    if values.is_empty() {
        errors.add_empty_content("/content");
    }
    let mut parts = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let Some(mut part) = Object::new(errors, format!("/content/{index}"), value, Null::IsAbsent) else { continue };
        match part.need_string(errors, "type").as_deref() {
            Some("text") => {
                let text = part.need(errors, "text");
                parts.extend(text.and_then(|text| text_part(errors, &part.pointer("text"), text)));
                part.finish(errors);
            }
            Some("file") => {
                let file_id = part.need_string(errors, "file_id");
                let (media_type, name) = (part.string(errors, "media_type"), part.string(errors, "name"));
                parts.extend(file_id.map(|file_id| Part::File {
                    file_id,
                    media_type: media_type.unwrap_or_default(),
                    name: name.unwrap_or_default(),
                    content: None,
                }));
                part.finish(errors);
            }
            Some(other) => {
                let pointer = part.pointer("type");
                errors.add(pointer, format!("parts of type {other:?} cannot be sent; send \"text\" or \"file\""));
            }
            None => {}
        }
    }
    parts
}

fn text_part(errors: &mut Errors, pointer: &str, value: Value) -> Option<Part> {
    let text = string(errors, pointer, value)?;
    if text.trim().is_empty() {
        errors.add_empty_content(pointer);
        return None;
    }
    Some(Part::Text { text })
}

pub(super) fn title(errors: &mut Errors, object: &mut Object) -> Option<String> {
    let title = object.string(errors, "title")?;
    if title.trim().is_empty() {
        errors.add(object.pointer("title"), "must not be blank");
    } else if title.chars().count() > TITLE_MAX_CHARACTERS {
        errors.add(object.pointer("title"), format!("must have at most {TITLE_MAX_CHARACTERS} characters"));
    } else if title.contains(is_no_part_of_a_line) {
        errors.add(object.pointer("title"), "must be one line, without characters that control how it is shown");
    }
    Some(title)
}

pub(super) fn system_prompt(errors: &mut Errors, object: &mut Object) -> Option<String> {
    let prompt = object.string(errors, "system_prompt")?;
    if prompt.len() > SYSTEM_PROMPT_MAX_BYTES {
        errors.add(object.pointer("system_prompt"), format!("must have at most {SYSTEM_PROMPT_MAX_BYTES} bytes"));
    }
    Some(prompt)
}

pub(super) fn name(errors: &mut Errors, object: &mut Object, member: &str) -> Option<String> {
    let name = object.string(errors, member)?;
    if name.trim().is_empty() || name.len() > NAME_MAX_BYTES {
        errors.add(object.pointer(member), format!("must be a name of 1 to {NAME_MAX_BYTES} bytes"));
    }
    Some(name)
}

pub(super) fn parent(errors: &mut Errors, object: &mut Object) -> Option<ChatId> {
    let parent = object.string(errors, "parent")?.parse();
    if parent.is_err() {
        errors.add(object.pointer("parent"), "must be a chat's id");
    }
    parent.ok()
}

/// A label's key: a letter or digit, then letters, digits, dots, underscores, slashes and hyphens.
pub fn is_label_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= LABEL_KEY_MAX_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
}

pub(super) fn labels(errors: &mut Errors, object: &mut Object) -> Option<BTreeMap<String, String>> {
    let pointer = object.pointer("labels");
    let members = object.map(errors, "labels")?;
    if members.len() > LABELS_MAX {
        errors.add(&pointer, format!("must have at most {LABELS_MAX} labels"));
    }
    let mut labels = BTreeMap::new();
    for (key, value) in members {
        let pointer = below(&pointer, &key);
        if !is_label_key(&key) {
            errors.add(
                &pointer,
                format!(
                    "a label's key has at most {LABEL_KEY_MAX_BYTES} of the characters a-z A-Z 0-9 . _ / - \
                     and begins with a letter or a digit"
                ),
            );
        }
        let Some(value) = string(errors, &pointer, value) else { continue };
        if value.len() > LABEL_VALUE_MAX_BYTES {
            errors.add(&pointer, format!("a label's value has at most {LABEL_VALUE_MAX_BYTES} bytes"));
        }
        labels.insert(key, value);
    }
    Some(labels)
}
