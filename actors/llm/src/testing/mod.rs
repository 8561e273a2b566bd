//! What the tests of several protocols need: bodies read in every way, and any prompt that a chat can make.

mod prompts;
mod wild;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::ready;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::Value;
use verbatim_events::episode;
use verbatim_events::error::{CallError, ErrorKind};
use verbatim_events::event::ToolDefinition;
use verbatim_events::ids::Digest;
use verbatim_events::log::BoxFuture;
use verbatim_events::message::{Message, Origin, Role};
use verbatim_events::model::{EncodedRequest, FileSource, ModelFinished, ModelProvider, ModelSettings, Prompt};
use verbatim_events::part::{FileContent, LivePart, Part};

use crate::answer::{Answer, EventDecoder};
use crate::http::{Decoder, Progress};
use crate::options::ProviderOptions;
use crate::secret::Secret;

pub(crate) use prompts::{any_prompts, any_provider_tools};

/// What came of a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) parts: Vec<LivePart>,
    pub(crate) end: Result<ModelFinished, CallError>,
}

impl Read {
    /// How it ended well, and what came.
    #[track_caller]
    pub(crate) fn finished(self) -> (ModelFinished, Vec<LivePart>) {
        (self.end.expect("the answer ends well"), self.parts)
    }

    /// The error that it ended with.
    #[track_caller]
    pub(crate) fn failed(self, kind: ErrorKind, retryable: bool) -> CallError {
        let error = self.end.expect_err("the answer fails");
        assert_eq!((error.error.kind, error.error.retryable), (kind, retryable), "{error:?}");
        assert_eq!(error.error.provider.as_deref(), Some("acme"));
        error
    }
}

/// Reads a body in pieces of `size` bytes, the first of which has `first` bytes.
pub(crate) fn read<A: Answer>(mut decoder: EventDecoder<A>, body: &[u8], first: usize, size: usize) -> Read {
    let mut parts = Vec::new();
    let (head, tail) = body.split_at(first.min(body.len()));
    for piece in [head].into_iter().chain(tail.chunks(size.max(1))) {
        match decoder.feed(piece, &mut parts) {
            Ok(Progress::Over) => break,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(decoder.finish(&mut parts), Err(error.clone()), "a failure stays");
                return Read { parts, end: Err(error) };
            }
        }
    }
    let end = decoder.finish(&mut parts);
    Read { parts, end }
}

/// Reads a body, and checks that no cut between its bytes changes what is read.
#[track_caller]
pub(crate) fn read_every_way<A: Answer>(decoder: fn() -> EventDecoder<A>, body: &str) -> Read {
    let body = body.as_bytes();
    let whole = read(decoder(), body, body.len(), 1);
    for cut in 0..body.len() {
        assert_eq!(read(decoder(), body, cut, body.len()), whole, "cut at {cut}");
    }
    assert_eq!(read(decoder(), body, 1, 1), whole, "byte by byte");
    whole
}

/// What a server may send: a protocol's events, and any bytes at all.
pub(crate) fn any_body(event: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![8 => event, 1 => prop::collection::vec(any::<u8>(), 0..20)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Reads a body of any bytes, and checks that pieces of `size` bytes come to the same as the whole. What came can be put
/// together, or is a call that cannot be read; returns what is kept of it where the answer is interrupted.
#[track_caller]
pub(crate) fn kept_of<A: Answer>(decoder: fn() -> EventDecoder<A>, body: &[u8], size: usize) -> Vec<Part> {
    let whole = read(decoder(), body, body.len(), 1);
    assert_eq!(read(decoder(), body, size, size), whole);
    let _ = episode::complete(&whole.parts);
    episode::interrupted(&whole.parts)
}

/// A stream of named events.
pub(crate) fn stream(events: &[Value]) -> String {
    let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", name(event))).collect()
}

pub(crate) fn text(text: &str) -> LivePart {
    LivePart::TextDelta { text: text.into() }
}

pub(crate) fn thought(text: &str) -> LivePart {
    LivePart::ReasoningDelta { text: text.into() }
}

pub(crate) fn args(call_id: &str, name: &str, args: &str) -> LivePart {
    LivePart::ToolArgsDelta { call_id: call_id.into(), name: name.into(), args: args.into() }
}

pub(crate) fn call(call_id: &str, name: &str, args: Value) -> Part {
    let (call_id, name) = (call_id.into(), name.into());
    Part::ToolCall { call_id, name, args, provider_executed: false, metadata: None }
}

pub(crate) fn result(call_id: &str, result: Value, is_error: bool) -> Part {
    let (call_id, name) = (call_id.into(), "look".into());
    Part::ToolResult { call_id, name, result, is_error, provider_executed: false, metadata: None }
}

/// A file that holds these bytes.
pub(crate) fn file(id: &str, media_type: &str, bytes: &[u8]) -> Part {
    let (_, ending) = media_type.split_once('/').unwrap_or_default();
    let content = Some(FileContent { digest: Digest::of(bytes), size_bytes: bytes.len() as u64 });
    Part::File { file_id: id.into(), media_type: media_type.into(), name: format!("{id}.{ending}"), content }
}

/// The files that are there.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    bytes: BTreeMap<String, Vec<u8>>,
    gone: Mutex<BTreeSet<String>>,
}

impl Shelf {
    pub(crate) fn with(files: &[(&str, &[u8])]) -> Arc<Shelf> {
        let bytes = files.iter().map(|(id, bytes)| ((*id).to_owned(), bytes.to_vec()));
        Arc::new(Shelf { bytes: bytes.collect(), gone: Mutex::default() })
    }
}

impl FileSource for Shelf {
    fn read(&self, file_id: &str, _content: FileContent) -> BoxFuture<'static, Result<Option<Vec<u8>>, String>> {
        let found = self.bytes.get(file_id).cloned();
        if found.is_none() {
            self.gone.lock().unwrap().insert(file_id.to_owned());
        }
        Box::pin(ready(Ok(found)))
    }

    fn is_gone(&self, file_id: &str) -> bool {
        self.gone.lock().unwrap().contains(file_id)
    }
}

pub(crate) fn source(url: &str, title: &str) -> Part {
    Part::Source { url: url.into(), title: title.into() }
}

pub(crate) fn reasoning(text: &str, metadata: Option<Value>) -> Part {
    Part::Reasoning { text: text.into(), metadata }
}

/// The provider ran it.
pub(crate) fn by_provider(part: Part, fields: Option<Value>) -> Part {
    match part {
        Part::ToolCall { call_id, name, args, .. } => {
            Part::ToolCall { call_id, name, args, provider_executed: true, metadata: fields }
        }
        Part::ToolResult { call_id, name, result, is_error, .. } => {
            Part::ToolResult { call_id, name, result, is_error, provider_executed: true, metadata: fields }
        }
        part => part,
    }
}

pub(crate) fn message(role: Role, parts: Vec<Part>) -> Arc<Message> {
    let origin = match role {
        Role::Assistant => Origin::Model,
        Role::Tool => Origin::Tool,
        Role::User | Role::System => Origin::User,
    };
    Arc::new(Message::new(1, role, parts, origin, DateTime::UNIX_EPOCH))
}

pub(crate) fn user(text: &str) -> Arc<Message> {
    message(Role::User, vec![Part::text(text)])
}

pub(crate) fn prompt(messages: Vec<Arc<Message>>) -> Prompt {
    Prompt { system: None, messages, tools: Vec::new(), ..Prompt::default() }
}

pub(crate) fn tool(name: &str, parameters: Value) -> Arc<ToolDefinition> {
    Arc::new(ToolDefinition { name: name.into(), description: "Looks.".into(), parameters })
}

pub(crate) fn options() -> ProviderOptions {
    ProviderOptions {
        name: "acme".into(),
        base_url: "http://127.0.0.1:9/v1".into(),
        api_key: Some(Secret::new("sk-hidden-key")),
        api_key_expected_in: None,
        store: false,
        files: Some(Shelf::with(&[])),
    }
}

/// A model as configured.
pub(crate) fn model(provider_model: &str, max_output_tokens: Option<u64>) -> ModelSettings {
    ModelSettings {
        name: "configured".into(),
        provider: "acme".into(),
        provider_model: provider_model.into(),
        max_output_tokens,
        ..ModelSettings::default()
    }
}

/// The request to a model, and what its body says.
#[track_caller]
pub(crate) fn request(
    provider: &dyn ModelProvider,
    provider_model: &str,
    max_output_tokens: Option<u64>,
    effort: Option<&str>,
    prompt: &Prompt,
) -> (EncodedRequest, Value) {
    request_to(provider, &model(provider_model, max_output_tokens), effort, prompt)
}

/// The request to a model with all its settings, and what its body says.
#[track_caller]
pub(crate) fn request_to(
    provider: &dyn ModelProvider,
    model: &ModelSettings,
    effort: Option<&str>,
    prompt: &Prompt,
) -> (EncodedRequest, Value) {
    let request = provider.encode(prompt, model, effort).expect("the prompt can be encoded");
    assert_eq!(crate::encode_with(&request.recipe, prompt).as_ref(), Some(&request), "the recipe makes it again");
    let afresh = Prompt {
        messages: prompt.messages.iter().map(|kept| Arc::new(Message::clone(kept))).collect(),
        ..prompt.clone()
    };
    assert_eq!(
        crate::encode_with(&request.recipe, &afresh).as_ref(),
        Some(&request),
        "no bytes are kept that are others"
    );
    let body = serde_json::from_slice(&crate::files::legible(&request.body)).expect("the body is JSON");
    (request, body)
}

/// Fails with everything that a strict reader has against a request.
#[track_caller]
pub(crate) fn accepted(problems: &[String], body: &impl Debug) {
    assert!(problems.is_empty(), "{problems:#?} in {body:#?}");
}
