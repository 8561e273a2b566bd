//! How a webhook stands, for everybody who asks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use utoipa::ToSchema;
use verbatim_events::ids::ChatId;
use verbatim_events::log::EventLog;

use super::place::Place;
use crate::config::WebhookConfig;
use crate::position;
use crate::wire::{Time, words};

/// How long who resumes a webhook waits until it has taken notice.
const NOTICE_PATIENCE: Duration = Duration::from_secs(2);

/// What a webhook does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// It tells what happens.
    Following,
    /// Its receiver does not take what is told; it is tried again and again.
    Failing,
    /// It stands still until an administrator lets it go on.
    SetAside,
}

/// A delivery that its receiver refused again and again: `{id, type, chat_id, at, problem}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WebhookSetAside)]
pub struct SetAsideView {
    /// Its id.
    pub id: String,
    /// What it was.
    #[serde(rename = "type")]
    pub kind: String,
    /// The chat.
    #[schema(value_type = words::ChatId)]
    pub chat_id: ChatId,
    /// When it was set aside.
    pub at: Time,
    /// Why.
    pub problem: String,
}

/// A webhook: `{name, url, events, owner?, state, position?, lag, delivered, last_delivered_at?, failing_since?, last_error?,
/// next_attempt_at?, set_aside_count, set_aside}`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Where it sends to, without what could be a secret.
    pub url: String,
    /// What it tells.
    pub events: Vec<String>,
    /// Whose chats alone it tells about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What it does.
    pub state: WebhookState,
    /// Everything up to here was told, or set aside; absent before it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// Events of the log that it has not looked at yet.
    pub lag: u64,
    /// What was taken since the server started.
    pub delivered: u64,
    /// When something was taken last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivered_at: Option<Time>,
    /// Since when nothing is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// Why the last attempt failed, or why it stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Time>,
    /// How many deliveries were ever set aside.
    pub set_aside_count: u64,
    /// The newest of them, the newest first.
    pub set_aside: Vec<SetAsideView>,
}

/// What changes as a webhook goes along.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub place: Option<Place>,
    pub delivered: u64,
    pub last_delivered_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub next_attempt_at: Option<DateTime<Utc>>,
}

/// What a webhook's follower and those who ask share.
pub(super) struct Shared {
    name: String,
    config: WebhookConfig,
    pub standing: Mutex<Standing>,
    resume: Notify,
    resumed: AtomicBool,
    /// How often the follower has ended a wait and said how it stands then.
    went_on: watch::Sender<u64>,
}

impl Shared {
    pub fn new(name: String, config: WebhookConfig) -> Shared {
        let (standing, resume) = (Mutex::default(), Notify::new());
        let went_on = watch::Sender::new(0);
        Shared { name, config, standing, resume, resumed: AtomicBool::new(false), went_on }
    }

    /// Wakes the follower, and lets it go on if it stands still. Once this returns it has done so, unless it is slow to.
    pub async fn resume(&self) {
        let mut went_on = self.went_on.subscribe();
        let waits = {
            let standing = self.standing.lock();
            standing.next_attempt_at.is_some() || standing.place.as_ref().is_some_and(|place| place.stopped.is_some())
        };
        self.resumed.store(true, Ordering::Release);
        self.resume.notify_one();
        // One that is under way has nothing to take notice of.
        if waits && tokio::time::timeout(NOTICE_PATIENCE, went_on.changed()).await.is_err() {
            tracing::warn!(webhook = %self.name, "A webhook is slow to go on.");
        }
    }

    /// The follower has ended a wait, and everybody can see so.
    pub fn goes_on(&self) {
        self.went_on.send_modify(|count| *count += 1);
    }

    /// Returns once somebody wants it to go on.
    pub async fn wanted(&self) {
        while !self.resumed.swap(false, Ordering::AcqRel) {
            self.resume.notified().await;
        }
    }

    pub fn is_failing(&self) -> bool {
        let standing = self.standing.lock();
        standing.place.as_ref().is_some_and(|place| place.failing_since.is_some() || place.stopped.is_some())
    }

    pub fn view(&self, log: &dyn EventLog) -> WebhookView {
        let standing = self.standing.lock();
        let place = standing.place.as_ref();
        let stopped = place.and_then(|place| place.stopped.clone());
        let failing_since = place.and_then(|place| place.failing_since);
        let set_aside = place.into_iter().flat_map(|place| place.set_aside.iter().rev());
        WebhookView {
            name: self.name.clone(),
            url: self.config.shown_url(),
            events: self.config.events.iter().cloned().collect(),
            owner: self.config.owner.clone(),
            state: match (&stopped, failing_since) {
                (Some(_), _) => WebhookState::SetAside,
                (None, Some(_)) => WebhookState::Failing,
                (None, None) => WebhookState::Following,
            },
            position: place.map(|place| position::encode(place.timeline, place.position)),
            lag: place.map_or(0, |place| log.known_head().saturating_sub(place.position)),
            delivered: standing.delivered,
            last_delivered_at: standing.last_delivered_at.map(Time),
            failing_since: failing_since.map(Time),
            last_error: stopped.or_else(|| standing.last_error.clone()),
            next_attempt_at: standing.next_attempt_at.map(Time),
            set_aside_count: place.map_or(0, |place| place.set_aside_count),
            set_aside: set_aside
                .map(|delivery| SetAsideView {
                    id: delivery.id.clone(),
                    kind: delivery.kind.clone(),
                    chat_id: delivery.chat_id,
                    at: Time(delivery.at),
                    problem: delivery.problem.clone(),
                })
                .collect(),
        }
    }
}
