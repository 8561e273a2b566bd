use std::sync::OnceLock;

use serde_json::{Value, json};
use verbatim_events::event::Event;
use verbatim_events::part::{LivePart, NumberedPart};

use super::*;
use crate::wire::samples::{recorded, said};

/// The fields of a frame, in order, and its data read again.
fn read(bytes: &Bytes) -> (Vec<String>, Value) {
    let text = std::str::from_utf8(bytes).unwrap();
    let frame = text.strip_suffix("\n\n").expect("a frame ends with an empty line");
    let (data, fields): (Vec<_>, Vec<_>) = frame.lines().partition(|line| line.starts_with("data: "));
    assert_eq!(data.len(), 1, "data is one line: {text}");
    let data = serde_json::from_str(data[0].trim_start_matches("data: ")).unwrap();
    (fields.into_iter().map(str::to_owned).collect(), data)
}

#[test]
fn an_event_frame_has_its_name_its_version_and_its_data() {
    let event = recorded(3, Event::MessageCommitted(said("a\r\nb\u{2028}c")));
    let (fields, data) = read(&super::event(&event, Status::Running, Some(2)));
    assert_eq!(fields, ["event: message_committed", "id: 3"]);
    assert_eq!(data["data"]["content"][0]["text"], "a\r\nb\u{2028}c");
    assert_eq!(data["status"], "running");
}

#[test]
fn a_live_event_is_written_once_and_as_a_replayed_one() {
    let event = recorded(3, Event::MessageCommitted(said("hello")));
    let replayed = super::event(&event, Status::Running, Some(2));
    let frame = EventFrame { recorded: event, status: Status::Running, turn_id: Some(2), rendered: OnceLock::new() };
    let first = live_event(&frame);
    assert_eq!(first, replayed);
    assert_eq!(live_event(&frame).as_ptr(), first.as_ptr(), "the bytes are shared");
}

#[test]
fn a_part_frame_is_addressed_by_version_attempt_and_number() {
    let part = NumberedPart { n: 17, after_version: 43, part: LivePart::TextDelta { text: "he".into() } };
    let frame = PartFrame { attempt_id: 42, part, rendered: OnceLock::new() };
    let (fields, data) = read(&super::part(&frame));
    assert_eq!(fields, ["event: part", "id: 43-42-17"]);
    let expected = json!({"attempt": 42, "n": 17, "role": "assistant", "part": {"type": "text_delta", "text": "he"}});
    assert_eq!(data, expected);
}

#[test]
fn frames_without_a_place_have_no_id() {
    let (fields, _) = read(&sse("heartbeat", None, &json!({})));
    assert_eq!(fields, ["event: heartbeat"]);
}

#[test]
fn what_is_ready_together_goes_out_together() {
    let frames = [Bytes::from_static(b"a\n"), Bytes::from_static(b"b\n")];
    assert_eq!(join(&frames), Bytes::from_static(b"a\nb\n"));
    assert_eq!(join(&frames[..1]).as_ptr(), frames[0].as_ptr(), "one alone is not copied");
}
