//! Keys that no chat has yet: made and committed ahead, many at once, so that a new chat finds one in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;
use verbatim_events::log::LogError;
use verbatim_events::vault::{NotSealed, Sealer};

use super::{Inner, words};
use crate::seal::{SealingKey, new_key_bytes};
use crate::task::read_on;

/// Keys made at once when few chats begin. What a crash leaves unused stays in the vault, so it is not many.
const BATCH_MIN: usize = 16;
/// Keys made at once when many do.
const BATCH_MAX: usize = 512;
/// Two batches closer together than this, and the next is larger.
const RUSH: Duration = Duration::from_secs(2);

/// A key that seals nothing yet.
struct Spare {
    key_id: Uuid,
    key: Arc<SealingKey>,
}

/// Spare keys, all of them durable.
#[derive(Default)]
pub(super) struct Spares {
    ready: Arc<Mutex<Vec<Spare>>>,
    pace: tokio::sync::Mutex<Pace>,
    is_filling: AtomicBool,
}

#[derive(Default)]
struct Pace {
    batch: usize,
    last: Option<Instant>,
}

impl Spares {
    /// Gives all unused keys up.
    pub(super) fn take_all(&self) -> Vec<Uuid> {
        self.ready.lock().drain(..).map(|spare| spare.key_id).collect()
    }
}

/// A key for a chat that is about to begin. Waits for a commit only if others took all that were ready.
pub(super) async fn take(inner: &Arc<Inner>) -> Result<ChatSealer, LogError> {
    loop {
        let (spare, left) = {
            let mut ready = inner.spares.ready.lock();
            (ready.pop(), ready.len())
        };
        if left < BATCH_MIN / 2 && spare.is_some() && !inner.spares.is_filling.swap(true, Ordering::AcqRel) {
            let filler = Arc::clone(inner);
            inner.runtime.spawn(async move {
                if let Err(error) = fill(&filler).await {
                    tracing::warn!(%error, "no keys could be made ahead");
                }
                filler.spares.is_filling.store(false, Ordering::Release);
            });
        }
        if let Some(Spare { key_id, key }) = spare {
            let home = Arc::clone(&inner.spares.ready);
            return Ok(ChatSealer { key_id, key, home: Some(home), is_used: AtomicBool::new(false) });
        }
        let filler = Arc::clone(inner);
        read_on(&inner.runtime, async move { fill(&filler).await }).await?;
    }
}

/// Makes keys until there are enough.
async fn fill(inner: &Inner) -> Result<(), LogError> {
    let mut pace = inner.spares.pace.lock().await;
    if inner.spares.ready.lock().len() >= BATCH_MIN / 2 {
        return Ok(());
    }
    let in_a_rush = pace.last.is_some_and(|last| last.elapsed() < RUSH);
    pace.batch = if in_a_rush { pace.batch * 2 } else { pace.batch / 2 }.clamp(BATCH_MIN, BATCH_MAX);
    let not_made = |error: crate::seal::SealError| LogError::Unavailable(format!("no key could be made: {error}"));
    let (mut spares, mut rows) = (Vec::with_capacity(pace.batch), Vec::with_capacity(pace.batch));
    for _ in 0..pace.batch {
        let key_id = Uuid::now_v7();
        let bytes = new_key_bytes().map_err(not_made)?;
        rows.push((key_id, inner.master.wrap(&words::chat_key_place(key_id), &bytes).map_err(not_made)?));
        spares.push(Spare { key_id, key: Arc::new(SealingKey::new(&bytes)) });
    }
    inner.home.add_chat_keys(&rows).await?;
    inner.spares.ready.lock().append(&mut spares);
    pace.last = Some(Instant::now());
    Ok(())
}

/// Seals the events of one chat.
pub(super) struct ChatSealer {
    key_id: Uuid,
    key: Arc<SealingKey>,
    /// Where the key goes back to if nothing is sealed with it; `None` for the key of a chat that exists.
    home: Option<Arc<Mutex<Vec<Spare>>>>,
    is_used: AtomicBool,
}

impl ChatSealer {
    /// The sealer of a chat that has a key.
    pub(super) fn of(key_id: Uuid, key: Arc<SealingKey>) -> ChatSealer {
        ChatSealer { key_id, key, home: None, is_used: AtomicBool::new(true) }
    }
}

impl fmt::Debug for ChatSealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChatSealer({})", self.key_id)
    }
}

impl Sealer for ChatSealer {
    fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, NotSealed> {
        self.is_used.store(true, Ordering::Release);
        words::seal(self.key_id, &self.key, associated, plain).map_err(|error| NotSealed(error.to_string()))
    }
}

impl Drop for ChatSealer {
    fn drop(&mut self) {
        if let Some(home) = &self.home
            && !self.is_used.load(Ordering::Acquire)
        {
            home.lock().push(Spare { key_id: self.key_id, key: Arc::clone(&self.key) });
        }
    }
}
