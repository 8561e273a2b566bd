//! Any prompt that a chat can make, whatever its history: cut, doubled, by several providers.

use std::sync::Arc;

use chrono::DateTime;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;
use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, Event, TitleSource};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::message::{Message, Role, Visibility};
use verbatim_events::model::Prompt;
use verbatim_events::part::Part;
use verbatim_events::prompt::{assemble, assemble_summary};

use super::{by_provider, call, message, result, tool};

/// The prompts of a chat's next answer and of its summary, with and without tools.
pub(crate) fn any_prompts() -> impl Strategy<Value = Vec<Prompt>> {
    (any_history(), 0..30_u64, any::<bool>()).prop_map(|(history, boundary, has_tools)| {
        let mut chat = chat(history, has_tools);
        chat.boundary = boundary;
        vec![assemble(&chat, &[]), assemble_summary(&chat, &[], "Summarise.")]
    })
}

fn chat(history: Vec<Arc<Message>>, has_tools: bool) -> Chat {
    let id = ChatId(Uuid::from_u128(1));
    let created = ChatCreated {
        owner: "ada".to_owned(),
        parent: None,
        root: id,
        title: "New chat".to_owned(),
        title_source: TitleSource::Fallback,
        model: None,
        effort: None,
        system_prompt: Some("Be brief.".to_owned()),
        tools: if has_tools {
            vec![tool("look", json!({})), tool("find", json!({ "type": "object" }))]
        } else {
            vec![]
        },
        server_tools: None,
        mcp_servers: vec![],
        tool_policy: Default::default(),
        labels: Default::default(),
        workspace: None,
        plan_mode: false,
    };
    let recorded = Recorded {
        position: 1,
        chat_id: id,
        version: 1,
        recorded_at: DateTime::UNIX_EPOCH,
        hash: Digest::ZERO,
        event: Event::ChatCreated(created),
    };
    let mut chat = evolve(None, &recorded).expect("a creation");
    history.into_iter().for_each(|message| chat.history.push(message));
    chat
}

fn any_history() -> impl Strategy<Value = Vec<Arc<Message>>> {
    let role =
        prop::sample::select(vec![Role::User, Role::Assistant, Role::Assistant, Role::Tool, Role::Tool, Role::System]);
    let visibility =
        prop::sample::select(vec![Visibility::Both, Visibility::Both, Visibility::User, Visibility::Model]);
    let one = (role, visibility, prop::collection::vec(any_part(), 0..6));
    prop::collection::vec(one, 0..20).prop_map(|messages| {
        let numbered = (2..).zip(messages);
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

/// A call or a result of this id, as one provider or another would have made it.
fn any_tool_part(id: &'static str) -> impl Strategy<Value = Part> {
    let answer = prop::sample::select(vec![json!(""), json!("plain"), json!({ "a": 1 }), Value::Null]);
    let arguments = prop::sample::select(vec![json!({}), json!({ "q": 1 }), json!("no object"), Value::Null]);
    (0..7_u8, answer, arguments, any::<bool>()).prop_map(move |(kind, answer, arguments, is_error)| {
        let asked = call(id, "look at this", arguments.clone());
        let answered = result(id, answer.clone(), is_error);
        let anthropic = |block: Value| json!({ "protocol": "anthropic", "provider": "acme", "block": block });
        let sent = format!("srvtoolu_{id}").replace(['.', ':'], "_");
        match kind {
            0 | 1 => asked,
            2 | 3 => answered,
            4 => by_provider(
                asked,
                Some(anthropic(json!({ "type": "server_tool_use", "id": sent, "name": "web_search" }))),
            ),
            5 => {
                let block = json!({ "type": "web_search_tool_result", "tool_use_id": sent, "content": [] });
                by_provider(answered, Some(anthropic(block)))
            }
            _ if is_error => by_provider(answered, Some(json!({ "protocol": "openai_responses", "provider": "acme" }))),
            _ => {
                let item = json!({ "type": "web_search_call", "id": "ws_1", "status": "completed", "action": {} });
                let mark = json!({ "protocol": "openai_responses", "provider": "acme", "item": item });
                by_provider(asked, Some(mark))
            }
        }
    })
}

fn any_part() -> impl Strategy<Value = Part> {
    let words = prop::sample::select(vec!["", " ", "one", "two "]);
    let id = prop::sample::select(vec![
        "a",
        "b",
        "functions.look:0",
        "",
        "a_long_id_a_long_id_a_long_id_a_long_id_a_long_id_a_long_id_a",
    ]);
    prop_oneof![
        4 => words.clone().prop_map(Part::text),
        3 => (words, any_mark()).prop_map(|(words, metadata)| Part::Reasoning { text: words.to_owned(), metadata }),
        9 => id.prop_flat_map(any_tool_part),
        1 => Just(Part::Source { url: "u".to_owned(), title: String::new() }),
        1 => Just(Part::File { file_id: "f".to_owned(), media_type: "image/png".to_owned(), name: "a".to_owned() }),
    ]
}
