//! Chats that were erased: what a start makes sure of.

use verbatim_events::chat::Outline;
use verbatim_events::ids::Position;

use super::rows_to_fetch;
use crate::database::{Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

impl ReadModels {
    /// Erased chats by the place of their last event in the log, from `after` on. Shorter than `limit` means the last page.
    pub async fn erased_chats(&self, after: Position, limit: usize) -> Result<Vec<(Position, Outline)>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT position, outline FROM chats WHERE erased = ? AND position > ? ORDER BY position LIMIT ?",
                vec![Value::Boolean(true), Value::unsigned(after), Value::unsigned(rows_to_fetch(limit) - 1)],
            );
            let rows = live.database.fetch(statement).await?;
            rows.iter().map(|row| Ok((row.unsigned(0)?, row.json(1)?))).collect()
        })
        .await
    }
}
