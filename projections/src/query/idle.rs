//! Chats in which nothing has happened for long: what housekeeping looks through.

use verbatim_events::chat::Outline;
use verbatim_events::ids::{ChatId, Position};

use super::rows_to_fetch;
use crate::database::{Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

impl ReadModels {
    /// Roots that are not pinned, archived ones or the others, by the place of their last event in the log: the oldest first,
    /// from `after` on. Erased ones are left out. Shorter than `limit` means the last page.
    pub async fn idle_roots(
        &self,
        archived: bool,
        after: Position,
        limit: usize,
    ) -> Result<Vec<(Position, Outline)>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT position, outline FROM chats
                 WHERE pinned = ? AND position > ? AND archived = ? AND NOT erased AND parent IS NULL
                 ORDER BY pinned, position LIMIT ?",
                vec![
                    Value::Boolean(false),
                    Value::unsigned(after),
                    Value::Boolean(archived),
                    Value::unsigned(rows_to_fetch(limit) - 1),
                ],
            );
            let rows = live.database.fetch(statement).await?;
            rows.iter().map(|row| Ok((row.unsigned(0)?, row.json(1)?))).collect()
        })
        .await
    }

    /// Of the family with this root the member that speaks for it: a pinned one if there is one, else the one in which
    /// something happened last. `None` for a family of which nothing is left.
    pub async fn liveliest(&self, root: ChatId) -> Result<Option<Outline>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT outline FROM chats WHERE root = ? AND NOT erased ORDER BY pinned DESC, position DESC LIMIT 1",
                vec![Value::Id(Some(root.0))],
            );
            live.database.fetch(statement).await?.first().map(|row| row.json(0)).transpose()
        })
        .await
    }
}
