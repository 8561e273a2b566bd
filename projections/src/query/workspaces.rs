//! Workspaces and the chats that work in them.

use verbatim_events::ids::ChatId;

use crate::database::{Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// Chats that are told of for one workspace.
const CHATS_MAX: u64 = 1_000;

impl ReadModels {
    /// The chats that are bound to a workspace, in order of their ids; the first thousand, where there are more.
    pub async fn chats_in_workspace(&self, workspace_id: &str) -> Result<Vec<ChatId>, ReadError> {
        let (live, workspace_id) = (self.live(), workspace_id.to_owned());
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT chat_id FROM chats WHERE workspace = ? ORDER BY chat_id LIMIT ?",
                vec![Value::text(workspace_id), Value::unsigned(CHATS_MAX)],
            );
            live.database.fetch(statement).await?.iter().map(|row| row.id(0).map(ChatId)).collect()
        })
        .await
    }
}
