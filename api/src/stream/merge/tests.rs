use std::sync::OnceLock;

use verbatim_events::event::{AttemptAction, AttemptRecorded, Event, MessageQueued, QueuedMessageDeleted};
use verbatim_events::ids::AttemptId;
use verbatim_events::part::{LivePart, NumberedPart, Part};

use super::*;
use crate::wire::samples::{chat_after, created, said, turn_started};

fn frame(attempt_id: AttemptId, n: u64, after_version: Version) -> Arc<PartFrame> {
    let part = NumberedPart { n, after_version, part: LivePart::TextDelta { text: n.to_string() } };
    Arc::new(PartFrame { attempt_id, part, rendered: OnceLock::new() })
}

/// Attempt 4 is open; a message was queued (5) and given up again (6) while it spoke.
fn chat() -> Chat {
    chat_after([
        created(),
        turn_started(),
        Event::MessageCommitted(said("hello")),
        Event::AttemptRecorded(AttemptRecorded {
            action: AttemptAction::Generate,
            number: 1,
            model: None,
            prompt_digest: None,
            request: None,
            offer: None,
            node: "n".into(),
        }),
        Event::MessageQueued(MessageQueued {
            parts: vec![Part::text("later")],
            author: "ada".into(),
            model: None,
            effort: None,
            steer: false,
        }),
        Event::QueuedMessageDeleted(QueuedMessageDeleted { queued_id: 5 }),
    ])
}

/// The parts of attempt 4: one and two after event 4, three after 5, four and five after 6.
fn parts() -> Vec<Arc<PartFrame>> {
    [(1, 4), (2, 4), (3, 5), (4, 6), (5, 6)].into_iter().map(|(n, after)| frame(4, n, after)).collect()
}

/// What a reader with this cursor gets, as the ids it sees.
fn resumed(cursor: &str) -> Vec<String> {
    let cursor: Cursor = cursor.parse().unwrap();
    let mut waiting = missing_parts(&parts(), &chat(), cursor);
    let events = (cursor.version() + 1)..=6;
    let merged = merge(events, &mut waiting, |version| *version, |frame| frame.part.after_version);
    let part_id = |frame: &PartFrame| {
        Cursor::Part { version: frame.part.after_version, attempt: frame.attempt_id, n: frame.part.n }.to_string()
    };
    let mut ids: Vec<String> = merged
        .into_iter()
        .map(|item| match item {
            Merged::Event(version) => version.to_string(),
            Merged::Part(frame) => part_id(&frame),
        })
        .collect();
    ids.extend(waiting.iter().map(|frame| part_id(frame)));
    ids
}

/// Everything in the one order, from the first event.
const WHOLE: [&str; 11] = ["1", "2", "3", "4", "4-4-1", "4-4-2", "5", "5-4-3", "6", "6-4-4", "6-4-5"];

#[test]
fn from_every_place_exactly_the_rest_comes() {
    assert_eq!(resumed("0"), WHOLE);
    for (index, id) in WHOLE.iter().enumerate() {
        assert_eq!(resumed(id), WHOLE[index + 1..], "after {id}");
    }
}

#[test]
fn a_place_inside_an_attempt_that_is_over_counts_as_its_event() {
    assert_eq!(resumed("3-2-9"), resumed("3"));
    assert_eq!(resumed("5-3-9"), resumed("5"));
}

#[test]
fn parts_after_the_last_event_of_a_page_wait_for_the_next_page() {
    let mut waiting: VecDeque<_> = parts().into();
    let first = merge([4, 5], &mut waiting, |version| *version, |frame| frame.part.after_version);
    assert_eq!((first.len(), waiting.len()), (4, 3));
    let second = merge([6], &mut waiting, |version| *version, |frame| frame.part.after_version);
    assert_eq!((second.len(), waiting.len()), (2, 2));
}
