//! Values that several tests of shapes share.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;
use verbatim_events::chat::{Chat, Outline, evolve};
use verbatim_events::envelope::{Actor, Cause, NewEvent, Recorded};
use verbatim_events::event::{ChatCreated, Event, MessageCommitted, TitleSource, TurnReason, TurnStarted};
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::message::{Origin, Role};
use verbatim_events::part::Part;
use verbatim_events::wire::seal;

/// A moment with microseconds.
pub fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap()
}

/// The chat of all samples.
pub fn chat_id() -> ChatId {
    "01890000-0000-7000-8000-000000000001".parse().map(ChatId).unwrap()
}

/// The beginning of a chat of Ada's.
pub fn created() -> Event {
    Event::ChatCreated(ChatCreated {
        title_source: TitleSource::User,
        system_prompt: Some("the prompt's secret".into()),
        labels: [("team".to_owned(), "engines".to_owned())].into(),
        ..ChatCreated::new("ada", chat_id(), "Engines")
    })
}

/// A turn for a message begins.
pub fn turn_started() -> Event {
    Event::TurnStarted(TurnStarted { reason: TurnReason::Message })
}

/// A message of Ada's.
pub fn said(text: &str) -> MessageCommitted {
    let parts = vec![Part::text(text)];
    MessageCommitted { author: Some("ada".into()), ..MessageCommitted::new(Role::User, parts, Origin::User) }
}

/// An event of this version, a second after the one before it.
pub fn recorded(version: Version, event: Event) -> Recorded {
    Recorded {
        position: version + 100,
        chat_id: chat_id(),
        version,
        recorded_at: moment() + TimeDelta::seconds(version as i64 - 1),
        hash: Digest::of(&version.to_be_bytes()),
        event,
    }
}

/// The chat after these events.
pub fn chat_after(events: impl IntoIterator<Item = Event>) -> Chat {
    let mut chat = None;
    for (version, event) in (1..).zip(events) {
        chat = Some(evolve(chat, &recorded(version, event)).unwrap());
    }
    chat.unwrap()
}

/// The outline after these events.
pub fn outline_after(events: impl IntoIterator<Item = Event>) -> Outline {
    chat_after(events).outline
}

/// The events as the log takes them.
pub fn sealed(events: Vec<Event>) -> Vec<NewEvent> {
    let cause = Cause {
        actor: Actor::User("ada".into()),
        command_id: Uuid::from_u128(7),
        causation_id: None,
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
    };
    let mut ids = (1_u128..).map(Uuid::from_u128);
    let sealed = seal(chat_id(), 0, Digest::ZERO, events, &cause, moment(), &mut || ids.next().unwrap());
    sealed.into_iter().map(|(event, _)| event).collect()
}

/// As JSON.
pub fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}
