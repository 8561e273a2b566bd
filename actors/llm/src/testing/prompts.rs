//! Any prompt that a chat can make, whatever its history: cut, doubled, by several providers.

use std::sync::Arc;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;
use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, Event, Offer};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::message::{Message, Role, Visibility};
use verbatim_events::model::Prompt;
use verbatim_events::part::{FileContent, Part};
use verbatim_events::prompt::{assemble, assemble_summary};

use super::{by_provider, call, file, message, result, tool};

/// The prompts of a chat's next answer and of its summary, with and without tools, after every message of its history.
pub(crate) fn any_prompts() -> impl Strategy<Value = Vec<Prompt>> {
    (any_history(), prop_oneof![Just(0_u64), 0..30_u64], any::<bool>()).prop_map(|(history, boundary, has_tools)| {
        let mut chat = chat(has_tools);
        chat.boundary = boundary;
        let mut prompts = vec![assemble(&chat, &Offer::default())];
        for message in history {
            chat.history.push(message);
            prompts
                .extend([assemble(&chat, &Offer::default()), assemble_summary(&chat, &Offer::default(), "Summarise.")]);
        }
        prompts
    })
}

/// The provider's own tools that a request may offer, as every protocol takes them: none, or a search.
pub(crate) fn any_provider_tools(search: Value) -> impl Strategy<Value = Vec<Value>> {
    prop::sample::select(vec![vec![], vec![search]])
}

fn chat(has_tools: bool) -> Chat {
    let id = ChatId(Uuid::from_u128(1));
    let tools = [tool("look", json!({})), tool("find", json!({ "type": "object" }))];
    let created = ChatCreated {
        system_prompt: Some("Be brief.".to_owned()),
        tools: tools.into_iter().filter(|_| has_tools).collect(),
        ..ChatCreated::new("ada", id, "New chat")
    };
    let recorded = Recorded::decided(id, 1, DateTime::UNIX_EPOCH, Event::ChatCreated(created));
    evolve(None, &recorded).expect("a creation")
}

/// Messages of any kind in any order, and among them sound steps: calls and their answers.
fn any_history() -> impl Strategy<Value = Vec<Arc<Message>>> {
    let role = prop::sample::select(vec![Role::User, Role::Assistant, Role::Assistant, Role::Tool, Role::System]);
    let visibility =
        prop::sample::select(vec![Visibility::Both, Visibility::Both, Visibility::User, Visibility::Model]);
    let parts = || {
        let run = prop_oneof![5 => any_part().prop_map(|part| vec![part]), 1 => any_search()];
        prop::collection::vec(run, 0..5).prop_map(|runs| runs.concat())
    };
    let loose = (role, parts()).prop_map(|(role, parts)| vec![(role, parts)]);
    let files = prop::collection::vec(any_file(), 0..2);
    let step =
        (parts(), any_id(), any_answer(), any::<bool>(), files).prop_map(|(parts, id, answer, is_error, files)| {
            let called = [parts, vec![call(id, "look", json!({}))]].concat();
            vec![(Role::Assistant, called), (Role::Tool, [vec![result(id, answer, is_error)], files].concat())]
        });
    let group = (prop_oneof![3 => loose, 2 => step], visibility)
        .prop_map(|(group, visibility)| group.into_iter().map(move |(role, parts)| (role, visibility, parts)));
    prop::collection::vec(group, 0..14).prop_map(|groups| {
        let numbered = (2..).zip(groups.into_iter().flatten());
        numbered
            .map(|(id, (role, visibility, parts))| {
                let plain = Arc::unwrap_or_clone(message(role, parts));
                Arc::new(Message { id, visibility, ..plain })
            })
            .collect()
    })
}

/// What reasoning may have been kept with.
fn any_mark() -> impl Strategy<Value = Option<Value>> {
    let own = |fields: Value| {
        let mut fields = fields;
        fields["provider"] = json!("acme");
        Some(fields)
    };
    prop::sample::select(vec![
        None,
        Some(json!("sig")),
        own(json!({ "protocol": "anthropic", "type": "thinking", "signature": "s1" })),
        own(json!({ "protocol": "anthropic", "type": "thinking", "signature": "" })),
        own(json!({ "protocol": "anthropic", "type": "redacted_thinking", "data": "d1" })),
        Some(json!({ "protocol": "anthropic", "provider": "other", "type": "thinking", "signature": "s2" })),
        own(json!({ "protocol": "openai_responses", "id": "rs_1", "encrypted_content": "e1" })),
        own(json!({ "protocol": "openai_responses", "id": "rs_1", "encrypted_content": "e1", "summary": ["a", "b"] })),
        own(json!({ "protocol": "openai_responses", "id": "rs_2" })),
    ])
}

fn any_id() -> impl Strategy<Value = &'static str> {
    let long = "a_long_id_a_long_id_a_long_id_a_long_id_a_long_id_a_long_id_a_long_id";
    prop::sample::select(vec!["a", "b", "functions.look:0", "", long])
}

fn any_answer() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![json!(""), json!("plain"), json!({ "a": 1 }), Value::Null])
}

/// What a provider ran itself, and the mark on each half.
fn searches() -> Vec<(Option<Value>, Option<Value>)> {
    let anthropic = |block: Value| Some(json!({ "protocol": "anthropic", "provider": "acme", "block": block }));
    let called = json!({ "type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search" });
    let found = json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [] });
    let openai = |item: Value| Some(json!({ "protocol": "openai_responses", "provider": "acme", "item": item }));
    let item = json!({ "id": "ws_1", "type": "web_search_call", "status": "completed", "action": {} });
    let empty = Some(json!({ "protocol": "openai_responses", "provider": "acme" }));
    let stray = json!({ "type": "web_search_tool_result", "tool_use_id": "srvtoolu_9", "content": [] });
    vec![
        (anthropic(called.clone()), anthropic(found)),
        (anthropic(called.clone()), anthropic(stray)),
        (anthropic(called), Some(json!({ "protocol": "anthropic", "provider": "acme" }))),
        (openai(item), empty.clone()),
        (openai(json!({ "type": "mcp_call" })), empty),
        (None, None),
    ]
}

/// A search of a provider's own: a call with its result.
fn any_search() -> impl Strategy<Value = Vec<Part>> {
    (any_id(), any_answer(), prop::sample::select(searches()), any::<bool>()).prop_map(
        |(id, answer, marks, is_error)| {
            let called = by_provider(call(id, "web_search", json!({ "query": "q" })), marks.0);
            vec![called, by_provider(result(id, answer, is_error), marks.1)]
        },
    )
}

/// One half of a call and its result.
fn any_half() -> impl Strategy<Value = Part> {
    let arguments = prop::sample::select(vec![json!({}), json!({ "q": 1 }), json!("no object"), Value::Null]);
    let marks = prop::sample::select(searches());
    (0..4_u8, any_id(), any_answer(), arguments, marks).prop_map(|(kind, id, answer, arguments, marks)| match kind {
        0 => call(id, "look at this", arguments),
        1 => result(id, answer, false),
        2 => by_provider(call(id, "web_search", arguments), marks.0),
        _ => by_provider(result(id, answer, true), marks.1),
    })
}

/// A file whose content is known or not, small or too large.
fn any_file() -> impl Strategy<Value = Part> {
    let kinds = prop::sample::select(vec!["image/png", "application/pdf", "text/csv", "font/woff"]);
    let sizes = prop::sample::select(vec![None, Some(5), Some(4 << 20), Some(9 << 20)]);
    (kinds, sizes).prop_map(|(media_type, size_bytes)| match (file("f", media_type, b""), size_bytes) {
        (Part::File { file_id, media_type, name, .. }, Some(size_bytes)) => {
            let content = Some(FileContent { digest: Digest::of(b"f"), size_bytes });
            Part::File { file_id, media_type, name, content }
        }
        (Part::File { file_id, media_type, name, .. }, None) => Part::File { file_id, media_type, name, content: None },
        (part, _) => part,
    })
}

fn any_part() -> impl Strategy<Value = Part> {
    let words = prop::sample::select(vec!["", " ", "one", "two "]);
    prop_oneof![
        4 => words.clone().prop_map(Part::text),
        3 => (words, any_mark()).prop_map(|(words, metadata)| Part::Reasoning { text: words.to_owned(), metadata }),
        6 => any_half(),
        1 => Just(Part::Source { url: "u".to_owned(), title: String::new() }),
        1 => any_file(),
    ]
}
