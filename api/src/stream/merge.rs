//! One order for events and parts: a part goes out after the event it followed and before the next.

use std::collections::VecDeque;
use std::sync::Arc;

use verbatim_actors::hub::PartFrame;
use verbatim_events::chat::Chat;
use verbatim_events::ids::Version;

use super::cursor::Cursor;

/// The parts that a reader with this cursor does not have yet. `parts` are all of the open attempt's, in order. A cursor
/// inside another attempt counts as one after its event: that attempt is over, and its message tells.
pub fn missing_parts(parts: &[Arc<PartFrame>], chat: &Chat, cursor: Cursor) -> VecDeque<Arc<PartFrame>> {
    let open = chat.outline.attempt.as_ref().map(|attempt| attempt.id);
    let first = match cursor {
        Cursor::Part { attempt, n, .. } if Some(attempt) == open => parts.partition_point(|frame| frame.part.n <= n),
        Cursor::Event(version) | Cursor::Part { version, .. } => {
            parts.partition_point(|frame| frame.part.after_version < version)
        }
    };
    parts[first..].iter().cloned().collect()
}

/// One item of the merged order.
#[derive(Debug, PartialEq, Eq)]
pub enum Merged<E, P> {
    /// An event.
    Event(E),
    /// A part.
    Part(P),
}

/// Merges events, each with its version, with the parts that wait, each with the version it came after. Parts after the
/// last of `events` stay in `parts`: more events may come before them.
pub fn merge<E, P>(
    events: impl IntoIterator<Item = E>,
    parts: &mut VecDeque<P>,
    version_of: impl Fn(&E) -> Version,
    after_of: impl Fn(&P) -> Version,
) -> Vec<Merged<E, P>> {
    let mut merged = Vec::new();
    for event in events {
        let version = version_of(&event);
        while parts.front().is_some_and(|part| after_of(part) < version) {
            merged.extend(parts.pop_front().map(Merged::Part));
        }
        merged.push(Merged::Event(event));
    }
    merged
}

#[cfg(test)]
mod tests;
