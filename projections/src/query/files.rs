//! Files and the chats that show them.

use verbatim_events::chat::Outline;

use crate::database::{Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// Chats that are looked at for one file, the newest first.
const CHATS_MAX: u64 = 64;

impl ReadModels {
    /// Whether a file is expired: chats showed it, and none of them (the newest ones, where they are very many) shows it
    /// any more. One that no chat has shown yet is not.
    pub async fn file_is_expired(&self, file_id: &str) -> Result<bool, ReadError> {
        let (live, file_id) = (self.live(), file_id.to_owned());
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT chats.outline FROM chat_files JOIN chats ON chats.chat_id = chat_files.chat_id
                 WHERE chat_files.file_id = ? ORDER BY chats.position DESC LIMIT ?",
                vec![Value::text(&file_id), Value::unsigned(CHATS_MAX)],
            );
            let rows = live.database.fetch(statement).await?;
            let outlines: Vec<Outline> = rows.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?;
            Ok(!outlines.is_empty() && outlines.iter().all(|outline| outline.files.is_expired(&file_id)))
        })
        .await
    }

    /// Whether any chat shows this file, or a message that waits. Looks through all that wait: for rare questions.
    pub async fn shows(&self, file_id: &str) -> Result<bool, ReadError> {
        let live = self.live();
        let (id, pattern) = (Value::text(file_id), Value::text(format!("%{file_id}%")));
        self.on_runtime(async move {
            let shown = Statement::new("SELECT 1 FROM chat_files WHERE file_id = ? LIMIT 1", vec![id]);
            let waits = Statement::new("SELECT 1 FROM queue WHERE message LIKE ? LIMIT 1", vec![pattern]);
            Ok(!live.database.fetch(shown).await?.is_empty() || !live.database.fetch(waits).await?.is_empty())
        })
        .await
    }
}
