//! Sealed events: bound to their place, hashed as they are stored, read when they were opened, missed when they were erased.

use super::samples;
use crate::envelope::{Actor, Encoding, Words};
use crate::vault::{NotSealed, Sealer, associated_data};
use crate::wire::*;

/// Turns bytes around and puts what they are bound to before them: enough to see what a sealer is given.
#[derive(Debug)]
struct Mirror;

impl Sealer for Mirror {
    fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, NotSealed> {
        Ok(associated.iter().chain(plain.iter().rev()).copied().collect())
    }
}

#[derive(Debug)]
struct Broken;

impl Sealer for Broken {
    fn seal(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, NotSealed> {
        Err(NotSealed("no more random bytes".to_owned()))
    }
}

fn sealed(sealer: &dyn Sealer) -> Result<Vec<(NewEvent, Recorded)>, NotSealed> {
    let cause = Cause { actor: Actor::System, command_id: Uuid::from_u128(1), causation_id: None, trace_id: None };
    let mut ids = (1..).map(Uuid::from_u128);
    let chat_id = samples::chat_id(1);
    let (before, now) = (Digest::of(b"before"), DateTime::UNIX_EPOCH);
    seal_with(Some(sealer), chat_id, 4, before, samples::full(), &cause, now, &mut || ids.next().unwrap())
}

#[test]
fn every_event_is_sealed_for_its_place_but_the_end() {
    let mut previous = Digest::of(b"before");
    for (new, recorded) in sealed(&Mirror).unwrap() {
        let plain = recorded.event.encode();
        let mut stored = Stored::new(9, new);
        assert!(verify_link(&previous, &stored), "the hash is over what is stored");
        previous = stored.event.hash;
        if stored.event.event_type == "chat_erased" {
            assert_eq!((stored.event.encoding, &stored.event.data), (Encoding::Plain, &plain));
            continue;
        }
        let bound = associated_data(&stored.event);
        assert_eq!(stored.event.data, Mirror.seal(&bound, &plain).unwrap());
        let unopened = decode(&stored).unwrap_err();
        assert!(!unopened.erased && unopened.problem.contains("no key opened it"), "{unopened}");
        stored.words = Words::Erased;
        assert!(decode(&stored).unwrap_err().erased && stored.json().is_none());
        stored.words = Words::Opened(plain);
        assert_eq!(decode(&stored).unwrap(), Recorded { position: 9, ..recorded });
    }
}

#[test]
fn no_two_places_are_the_same() {
    let event = sealed(&Mirror).unwrap().remove(0).0;
    type Change = fn(&mut NewEvent);
    let changes: [(&str, Change); 5] = [
        ("chat", |event| event.chat_id = samples::chat_id(2)),
        ("version", |event| event.version += 1),
        ("id", |event| event.event_id = Uuid::nil()),
        ("type", |event| event.event_type.push('x')),
        ("schema", |event| event.schema += 1),
    ];
    for (what, change) in changes {
        let mut other = event.clone();
        change(&mut other);
        assert_ne!(associated_data(&event), associated_data(&other), "{what}");
    }
}

#[test]
fn nothing_is_appended_that_could_not_be_sealed() {
    assert_eq!(sealed(&Broken).unwrap_err(), NotSealed("no more random bytes".to_owned()));
}
