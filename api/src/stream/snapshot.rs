//! The snapshot that a stream begins with: `{chat, messages, queue, attempt?, parts}`.

use serde::Serialize;
use utoipa::ToSchema;
use verbatim_actors::hub::Opened;
use verbatim_events::chat::RECENT_MESSAGES;

use super::cursor::Cursor;
use crate::wire::chat::ChatView;
use crate::wire::event::AttemptView;
use crate::wire::message::{MessageView, QueuedView};
use crate::wire::part::PartFrameView;

/// A chat at one instant, with the words of its last messages and of the attempt under way; earlier ones are a matter of
/// `GET messages`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct SnapshotView<'a> {
    chat: ChatView<'a>,
    messages: Vec<MessageView<'a>>,
    queue: Vec<QueuedView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<AttemptView<'a>>,
    parts: Vec<PartFrameView<'a>>,
}

impl<'a> SnapshotView<'a> {
    /// The snapshot of what was opened.
    pub fn of(opened: &'a Opened, default_model: Option<&'a str>) -> SnapshotView<'a> {
        let chat = &opened.chat;
        let mut messages: Vec<_> = chat
            .history
            .iter()
            .rev()
            .filter(|message| message.for_user())
            .take(RECENT_MESSAGES)
            .map(|message| MessageView::of(message).shown_with(&chat.outline.files))
            .collect();
        messages.reverse();
        SnapshotView {
            chat: ChatView::of(&chat.outline, default_model),
            messages,
            queue: chat.queue.iter().map(|queued| QueuedView::of(queued)).collect(),
            attempt: chat.outline.attempt.as_ref().map(|attempt| AttemptView {
                attempt_id: attempt.id,
                attempt: attempt.number,
                action: attempt.action,
                model: attempt.model.as_deref(),
            }),
            parts: opened.parts.iter().map(|frame| PartFrameView::new(frame.attempt_id, &frame.part)).collect(),
        }
    }
}

/// The place of a snapshot: after its last part, unless an event came after that.
pub fn place(opened: &Opened) -> Cursor {
    let version = opened.chat.outline.version;
    match opened.parts.last() {
        Some(last) if last.part.after_version == version => {
            Cursor::Part { version, attempt: last.attempt_id, n: last.part.n }
        }
        Some(_) | None => Cursor::Event(version),
    }
}
