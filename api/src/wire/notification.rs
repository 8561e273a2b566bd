//! Notifications.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use verbatim_events::chat::Outline;
use verbatim_events::envelope::Recorded;
use verbatim_events::event::TurnOutcome;
use verbatim_events::ids::{ChatId, Position, TurnId, Version};
use verbatim_events::inbox::Address;
use verbatim_events::notification::{Notification, Template};
use verbatim_projections::InboxEntry;

use super::{Time, words};
use crate::position;

/// The chat that a notification is about: `{id, title?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotificationChat)]
pub struct NotifiedChatView<'a> {
    /// Its id.
    #[schema(value_type = words::ChatId)]
    id: ChatId,
    /// Its title: in lists as it is now, in streams as it was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

/// A notification: `{id, template, chat: {id, title?}, chat_id, version, turn_id, outcome?, error_kind?, read, created_at,
/// position}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationView<'a> {
    /// Its id: the chat's, and the version of the event that it is about.
    id: String,
    /// What it is about.
    #[schema(value_type = words::NotificationTemplate)]
    template: Template,
    /// The chat that it is about.
    chat: NotifiedChatView<'a>,
    /// The chat's id.
    #[schema(value_type = words::ChatId)]
    chat_id: ChatId,
    /// The version of the event.
    #[schema(value_type = u64)]
    version: Version,
    /// The turn.
    #[schema(value_type = u64)]
    turn_id: TurnId,
    /// How the turn ended; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::TurnOutcome>)]
    outcome: Option<TurnOutcome>,
    /// The kind of error that the turn ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ErrorKind>)]
    error_kind: Option<&'a str>,
    /// It was read.
    read: bool,
    /// When it happened.
    created_at: Time,
    /// Its place in the order of all notices; opaque.
    position: String,
}

impl<'a> NotificationView<'a> {
    /// A notification of a read model.
    pub fn of(timeline: Uuid, entry: &'a InboxEntry) -> NotificationView<'a> {
        NotificationView {
            id: entry.address.to_string(),
            template: entry.template,
            chat: NotifiedChatView { id: entry.address.chat_id, title: entry.title.as_deref() },
            chat_id: entry.address.chat_id,
            version: entry.address.version,
            turn_id: entry.turn_id,
            outcome: entry.outcome,
            error_kind: entry.error_kind.as_deref(),
            read: entry.read,
            created_at: Time(entry.created_at),
            position: position::encode(timeline, entry.position),
        }
    }

    /// What an event is worth telling; nobody has read it yet.
    pub fn of_event(
        timeline: Uuid,
        place: Position,
        notification: &Notification,
        recorded: &Recorded,
        after: &'a Outline,
    ) -> NotificationView<'a> {
        let address = Address { chat_id: after.id, version: recorded.version };
        NotificationView {
            id: address.to_string(),
            template: notification.template,
            chat: NotifiedChatView { id: after.id, title: (!after.erased).then_some(after.title.as_str()) },
            chat_id: after.id,
            version: recorded.version,
            turn_id: notification.turn_id,
            outcome: notification.outcome,
            error_kind: notification.error_kind.map(|kind| kind.name()),
            read: false,
            created_at: Time(recorded.recorded_at),
            position: position::encode(timeline, place),
        }
    }
}

/// An inbox: `{items, next_cursor, unread}`, the newest first.
#[derive(Debug, Serialize)]
pub struct InboxView<'a> {
    /// The notifications.
    pub items: Vec<NotificationView<'a>>,
    /// Where the next page begins; opaque.
    pub next_cursor: Option<String>,
    /// How many of the whole inbox are unread, whatever was asked for.
    pub unread: u64,
}

/// Notifications were read, or are unread again: `{position, at, notifications, read}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotificationsMarked)]
pub struct MarkedView {
    /// Its place in the order of all notices; opaque.
    pub position: String,
    /// When.
    pub at: Time,
    /// Their ids.
    pub notifications: Vec<String>,
    /// Read or unread.
    pub read: bool,
}

/// All notifications were read: `{position, at, through?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AllNotificationsRead)]
pub struct AllReadView {
    /// Its place in the order of all notices; opaque.
    pub position: String,
    /// When.
    pub at: Time,
    /// The newest of them; absent for all that were told before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
}
