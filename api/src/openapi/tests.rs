//! The document against the code: routes, readers of bodies, events as they were ever written, and the frozen copy.

mod routes;
mod validator;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use verbatim_events::ids::ChatId;
use verbatim_events::settings::Given;
use verbatim_events::wire::EVENT_TYPES;

use super::{document, events, operations, requests, text};
use crate::error::Code;
use crate::wire::reader::known;
use crate::wire::request::{
    ApprovalsRequest, BudgetRequest, CreateChatRequest, EditMessageRequest, ForkChatRequest, ModelRequest,
    PatchChatRequest, ProviderRequest, SendMessageRequest, TemplateRequest, ToolResultsRequest, read_mark,
    read_new_key, read_nothing, read_through,
};
use validator::check;

/// All references of a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.insert(reference.clone());
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_frozen_copy_is_current() {
    let frozen = include_str!("../../openapi.json");
    assert!(
        frozen == text(),
        "the contract has changed; if that is meant, write it anew and look at the difference:\n  \
         cargo run -p verbatim -- openapi > api/openapi.json"
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_needed() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let named: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, named);
    for (name, schema) in schemas {
        assert!(schema.as_object().is_some_and(|members| !members.is_empty()), "{name} describes nothing: {schema}");
    }
}

#[test]
fn operations_have_names_of_their_own_and_describe_their_paths() {
    let mut ids = BTreeSet::new();
    for operation in operations::all() {
        let told = operation.to_json();
        let id = told["operationId"].as_str().unwrap().to_owned();
        let tag = told["tags"][0].as_str().unwrap();
        assert!(operations::TAGS.iter().any(|(name, _)| *name == tag), "{id}: there is no tag {tag}");
        let in_path: BTreeSet<&str> = operation
            .path()
            .split('/')
            .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
            .collect();
        let parameters = told["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names: Vec<(&str, &str)> = parameters
            .iter()
            .map(|parameter| (parameter["in"].as_str().unwrap(), parameter["name"].as_str().unwrap()))
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{id} takes something twice: {names:?}");
        let told_in_path: BTreeSet<&str> = names.iter().filter(|name| name.0 == "path").map(|name| name.1).collect();
        assert_eq!(told_in_path, in_path, "{id}");
        assert!(ids.insert(id.clone()), "{id} names two operations");
    }
}

#[test]
fn every_code_is_told_by_an_operation() {
    // An address or a method that is not in the document.
    let untold = [Code::NotFound, Code::MethodNotAllowed];
    let told: BTreeSet<&str> = operations::all()
        .iter()
        .flat_map(|operation| operation.problems())
        .flat_map(|(_, codes)| codes)
        .map(Code::name)
        .collect();
    for code in Code::ALL {
        let name = code.name();
        assert_eq!(
            told.contains(name),
            !untold.contains(code),
            "{name}: say in openapi/operations which routes answer it (`.fails(…)`)"
        );
    }
}

/// The pointers of all fields of a schema that stand in `value`, maps with free names left out.
fn fields(schema: &Value, value: &Value, pointer: &str, found: &mut BTreeSet<String>) {
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        if check(choice, value, &document()).is_ok() {
            fields(choice, value, pointer, found);
        }
    }
    if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            fields(&schema["items"], item, &format!("{pointer}/{index}"), found);
        }
    }
    let Some(properties) = schema["properties"].as_object().filter(|_| schema["additionalProperties"] == json!(false))
    else {
        return;
    };
    for (name, property) in properties {
        let below = format!("{pointer}/{name}");
        fields(property, &value[name], &below, found);
        found.insert(below);
    }
}

/// A reader of a body that only says whether it accepts it.
type Reads = fn(&[u8]) -> bool;

#[test]
fn bodies_are_described_as_they_are_read() {
    let readers: [(&str, Reads, Value); 21] = [
        ("CreateChat", |body| CreateChatRequest::read(body).is_ok(), json!({})),
        ("ForkChat", |body| ForkChatRequest::read(body).is_ok(), json!({})),
        ("ChangeChat", |body| PatchChatRequest::read(body).is_ok(), json!({})),
        (
            "SendMessage",
            |body| SendMessageRequest::read(body).is_ok(),
            json!({"content": [{"type": "text", "text": "a"}]}),
        ),
        (
            "EditMessage",
            |body| EditMessageRequest::read(body).is_ok(),
            json!({"content": [{"type": "text", "text": "a"}]}),
        ),
        ("SubmitToolResults", |body| ToolResultsRequest::read(body).is_ok(), json!({})),
        ("DecideApprovals", |body| ApprovalsRequest::read(body).is_ok(), json!({})),
        ("CreateProvider", |body| ProviderRequest::read(body, Given::New).is_ok(), json!({})),
        ("ReplaceProvider", |body| ProviderRequest::read(body, Given::Whole).is_ok(), json!({})),
        ("ChangeProvider", |body| ProviderRequest::read(body, Given::Part).is_ok(), json!({})),
        ("CreateModel", |body| ModelRequest::read(body, Given::New).is_ok(), json!({})),
        (
            "ReplaceModel",
            |body| ModelRequest::read(body, Given::Whole).is_ok(),
            json!({"prices": {"input_micros": 1, "output_micros": 2}}),
        ),
        (
            "ChangeModel",
            |body| ModelRequest::read(body, Given::Part).is_ok(),
            json!({"prices": {"input_micros": 1, "output_micros": 2}}),
        ),
        ("CreateTemplate", |body| TemplateRequest::read(body, Given::New).is_ok(), json!({})),
        ("ReplaceTemplate", |body| TemplateRequest::read(body, Given::Whole).is_ok(), json!({})),
        ("ChangeTemplate", |body| TemplateRequest::read(body, Given::Part).is_ok(), json!({})),
        ("SetBudget", |body| BudgetRequest::read(body).is_ok(), json!({})),
        ("CreateKey", |body| read_new_key(body).is_ok(), json!({})),
        ("MarkNotification", |body| read_mark(body).is_ok(), json!({})),
        ("MarkAllNotifications", |body| read_through(body).is_ok(), json!({})),
        ("Nothing", |body| read_nothing(body).is_ok(), json!({})),
    ];
    let schemas = requests::schemas();
    let described: BTreeSet<&str> = schemas.keys().map(String::as_str).collect();
    let read: BTreeSet<&str> = readers.iter().map(|(name, ..)| *name).collect();
    assert_eq!(described, read, "every body needs its reader here, so that the two are compared");
    for (name, reads, more) in readers {
        let schema = &schemas[name];
        let mut example = schema["examples"][0].clone();
        for (field, value) in more.as_object().unwrap() {
            example[field] = value.clone();
        }
        check(schema, &example, &document()).unwrap_or_else(|wrong| panic!("the example of {name}: {wrong}"));
        known::forget();
        assert!(reads(example.to_string().as_bytes()), "the reader refuses the example of {name}: {example}");
        let mut described = BTreeSet::new();
        fields(schema, &example, "", &mut described);
        assert_eq!(described, known::asked(), "{name}: openapi/requests.rs and wire/request name different fields");
    }
}

#[test]
fn every_type_of_event_is_described_as_it_is_written() {
    let described: BTreeSet<&str> = events::event_types().iter().map(|kind| kind.name).collect();
    let written: BTreeSet<&str> = EVENT_TYPES.iter().map(|kind| kind.name).collect();
    assert_eq!(described, written, "openapi/events.rs describes every type of event that the log knows");
    let document = document();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../events/golden");
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Those of streams beside the chats lie in folders of their own.
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut parts = name.split('.');
        let (kind, number) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        let shown = shown(kind, number, std::fs::read(&path).unwrap());
        let schema = json!({"$ref": format!("#/components/schemas/{}", events::schema_name(kind))});
        check(&schema, &shown, &document).unwrap_or_else(|wrong| panic!("{name}: {wrong}\n{shown}"));
        check(&json!({"$ref": "#/components/schemas/Event"}), &shown, &document).unwrap();
        seen.insert(kind.to_owned());
    }
    assert_eq!(seen.len(), written.len(), "a type of event has no frozen sample");
}

/// A stored event as owners see it.
fn shown(kind: &str, number: u32, data: Vec<u8>) -> Value {
    use crate::wire::event::EventView;
    use crate::wire::samples::{created, json_of, sealed};
    use verbatim_events::chat::Status;
    use verbatim_events::envelope::Stored;

    let mut event = sealed(vec![created()]).remove(0);
    event.event_type = kind.to_owned();
    event.schema = number;
    event.data = data;
    event.chat_id = ChatId(event.event_id);
    let recorded = verbatim_events::wire::decode(&Stored::new(1, event)).unwrap();
    json_of(&EventView::of(&recorded, Status::Running, Some(3)))
}
