//! Checks a value against a schema of the document, more strictly than clients would: a field that is not described is an
//! error. Knows the words of JSON Schema that the document uses, and no others that matter here.

use serde_json::Value;

/// What is wrong with the value, if anything.
pub fn check(schema: &Value, value: &Value, document: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        let schema = document.pointer(pointer).ok_or_else(|| format!("{reference} leads nowhere"))?;
        return check(schema, value, document);
    }
    check_type(schema, value)?;
    if schema.get("const").is_some_and(|only| only != value) {
        return Err(format!("{value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    for schema in list(schema, "allOf") {
        check(schema, value, document)?;
    }
    for (key, most) in [("oneOf", 1), ("anyOf", usize::MAX)] {
        let choices = list(schema, key);
        let outcomes: Vec<_> = choices.iter().map(|choice| check(choice, value, document)).collect();
        let fitting = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        if !choices.is_empty() && !(1..=most).contains(&fitting) {
            return Err(format!("{value} fits {fitting} of {} choices: {outcomes:?}", choices.len()));
        }
    }
    match value {
        Value::Object(_) => check_object(schema, value, document),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check(&schema["items"], item, document))
            .map_err(|wrong| format!("item: {wrong}")),
        _ => Ok(()),
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn check_type(schema: &Value, value: &Value) -> Result<(), String> {
    let fits = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::String(name) => fits(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(fits),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{value} is not of type {}", schema["type"])) }
}

fn check_object(schema: &Value, value: &Value, document: &Value) -> Result<(), String> {
    for name in list(schema, "required").iter().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Err(format!("{name} is missing"));
        }
    }
    let described = schema["properties"].as_object();
    let others = schema.get("additionalProperties");
    if described.is_none() && others.is_none() {
        return Ok(());
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = described.and_then(|properties| properties.get(name));
        match (known, others) {
            (Some(schema), _) => check(schema, member, document).map_err(|wrong| format!("{name}: {wrong}"))?,
            (None, Some(schema)) if schema.is_object() => check(schema, member, document)?,
            // The schema of a tool's arguments describes one of its fields and leaves the others free.
            (None, None) if name == "properties" => {}
            (None, _) => return Err(format!("{name} is not described")),
        }
    }
    Ok(())
}
