//! Takes the snapshots that are due, and finds them again.
//!
//! A state is folded from the chat's snapshot before and the events since; what was folded last stays in memory, so that a
//! chat that goes on costs no reading of its own words. Where messages were withdrawn it is folded from the first event: a
//! snapshot has no past to go back to.

use std::collections::HashMap;

use verbatim_events::chat::{Chat, evolve};
use verbatim_events::ids::{ChatId, Digest, Version};
use verbatim_events::log::{BoxFuture, EventLog};
use verbatim_events::snapshot::{self, STATE_SCHEMA, Snapshots, due};
use verbatim_events::wire;

use crate::batch::{Batch, Kept};
use crate::database::{Database, Statement, Value};
use crate::error::ReadError;
use crate::fingerprint::reducer_fingerprint;
use crate::handle::ReadModels;

/// Events read at once while a state is folded.
const PAGE_EVENTS: usize = 500;

/// Bytes of states, as they are written, that are remembered.
const REMEMBERED_BYTES_MAX: usize = 8 << 20;

/// The states that were folded last.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    chats: HashMap<ChatId, Chat>,
    bytes: usize,
}

impl Folded {
    /// Makes the snapshots that come due within `batch`. To be called before its rows are written.
    pub(crate) async fn take(
        &mut self,
        database: &Database,
        log: &dyn EventLog,
        batch: &Batch,
    ) -> Result<Vec<(ChatId, Option<Kept>)>, ReadError> {
        let mut snapshots = Vec::new();
        for (chat_id, touched) in &batch.chats {
            let before = touched.before.as_ref().map_or(0, |outline| outline.version);
            let wanted = due(touched.after.version);
            if wanted <= before || touched.after.erased {
                continue;
            }
            let folded = self.fold(database, log, *chat_id, wanted).await?;
            let kept = folded.and_then(|mut chat| {
                chat.let_past_go();
                let encoded = snapshot::encode(&chat)?;
                self.remember(*chat_id, chat, encoded.state.len());
                Some(Kept { version: wanted, encoded })
            });
            snapshots.push((*chat_id, kept));
        }
        Ok(snapshots)
    }

    /// The chat's state after the event `wanted`; `None` where its events do not yield one.
    async fn fold(
        &mut self,
        database: &Database,
        log: &dyn EventLog,
        chat_id: ChatId,
        wanted: Version,
    ) -> Result<Option<Chat>, ReadError> {
        let mut chat = match self.chats.remove(&chat_id) {
            Some(chat) => Some(chat),
            None => newest(database, chat_id).await?,
        }
        .filter(|chat| chat.outline.version <= wanted);
        loop {
            let after = chat.as_ref().map_or(0, |chat| chat.outline.version);
            if after == wanted {
                return Ok(chat);
            }
            let missing = usize::try_from(wanted - after).unwrap_or(usize::MAX);
            let page = log.read_chat(chat_id, after, missing.min(PAGE_EVENTS)).await?;
            if page.is_empty() {
                return Ok(None);
            }
            for stored in &page {
                if stored.is_erased() {
                    // The chat's end is in the log already: it will have no snapshot.
                    return Ok(None);
                }
                let next = wire::decode(stored)
                    .map_err(|error| error.to_string())
                    .map(|recorded| evolve(chat.take(), &recorded));
                let problem = match next {
                    Ok(Ok(next)) => {
                        chat = Some(next);
                        continue;
                    }
                    // From the first event again.
                    Ok(Err(illegal)) if illegal.lacks_past => break,
                    Ok(Err(illegal)) => illegal.to_string(),
                    Err(problem) => problem,
                };
                // The actor will find the same and say so to whoever asks for the chat.
                tracing::warn!(chat.id = %chat_id, problem, "no snapshot of this chat can be made");
                return Ok(None);
            }
        }
    }

    fn remember(&mut self, chat_id: ChatId, chat: Chat, bytes: usize) {
        if bytes > REMEMBERED_BYTES_MAX {
            return;
        }
        if self.bytes + bytes > REMEMBERED_BYTES_MAX {
            self.forget();
        }
        // What a chat took before is counted until all is forgotten: the bound holds, if a little early.
        self.bytes += bytes;
        self.chats.insert(chat_id, chat);
    }

    /// Forgets everything.
    pub(crate) fn forget(&mut self) {
        *self = Folded::default();
    }
}

/// A chat's snapshot in a generation.
async fn newest(database: &Database, chat_id: ChatId) -> Result<Option<Chat>, ReadError> {
    let statement = Statement::new(
        "SELECT state, digest FROM snapshots WHERE chat_id = ? AND state_schema = ? AND reducer = ?",
        vec![Value::Id(Some(chat_id.0)), Value::unsigned(u64::from(STATE_SCHEMA)), Value::text(reducer_fingerprint())],
    );
    let rows = database.fetch(statement).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let digest: Option<Digest> = row.text(1)?.parse().ok();
    let chat = digest.and_then(|digest| snapshot::decode(row.text(0).ok()?.as_str(), digest));
    if chat.is_none() {
        tracing::warn!(chat.id = %chat_id, "a snapshot cannot be read and is passed over");
    }
    Ok(chat.filter(|chat| chat.outline.id == chat_id))
}

impl Snapshots for ReadModels {
    fn newest(&self, chat_id: ChatId) -> BoxFuture<'_, Option<Chat>> {
        let live = self.live();
        Box::pin(async move {
            let found = self.on_runtime(async move { newest(&live.database, chat_id).await }).await;
            found.unwrap_or_else(|error| {
                tracing::warn!(chat.id = %chat_id, %error, "a snapshot could not be looked up");
                None
            })
        })
    }
}
