//! An owner's inbox: the newest notifications and how many are unread.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use verbatim_events::event::TurnOutcome;
use verbatim_events::ids::{ChatId, Position, TurnId};
use verbatim_events::inbox::Address;
use verbatim_events::notification::Template;

use super::{Listing, cursor, cut, rows_to_fetch};
use crate::database::{Row, Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// Notifications that an owner is shown: the newest. Older ones are neither listed nor counted.
pub const INBOX_MAX: u64 = 1000;

/// The last position that is too old to be shown, or 0. Takes the owner and `INBOX_MAX`.
const FLOOR: &str = "COALESCE((SELECT old.position FROM inbox AS old WHERE old.owner = ?
     ORDER BY old.position DESC LIMIT 1 OFFSET ?), 0)";

const COLUMNS: &str =
    "SELECT inbox.position, inbox.chat_id, inbox.version, inbox.template, inbox.turn_id, inbox.outcome,
     inbox.error_kind, inbox.created_at, inbox.is_read, chats.outline
     FROM inbox LEFT JOIN chats ON chats.chat_id = inbox.chat_id WHERE inbox.owner = ?";

/// Which notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// Whose.
    pub owner: String,
    /// Unread ones alone.
    pub unread: bool,
    /// Of these templates; of any where empty.
    pub templates: Vec<Template>,
    /// About these chats; about any where empty.
    pub chats: Vec<ChatId>,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// Its address, and so its id.
    pub address: Address,
    /// The event's position.
    pub position: Position,
    /// What it is about.
    pub template: Template,
    /// The chat's title as it is now; absent where the chat's rows are.
    pub title: Option<String>,
    /// The turn.
    pub turn_id: TurnId,
    /// How the turn ended.
    pub outcome: Option<TurnOutcome>,
    /// The kind of error that it ended with.
    pub error_kind: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// It was read.
    pub read: bool,
}

/// How many notifications are unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The position of the log that the count is of.
    pub position: Position,
    /// How many, of those that are shown.
    pub count: u64,
}

#[derive(Deserialize)]
struct Titled {
    title: String,
}

impl ReadModels {
    /// An owner's notifications, the newest first.
    pub async fn inbox(
        &self,
        filter: InboxFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Listing<InboxEntry>, ReadError> {
        let [before] = cursor.map(cursor::decode::<1>).transpose()?.unwrap_or([i64::MAX as u64]);
        let live = self.live();
        self.on_runtime(async move {
            let mut rows = live.database.fetch(list_statement(&filter, limit, before)).await?;
            let more = cut(&mut rows, limit);
            let items: Vec<InboxEntry> = rows.iter().map(entry).collect::<Result<_, _>>()?;
            let next_cursor = items.last().filter(|_| more).map(|last| cursor::encode([last.position]));
            Ok(Listing { items, next_cursor })
        })
        .await
    }

    /// One of an owner's notifications; none if there is none at this address, or it is another owner's.
    pub async fn inbox_entry(&self, owner: String, address: Address) -> Result<Option<InboxEntry>, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                format!("{COLUMNS} AND inbox.chat_id = ? AND inbox.version = ?"),
                vec![Value::text(owner), Value::Id(Some(address.chat_id.0)), Value::unsigned(address.version)],
            );
            live.database.fetch(statement).await?.first().map(entry).transpose()
        })
        .await
    }

    /// How many of an owner's notifications are unread.
    pub async fn inbox_unread(&self, owner: String) -> Result<Unread, ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            // One statement, so that both numbers are of one moment.
            let statement = Statement::new(
                format!(
                    "SELECT checkpoint.position, (SELECT count(*) FROM inbox WHERE inbox.owner = ? AND NOT inbox.is_read
                     AND inbox.position > {FLOOR}) FROM checkpoint WHERE checkpoint.one = 1"
                ),
                vec![Value::text(owner.as_str()), Value::text(owner), Value::unsigned(INBOX_MAX)],
            );
            let rows = live.database.fetch(statement).await?;
            let row = rows.first().ok_or_else(|| ReadError::Damaged("there is no checkpoint".to_owned()))?;
            Ok(Unread { position: row.unsigned(0)?, count: row.unsigned(1)? })
        })
        .await
    }
}

fn list_statement(filter: &InboxFilter, limit: usize, before: u64) -> Statement {
    let InboxFilter { owner, unread, templates, chats } = filter;
    let mut sql = format!("{COLUMNS} AND inbox.position > {FLOOR} AND inbox.position < ?");
    let owner = || Value::text(owner.as_str());
    let mut values = vec![owner(), owner(), Value::unsigned(INBOX_MAX), Value::unsigned(before)];
    let mut narrow = |column: &str, bound: Vec<Value>| {
        if !bound.is_empty() {
            sql.push_str(&format!(" AND inbox.{column} IN ({})", vec!["?"; bound.len()].join(", ")));
            values.extend(bound);
        }
    };
    narrow("template", templates.iter().map(|template| Value::text(template.name())).collect());
    narrow("chat_id", chats.iter().map(|chat_id| Value::Id(Some(chat_id.0))).collect());
    if *unread {
        sql.push_str(" AND NOT inbox.is_read");
    }
    sql.push_str(" ORDER BY inbox.position DESC LIMIT ?");
    values.push(Value::unsigned(rows_to_fetch(limit)));
    Statement::once(sql, values)
}

fn entry(row: &Row) -> Result<InboxEntry, ReadError> {
    let damaged = |what: &str, value: String| ReadError::Damaged(format!("a {what} of {value}"));
    let template = row.text(3)?;
    let created_at = row.integer(7)?;
    let outcome = row.optional_text(5)?.map(serde_json::Value::String).map(serde_json::from_value).transpose();
    Ok(InboxEntry {
        position: row.unsigned(0)?,
        address: Address { chat_id: ChatId(row.id(1)?), version: row.unsigned(2)? },
        template: Template::parse(&template).ok_or_else(|| damaged("template", template))?,
        turn_id: row.unsigned(4)?,
        outcome: outcome.map_err(|error| damaged("turn's outcome", error.to_string()))?,
        error_kind: row.optional_text(6)?,
        created_at: DateTime::from_timestamp_micros(created_at)
            .ok_or_else(|| damaged("time", created_at.to_string()))?,
        read: row.boolean(8)?,
        title: row.optional_json::<Titled>(9)?.map(|chat| chat.title),
    })
}
