//! The vault's port: where the keys are that chats' events are sealed with. What is sealed is bound to its place, so that
//! no event passes for another; without its key it says nothing, and its hash holds all the same.

use std::fmt;
use std::sync::Arc;

use crate::envelope::NewEvent;
use crate::ids::ChatId;
use crate::log::{BoxFuture, LogError};

/// Something could not be sealed. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event could not be sealed: {0}")]
pub struct NotSealed(pub String);

/// Seals the events of one chat.
pub trait Sealer: Send + Sync + fmt::Debug {
    /// The bytes that are stored in place of `plain`. They open for the same `associated` alone.
    fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, NotSealed>;
}

/// The keys of all chats. A chat is sealed from its first event on, or never.
pub trait Vault: Send + Sync {
    /// What seals a chat's events; `None` where they are stored as they are. For a chat that does not exist yet
    /// (`is_new`) this is a key that nothing was sealed with, and that is as durable as the log already.
    fn sealer(&self, chat_id: ChatId, is_new: bool) -> BoxFuture<'_, Result<Option<Arc<dyn Sealer>>, LogError>>;
}

/// A vault without keys: events are stored as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoVault;

impl Vault for NoVault {
    fn sealer(&self, _: ChatId, _: bool) -> BoxFuture<'_, Result<Option<Arc<dyn Sealer>>, LogError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What a sealed event is bound to: its chat and version, its own id, what it is. Every field is preceded by its length,
/// so no two places share their bytes.
pub fn associated_data(event: &NewEvent) -> Vec<u8> {
    let version = event.version.to_be_bytes();
    let schema = event.schema.to_be_bytes();
    let fields: [&[u8]; 5] =
        [event.chat_id.0.as_bytes(), &version, event.event_id.as_bytes(), event.event_type.as_bytes(), &schema];
    let mut bytes = Vec::with_capacity(128);
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}
