//! The bodies that make and change providers, models and templates.

use serde_json::{Value, json};
use verbatim_events::settings::NAME_MAX_BYTES;
use verbatim_events::template::{
    DEPLOYED_NAME_MAX_BYTES, PARAMETERS_MAX, ProvisionerKind, TEMPLATE_MAX_BYTES, TEMPLATE_NAME_MAX_BYTES,
    TEMPLATE_PATH_MAX_BYTES,
};

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

fn template(about: &str, given: Given, example: Value) -> Value {
    let name = json!({
        "type": "string",
        "pattern": "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        "maxLength": TEMPLATE_NAME_MAX_BYTES,
        "description": "Its name, for good.",
    });
    let text = |max: usize, about: &str| {
        or_null(json!({"type": "string", "pattern": CLEAN, "minLength": 1, "maxLength": max, "description": about}))
    };
    let provisioner = json!({
        "type": "string",
        "enum": ProvisionerKind::ALL.map(ProvisionerKind::name),
        "description": "Who makes workspaces of it: the server itself, as directories, or the deployment of Coder that its file \
                        names.",
    });
    let parameters = json!({
        "type": "object",
        "maxProperties": PARAMETERS_MAX,
        "additionalProperties": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["string", "number", "bool", "list"], "description": "`string` if absent."},
                "description": {"type": "string", "pattern": CLEAN, "description": "What it is for."},
                "default": {"description": "What it is if nobody says; one without it must be given."},
                "options": {"type": "array", "items": {}, "description": "The values it may have; any if absent."},
            },
            "additionalProperties": false,
        },
        "description": "All its parameters by their names; of `local` ones only. They win over those that the directory's own \
                        `template.toml` describes.",
    });
    let path = "The directory that is copied; of `local` ones only, which need it. Absolute, there on the server, without links on \
                its way, and none of the server's own.";
    let mut fields = vec![
        (if given == Given::Part { "provisioner" } else { "provisioner!" }, provisioner),
        ("path", text(TEMPLATE_PATH_MAX_BYTES, path)),
        (
            "template",
            text(
                DEPLOYED_NAME_MAX_BYTES,
                "What the deployment calls it; its own name where null; of `coder` ones only.",
            ),
        ),
        (
            "description",
            or_null(json!({
                "type": "string",
                "pattern": CLEAN,
                "maxLength": TEMPLATE_MAX_BYTES,
                "description": "What it is for; what the directory or the deployment says where null.",
            })),
        ),
        ("parameters", parameters),
    ];
    if given == Given::New {
        fields.insert(0, ("name!", name));
    }
    body(about, Null::IsRefused, fields, example)
}

/// The bodies by name.
pub(super) fn schemas() -> [(&'static str, Value); 10] {
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
        (
            "CreateTemplate",
            template(
                "A new template.",
                Given::New,
                json!({
                    "name": "site",
                    "provisioner": "local",
                    "path": "/srv/templates/site",
                    "description": "A web site",
                    "parameters": {"title": {"description": "Stands above all pages", "default": "Untitled"}},
                }),
            ),
        ),
        (
            "ReplaceTemplate",
            template(
                "All of a template; what is absent is as usual.",
                Given::Whole,
                json!({"provisioner": "local", "path": "/srv/templates/site"}),
            ),
        ),
        (
            "ChangeTemplate",
            template("Changes of a template; what is absent stays.", Given::Part, json!({"description": "A web site"})),
        ),
        ("ChangeModel", model("Changes of a model; what is absent stays.", Given::Part, json!({"enabled": false}))),
    ]
}
