//! The bodies of requests, as their readers take them: `wire::request` reads by hand, field by field, and a test holds the
//! two together.

mod settings;

use serde_json::{Map, Value, json};
use verbatim_events::limits::{
    CLIENT_TOOLS_MAX, LABEL_KEY_MAX_BYTES, LABEL_VALUE_MAX_BYTES, LABELS_MAX, SYSTEM_PROMPT_MAX_BYTES,
    TITLE_MAX_CHARACTERS,
};

use super::operation::schema_ref;
use crate::auth::Role;
use crate::wire::request::{
    KEY_NAME_MAX_BYTES, MCP_SERVERS_MAX, NAME_MAX_BYTES, SERVER_TOOLS_MAX, TOOL_NAME_MAX_BYTES, TOOL_POLICY_MAX,
};
use crate::wire::words::busy_words;

/// Text that says something, without U+0000, which databases cannot keep.
const SPEAKING: &str = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$";

/// Text without U+0000.
const CLEAN: &str = "^[^\\u0000]*$";

/// What null in place of an optional field means.
#[derive(Clone, Copy)]
enum Null {
    /// The same as no field.
    IsAbsent,
    /// It is refused.
    IsRefused,
}

/// An object of these fields and no others. A field's name with an exclamation mark must be there.
fn body(about: &str, null: Null, fields: Vec<(&str, Value)>, example: Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, mut schema) in fields {
        let bare = name.trim_end_matches('!');
        if bare != name {
            required.push(bare);
        } else if matches!(null, Null::IsAbsent) {
            allow_null(&mut schema);
        }
        properties.insert(bare.to_owned(), schema);
    }
    let mut object = json!({
        "type": "object",
        "description": about,
        "properties": properties,
        "additionalProperties": false,
        "examples": [example],
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn allow_null(schema: &mut Value) {
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
    match schema.get_mut("type") {
        Some(kind @ Value::String(_)) => *kind = json!([kind, "null"]),
        _ => *schema = json!({"oneOf": [schema, {"type": "null"}]}),
    }
}

fn name(about: &str) -> Value {
    json!({"type": "string", "pattern": SPEAKING, "maxLength": NAME_MAX_BYTES, "description": about})
}

fn title() -> Value {
    json!({"type": "string", "pattern": SPEAKING, "maxLength": TITLE_MAX_CHARACTERS, "description": "The title."})
}

fn labels() -> Value {
    json!({
        "type": "object",
        "description": "All labels.",
        "maxProperties": LABELS_MAX,
        "propertyNames": {"pattern": "^[a-zA-Z0-9][a-zA-Z0-9._/-]*$", "maxLength": LABEL_KEY_MAX_BYTES},
        "additionalProperties": {"type": "string", "pattern": CLEAN, "maxLength": LABEL_VALUE_MAX_BYTES},
    })
}

fn tools() -> Value {
    let tool = json!({
        "type": "object",
        "required": ["name", "description", "parameters"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$", "maxLength": TOOL_NAME_MAX_BYTES},
            "description": {"type": "string", "pattern": CLEAN},
            "parameters": {
                "type": "object",
                "description": "JSON Schema of the arguments, which are an object.",
                "properties": {"type": {"const": "object"}},
            },
        },
        "additionalProperties": false,
    });
    json!({
        "type": "array",
        "description": "Tools that clients run; their names differ.",
        "maxItems": CLIENT_TOOLS_MAX,
        "items": tool,
    })
}

fn tool_policy() -> Value {
    json!({
        "type": "object",
        "description": concat!(
            "What becomes of calls, by the tool's name, `<server>__*` for a server's tools, or `*`. What is denied is not ",
            "offered. With `ask` calls of the server's tools wait for an approval; a client's wait for the client anyhow, ",
            "which may answer with an error; tools that the provider runs are not offered, as nobody could be asked first."
        ),
        "maxProperties": TOOL_POLICY_MAX,
        "propertyNames": {"minLength": 1, "maxLength": NAME_MAX_BYTES, "pattern": CLEAN},
        "additionalProperties": schema_ref("ToolPolicy"),
    })
}

/// What a new chat works in.
fn workspace() -> Value {
    let existing = json!({
        "type": "object",
        "required": ["id"],
        "properties": {"id": name("A workspace that was made for a chat of the same owner.")},
        "additionalProperties": false,
    });
    let parameters = json!({"type": "object", "description": "By name, as the template has them."});
    let made = json!({
        "type": "object",
        "required": ["template_id"],
        "properties": {
            "template_id": name("A template."),
            "name": name("The name that it is to have."),
            "parameters": parameters,
        },
        "additionalProperties": false,
    });
    json!({
        "description": "What the chat works in: a workspace, or a template that one is made from when it is needed.",
        "oneOf": [existing, made],
    })
}

/// What is said.
fn content() -> Value {
    let text = json!({
        "type": "object",
        "required": ["type", "text"],
        "properties": {"type": {"const": "text"}, "text": {"type": "string", "pattern": SPEAKING}},
        "additionalProperties": false,
    });
    let told = || json!({"type": ["string", "null"], "pattern": CLEAN, "description": "What counts is what is kept."});
    let file = json!({
        "type": "object",
        "required": ["type", "file_id"],
        "properties": {
            "type": {"const": "file"},
            "file_id": {"type": "string", "pattern": CLEAN, "description": "A file of the chat's owner."},
            "media_type": told(),
            "name": told(),
        },
        "additionalProperties": false,
    });
    json!({
        "description": "What is said: a string, or parts of text and files. Kept word for word.",
        "oneOf": [
            {"type": "string", "pattern": SPEAKING},
            {
                "type": "array",
                "minItems": 1,
                "items": {"oneOf": [text, file]},
            },
        ],
    })
}

fn items(about: &str, items_min: usize, required: &[&str], properties: Value) -> Value {
    json!({
        "type": "array",
        "description": about,
        "minItems": items_min,
        "items": {
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        },
    })
}

fn create_chat() -> Value {
    let prompt = json!({
        "type": "string",
        "pattern": CLEAN,
        "maxLength": SYSTEM_PROMPT_MAX_BYTES,
        "description": "What the model is told before everything else.",
    });
    let mcp_servers = json!({
        "type": "array",
        "maxItems": MCP_SERVERS_MAX,
        "description": "Names of configured MCP servers whose tools the chat may use.",
        "items": {"type": "string", "minLength": 1, "maxLength": NAME_MAX_BYTES, "pattern": CLEAN},
    });
    let server_tools = json!({
        "type": "array",
        "maxItems": SERVER_TOOLS_MAX,
        "description": "Names of the server's tools that the chat may use; all for `\"*\"` or without it.",
        "items": {"type": "string", "minLength": 1, "maxLength": NAME_MAX_BYTES, "pattern": CLEAN},
    });
    body(
        "A new chat.",
        Null::IsAbsent,
        vec![
            ("content", content()),
            ("model", name("A configured model; the server's default without it.")),
            ("effort", name("The reasoning effort.")),
            ("title", title()),
            ("system_prompt", prompt),
            ("labels", labels()),
            ("tools", tools()),
            ("server_tools", server_tools),
            ("tool_policy", tool_policy()),
            ("parent", json!({"type": "string", "format": "uuid", "description": "The chat that it belongs to."})),
            ("mcp_servers", mcp_servers),
            ("workspace", workspace()),
            (
                "plan_mode",
                json!({"type": "boolean", "description": "Nothing is done yet: the model may look, ask and plan."}),
            ),
        ],
        json!({
            "content": [{"type": "text", "text": "How is the weather in Prague?"}],
            "title": "Weather",
            "labels": {"team": "weather"},
            "tools": [{
                "name": "weather",
                "description": "The weather at a place.",
                "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
            }],
            "tool_policy": {"execute": "ask"},
        }),
    )
}

fn change_chat() -> Value {
    body(
        "Changed settings; absent ones stay.",
        Null::IsRefused,
        vec![
            ("title", title()),
            ("labels", labels()),
            ("pinned", json!({"type": "boolean", "description": "Before all others in lists."})),
            ("model", name("A configured model.")),
            ("effort", name("The reasoning effort.")),
            ("archived", json!({"type": "boolean", "description": "Out of the way, with its family."})),
            (
                "plan_mode",
                json!({"type": "boolean", "description": "Nothing is done: the model may look, ask and plan."}),
            ),
        ],
        json!({"title": "Weather in Prague", "pinned": true}),
    )
}

fn create_key() -> Value {
    let name = |about: &str| {
        json!({
            "type": "string",
            "pattern": "^[^\\s\\u0000-\\u001f\\u007f-\\u009f]([^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f])?$",
            "maxLength": KEY_NAME_MAX_BYTES,
            "description": about,
        })
    };
    let roles = json!({
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "enum": Role::ALL.map(Role::name)},
        "description": "Users read and write their own chats, auditors read everything, administrators do everything.",
    });
    body(
        "A new key.",
        Null::IsAbsent,
        vec![("name!", name("What people call it.")), ("owner!", name("Whom it speaks for.")), ("roles!", roles)],
        json!({"name": "laptop", "owner": "ada", "roles": ["user"]}),
    )
}

/// The schemas of all bodies.
pub fn schemas() -> Map<String, Value> {
    let busy = json!({
        "type": "string",
        "enum": busy_words(),
        "default": "queue",
        "description": "What becomes of it while a turn is running: it waits, enters at the next step, stops the turn, or \
                        is refused.",
    });
    let model = || name("A configured model, from now on.");
    let effort = || name("The reasoning effort, from now on.");
    let call_id = || json!({"type": "string", "pattern": CLEAN, "description": "The call."});
    let result = json!({"description": "What the tool said: any JSON."});
    let results = items(
        concat!(
            "A result for every call that waits for one. What is longer than the model's window allows keeps its beginning ",
            "and its end."
        ),
        0,
        &["call_id", "result"],
        json!({
            "call_id": call_id(),
            "result": result,
            "is_error": {"type": ["boolean", "null"], "default": false, "description": "The tool failed."},
        }),
    );
    let decisions = items(
        "Decisions on calls that wait for one.",
        1,
        &["call_id", "decision"],
        json!({
            "call_id": call_id(),
            "decision": {"type": "string", "enum": ["approve", "deny"]},
            "reason": {"type": ["string", "null"], "pattern": CLEAN, "description": "For the model."},
        }),
    );
    let named = [
        ("CreateChat", create_chat()),
        ("ChangeChat", change_chat()),
        (
            "MarkNotification",
            body(
                "Whether a notification is read.",
                Null::IsAbsent,
                vec![("read!", json!({"type": "boolean", "description": "Read, or unread again."}))],
                json!({"read": true}),
            ),
        ),
        (
            "MarkAllNotifications",
            body(
                "Which notifications are read.",
                Null::IsAbsent,
                vec![("through", json!({"type": "string", "description": "The id of the newest; all without it."}))],
                json!({"through": "01980000-0000-7000-8000-000000000001-7"}),
            ),
        ),
        (
            "ForkChat",
            body(
                "Where the new chat's history ends.",
                Null::IsAbsent,
                vec![("at!", json!({"type": "integer", "minimum": 0, "description": "A version of the chat."}))],
                json!({"at": 42}),
            ),
        ),
        (
            "SendMessage",
            body(
                "A message.",
                Null::IsAbsent,
                vec![("content!", content()), ("busy", busy), ("model", model()), ("effort", effort())],
                json!({"content": "And tomorrow?", "busy": "queue"}),
            ),
        ),
        (
            "EditMessage",
            body(
                "The message's new words.",
                Null::IsAbsent,
                vec![("content!", content()), ("model", model()), ("effort", effort())],
                json!({"content": "And on Sunday?"}),
            ),
        ),
        (
            "SubmitToolResults",
            body(
                "Results of calls.",
                Null::IsAbsent,
                vec![("results!", results)],
                json!({"results": [{"call_id": "call_1", "result": {"celsius": 21}}]}),
            ),
        ),
        (
            "DecideApprovals",
            body(
                "Decisions on calls.",
                Null::IsAbsent,
                vec![("decisions!", decisions)],
                json!({"decisions": [{"call_id": "call_1", "decision": "deny", "reason": "not today"}]}),
            ),
        ),
        ("CreateKey", create_key()),
        ("Nothing", body("Nothing needs to be said.", Null::IsAbsent, Vec::new(), json!({}))),
    ];
    named.into_iter().chain(settings::schemas()).map(|(name, schema)| (name.to_owned(), schema)).collect()
}
