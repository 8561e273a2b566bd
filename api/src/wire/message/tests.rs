use serde_json::json;
use verbatim_events::event::Event;
use verbatim_events::part::Part;

use super::*;
use crate::wire::samples::{chat_after, created, json_of, recorded, said, turn_started};

#[test]
fn a_message_shows_the_same_in_its_event_and_in_history() {
    let committed = MessageCommitted {
        model: Some("demo".into()),
        effort: Some("low".into()),
        usage: Some(Usage { input_tokens: 3, output_tokens: 5, ..Usage::default() }),
        finish_reason: Some(FinishReason::Stop),
        ..said("hello")
    };
    let expected = json!({
        "id": 3,
        "role": "user",
        "content": [{"type": "text", "text": "hello"}],
        "visibility": "both",
        "origin": "user",
        "author": "ada",
        "model": "demo",
        "effort": "low",
        "usage": {
            "input_tokens": 3, "output_tokens": 5, "cache_read_tokens": 0, "cache_write_tokens": 0,
            "reasoning_tokens": 0,
        },
        "finish_reason": "stop",
        "created_at": "2026-09-21T14:13:22.123456Z",
        "turn_id": 2,
    });
    let event = recorded(3, Event::MessageCommitted(committed.clone()));
    assert_eq!(json_of(&MessageView::committed(&event, &committed, Some(2))), expected);
    let chat = chat_after([created(), turn_started(), Event::MessageCommitted(committed)]);
    let message = chat.history.get(3).unwrap();
    assert_eq!(json_of(&MessageView::of(message)), expected);
}

#[test]
fn a_message_for_the_model_alone_keeps_its_place_and_loses_its_words() {
    let committed = MessageCommitted { visibility: Visibility::Model, ..said("a summary") };
    let event = recorded(3, Event::MessageCommitted(committed.clone()));
    let shown = json_of(&MessageView::committed(&event, &committed, None));
    assert_eq!((&shown["withheld"], &shown["content"]), (&json!(true), &json!([])));
    assert!(!shown.to_string().contains("a summary"), "{shown}");
}

#[test]
fn a_queued_message_shows_the_same_in_its_event_and_in_the_queue() {
    let queued = MessageQueued {
        parts: vec![Part::text("later")],
        author: "ada".into(),
        model: None,
        effort: None,
        steer: true,
    };
    let expected = json!({
        "id": 4,
        "queued_id": 4,
        "content": [{"type": "text", "text": "later"}],
        "author": "ada",
        "steer": true,
        "created_at": "2026-09-21T14:13:23.123456Z",
    });
    let event = recorded(4, Event::MessageQueued(queued.clone()));
    assert_eq!(json_of(&QueuedView::queued(&event, &queued)), expected);
    let chat =
        chat_after([created(), turn_started(), Event::MessageCommitted(said("now")), Event::MessageQueued(queued)]);
    assert_eq!(json_of(&QueuedView::of(&chat.queue[0])), expected);
}
