//! The part journal's port: what open attempts have streamed so far. No part of the audit log; it need not survive a
//! power cut, only the server's own death.

use crate::ids::{AttemptId, ChatId};
use crate::log::{BoxFuture, LogError};
use crate::part::NumberedPart;

/// Keeps the parts of open attempts.
pub trait PartJournal: Send + Sync {
    /// Adds parts of an attempt, in order. The newest parts of an attempt may be lost in a crash, never ones before them.
    fn write(
        &self,
        chat_id: ChatId,
        attempt_id: AttemptId,
        parts: Vec<NumberedPart>,
    ) -> BoxFuture<'_, Result<(), LogError>>;

    /// All parts of an attempt, in order.
    fn read(&self, chat_id: ChatId, attempt_id: AttemptId) -> BoxFuture<'_, Result<Vec<NumberedPart>, LogError>>;

    /// Forgets all attempts of a chat up to and including this one. Best effort: what stays is overwritten or ignored.
    fn forget(&self, chat_id: ChatId, up_to: AttemptId) -> BoxFuture<'_, Result<(), LogError>>;
}
