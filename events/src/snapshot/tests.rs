use serde_json::{Value, json};

use super::*;
use crate::chat::evolve;
use crate::envelope::Cause;
use crate::envelope::{Actor, Stored};
use crate::event::{ChatCreated, Event, MessageCommitted, TitleSource, TurnReason, TurnStarted};
use crate::message::{Origin, Role};
use crate::part::Part;
use crate::wire;

/// A running chat in which `parts` were said, as the log gives it.
fn chat(parts: Vec<Part>) -> Chat {
    let chat_id = ChatId(uuid::Uuid::from_u128(5));
    let created = ChatCreated {
        title_source: TitleSource::User,
        system_prompt: Some("Be exact.".to_owned()),
        server_tools: Some(Vec::new()),
        ..ChatCreated::new("ada", chat_id, "Numbers")
    };
    let said =
        MessageCommitted { author: Some("ada".to_owned()), ..MessageCommitted::new(Role::User, parts, Origin::User) };
    let events = vec![
        Event::ChatCreated(created),
        Event::TurnStarted(TurnStarted { reason: TurnReason::Message }),
        Event::MessageCommitted(said),
    ];
    let cause = Cause { actor: Actor::System, command_id: uuid::Uuid::nil(), causation_id: None, trace_id: None };
    let now = chrono::DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("a time within range");
    let sealed = wire::seal(chat_id, 0, Digest::ZERO, events, &cause, now, &mut uuid::Uuid::nil);
    sealed
        .into_iter()
        .fold(None, |chat, (event, _)| {
            let recorded = wire::decode(&Stored::new(1, event)).expect("a sealed event");
            Some(evolve(chat, &recorded).expect("a legal event"))
        })
        .expect("there are events")
}

fn said(result: Value) -> Vec<Part> {
    let call_id = "c".to_owned();
    let result = Part::ToolResult {
        call_id,
        name: "t".to_owned(),
        result,
        is_error: false,
        provider_executed: true,
        metadata: Some(Value::Null),
    };
    vec![Part::text("\u{0}\u{2028}ü"), result]
}

#[test]
fn a_state_is_read_back_to_the_last_bit() {
    let numbers = json!([0.1, 1e300, -0.0, 5e-324, 123_456_789.123_456_78, u64::MAX, i64::MIN, 1.0]);
    let chat = chat(said(numbers));
    let Encoded { state, digest } = encode(&chat).expect("a small state");
    let back = decode(&state, digest).expect("what was written");
    assert_eq!(back, chat);
    assert_eq!(encode(&back), Some(Encoded { state, digest }), "a state has one form");
}

#[test]
fn what_an_event_may_hold_a_snapshot_may_hold() {
    // As deep as an event may be: its own levels around the value count, too.
    let deepest = (0..NESTING_MAX - 3).fold(json!(0), |inner, _| json!([inner]));
    let chat = chat(said(deepest));
    let Encoded { state, digest } = encode(&chat).expect("a small state");
    assert_eq!(decode(&state, digest), Some(chat));
}

#[test]
fn what_is_damaged_does_not_exist() {
    let Encoded { state, digest } = encode(&chat(vec![Part::text("Hello")])).expect("a small state");
    assert!(decode(&state, digest).is_some());
    assert_eq!(decode(&state.replace("Hello", "Hallo"), digest), None, "another text");
    assert_eq!(decode(&state[..state.len() - 1], digest), None, "cut off");
    for empty in ["", "null", "{}", "[]"] {
        assert_eq!(decode(empty, Digest::of(empty.as_bytes())), None, "{empty:?} is no state");
    }
}

#[test]
fn a_whole_that_does_not_hold_together_does_not_exist() {
    let Encoded { state, .. } = encode(&chat(vec![Part::text("Hello")])).expect("a small state");
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("no version", |chat| chat["outline"]["version"] = json!(0)),
        ("no hash", |chat| chat["head_hash"] = json!(Digest::ZERO)),
        ("a state that cannot be", |chat| chat["outline"]["archived"] = json!(true)),
        ("another queue", |chat| chat["outline"]["queue"] = json!([9])),
        ("a message twice", |chat| {
            let message = chat["history"]["messages"][0].clone();
            chat["history"]["messages"].as_array_mut().expect("a list").push(message);
        }),
        ("a field of another program", |chat| chat["mood"] = json!("fine")),
    ];
    for (what, change) in changes {
        let mut changed: Value = serde_json::from_str(&state).expect("JSON");
        change(&mut changed);
        let text = changed.to_string();
        assert_eq!(decode(&text, Digest::of(text.as_bytes())), None, "{what}");
    }
}

#[test]
fn snapshots_grow_rarer_as_a_chat_grows_longer() {
    assert_eq!([0, 1, 199, 200, 399, 400].map(due), [0, 0, 0, 200, 200, 400]);
    assert_eq!([3_199, 3_200, 10_000, 1_000_000].map(due), [3_000, 3_200, 9_600, 921_600]);
    let mut last = 0;
    for version in 1..200_000 {
        let now = due(version);
        assert!(last <= now && now <= version, "at {version}");
        assert!(now == last || now == version, "at {version} a snapshot of {now} is due that was not before");
        assert!(version - now < EVERY_EVENTS.max(version / TAIL_SHARE + 1), "the tail at {version} is too long");
        last = now;
    }
}
