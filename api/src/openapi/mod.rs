//! The contract: an OpenAPI 3.1 document that is put together from the code. Shapes of answers come from the structs that
//! are written, words and bounds from the core, problems from the table of codes. What each route takes and answers is
//! said in `operations`, one file per kind of resource; tests hold the routes and the document together.

mod events;
mod operation;
mod operations;
mod parameters;
mod requests;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

const DESCRIPTION: &str = "\
Durable AI chats: what is accepted is never lost and never done twice. Every chat is an event log; every answer is streamed \
from it.

* **Ids.** A chat's is a UUIDv7; messages, queued messages, turns and attempts are named by the version of the event that \
made them, a whole number.
* **Do it once.** A POST, PATCH or DELETE with an `Idempotency-Key` is done once, however often it is sent; the answer to a \
repeated one has the header `Idempotency-Replayed: true`.
* **Read your writes.** A change answers with the header `Verbatim-Position`; a read that sends it back waits until it sees \
that change.
* **Errors** are problem details (RFC 9457); `code` is stable, programs should look at nothing else.
* **Unknown fields** of a body and unknown query parameters are refused. Answers may get more fields in time.";

/// The whole document.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations::all() {
        let item = paths.entry(operation.path().to_owned()).or_insert_with(|| json!({}));
        item[operation.method()] = operation.to_json();
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Verbatim",
            "summary": "A server for AI chats and agents that loses nothing and repeats nothing.",
            "description": DESCRIPTION,
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{"url": "/", "description": "The server that gave this document."}],
        "security": [{"bearer": []}, {"access_token": []}],
        "tags": operations::TAGS.iter().map(|(name, about)| json!({"name": name, "description": about})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`."},
                "access_token": {
                    "type": "apiKey",
                    "in": "query",
                    "name": crate::auth::ACCESS_TOKEN,
                    "description": "For those who cannot set headers: EventSource and WebSocket.",
                },
            },
        },
    })
}

/// The document as text: JSON with line breaks, the same for every process of this version.
pub fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        // A JSON value with string keys can always be written.
        let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
        text.push('\n');
        text
    });
    &TEXT
}

#[cfg(test)]
mod tests;
