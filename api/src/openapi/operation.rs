//! One route of the contract: what it takes, what it answers, how it fails.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::parameters::{Parameter, header};
use crate::error::Code;

/// A reference to a schema by its name.
pub fn schema_ref(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A page of a list.
pub fn page_of(items: Value) -> Value {
    json!({
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": items},
            "next_cursor": {
                "type": ["string", "null"],
                "description": "Where the next page begins, opaque; null at the end.",
            },
        },
    })
}

/// A kind of server-sent event: its name, the shape of its data, what it says.
pub struct StreamEvent {
    /// The `event:` line.
    pub name: &'static str,
    /// The schema of its data.
    pub data: Value,
    /// What it says, and whether it has an id.
    pub about: &'static str,
}

impl StreamEvent {
    /// The event as the document has it: its lines by name.
    fn to_json(&self) -> Value {
        json!({
            "type": "object",
            "title": self.name,
            "description": self.about,
            "required": ["event", "data"],
            "properties": {
                "event": {"const": self.name},
                "id": {"type": "string", "description": "The place after it; absent where it has none."},
                "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": self.data},
            },
        })
    }
}

/// A successful answer.
struct Answer {
    about: &'static str,
    headers: Map<String, Value>,
    content: Map<String, Value>,
}

/// A method on a path.
pub struct Operation {
    method: &'static str,
    path: String,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Parameter>,
    body: Option<Value>,
    answers: BTreeMap<u16, Answer>,
    problems: Vec<Code>,
    public: bool,
}

impl Operation {
    /// An operation that needs a key, which may ask too often, and that may break inside.
    pub fn new(
        method: &'static str,
        path: impl Into<String>,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Operation {
        Operation {
            method,
            path: path.into(),
            id,
            tag,
            summary,
            description: "",
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            problems: vec![Code::Unauthorized, Code::RateLimited, Code::Internal],
            public: false,
        }
    }

    /// The method, in lower case.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The path from the server's root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Says more than the summary.
    pub fn about(self, description: &'static str) -> Operation {
        Operation { description, ..self }
    }

    /// Needs no key, and cannot fail in a way of its own.
    pub fn public(self) -> Operation {
        Operation { public: true, problems: Vec::new(), ..self }
    }

    /// Takes these parameters.
    pub fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Operation {
        self.parameters.extend(parameters);
        self
    }

    /// Takes a body, by the name of its schema.
    pub fn body(mut self, schema: &'static str, required: bool) -> Operation {
        self.body = Some(json!({
            "required": required,
            "content": {"application/json": {"schema": schema_ref(schema)}},
        }));
        self.fails(&[Code::InvalidRequest, Code::BodyTooLarge, Code::UnsupportedMediaType])
    }

    /// Takes bytes of one of these media types.
    pub fn body_of(mut self, media_types: &[&str]) -> Operation {
        let content: Map<String, Value> =
            media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({"schema": {}}))).collect();
        self.body = Some(json!({"required": true, "content": content}));
        self.fails(&[Code::InvalidRequest, Code::BodyTooLarge, Code::UnsupportedMediaType])
    }

    /// Answers JSON.
    pub fn answers(self, status: u16, about: &'static str, schema: Value) -> Operation {
        self.answers_as(status, about, "application/json", json!({"schema": schema}))
    }

    /// Answers something.
    pub fn answers_as(mut self, status: u16, about: &'static str, media_type: &str, content: Value) -> Operation {
        let answer =
            self.answers.entry(status).or_insert_with(|| Answer { about, headers: Map::new(), content: Map::new() });
        answer.content.insert(media_type.to_owned(), content);
        self
    }

    /// Answers without a body.
    pub fn answers_nothing(mut self, status: u16, about: &'static str) -> Operation {
        self.answers.insert(status, Answer { about, headers: Map::new(), content: Map::new() });
        self
    }

    /// Answers a stream of server-sent events. OpenAPI 3.1 has no word for the items of a stream: the schema is that of one
    /// event, whose `data` is one line of JSON.
    pub fn streams(self, about: &'static str, events: Vec<StreamEvent>) -> Operation {
        let content = json!({"schema": {
            "description": "One event of the stream.",
            "oneOf": events.iter().map(StreamEvent::to_json).collect::<Vec<_>>(),
        }});
        self.answers_as(200, about, "text/event-stream", content)
    }

    /// A header of the successful answers.
    pub fn with_header(mut self, name: &str, about: &str, required: bool) -> Operation {
        for answer in self.answers.values_mut() {
            let header = json!({"description": about, "required": required, "schema": {"type": "string"}});
            answer.headers.insert(name.to_owned(), header);
        }
        self
    }

    /// Changes something: is done once per idempotency key, and says how far a read must be to see it.
    pub fn changes(self) -> Operation {
        self.takes([header::idempotency_key(), header::traceparent()])
            .with_header("Verbatim-Position", "What a read sends back to see this change.", true)
            .with_header(
                "Idempotency-Replayed",
                "`true` where the key was used before and nothing happened now.",
                false,
            )
            .fails(&[
                Code::InvalidRequest,
                Code::Forbidden,
                Code::IdempotencyMismatch,
                Code::Busy,
                Code::LogUnavailable,
                Code::Stopping,
                Code::ChatDamaged,
                Code::ChatUnavailable,
            ])
    }

    /// Reads the read models, once they are as far as the caller wants.
    pub fn reads(self) -> Operation {
        self.takes([header::position()]).fails(&[
            Code::InvalidRequest,
            Code::LogUnavailable,
            Code::ReadsUnavailable,
            Code::ReadsBehind,
            Code::Stopping,
        ])
    }

    /// Fails with these problems.
    pub fn fails(mut self, codes: &[Code]) -> Operation {
        self.problems.extend(codes);
        self
    }

    /// The problems it fails with, by status.
    pub fn problems(&self) -> BTreeMap<u16, Vec<Code>> {
        let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
        for code in Code::ALL.iter().filter(|code| self.problems.contains(code)) {
            by_status.entry(code.status()).or_default().push(*code);
        }
        by_status
    }

    /// The operation as the document has it.
    pub fn to_json(&self) -> Value {
        let mut responses: Map<String, Value> = Map::new();
        for (status, answer) in &self.answers {
            let mut response = json!({"description": answer.about});
            if !answer.headers.is_empty() {
                response["headers"] = Value::Object(answer.headers.clone());
            }
            if !answer.content.is_empty() {
                response["content"] = Value::Object(answer.content.clone());
            }
            responses.insert(status.to_string(), response);
        }
        for (status, codes) in self.problems() {
            responses.insert(status.to_string(), problem(status, &codes));
        }
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": responses,
        });
        if !self.description.is_empty() {
            operation["description"] = self.description.into();
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.iter().map(Parameter::to_json).collect();
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = body.clone();
        }
        if self.public {
            operation["security"] = json!([]);
        }
        operation
    }
}

/// The answer with one of these problems.
fn problem(status: u16, codes: &[Code]) -> Value {
    let lines: Vec<String> = codes.iter().map(|code| format!("* `{}`: {}.", code.name(), code.title())).collect();
    let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
    let mut response = json!({
        "description": lines.join("\n"),
        "content": {"application/problem+json": {"schema": {
            "allOf": [schema_ref("Problem"), {"properties": {"code": {"enum": names}, "status": {"const": status}}}],
        }}},
    });
    let header = match status {
        401 => Some(("WWW-Authenticate", "`Bearer`.", true)),
        429 | 503 => Some(("Retry-After", "When to ask again, in seconds.", true)),
        _ => None,
    };
    if let Some((name, about, required)) = header {
        response["headers"] = json!({name: {"description": about, "required": required, "schema": {"type": "string"}}});
    }
    response
}
