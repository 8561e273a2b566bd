use proptest::prelude::*;
use serde_json::{Value, json};

use super::samples;
use crate::envelope::{Actor, Encoding, chain_hash};
use crate::event::ToolCallFinished;
use crate::upcast::Step;
use crate::wire::table::read_by;
use crate::wire::*;

fn cause() -> Cause {
    Cause {
        actor: Actor::User("ada".to_owned()),
        command_id: Uuid::from_u128(0xc0),
        causation_id: Some(Uuid::from_u128(0xca)),
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
    }
}

fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 123_456_789).expect("a time within range")
}

fn sealed(version: Version, previous: Digest, events: Vec<Event>) -> Vec<(NewEvent, Recorded)> {
    let mut ids = 0;
    let mut new_id = || {
        ids += 1;
        Uuid::from_u128(ids)
    };
    seal(samples::chat_id(1), version, previous, events, &cause(), moment(), &mut new_id)
}

fn stored(event: NewEvent) -> Stored {
    Stored::new(77, event)
}

fn one() -> Stored {
    stored(sealed(0, Digest::ZERO, samples::full()).remove(0).0)
}

#[test]
fn events_are_numbered_after_the_version_and_share_their_cause() {
    let sealed = sealed(41, Digest::of(b"before"), samples::full());
    assert_eq!(sealed.len(), EVENT_TYPES.len());
    for (index, (new, recorded)) in sealed.iter().enumerate() {
        let number = index as u64 + 1;
        assert_eq!((new.version, recorded.version), (41 + number, 41 + number));
        assert_eq!(new.event_id, Uuid::from_u128(u128::from(number)));
        assert_eq!((new.chat_id, recorded.chat_id), (samples::chat_id(1), samples::chat_id(1)));
        assert_eq!((&new.actor, new.command_id), (&cause().actor, cause().command_id));
        assert_eq!((new.causation_id, &new.trace_id), (cause().causation_id, &cause().trace_id));
        assert_eq!(new.recorded_at.timestamp_subsec_nanos(), 123_456_000);
        assert_eq!((recorded.recorded_at, recorded.hash), (new.recorded_at, new.hash));
        assert_eq!(recorded.position, 0);
        assert_eq!(new.event_type, event_type(&recorded.event));
    }
}

#[test]
fn what_is_read_back_is_what_was_decided() {
    for (new, recorded) in sealed(0, Digest::ZERO, [samples::full(), samples::minimal()].concat()) {
        let read = decode(&stored(new)).expect("a sealed event");
        assert_eq!(read, Recorded { position: 77, ..recorded });
    }
}

#[test]
fn each_event_is_linked_to_the_one_before() {
    let before = Digest::of(b"before");
    let chain: Vec<_> = sealed(9, before, samples::full()).into_iter().map(|(new, _)| stored(new)).collect();
    let mut previous = before;
    for link in &chain {
        assert!(verify_link(&previous, link));
        assert!(!verify_link(&Digest::ZERO, link));
        previous = link.event.hash;
    }
}

#[test]
fn a_change_anywhere_breaks_the_link() {
    type Change = fn(&mut NewEvent);
    let changes: [(&str, Change); 12] = [
        ("chat", |event| event.chat_id = samples::chat_id(2)),
        ("version", |event| event.version += 1),
        ("id", |event| event.event_id = Uuid::nil()),
        ("type", |event| event.event_type.push('x')),
        ("schema", |event| event.schema += 1),
        ("time", |event| event.recorded_at += chrono::Duration::microseconds(1)),
        ("actor", |event| event.actor = Actor::Node("ada".to_owned())),
        ("command", |event| event.command_id = Uuid::nil()),
        ("causation", |event| event.causation_id = None),
        ("trace", |event| event.trace_id = None),
        ("encoding", |event| event.encoding = Encoding::Sealed),
        ("data", |event| event.data[1] ^= 1),
    ];
    for (what, change) in changes {
        let mut changed = one();
        assert!(verify_link(&Digest::ZERO, &changed));
        change(&mut changed.event);
        assert!(!verify_link(&Digest::ZERO, &changed), "a changed {what} goes unnoticed");
    }
}

/// Computed independently of this program; a log written by an older version must still verify.
#[test]
fn the_hash_of_a_frozen_envelope_is_frozen() {
    let event = NewEvent {
        chat_id: samples::chat_id(1),
        version: 2,
        event_id: Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_00ee),
        event_type: "chat_archived".to_owned(),
        schema: 1,
        recorded_at: DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("a time within range"),
        actor: Actor::User("ada".to_owned()),
        command_id: Uuid::from_u128(0xc0),
        causation_id: None,
        trace_id: Some("trace".to_owned()),
        encoding: Encoding::Plain,
        data: b"{}".to_vec(),
        hash: Digest::ZERO,
    };
    let hash = chain_hash(&Digest::of(b"previous"), &event);
    assert_eq!(hash.to_string(), "2320dfb3b3c99242a0fd944a8b45996d703512e8627354f4c8875a7488b016ad");
}

#[track_caller]
fn refused(change: impl FnOnce(&mut NewEvent), problem: &str) {
    let mut stored = one();
    change(&mut stored.event);
    let error = decode(&stored).expect_err("unreadable");
    assert!(error.problem.contains(problem), "{}", error.problem);
    assert_eq!((error.chat_id, error.version, error.position), (samples::chat_id(1), 1, 77));
    assert_eq!((error.event_type, error.schema), (stored.event.event_type, stored.event.schema));
}

#[test]
fn what_cannot_be_read_is_said_clearly() {
    refused(|event| event.encoding = Encoding::Sealed, "sealed, and no key opened it");
    refused(|event| event.event_type = "chat_painted".to_owned(), "no event has this type");
    refused(|event| event.schema = 3, "schema 3 is unknown; this program reads 1 to 2");
    refused(|event| event.schema = 0, "schema 0 is unknown");
    refused(|event| event.data.truncate(20), "malformed JSON");
    refused(|event| event.data.clear(), "malformed JSON");
    refused(|event| event.data.extend(b" {}"), "malformed JSON: trailing characters");
    refused(|event| event.data = b"{}".to_vec(), "missing field `owner`");
    refused(|event| event.data = vec![0xff; 9], "malformed JSON");
}

fn finished(result: Value) -> Event {
    Event::ToolCallFinished(ToolCallFinished {
        attempt_id: 1,
        call_id: "call_1".to_owned(),
        name: "read".to_owned(),
        result,
        is_error: false,
        attachments: vec![],
        duration_ms: 1,
    })
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("deep"), |inner, _| json!([inner]))
}

/// Whatever the parsers at the entrance take in, 127 levels, is read back from the log, though an event adds its own.
#[test]
fn deep_values_are_read_back_and_deeper_ones_are_refused() {
    let deepest = nested(NESTING_MAX - 1);
    let (new, recorded) = sealed(0, Digest::ZERO, vec![finished(deepest)]).remove(0);
    assert_eq!(decode(&stored(new)).expect("within bounds").event, recorded.event);
    let (new, _) = sealed(0, Digest::ZERO, vec![finished(nested(NESTING_MAX))]).remove(0);
    let error = decode(&stored(new)).expect_err("out of bounds");
    assert!(error.problem.contains("nests deeper than 192 levels"), "{error}");
}

/// The mechanism that old schema numbers will need, on a table of its own.
#[test]
fn an_old_schema_number_is_raised_before_it_is_read() {
    let types = [EventType { name: "queued_message_deleted", schema: 3 }];
    let steps = [
        Step {
            event_type: "queued_message_deleted",
            from: 1,
            raise: |mut value| {
                let id = value.as_object_mut().and_then(|fields| fields.remove("id")).ok_or("no id")?;
                Ok(json!({ "queued": id }))
            },
        },
        Step {
            event_type: "queued_message_deleted",
            from: 2,
            raise: |value| Ok(json!({ "queued_id": value["queued"] })),
        },
    ];
    let read = |schema, text: &str| read_by("queued_message_deleted", schema, text.as_bytes(), &types, &steps);
    let expected = Event::read_current("queued_message_deleted", br#"{"queued_id":7}"#);
    assert!(expected.is_ok());
    assert_eq!(read(1, r#"{"id":7}"#), expected);
    assert_eq!(read(2, r#"{"queued":7}"#), expected);
    assert_eq!(read(3, r#"{"queued_id":7}"#), expected);
    assert!(read(1, r#"{"queued":7}"#).expect_err("a wrong shape").contains("no id"));
    assert!(read(2, r#"{"queued":"x"}"#).expect_err("a wrong type").contains("malformed JSON"));
    assert!(read(4, "{}").expect_err("too new").contains("reads 1 to 3"));
}

/// Any JSON a provider or a tool may hand us.
fn any_json() -> impl Strategy<Value = Value> {
    let number = any::<f64>().prop_filter("finite", |number| number.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        number.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    /// The state after a replay is the state before it, to the last bit of the last number.
    #[test]
    fn free_json_is_read_back_exactly(value in any_json()) {
        let (new, recorded) = sealed(3, Digest::ZERO, vec![finished(value)]).remove(0);
        let bytes = new.data.clone();
        let read = decode(&stored(new)).expect("a sealed event");
        prop_assert_eq!(&read.event, &recorded.event);
        prop_assert_eq!(read.event.encode(), bytes);
    }

    /// Whatever stands in the log, reading it never panics.
    #[test]
    fn no_bytes_make_reading_panic(kind in 0..EVENT_TYPES.len(), data in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut stored = one();
        stored.event.event_type = EVENT_TYPES[kind].name.to_owned();
        stored.event.data = data;
        if let Ok(recorded) = decode(&stored) {
            prop_assert_eq!(event_type(&recorded.event), EVENT_TYPES[kind].name);
        }
    }
}
