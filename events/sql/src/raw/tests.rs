use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::envelope::{Actor, Encoding};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::log::LogError;

use super::{RawEvent, actor_columns, receipt};

fn raw() -> RawEvent {
    RawEvent {
        position: 7,
        chat_id: Uuid::from_u128(1),
        version: 3,
        event_id: Uuid::from_u128(2),
        event_type: "message_committed".to_owned(),
        schema: 2,
        recorded_at: 1_700_000_000_123_456,
        actor_kind: "node".to_owned(),
        actor_name: "n1".to_owned(),
        command_id: Uuid::from_u128(3),
        causation_id: Some(Uuid::from_u128(4)),
        trace_id: Some("t".to_owned()),
        encoding: 1,
        data: b"{}".to_vec(),
        hash: vec![9; 32],
    }
}

#[test]
fn a_whole_row_is_read() {
    let stored = raw().read().unwrap();
    assert_eq!((stored.position, stored.event.version, stored.event.schema), (7, 3, 2));
    assert_eq!(stored.event.chat_id, ChatId(Uuid::from_u128(1)));
    assert_eq!(stored.event.recorded_at, DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap());
    assert_eq!((stored.event.actor, stored.event.encoding), (Actor::Node("n1".to_owned()), Encoding::Sealed));
    assert_eq!(stored.event.hash, Digest([9; 32]));
}

#[test]
fn actors_come_back() {
    for actor in [Actor::User("ada".to_owned()), Actor::Node(String::new()), Actor::System] {
        let (kind, name) = actor_columns(actor.clone());
        let row = RawEvent { actor_kind: kind.to_owned(), actor_name: name, ..raw() };
        assert_eq!(row.read().unwrap().event.actor, actor);
    }
}

#[test]
fn damage_is_named_with_its_position() {
    for (row, column) in [
        (RawEvent { encoding: 2, ..raw() }, "encoding 2"),
        (RawEvent { encoding: 1 << 40, ..raw() }, "encoding"),
        (RawEvent { hash: vec![9; 31], ..raw() }, "hash has 31 bytes"),
        (RawEvent { version: -1, ..raw() }, "version -1"),
        (RawEvent { schema: -1, ..raw() }, "schema number -1"),
        (RawEvent { recorded_at: i64::MAX, ..raw() }, "recorded_at"),
        (RawEvent { actor_kind: "robot".to_owned(), ..raw() }, "\"robot\""),
    ] {
        match row.read() {
            Err(LogError::Damaged { position, problem }) => {
                assert_eq!(position, 7);
                assert!(problem.contains(column), "{problem}");
            }
            other => panic!("{column}: {other:?}"),
        }
    }
    let error = RawEvent { position: -1, ..raw() }.read().unwrap_err();
    assert!(matches!(error, LogError::Damaged { position: 0, .. }), "{error}");
    assert!(matches!(receipt(&[1; 33], 5, vec![]), Err(LogError::Damaged { position: 5, .. })));
}
