use serde_json::json;
use verbatim_events::chat::Status;

use super::*;
use crate::wire::samples::{chat_id, created, json_of, sealed};

#[test]
fn a_raw_event_is_the_envelope_the_hashes_and_the_stored_bytes() {
    let event = sealed(vec![created()]).remove(0);
    let (hash, bytes) = (event.hash, event.data.clone());
    let stored = Stored::new(9, event);
    let text = serde_json::to_string(&RawView::of(&stored, "p-0-9".into(), Some(Status::Waiting), Some(Digest::ZERO)))
        .unwrap();
    // Byte by byte: what an auditor hashes is what the log holds.
    assert!(text.contains(std::str::from_utf8(&bytes).unwrap()), "{text}");
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        shown,
        json!({
            "version": 1,
            "type": "chat_created",
            "at": "2026-09-21T14:13:20.123456Z",
            "status": "waiting",
            "position": "p-0-9",
            "chat_id": chat_id(),
            "event_id": "00000000-0000-0000-0000-000000000001",
            "schema": 2,
            "actor": {"kind": "user", "name": "ada"},
            "command_id": "00000000-0000-0000-0000-000000000007",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "encoding": "plain",
            "previous_hash": "0".repeat(64),
            "hash": hash.to_string(),
            "data": serde_json::from_slice::<serde_json::Value>(&bytes).unwrap(),
        })
    );
    assert_eq!(shown["data"]["system_prompt"], "the prompt's secret");
}

#[test]
fn sealed_data_is_not_shown_as_if_it_were_json() {
    let mut event = sealed(vec![created()]).remove(0);
    event.encoding = Encoding::Sealed;
    let shown = json_of(&RawView::of(&Stored::new(9, event), "p".into(), None, None));
    assert_eq!((&shown["encoding"], &shown["data"]), (&json!("sealed"), &json!(null)));
    assert!(shown.get("status").is_none() && shown.get("previous_hash").is_none(), "{shown}");
}
