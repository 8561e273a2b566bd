//! Frames as bytes. What every ordinary reader gets is written once per frame and shared by all of them.

use std::fmt::Display;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use verbatim_actors::hub::{EventFrame, PartFrame};
use verbatim_events::chat::Status;
use verbatim_events::envelope::Recorded;
use verbatim_events::ids::TurnId;
use verbatim_events::wire::event_type;

use super::cursor::Cursor;
use crate::wire::event::EventView;
use crate::wire::part::PartFrameView;

/// Room for a frame that is mostly a few words of text.
const FRAME_BYTES: usize = 256;

/// A server-sent event. Frames without an id leave the reader's place as it was.
pub fn sse(event: &str, id: Option<&dyn Display>, data: &impl Serialize) -> Bytes {
    let mut text = format!("event: {event}\n");
    if let Some(id) = id {
        text.push_str(&format!("id: {id}\n"));
    }
    let mut bytes = BytesMut::with_capacity(FRAME_BYTES);
    bytes.put(text.as_bytes());
    bytes.put(&b"data: "[..]);
    put_json(&mut bytes, data);
    bytes.put(&b"\n\n"[..]);
    bytes.freeze()
}

/// One line of JSON.
pub fn line(data: &impl Serialize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(FRAME_BYTES);
    put_json(&mut bytes, data);
    bytes.put_u8(b'\n');
    bytes.freeze()
}

/// JSON on one line: serde_json escapes every line break inside strings and writes none between tokens.
fn put_json(bytes: &mut BytesMut, data: &impl Serialize) {
    let mut writer = bytes.writer();
    if let Err(error) = serde_json::to_writer(&mut writer, data) {
        // Our shapes have string keys and finite numbers; what cannot be written is a fault of ours, not the reader's.
        tracing::error!(%error, "A frame could not be written as JSON.");
    }
}

/// A committed event for ordinary readers.
pub fn event(recorded: &Recorded, status: Status, turn_id: Option<TurnId>) -> Bytes {
    sse(event_type(&recorded.event), Some(&recorded.version), &EventView::of(recorded, status, turn_id))
}

/// A live event for ordinary readers, from the bytes they share.
pub fn live_event(frame: &EventFrame) -> Bytes {
    frame.rendered.get_or_init(|| event(&frame.recorded, frame.status, frame.turn_id)).clone()
}

/// A part, from the bytes that all readers share.
pub fn part(frame: &PartFrame) -> Bytes {
    frame
        .rendered
        .get_or_init(|| {
            let id = Cursor::Part { version: frame.part.after_version, attempt: frame.attempt_id, n: frame.part.n };
            sse("part", Some(&id), &PartFrameView::new(frame.attempt_id, &frame.part))
        })
        .clone()
}

/// Frames that are ready together go out together.
pub fn join(frames: &[Bytes]) -> Bytes {
    match frames {
        [only] => only.clone(),
        several => {
            let mut bytes = BytesMut::with_capacity(several.iter().map(Bytes::len).sum());
            several.iter().for_each(|frame| bytes.put(frame.as_ref()));
            bytes.freeze()
        }
    }
}

#[cfg(test)]
mod tests;
