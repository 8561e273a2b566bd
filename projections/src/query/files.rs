//! Files and the chats that show them.

use verbatim_events::chat::Outline;

use crate::database::{Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// Chats that are looked at for one file, the newest first.
const CHATS_MAX: u64 = 64;

/// How a file stands to the chats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStanding {
    /// A chat shows it, or a message that waits, or so many chats did that nobody counts.
    Shown,
    /// Chats showed it, and none does any more.
    Expired,
    /// No chat has shown it.
    Unshown,
}

impl ReadModels {
    /// How a file stands. Looks through all messages that wait: for rare questions.
    pub async fn file_standing(&self, file_id: &str) -> Result<FileStanding, ReadError> {
        let (live, file_id) = (self.live(), file_id.to_owned());
        self.on_runtime(async move {
            let showing = Statement::new(
                "SELECT chats.outline FROM chat_files JOIN chats ON chats.chat_id = chat_files.chat_id
                 WHERE chat_files.file_id = ? LIMIT ?",
                vec![Value::text(&file_id), Value::unsigned(CHATS_MAX + 1)],
            );
            let rows = live.database.fetch(showing).await?;
            let outlines: Vec<Outline> = rows.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?;
            let shows = |outline: &Outline| !outline.files.is_expired(&file_id);
            if outlines.len() as u64 > CHATS_MAX || outlines.iter().any(shows) {
                return Ok(FileStanding::Shown);
            }
            let pattern = vec![Value::text(format!("%{file_id}%"))];
            let waits = Statement::new("SELECT 1 FROM queue WHERE message LIKE ? LIMIT 1", pattern);
            Ok(match (live.database.fetch(waits).await?.is_empty(), outlines.is_empty()) {
                (false, _) => FileStanding::Shown,
                (true, true) => FileStanding::Unshown,
                (true, false) => FileStanding::Expired,
            })
        })
        .await
    }

    /// Whether some event could not be applied: what its chat shows since is not in the rows.
    pub async fn has_dead_letters(&self) -> Result<bool, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let any = Statement::new("SELECT 1 FROM dead_letters LIMIT 1", Vec::new());
            Ok(!live.database.fetch(any).await?.is_empty())
        })
        .await
    }

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
