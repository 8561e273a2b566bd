//! Which files a chat shows.

use std::collections::BTreeSet;

use verbatim_events::chat::{CallRecord, Chat};
use verbatim_events::part::Part;

/// The file that a part shows.
pub(super) fn file_id(part: &Part) -> Option<String> {
    match part {
        Part::File { file_id, .. } => Some(file_id.clone()),
        _ => None,
    }
}

/// The ids of all files that a chat shows: in its messages, in those that wait, and in answers of tools that are not in its
/// history yet.
pub fn linked(chat: &Chat) -> BTreeSet<String> {
    let said = chat.history.iter().flat_map(|message| &message.parts);
    let waiting = chat.queue.iter().flat_map(|queued| &queued.parts);
    let found = chat.calls.values().flat_map(|call| match call {
        CallRecord::Finished { attachments, .. } => attachments.as_slice(),
        CallRecord::Started { .. } => &[],
    });
    said.chain(waiting).chain(found).filter_map(file_id).collect()
}
