//! A chat's messages and the messages that wait.

use std::sync::Arc;

use chrono::DateTime;
use verbatim_events::chat::QueuedMessage;
use verbatim_events::event::MessageQueued;
use verbatim_events::ids::{ChatId, MessageId, Version};
use verbatim_events::message::Message;

use super::{Listing, cursor, cut, rows_to_fetch};
use crate::database::{Row, Statement, Value};
use crate::error::ReadError;
use crate::generation::Generation;
use crate::handle::ReadModels;

/// Which of a chat's messages a page shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageQuery {
    /// Only those before this one. Without `after`, the page ends there.
    pub before: Option<MessageId>,
    /// Only those after this one; the page starts there.
    pub after: Option<MessageId>,
    /// Withdrawn ones too.
    pub include_withdrawn: bool,
    /// Those for the model alone too.
    pub include_model_only: bool,
}

/// A message as a page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRow {
    /// The message.
    pub message: Message,
    /// The event that withdrew it.
    pub withdrawn_by: Option<Version>,
}

/// A page of messages.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePage {
    /// Oldest first.
    pub items: Vec<MessageRow>,
    /// There are more beyond the page's open end: after its last where `after` was given, else before its first.
    pub more: bool,
}

impl ReadModels {
    /// A page of a chat's messages, oldest first: the newest ones unless the query says where.
    pub async fn messages(&self, chat_id: ChatId, query: MessageQuery, limit: usize) -> Result<MessagePage, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let (rows, more) = page(&live, "message, withdrawn_by", chat_id, query, limit).await?;
            let items = rows.iter().map(message_row).collect::<Result<_, _>>()?;
            Ok(MessagePage { items, more })
        })
        .await
    }

    /// As `messages`, but the ids alone.
    pub async fn message_ids(
        &self,
        chat_id: ChatId,
        query: MessageQuery,
        limit: usize,
    ) -> Result<Vec<MessageId>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let (rows, _) = page(&live, "id", chat_id, query, limit).await?;
            rows.iter().map(|row| row.unsigned(0)).collect()
        })
        .await
    }

    /// What users said in a chat, the newest first; not what an edit withdrew.
    pub async fn prompts(
        &self,
        chat_id: ChatId,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Listing<Message>, ReadError> {
        let [before] = cursor.map(cursor::decode::<1>).transpose()?.unwrap_or([i64::MAX as u64]);
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT message FROM messages
                 WHERE chat_id = ? AND id < ? AND role = 'user' AND origin = 'user' AND visibility <> 'model'
                 AND withdrawn_by IS NULL ORDER BY id DESC LIMIT ?",
                vec![Value::Id(Some(chat_id.0)), Value::unsigned(before), Value::unsigned(rows_to_fetch(limit))],
            );
            let mut rows = live.database.fetch(statement).await?;
            let more = cut(&mut rows, limit);
            let items: Vec<Message> = rows.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?;
            let next_cursor = items.last().filter(|_| more).map(|last| cursor::encode([last.id]));
            Ok(Listing { items, next_cursor })
        })
        .await
    }

    /// One message, withdrawn or not; `None` if the chat has none of this id.
    pub async fn message(&self, chat_id: ChatId, id: MessageId) -> Result<Option<MessageRow>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT message, withdrawn_by FROM messages WHERE chat_id = ? AND id = ?",
                vec![Value::Id(Some(chat_id.0)), Value::unsigned(id)],
            );
            live.database.fetch(statement).await?.first().map(message_row).transpose()
        })
        .await
    }

    /// The messages that wait, the next one first.
    pub async fn queue(&self, chat_id: ChatId) -> Result<Vec<QueuedMessage>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT id, queued_at, message FROM queue WHERE chat_id = ? ORDER BY seat",
                vec![Value::Id(Some(chat_id.0))],
            );
            live.database.fetch(statement).await?.iter().map(queued_message).collect()
        })
        .await
    }
}

/// The rows of a page, oldest first, and whether there are more beyond its open end.
async fn page(
    live: &Arc<Generation>,
    columns: &str,
    chat_id: ChatId,
    query: MessageQuery,
    limit: usize,
) -> Result<(Vec<Row>, bool), ReadError> {
    let mut rows = live.database.fetch(page_statement(columns, chat_id, query, limit)).await?;
    let more = cut(&mut rows, limit);
    if query.after.is_none() {
        rows.reverse();
    }
    Ok((rows, more))
}

fn page_statement(columns: &str, chat_id: ChatId, query: MessageQuery, limit: usize) -> Statement {
    let MessageQuery { before, after, include_withdrawn, include_model_only } = query;
    let mut sql = format!("SELECT {columns} FROM messages WHERE chat_id = ?");
    let mut values = vec![Value::Id(Some(chat_id.0))];
    if let Some(before) = before {
        sql.push_str(" AND id < ?");
        values.push(Value::unsigned(before));
    }
    if let Some(after) = after {
        sql.push_str(" AND id > ?");
        values.push(Value::unsigned(after));
    }
    if !include_withdrawn {
        sql.push_str(" AND withdrawn_by IS NULL");
    }
    if !include_model_only {
        sql.push_str(" AND visibility <> 'model'");
    }
    sql.push_str(if after.is_some() { " ORDER BY id LIMIT ?" } else { " ORDER BY id DESC LIMIT ?" });
    values.push(Value::unsigned(rows_to_fetch(limit)));
    // A handful of shapes in all, so they may stay prepared.
    Statement::new(sql, values)
}

fn message_row(row: &Row) -> Result<MessageRow, ReadError> {
    Ok(MessageRow { message: row.json(0)?, withdrawn_by: row.optional_unsigned(1)? })
}

fn queued_message(row: &Row) -> Result<QueuedMessage, ReadError> {
    let queued_at = row.integer(1)?;
    let MessageQueued { parts, author, model, effort, steer } = row.json(2)?;
    Ok(QueuedMessage {
        id: row.unsigned(0)?,
        parts,
        author,
        model,
        effort,
        steer,
        created_at: DateTime::from_timestamp_micros(queued_at)
            .ok_or_else(|| ReadError::Damaged(format!("a time of {queued_at}")))?,
    })
}
