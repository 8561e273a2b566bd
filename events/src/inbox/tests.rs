//! Marks: their frozen samples, their streams, their legality.

use uuid::Uuid;

use super::*;
use crate::envelope::{Actor, Cause, Stored};
use crate::wire::golden::{Golden, golden_tests};
use crate::wire::verify_link;

fn address(number: u128) -> Address {
    Address { chat_id: ChatId(Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + number)), version: 7 }
}

/// A mark of every kind with everything in it that can be, and the one that can hold less.
fn values() -> Vec<(&'static str, InboxEvent)> {
    let marked = NotificationsMarked { owner: "ada".into(), notifications: vec![address(1), address(2)], read: true };
    let through = AllNotificationsRead { owner: "ada".into(), through: Some(address(1)) };
    vec![
        ("", InboxEvent::Marked(marked)),
        ("", InboxEvent::AllRead(through.clone())),
        (".min", InboxEvent::AllRead(AllNotificationsRead { through: None, ..through })),
    ]
}

fn golden() -> Golden<InboxEvent> {
    Golden { folder: "golden/inbox", values: values() }
}

golden_tests!(golden);

#[test]
fn a_stream_is_an_owner_s_and_no_chat_s() {
    let (ada, bob) = (stream_id("ada"), stream_id("bob"));
    // Frozen: another way to make it would lose every mark.
    assert_eq!(ada.to_string(), "9339a926-ea97-8e3f-a640-27149814d4a0");
    assert_ne!(ada, bob);
    for (id, expected) in [(ada, true), (SETTINGS_STREAM, false), (ChatId(Uuid::now_v7()), false)] {
        assert_eq!(is_stream(id), expected, "{id}");
    }
    assert!(!ada.is_chat() && !SETTINGS_STREAM.is_chat() && ChatId(Uuid::now_v7()).is_chat());
}

#[test]
fn marks_are_chained_and_stand_in_their_owner_s_stream_alone() {
    let cause = Cause { actor: Actor::System, command_id: Uuid::nil(), causation_id: None, trace_id: None };
    let mut previous = Digest::ZERO;
    for (index, (_, event)) in values().into_iter().enumerate() {
        let version = index as u64;
        let new = seal(version, &previous, &event, &cause, DateTime::UNIX_EPOCH, Uuid::nil());
        assert_eq!((new.chat_id, new.version), (stream_id("ada"), version + 1));
        let stored = Stored::new(9, new);
        assert!(verify_link(&previous, &stored));
        previous = stored.event.hash;
        let recorded = decode(&stored).expect("what was written is read");
        assert_eq!((&recorded.event, recorded.check()), (&event, Ok(())));
        let elsewhere = RecordedMark { stream: stream_id("bob"), ..recorded };
        assert_eq!(elsewhere.check(), Err(IllegalMark::OtherOwner { owner: "ada".to_owned() }));
    }
    for marked in [0, MARKED_MAX + 1] {
        let event = InboxEvent::Marked(NotificationsMarked {
            owner: "ada".into(),
            notifications: vec![address(1); marked],
            read: true,
        });
        let stored = Stored::new(9, seal(0, &Digest::ZERO, &event, &cause, DateTime::UNIX_EPOCH, Uuid::nil()));
        assert_eq!(decode(&stored).expect("it is read").check(), Err(IllegalMark::Marked { marked }));
    }
}

#[test]
fn an_address_has_one_text() {
    let address = address(1);
    let text = address.to_string();
    assert_eq!(text, "01980000-0000-7000-8000-000000000001-7");
    assert_eq!(text.parse(), Ok(address));
    let upper = text.to_uppercase().replace("01980000", "0198000A");
    for wrong in ["", "7", "-7", &text[..36], &format!("{text}x"), &format!("{}-07", &text[..36]), &upper] {
        assert_eq!(wrong.parse::<Address>(), Err(NotAnAddress), "{wrong:?}");
    }
    let zero = format!("{}-0", &text[..36]);
    assert_eq!(zero.parse::<Address>(), Err(NotAnAddress));
}
