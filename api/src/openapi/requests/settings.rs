//! The bodies that make and change providers and models.

use serde_json::{Value, json};
use verbatim_events::settings::NAME_MAX_BYTES;

use super::super::operation::schema_ref;
use super::{CLEAN, Null, body};
use crate::wire::request::API_KEY_MAX_BYTES;

/// What is to become of an entry.
#[derive(Clone, Copy, PartialEq)]
enum Given {
    New,
    Whole,
    Part,
}

fn or_null(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    schema
}

fn switch(about: &str) -> Value {
    json!({"type": "boolean", "description": about})
}

fn provider(about: &str, given: Given, example: Value) -> Value {
    let name = json!({
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]*$",
        "maxLength": NAME_MAX_BYTES,
        "description": "Its name, for good.",
    });
    let base_url = or_null(json!({
        "type": "string",
        "pattern": "^https?://[^\\s?#@]+$",
        "maxLength": 2048,
        "description": "Where it is, as its own client libraries take it; null where its protocol's makers listen.",
    }));
    let variable = or_null(json!({
        "type": "string",
        "pattern": "^[A-Z0-9_]+_(KEY|TOKEN)$",
        "description": "The variable of the server's environment that holds its key; in place of `api_key`. A changed address \
                        or kind needs it named again.",
    }));
    let api_key = or_null(json!({
        "type": "string",
        "pattern": "^[!-~]+$",
        "maxLength": API_KEY_MAX_BYTES,
        "writeOnly": true,
        "description": "Its key: kept sealed, never shown. Stays without this field, goes with null; a changed address or \
                        kind needs it anew.",
    }));
    let mut fields = vec![
        (if given == Given::Part { "kind" } else { "kind!" }, schema_ref("ProviderKind")),
        ("base_url", base_url),
        ("api_key_env", variable),
        ("api_key", api_key),
        ("store", switch("It is told to keep its answers, and continues the last one where it can.")),
        ("enabled", switch("Calls are made.")),
    ];
    if given == Given::New {
        fields.insert(0, ("name!", name));
    }
    body(about, Null::IsRefused, fields, example)
}

fn model(about: &str, given: Given, example: Value) -> Value {
    let name = json!({
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        "maxLength": NAME_MAX_BYTES,
        "description": "Its name, for good.",
    });
    let text = |about: &str| json!({"type": "string", "pattern": CLEAN, "description": about});
    let tokens = |about: &str| or_null(json!({"type": "integer", "minimum": 1, "description": about}));
    let efforts = or_null(json!({
        "type": "array",
        "maxItems": 16,
        "items": {"type": "string", "pattern": CLEAN, "minLength": 1, "maxLength": 32},
        "description": "The efforts it knows, from the least to the most; any where null.",
    }));
    let tools = json!({
        "type": "array",
        "maxItems": 16,
        "items": {},
        "description": "Tools that its provider may run itself: their names, or objects in the provider's own words.",
    });
    let accepts = or_null(json!({
        "type": "array",
        "maxItems": 16,
        "items": {"type": "string", "pattern": "^(image/(\\*|png|jpeg|gif|webp)|application/(pdf|json)|text/.+)$"},
        "description": "The media types of files that it takes, `image/*` for all pictures; what its protocol takes where null. \
                        Text is taken in any case. A file of another type is named to it in words.",
    }));
    let price = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let maybe = |about: &str| or_null(price(about));
    let prices = or_null(json!({
        "type": "object",
        "required": ["input_micros", "output_micros"],
        "properties": {
            "input_micros": price("Input tokens that no cache served."),
            "output_micros": price("Output tokens, reasoning included."),
            "cache_read_micros": maybe("Input tokens read from the provider's cache."),
            "cache_write_micros": maybe("Input tokens written to the provider's cache."),
        },
        "additionalProperties": false,
        "description": "What its tokens cost, in millionths of a US dollar per million tokens of each class.",
    }));
    let mut fields = vec![
        (if given == Given::Part { "provider" } else { "provider!" }, text("Its provider's name.")),
        ("model", or_null(text("What the provider calls it; its own name where null."))),
        ("context_window", tokens("Tokens it can take in.")),
        ("max_output_tokens", tokens("Tokens it may put out.")),
        ("efforts", efforts),
        ("provider_tools", tools),
        ("accepts", accepts),
        ("prices", prices),
        ("enabled", switch("Chats may use it; those that name it fall back to the default model where not.")),
        ("default", switch("Chats that name no model use it.")),
    ];
    if given == Given::New {
        fields.insert(0, ("name!", name));
    }
    body(about, Null::IsRefused, fields, example)
}

/// The bodies by name.
pub(super) fn schemas() -> [(&'static str, Value); 7] {
    let prices = json!({"input_micros": 1_250_000, "output_micros": 10_000_000, "cache_read_micros": 125_000});
    [
        (
            "CreateProvider",
            provider(
                "A new provider.",
                Given::New,
                json!({"name": "openai", "kind": "openai_responses", "api_key_env": "OPENAI_API_KEY"}),
            ),
        ),
        (
            "ReplaceProvider",
            provider(
                "All of a provider; what is absent is as usual, but for its key.",
                Given::Whole,
                json!({"kind": "openai_chat", "base_url": "http://127.0.0.1:11434/v1"}),
            ),
        ),
        (
            "ChangeProvider",
            provider("Changes of a provider; what is absent stays.", Given::Part, json!({"enabled": false})),
        ),
        (
            "CreateModel",
            model(
                "A new model.",
                Given::New,
                json!({"name": "gpt-x", "provider": "openai", "context_window": 400_000, "prices": prices}),
            ),
        ),
        (
            "ReplaceModel",
            model(
                "All of a model; what is absent is as usual.",
                Given::Whole,
                json!({"provider": "openai", "model": "gpt-x-2026", "default": true}),
            ),
        ),
        (
            "SetBudget",
            body(
                "What an owner may spend; a limit that is null or left out is none.",
                Null::IsAbsent,
                vec![
                    ("period!", schema_ref("BudgetPeriod")),
                    (
                        "limit_micros",
                        json!({"type": "integer", "minimum": 0, "description": "Millionths of a US dollar."}),
                    ),
                    ("limit_tokens", json!({"type": "integer", "minimum": 0, "description": "Tokens of all classes."})),
                ],
                json!({"period": "month", "limit_micros": 50_000_000}),
            ),
        ),
        ("ChangeModel", model("Changes of a model; what is absent stays.", Given::Part, json!({"enabled": false}))),
    ]
}
