//! Schemas of foreign tools: what is refused, and what says whether arguments fit.
//!
//! A schema goes to model providers with every prompt and judges arguments with every call. So its size, its depth and
//! the work that judging by it can be are bounded before it is used at all.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

/// The largest schema, in bytes of JSON.
pub(super) const SCHEMA_MAX_BYTES: usize = 64 * 1024;
/// The deepest schema, in levels.
const DEPTH_MAX: usize = 32;
/// The most work that judging by a schema may be, in places of it that are looked at, references followed.
const WORK_MAX: u64 = 20_000;
/// The longest text that tells why arguments do not fit, in bytes.
const VIOLATION_MAX_BYTES: usize = 500;

/// Why a schema cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchemaProblem {
    /// More bytes than a schema may have.
    TooLarge,
    /// More levels than a schema may have.
    TooDeep,
    /// It refers to something that is not in it, or not by a plain path from its root.
    Remote,
    /// Its references multiply into more work than is done.
    TooMuchWork,
    /// It describes something that is no object.
    NoObject,
    /// It is no JSON Schema.
    Invalid,
}

impl SchemaProblem {
    /// For the log.
    pub(crate) fn words(self) -> &'static str {
        match self {
            SchemaProblem::TooLarge => "its schema is too large",
            SchemaProblem::TooDeep => "its schema is nested too deeply",
            SchemaProblem::Remote => "its schema refers to something else than its own parts by their paths",
            SchemaProblem::TooMuchWork => "its schema's references multiply without bound",
            SchemaProblem::NoObject => "its schema describes no object",
            SchemaProblem::Invalid => "its schema is invalid",
        }
    }
}

/// Checks a schema and makes it ready to judge arguments. `type: object` is added where no type is said.
pub(crate) fn prepare(mut schema: Map<String, Value>) -> Result<(Value, Validator), SchemaProblem> {
    match schema.get("type") {
        None => drop(schema.insert("type".to_owned(), Value::String("object".to_owned()))),
        Some(Value::String(kind)) if kind == "object" => {}
        Some(_) => return Err(SchemaProblem::NoObject),
    }
    let schema = Value::Object(schema);
    if serde_json::to_vec(&schema).map_or(usize::MAX, |bytes| bytes.len()) > SCHEMA_MAX_BYTES {
        return Err(SchemaProblem::TooLarge);
    }
    if depth(&schema) > DEPTH_MAX {
        return Err(SchemaProblem::TooDeep);
    }
    let mut survey = Survey { root: &schema, known: HashMap::new() };
    if survey.work(&schema)? > WORK_MAX {
        return Err(SchemaProblem::TooMuchWork);
    }
    let validator = jsonschema::options()
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(10_000))
        .build(&schema)
        .map_err(|_| SchemaProblem::Invalid)?;
    Ok((schema, validator))
}

/// Why arguments do not fit, in words that name the place; `None` where they fit.
pub(crate) fn violation(validator: &Validator, args: &Value) -> Option<String> {
    let error = validator.iter_errors(args).next()?;
    let place = error.instance_path().as_str();
    let place = if place.is_empty() { "the arguments".to_owned() } else { format!("the argument at {place}") };
    Some(super::words::cut(&format!("{place}: {error}"), VIOLATION_MAX_BYTES))
}

/// How many levels a value has; 1 for one that has nothing inside.
pub(super) fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    1 + inner.unwrap_or(0)
}

/// Counts what judging by a schema may look at.
struct Survey<'a> {
    root: &'a Value,
    /// The work behind each reference; `None` while it is being counted: a reference to what it is part of.
    known: HashMap<&'a str, Option<u64>>,
}

impl<'a> Survey<'a> {
    fn work(&mut self, value: &'a Value) -> Result<u64, SchemaProblem> {
        let mut sum = 1_u64;
        match value {
            Value::Array(items) => {
                for item in items {
                    sum = sum.saturating_add(self.work(item)?);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields {
                    let more = match (key.as_str(), field) {
                        ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(target)) => self.reference(target)?,
                        // Within it, paths would begin there.
                        ("$id", Value::String(_)) if !std::ptr::eq(value, self.root) => {
                            return Err(SchemaProblem::Remote);
                        }
                        // Words that are never looked at when arguments are judged.
                        ("description" | "title" | "default" | "examples" | "enum" | "const" | "$comment", _) => 1,
                        (_, field) => self.work(field)?,
                    };
                    sum = sum.saturating_add(more);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(sum)
    }

    fn reference(&mut self, target: &'a str) -> Result<u64, SchemaProblem> {
        let Some(pointer) = target.strip_prefix('#') else { return Err(SchemaProblem::Remote) };
        match self.known.get(target) {
            Some(Some(work)) => return Ok(*work),
            // Recursion ends with the arguments, whose size is bounded.
            Some(None) => return Ok(1),
            None => {}
        }
        self.known.insert(target, None);
        let work = self.work(self.root.pointer(pointer).ok_or(SchemaProblem::Remote)?)?;
        self.known.insert(target, Some(work));
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: Value) -> Option<SchemaProblem> {
        let Value::Object(schema) = schema else { panic!("a schema is an object") };
        prepare(schema).err()
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!({}), |inner, _| json!({ "properties": { "a": inner } }))
    }

    /// Twelve definitions, each of which names the next one four times.
    fn bomb() -> Value {
        let definitions: Map<String, Value> = (0..12)
            .map(|level| {
                let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
                (format!("d{level}"), json!({ "allOf": [next, next, next, next] }))
            })
            .chain([("d12".to_owned(), json!({ "type": "string" }))])
            .collect();
        json!({ "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": definitions })
    }

    #[test]
    fn a_schema_that_could_do_harm_is_refused() {
        for (schema, problem) in [
            (json!({}), None),
            (json!({ "type": "object", "properties": { "a": { "type": "string" } } }), None),
            (json!({ "properties": { "next": { "$ref": "#" } } }), None),
            (json!({ "type": "string" }), Some(SchemaProblem::NoObject)),
            (json!({ "type": ["object", "null"] }), Some(SchemaProblem::NoObject)),
            (json!({ "properties": { "a": { "$ref": "http://host/schema" } } }), Some(SchemaProblem::Remote)),
            (json!({ "properties": { "a": { "$ref": "file:///etc/passwd" } } }), Some(SchemaProblem::Remote)),
            (
                json!({ "properties": { "a": { "$ref": "#/%24defs/a" } }, "$defs": { "a": {} } }),
                Some(SchemaProblem::Remote),
            ),
            (
                json!({ "properties": { "a": { "$ref": "#a" } }, "$defs": { "a": { "$anchor": "a" } } }),
                Some(SchemaProblem::Remote),
            ),
            (json!({ "$id": "http://host/s", "properties": { "$id": { "type": "string" } } }), None),
            (json!({ "properties": { "a": { "$id": "http://host/s" } } }), Some(SchemaProblem::Remote)),
            (json!({ "description": "x".repeat(SCHEMA_MAX_BYTES) }), Some(SchemaProblem::TooLarge)),
            (nested(10), None),
            (nested(40), Some(SchemaProblem::TooDeep)),
            (bomb(), Some(SchemaProblem::TooMuchWork)),
            (json!({ "properties": 1 }), Some(SchemaProblem::Invalid)),
        ] {
            let text = schema.to_string();
            assert_eq!(refused(schema), problem, "{}", &text[..text.len().min(200)]);
        }
    }

    #[test]
    fn a_violation_names_the_place_and_is_short() {
        let schema = json!({ "properties": { "path": { "type": "string" } }, "required": ["path"] });
        let Value::Object(schema) = schema else { unreachable!("it is written above") };
        let (_, validator) = prepare(schema).expect("the schema is right");
        assert_eq!(violation(&validator, &json!({ "path": "/" })), None);
        let words = violation(&validator, &json!({ "path": 1 })).expect("a number is no string");
        assert!(words.contains("/path") && words.contains("string"), "{words}");
        let words = violation(&validator, &json!({})).expect("the path is missing");
        assert!(words.contains("path"), "{words}");
        let long = json!({ "path": ["x".repeat(5_000)] });
        assert!(violation(&validator, &long).expect("a list is no string").len() <= VIOLATION_MAX_BYTES + 64);
    }

    #[test]
    fn a_pattern_that_backtracks_for_ever_ends() {
        let schema = json!({ "properties": { "a": { "pattern": "^(a+)+(?=b)$" } } });
        let Value::Object(schema) = schema else { unreachable!("it is written above") };
        let (_, validator) = prepare(schema).expect("the schema is right");
        assert!(violation(&validator, &json!({ "a": "a".repeat(2_000) })).is_some());
    }
}
