//! After a start: chats that owe something are woken, so that their turns go on with no human help.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use verbatim_actors::handle::{Handle, SendError};
use verbatim_events::ids::ChatId;
use verbatim_events::log::EventLog;
use verbatim_projections::{ReadError, ReadModels};

/// Chats woken at once: enough to hide the reads' latency, few enough to leave room for users.
const AT_ONCE: usize = 16;

/// Chats asked for at once.
const PAGE: usize = 500;

/// How long one wait for the read models lasts before it is looked again where the log's head is.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first wait after a failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(250);

const WAIT_MAX: Duration = Duration::from_secs(10);

/// Tries to wake one chat. A database that is away for longer fails every command anyway, and each wakes its chat.
const TRIES: u32 = 8;

/// How long new turns wait for those of before to be found, at most: read models that are away must not stop everything.
const HEAD_START: Duration = Duration::from_secs(10);

/// Wakes every chat that owes something as of now. Ends when all were woken. Until then, but not for long, those that were
/// at work or waited for a place have the precedence over whatever comes.
pub(super) async fn recover(log: Arc<dyn EventLog>, reads: ReadModels, handle: Handle) {
    let waking = wake_all(log, reads, handle.clone());
    tokio::pin!(waking);
    if tokio::time::timeout(HEAD_START, &mut waking).await.is_ok() {
        handle.recovered();
        return;
    }
    tracing::warn!("not all unfinished turns were found in time; new ones go on beside them");
    handle.recovered();
    waking.await;
}

async fn wake_all(log: Arc<dyn EventLog>, reads: ReadModels, handle: Handle) {
    // What happens from now on wakes its chat by itself.
    let head = head(log.as_ref()).await;
    while reads.wait_until(head, PATIENCE).await.is_err() {}
    let mut woken = 0;
    let mut after = None;
    loop {
        let page = work(&reads, after).await;
        after = page.last().copied();
        let (count, last_page) = (page.len(), page.len() < PAGE);
        futures_util::stream::iter(page)
            .for_each_concurrent(AT_ONCE, |chat_id| {
                let handle = &handle;
                async move { wake(handle, chat_id).await }
            })
            .await;
        woken += count;
        if last_page {
            break;
        }
    }
    if woken > 0 {
        tracing::info!(chats = woken, "unfinished turns go on");
    }
}

async fn head(log: &dyn EventLog) -> u64 {
    let mut wait = FIRST_WAIT;
    loop {
        match log.head().await {
            Ok(head) => return head,
            Err(error) => tracing::warn!(%error, "recovery waits for the log"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

async fn work(reads: &ReadModels, after: Option<ChatId>) -> Vec<ChatId> {
    let mut wait = FIRST_WAIT;
    loop {
        match reads.work(after, PAGE).await {
            Ok(page) => return page,
            Err(ReadError::Stopped) => return Vec::new(),
            Err(error) => tracing::warn!(%error, "recovery waits for the read models"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

async fn wake(handle: &Handle, chat_id: ChatId) {
    let mut wait = FIRST_WAIT;
    for attempt in 1..=TRIES {
        match handle.wake(chat_id).await {
            Ok(()) | Err(SendError::Stopping) => return,
            Err(error @ (SendError::Damaged { .. } | SendError::Rejected(_))) => {
                tracing::error!(chat.id = %chat_id, %error, "a chat with an unfinished turn cannot go on");
                return;
            }
            Err(error) if attempt == TRIES => {
                tracing::error!(chat.id = %chat_id, %error, "a chat with an unfinished turn could not be woken");
            }
            Err(SendError::Busy { retry_after_ms }) => {
                tokio::time::sleep(Duration::from_millis(retry_after_ms).min(WAIT_MAX)).await;
            }
            Err(_) => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
        }
    }
}
