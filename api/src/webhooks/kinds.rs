//! What a webhook can be told.

use serde::Serialize;
use verbatim_events::ids::{ChatId, TurnId, Version};

use crate::watch::notices::News;
use crate::watch::outlines::Step;
use crate::wire::Time;

/// Everything that webhooks are told of, by name: what owners are notified of first, then what watchers are told.
pub const KINDS: [&str; 12] = [
    "turn_finished",
    "turn_failed",
    "action_required",
    "budget_reached",
    "chat_created",
    "status_changed",
    "title_changed",
    "settings_changed",
    "diff_status_changed",
    "chat_archived",
    "chat_unarchived",
    "chat_erased",
];

/// What a webhook is told that does not say what it wants: what owners are notified of.
pub const DEFAULT: [&str; 4] = [KINDS[0], KINDS[1], KINDS[2], KINDS[3]];

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, the same however often it is sent: the event's id and the kind.
    pub id: String,
    /// What it is.
    pub kind: &'static str,
    /// The chat.
    pub chat_id: ChatId,
    /// The body as it is sent.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: Time,
    data: Data,
}

#[derive(Serialize)]
struct Data {
    chat_id: ChatId,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_id: Option<TurnId>,
}

/// What an event gives to tell, of the kinds that are wanted.
pub fn deliveries(step: &Step, wanted: impl Fn(&str) -> bool) -> Vec<Delivery> {
    let news = News::of(step);
    let turn = step.after.turn.as_ref().map(|turn| turn.id);
    let notified = news.notification.map(|notification| (notification.template.name(), Some(notification.turn_id)));
    // A wait for somebody is a change of the chat and worth a notification, but told once.
    let changes = news.names.iter().copied().filter(|name| notified.is_none_or(|(kind, _)| kind != *name));
    let all = changes.map(|name| (name, turn)).chain(notified);
    all.filter(|(kind, _)| wanted(kind)).map(|(kind, turn_id)| delivery(step, kind, turn_id)).collect()
}

fn delivery(step: &Step, kind: &'static str, turn_id: Option<TurnId>) -> Delivery {
    let recorded = &step.recorded;
    let data = Data { chat_id: recorded.chat_id, version: recorded.version, turn_id };
    let body = Body { kind, timestamp: Time(recorded.recorded_at), data };
    Delivery {
        id: format!("msg_{}_{kind}", step.event_id.simple()),
        kind,
        chat_id: recorded.chat_id,
        // Our own shape has string keys and whole numbers, so writing it cannot fail.
        body: serde_json::to_string(&body).unwrap_or_default(),
    }
}
