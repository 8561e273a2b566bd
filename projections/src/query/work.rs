//! Chats that owe something, and chats whose projection stopped.

use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::ids::ChatId;

use super::rows_to_fetch;
use crate::batch::DeadLetter;
use crate::database::{Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

impl ReadModels {
    /// Chats that run, are being interrupted or wait for a client, in order of their ids after `after`. To be asked
    /// once the rows have caught up with the log; shorter than `limit` means the last page.
    pub async fn work(&self, after: Option<ChatId>, limit: usize) -> Result<Vec<ChatId>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT chat_id FROM work WHERE chat_id > ? ORDER BY chat_id LIMIT ?",
                vec![Value::Id(Some(after.map_or(Uuid::nil(), |chat_id| chat_id.0))), limit_value(limit)],
            );
            live.database.fetch(statement).await?.iter().map(|row| row.id(0).map(ChatId)).collect()
        })
        .await
    }

    /// Events that stopped their chat's projection, the newest first, and thereby those chats.
    pub async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT chat_id, position, version, event_type, recorded_at, problem
                 FROM dead_letters ORDER BY position DESC LIMIT ?",
                vec![limit_value(limit)],
            );
            let rows = live.database.fetch(statement).await?;
            rows.iter()
                .map(|row| {
                    Ok(DeadLetter {
                        chat_id: ChatId(row.id(0)?),
                        position: row.unsigned(1)?,
                        version: row.unsigned(2)?,
                        event_type: row.text(3)?,
                        recorded_at: DateTime::from_timestamp_micros(row.integer(4)?)
                            .ok_or_else(|| ReadError::Damaged("a dead letter's time".to_owned()))?,
                        problem: row.text(5)?,
                    })
                })
                .collect()
        })
        .await
    }
}

fn limit_value(limit: usize) -> Value {
    Value::unsigned(rows_to_fetch(limit) - 1)
}
