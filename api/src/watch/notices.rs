//! What watchers are told about an event: nothing, one thing, or several.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use verbatim_events::chat::{Outline, Status};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::Event;
use verbatim_events::ids::{ChatId, Position, Version};

use super::cursor::Place;
use crate::position;
use crate::stream::frames;
use crate::wire::chat::ChatView;
use crate::wire::{Time, words};

/// A notice's data: `{position, chat_id, version, at, status, chat?}`; `chat` is the whole chat right after the event, its
/// title and what it waits for included, and is absent once the content is erased.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notice)]
pub(crate) struct NoticeView<'a> {
    position: String,
    #[schema(value_type = words::ChatId)]
    chat_id: ChatId,
    #[schema(value_type = u64)]
    version: Version,
    at: Time,
    #[schema(value_type = words::Status)]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<ChatView<'a>>,
}

/// The names of an event's notices, in order. `before` is absent for a chat that begins.
pub fn names(before: Option<&Outline>, event: &Event, after: &Outline) -> Vec<&'static str> {
    let mut names = Vec::new();
    let Some(before) = before else { return vec!["chat_created"] };
    match event {
        Event::SettingsChanged(changed) => {
            if changed.title.is_some() {
                names.push("title_changed");
            }
            if changed.diff_status.is_some() {
                names.push("diff_status_changed");
            }
            let rest = [
                changed.labels.is_some(),
                changed.pinned.is_some(),
                changed.model.is_some(),
                changed.effort.is_some(),
                changed.plan_mode.is_some(),
                changed.workspace.is_some(),
                changed.context.is_some(),
                changed.status_label.is_some(),
            ];
            if rest.contains(&true) {
                names.push("settings_changed");
            }
        }
        Event::ChatArchived(_) => names.push("chat_archived"),
        Event::ChatUnarchived(_) => names.push("chat_unarchived"),
        Event::ChatErased(_) => names.push("chat_erased"),
        _ => {}
    }
    // Whether a turn is at work or waits for its place is part of what the chat does.
    if before.status != after.status || before.capacity.is_some() != after.capacity.is_some() {
        names.push("status_changed");
    }
    if matches!(event, Event::ActionRequired(_)) {
        names.push("action_required");
    }
    names
}

/// An event's notices as frames. The last one's id says that all of them were told.
pub fn frames(
    timeline: Uuid,
    default_model: Option<&str>,
    place: Position,
    names: &[&'static str],
    recorded: &Recorded,
    after: &Outline,
) -> Vec<Bytes> {
    let view = NoticeView {
        position: position::encode(timeline, place),
        chat_id: after.id,
        version: recorded.version,
        at: Time(recorded.recorded_at),
        status: after.status,
        chat: (!after.erased).then(|| ChatView::of(after, default_model)),
    };
    let frame = |(index, name): (usize, &&'static str)| {
        let told = index + 1;
        let notices = (told < names.len()).then_some(told);
        frames::sse(name, Some(&Place { position: place, notices }.encode(timeline)), &view)
    };
    names.iter().enumerate().map(frame).collect()
}
