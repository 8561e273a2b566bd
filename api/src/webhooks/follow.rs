//! One webhook's way along the log.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use metrics::counter;
use tokio_util::sync::CancellationToken;
use verbatim_events::envelope::Stored;
use verbatim_events::ids::Position;
use verbatim_events::log::LogError;

use super::Sources;
use super::backoff::{REFUSED_MAX, is_given_up, wait_ms};
use super::deliver::{Outcome, Receiver};
use super::kinds::{Delivery, deliveries};
use super::place::{Place, Places, SetAside};
use super::status::Shared;
use crate::config::WebhookConfig;
use crate::watch::outlines::Outlines;

/// Events read at once.
const PAGE: usize = 200;

/// How long the follower waits before it asks a log again that did not answer, in ms.
const RETRY_MS: u64 = 1000;

/// How much time may pass until it is kept how far the webhook has come: after a crash, what was told since is told again.
const SAVE_EVERY: TimeDelta = TimeDelta::seconds(1);

/// What becomes of a delivery.
enum End {
    /// It was taken, or set aside: on to the next.
    Over,
    /// The webhook stands still.
    Still,
}

/// Counts what becomes of attempts.
fn count(result: &'static str) {
    counter!("verbatim_webhook_deliveries_total", "result" => result).increment(1);
}

/// One webhook, on its way.
pub(super) struct Follower {
    name: String,
    config: WebhookConfig,
    receiver: Receiver,
    places: Places,
    shared: Arc<Shared>,
    sources: Sources,
    outlines: Outlines,
    /// When its place was kept last.
    saved_at: DateTime<Utc>,
    /// Its place has changed since in a way that matters.
    unsaved: bool,
}

impl Follower {
    pub fn new(
        name: String,
        config: WebhookConfig,
        receiver: Receiver,
        places: Places,
        shared: Arc<Shared>,
        sources: Sources,
    ) -> Follower {
        let outlines = Outlines::new(Arc::clone(&sources.log), sources.reads.clone());
        let saved_at = sources.clock.now();
        Follower { name, config, receiver, places, shared, sources, outlines, saved_at, unsaved: false }
    }

    /// Follows the log from a place until `stop`, then keeps how far it has come.
    pub async fn run(mut self, mut place: Place, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow(&mut place)).await;
        // Whatever the cut off future was at: the place says only what is over.
        self.save(&place).await;
    }

    /// Where it begins, of a log that ends at `head`: where it stopped, or at the end if it is new.
    pub async fn begin(&mut self, place: Option<Place>, head: Position) -> Place {
        let timeline = self.sources.log.timeline();
        let place = match place {
            Some(place) if place.timeline == timeline && place.position <= head => place,
            Some(other) => {
                tracing::warn!(
                    webhook = %self.name, position = other.position, head,
                    "A webhook had come to a place of another log, or of this one before it was restored. It goes on at the head."
                );
                Place { timeline, position: head, ..other }
            }
            None => Place::after(timeline, head),
        };
        self.save(&place).await;
        place
    }

    async fn follow(&mut self, place: &mut Place) {
        loop {
            if place.stopped.is_some() {
                self.shared.wanted().await;
                (place.stopped, place.failing_since) = (None, None);
                self.shared.standing.lock().last_error = None;
                self.save(place).await;
                self.shared.goes_on();
            }
            if let Err(error) = self.page(place).await {
                tracing::warn!(webhook = %self.name, %error, "A webhook waits for the log.");
                self.sources.clock.sleep_ms(RETRY_MS).await;
            }
        }
    }

    /// Goes over the next page of the log, or waits for one.
    async fn page(&mut self, place: &mut Place) -> Result<(), LogError> {
        let log = Arc::clone(&self.sources.log);
        let page = log.read_all(place.position, PAGE).await?;
        if page.scanned_to <= place.position {
            if self.unsaved {
                self.save(place).await;
            }
            log.wait_beyond(place.position).await;
            return Ok(());
        }
        for stored in &page.events {
            for delivery in self.deliveries(stored).await? {
                if let End::Still = self.deliver(place, &delivery).await {
                    return Ok(());
                }
            }
            self.move_to(place, stored.position).await;
        }
        self.move_to(place, page.scanned_to).await;
        Ok(())
    }

    /// What an event gives this webhook to tell.
    async fn deliveries(&mut self, stored: &Stored) -> Result<Vec<Delivery>, LogError> {
        if !stored.event.chat_id.is_chat() {
            return Ok(Vec::new());
        }
        if let Some(wanted) = &self.config.owner {
            let owner = self.outlines.owner(stored).await?;
            if owner.as_deref() != Some(wanted) {
                self.outlines.forget(stored.event.chat_id);
                return Ok(Vec::new());
            }
        }
        let Some(step) = self.outlines.step(stored).await? else { return Ok(Vec::new()) };
        Ok(deliveries(&step, |kind| self.config.events.contains(kind)))
    }

    async fn move_to(&mut self, place: &mut Place, position: Position) {
        place.position = place.position.max(position);
        self.show(place);
        if self.unsaved && self.sources.clock.now() - self.saved_at >= SAVE_EVERY {
            self.save(place).await;
        }
    }

    /// Sends something until it is taken, set aside, or the webhook stands still.
    async fn deliver(&mut self, place: &mut Place, delivery: &Delivery) -> End {
        let (mut failures, mut refusals) = (0u32, 0u32);
        loop {
            let outcome = self.receiver.send(delivery, self.sources.clock.now().timestamp()).await;
            let now = self.sources.clock.now();
            let (problem, retry_after_ms) = match outcome {
                Outcome::Taken => {
                    count("delivered");
                    self.taken(place, now).await;
                    return End::Over;
                }
                Outcome::Gone => {
                    self.stop(place, "it answered 410: it wants nothing any more".to_owned()).await;
                    return End::Still;
                }
                Outcome::Refused { problem } => {
                    refusals += 1;
                    (problem, None)
                }
                Outcome::Away { problem, retry_after_ms } => (problem, retry_after_ms),
            };
            count("failed");
            failures = failures.saturating_add(1);
            if place.failing_since.is_none() {
                tracing::warn!(webhook = %self.name, problem, "A webhook's receiver does not take what it is sent.");
            }
            let since = *place.failing_since.get_or_insert(now);
            self.shared.standing.lock().last_error = Some(problem.clone());
            if refusals >= REFUSED_MAX {
                count("set_aside");
                tracing::warn!(webhook = %self.name, delivery = %delivery.id, problem, "A webhook's delivery is set aside.");
                place.failing_since = None;
                place.put_aside(SetAside {
                    id: delivery.id.clone(),
                    kind: delivery.kind.to_owned(),
                    chat_id: delivery.chat_id,
                    at: now,
                    problem,
                });
                self.save(place).await;
                return End::Over;
            }
            if is_given_up(since, now) {
                self.stop(place, problem).await;
                return End::Still;
            }
            if failures == 1 {
                self.save(place).await;
            }
            self.wait(place, wait_ms(failures, retry_after_ms)).await;
        }
    }

    async fn taken(&mut self, place: &mut Place, now: DateTime<Utc>) {
        {
            let mut standing = self.shared.standing.lock();
            standing.delivered += 1;
            standing.last_delivered_at = Some(now);
            standing.last_error = None;
        }
        self.unsaved = true;
        if place.failing_since.take().is_some() {
            tracing::info!(webhook = %self.name, "A webhook's receiver takes what it is sent again.");
            self.save(place).await;
        }
    }

    /// Lets the webhook stand still. What it would have told stays in the log.
    async fn stop(&mut self, place: &mut Place, problem: String) {
        tracing::error!(webhook = %self.name, problem, "A webhook stands still until it is resumed.");
        place.stopped = Some(problem);
        self.save(place).await;
    }

    /// Waits for the next attempt, or until somebody wants it now.
    async fn wait(&self, place: &Place, wait_ms: u64) {
        let wait = TimeDelta::milliseconds(i64::try_from(wait_ms).unwrap_or(i64::MAX / 2_000_000));
        self.shared.standing.lock().next_attempt_at = Some(self.sources.clock.now() + wait);
        self.show(place);
        tokio::select! {
            () = self.sources.clock.sleep_ms(wait_ms) => {}
            () = self.shared.wanted() => {}
        }
        self.shared.standing.lock().next_attempt_at = None;
        self.shared.goes_on();
    }

    /// Lets everybody see how it stands.
    fn show(&self, place: &Place) {
        self.shared.standing.lock().place = Some(place.clone());
    }

    /// Keeps how it stands. What cannot be kept now is kept later, and told again after a crash.
    async fn save(&mut self, place: &Place) {
        self.show(place);
        self.saved_at = self.sources.clock.now();
        match self.places.save(&self.name, place).await {
            Ok(()) => self.unsaved = false,
            Err(error) => tracing::warn!(webhook = %self.name, %error, "A webhook's place could not be kept."),
        }
    }
}
