//! What watchers are told about an event: nothing, one thing, or several.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use verbatim_events::chat::{Outline, Status};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{Event, SettingsChanged};
use verbatim_events::ids::{ChatId, Position, Version};
use verbatim_events::inbox::{InboxEvent, RecordedMark};
use verbatim_events::notification::{Notification, notification};

use super::cursor::Place;
use super::outlines::Step;
use crate::position;
use crate::stream::frames;
use crate::wire::chat::ChatView;
use crate::wire::notification::{AllReadView, MarkedView, NotificationView};
use crate::wire::{Time, words};

/// The notice that an owner is notified.
pub const NOTIFICATION: &str = "notification";

/// Who is to have a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever watches the chat.
    Chats,
    /// The chat's owner alone, who watches chats or the inbox.
    Owner,
    /// The owner alone, who watches the inbox.
    Inbox,
}

/// A notice, written once for all watchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who is to have it.
    pub audience: Audience,
    /// It as a server-sent event.
    pub frame: Bytes,
}

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

/// What there is to tell about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What changed about the chat, in order.
    pub names: Vec<&'static str>,
    /// What the owner is notified of; told after everything else.
    pub notification: Option<Notification>,
}

impl News {
    /// What there is to tell about an event.
    pub fn of(step: &Step) -> News {
        let (before, event, after) = (step.before.as_deref(), &step.recorded.event, &*step.after);
        let reason = before.and_then(|before| before.turn.as_ref()).map(|turn| turn.reason);
        News { names: names(before, event, after), notification: notification(reason, event, after) }
    }
}

/// What an event changed about its chat, in order. `before` is absent for a chat that begins, and where nothing but its
/// end is left of one.
fn names(before: Option<&Outline>, event: &Event, after: &Outline) -> Vec<&'static str> {
    let mut names = Vec::new();
    if let Event::ChatErased(_) = event {
        return vec!["chat_erased"];
    }
    let Some(before) = before else { return vec!["chat_created"] };
    match event {
        Event::SettingsChanged(changed) => {
            if changed.title.is_some() {
                names.push("title_changed");
            }
            // It goes with its workspace, too, which events of older programs do not say.
            if before.diff_status != after.diff_status {
                names.push("diff_status_changed");
            }
            // Whatever else there is to set, be it added later.
            let rest = SettingsChanged { title: None, diff_status: None, ..changed.clone() };
            if !rest.is_empty() {
                names.push("settings_changed");
            }
        }
        Event::ChatArchived(_) => names.push("chat_archived"),
        Event::ChatUnarchived(_) => names.push("chat_unarchived"),
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

/// An event's notices. The last one's id says that all of them were told.
pub fn notices(
    timeline: Uuid,
    default_model: Option<&str>,
    place: Position,
    news: &News,
    recorded: &Recorded,
    after: &Outline,
) -> Vec<Notice> {
    let view = NoticeView {
        position: position::encode(timeline, place),
        chat_id: after.id,
        version: recorded.version,
        at: Time(recorded.recorded_at),
        status: after.status,
        chat: (!after.erased).then(|| ChatView::of(after, default_model)),
    };
    let all = news.names.len() + usize::from(news.notification.is_some());
    let id = |told: usize| Place { position: place, notices: (told < all).then_some(told) }.encode(timeline);
    let changes = news.names.iter().enumerate().map(|(index, name)| Notice {
        audience: Audience::Chats,
        frame: frames::sse(name, Some(&id(index + 1)), &view),
    });
    let notified = news.notification.map(|notification| Notice {
        audience: Audience::Owner,
        frame: frames::sse(
            NOTIFICATION,
            Some(&id(all)),
            &NotificationView::of_event(timeline, place, &notification, recorded, after),
        ),
    });
    changes.chain(notified).collect()
}

/// What somebody read, as a notice to whoever watches the inbox.
pub fn marked(timeline: Uuid, mark: &RecordedMark) -> Notice {
    let id = Place::after(mark.position).encode(timeline);
    let (position, at) = (position::encode(timeline, mark.position), Time(mark.recorded_at));
    let frame = match &mark.event {
        InboxEvent::Marked(marked) => {
            let ids = marked.notifications.iter().map(ToString::to_string).collect();
            let view = MarkedView { position, at, notifications: ids, read: marked.read };
            frames::sse("notifications_marked", Some(&id), &view)
        }
        InboxEvent::AllRead(all) => {
            let view = AllReadView { position, at, through: all.through.map(|through| through.to_string()) };
            frames::sse("all_notifications_read", Some(&id), &view)
        }
    };
    Notice { audience: Audience::Inbox, frame }
}
