//! Reads request bodies member by member and collects everything that is wrong with them, each with its place, so that a
//! client can mend all of it at once. A member that nobody asks for is an error.

use serde_json::{Map, Value};

use crate::error::{Code, FieldError, Problem};

/// Errors told at once; a body full of rubbish is not answered with a book.
const ERRORS_MAX: usize = 50;

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Errors {
    list: Vec<FieldError>,
    empty_content: Option<FieldError>,
}

impl Errors {
    /// Notes something wrong.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.list.len() < ERRORS_MAX {
            self.list.push(FieldError { pointer: pointer.into(), detail: detail.into() });
        }
    }

    /// Notes a message that says nothing, which has a code of its own.
    pub fn add_empty_content(&mut self, pointer: impl Into<String>) {
        self.empty_content.get_or_insert(FieldError {
            pointer: pointer.into(),
            detail: "a message needs text that is not blank".to_owned(),
        });
    }

    /// Nothing is wrong, or the problem to answer with.
    pub fn finish(self) -> Result<(), Problem> {
        if !self.list.is_empty() {
            return Err(Problem::fields(self.list));
        }
        match self.empty_content {
            Some(error) => Err(Problem {
                errors: vec![error],
                ..Problem::new(Code::EmptyContent, "the message is empty; say something")
            }),
            None => Ok(()),
        }
    }
}

/// What a member that is there and null means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Null {
    /// The same as no member.
    IsAbsent,
    /// It is an error: leaving a field out and emptying it are different things here.
    IsAnError,
}

/// A JSON object that is being read.
#[derive(Debug)]
pub struct Object {
    pointer: String,
    members: Map<String, Value>,
    null: Null,
}

/// The pointer of a member or an element below `parent`, escaped as RFC 6901 wants.
pub fn below(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Parses a body. An empty one counts as an empty object where every field may be left out.
pub fn parse(body: &[u8]) -> Result<Value, Problem> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| Problem::field("", format!("the body is not JSON: {error}")))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Notes a value of the wrong type.
pub fn wrong_type(errors: &mut Errors, pointer: &str, wanted: &str, value: &Value) {
    errors.add(pointer, format!("must be {wanted}, not {}", kind(value)));
}

/// A string without NUL, which databases cannot keep.
pub fn string(errors: &mut Errors, pointer: &str, value: Value) -> Option<String> {
    match value {
        Value::String(text) if text.contains('\0') => {
            errors.add(pointer, "must not contain the character U+0000");
            None
        }
        Value::String(text) => Some(text),
        other => {
            wrong_type(errors, pointer, "a string", &other);
            None
        }
    }
}

impl Object {
    /// Begins to read an object at `pointer`.
    pub fn new(errors: &mut Errors, pointer: impl Into<String>, value: Value, null: Null) -> Option<Object> {
        let pointer = pointer.into();
        match value {
            Value::Object(members) => Some(Object { pointer, members, null }),
            other => {
                wrong_type(errors, &pointer, "an object", &other);
                None
            }
        }
    }

    /// The pointer of a member.
    pub fn pointer(&self, name: &str) -> String {
        below(&self.pointer, name)
    }

    /// A member, if it is there.
    pub fn take(&mut self, errors: &mut Errors, name: &str) -> Option<Value> {
        #[cfg(test)]
        known::note(self.pointer(name));
        match self.members.remove(name) {
            Some(Value::Null) if self.null == Null::IsAnError => {
                errors.add(self.pointer(name), "null is no value here; leave the field out instead");
                None
            }
            Some(Value::Null) | None => None,
            Some(value) => Some(value),
        }
    }

    /// A member that must be there.
    pub fn need(&mut self, errors: &mut Errors, name: &str) -> Option<Value> {
        let there = self.members.contains_key(name);
        let value = self.take(errors, name);
        // A null that was an error already needs no second one.
        if value.is_none() && !(there && self.null == Null::IsAnError) {
            errors.add(self.pointer(name), "this field is needed");
        }
        value
    }

    /// A member of any value, null included.
    pub fn take_any(&mut self, name: &str) -> Option<Value> {
        #[cfg(test)]
        known::note(self.pointer(name));
        self.members.remove(name)
    }

    /// A string member.
    pub fn string(&mut self, errors: &mut Errors, name: &str) -> Option<String> {
        let value = self.take(errors, name)?;
        string(errors, &self.pointer(name), value)
    }

    /// A string member that must be there.
    pub fn need_string(&mut self, errors: &mut Errors, name: &str) -> Option<String> {
        let value = self.need(errors, name)?;
        string(errors, &self.pointer(name), value)
    }

    /// A whole number that must be there.
    pub fn need_number(&mut self, errors: &mut Errors, name: &str) -> Option<u64> {
        let value = self.need(errors, name)?;
        let number = value.as_u64();
        if number.is_none() {
            wrong_type(errors, &self.pointer(name), "a whole number, 0 or more", &value);
        }
        number
    }

    /// A boolean member.
    pub fn boolean(&mut self, errors: &mut Errors, name: &str) -> Option<bool> {
        match self.take(errors, name)? {
            Value::Bool(value) => Some(value),
            other => {
                wrong_type(errors, &self.pointer(name), "a boolean", &other);
                None
            }
        }
    }

    /// An array member.
    pub fn array(&mut self, errors: &mut Errors, name: &str) -> Option<Vec<Value>> {
        let value = self.take(errors, name)?;
        self.as_array(errors, name, value)
    }

    /// An array member that must be there.
    pub fn need_array(&mut self, errors: &mut Errors, name: &str) -> Option<Vec<Value>> {
        let value = self.need(errors, name)?;
        self.as_array(errors, name, value)
    }

    fn as_array(&self, errors: &mut Errors, name: &str, value: Value) -> Option<Vec<Value>> {
        match value {
            Value::Array(values) => Some(values),
            other => {
                wrong_type(errors, &self.pointer(name), "an array", &other);
                None
            }
        }
    }

    /// An object member with arbitrary names.
    pub fn map(&mut self, errors: &mut Errors, name: &str) -> Option<Map<String, Value>> {
        match self.take(errors, name)? {
            Value::Object(members) => Some(members),
            other => {
                wrong_type(errors, &self.pointer(name), "an object", &other);
                None
            }
        }
    }

    /// A member that must be one of a few words.
    pub fn word<T: Copy>(&mut self, errors: &mut Errors, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.string(errors, name)?;
        self.as_word(errors, name, &text, words)
    }

    /// A member that must be there and one of a few words.
    pub fn need_word<T: Copy>(&mut self, errors: &mut Errors, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.need_string(errors, name)?;
        self.as_word(errors, name, &text, words)
    }

    fn as_word<T: Copy>(&self, errors: &mut Errors, name: &str, text: &str, words: &[(&str, T)]) -> Option<T> {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let choices: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            errors.add(self.pointer(name), format!("must be one of: {}", choices.join(", ")));
        }
        found
    }

    /// Whatever nobody asked for is unknown.
    pub fn finish(self, errors: &mut Errors) {
        for name in self.members.keys() {
            errors.add(below(&self.pointer, name), "unknown field");
        }
    }
}

#[cfg(test)]
pub(crate) mod known;
#[cfg(test)]
mod tests;
