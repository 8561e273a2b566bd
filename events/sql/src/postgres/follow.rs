//! Learning of other nodes' appends: a hint from the database, and a look of our own every second. Both outlive the
//! database; a lost hint only costs the time until the next look.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool};
use tokio::sync::watch;
use uuid::Uuid;
use verbatim_events::ids::Position;

use super::{connect, read};
use crate::head::KnownHead;

/// How often the head is read.
const POLL: Duration = Duration::from_secs(1);
/// How long the listening loop waits before it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// Where batches are announced.
const CHANNEL: &str = "verbatim_log";

/// Reads the head every second until the log closes. Says once that the database is lost, and once that it is back.
pub(crate) async fn poll(readers: PgPool, known_head: KnownHead, mut closing: watch::Receiver<bool>) {
    let mut lost = false;
    loop {
        match read::head(&readers).await {
            Ok(head) => {
                known_head.publish(head);
                if std::mem::take(&mut lost) {
                    tracing::info!("the log's database is back");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut lost, true) {
                    tracing::warn!(%error, "the log's head cannot be read");
                }
            }
        }
        if closes_within(POLL, &mut closing).await {
            return;
        }
    }
}

/// Listens for batches until the log closes.
pub(crate) async fn listen(
    address: PgConnectOptions,
    timeline: Uuid,
    known_head: KnownHead,
    mut closing: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => return,
            result = listen_once(&address, timeline, &known_head) => match result {
                Ok(()) => {}
                Err(error) => tracing::debug!(%error, "the log cannot be listened to"),
            },
        }
        if closes_within(RETRY, &mut closing).await {
            return;
        }
    }
}

/// Listens until the connection is lost.
async fn listen_once(address: &PgConnectOptions, timeline: Uuid, known_head: &KnownHead) -> Result<(), sqlx::Error> {
    let pool = connect::pool(1).connect_with(address.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    while let Some(notification) = listener.try_recv().await? {
        if let Some(position) = announced(notification.payload(), timeline) {
            known_head.publish(position);
        }
    }
    Ok(())
}

/// The position that a notification announces, if it is of this log: `timeline lane position`.
fn announced(payload: &str, timeline: Uuid) -> Option<Position> {
    let mut words = payload.split(' ');
    let of: Uuid = words.next()?.parse().ok()?;
    let _lane: u32 = words.next()?.parse().ok()?;
    let position = words.next()?.parse().ok()?;
    (of == timeline && words.next().is_none()).then_some(position)
}

/// Waits; true if the log closes meanwhile, or is gone.
async fn closes_within(time: Duration, closing: &mut watch::Receiver<bool>) -> bool {
    tokio::time::timeout(time, closing.wait_for(|closing| *closing)).await.is_ok()
}

#[cfg(test)]
mod tests;
