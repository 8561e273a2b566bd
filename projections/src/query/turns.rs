//! A chat's turns.

use chrono::{DateTime, Utc};
use serde::Serialize;
use verbatim_events::error::ChatError;
use verbatim_events::event::{TurnOutcome, TurnReason};
use verbatim_events::ids::{ChatId, TurnId};
use verbatim_events::message::Usage;

use super::{Listing, cursor, cut, rows_to_fetch};
use crate::database::{Row, Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// What a turn was for, how it ended and what it took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TurnSummary {
    /// Its id.
    pub turn_id: TurnId,
    /// What for.
    pub reason: TurnReason,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended; absent while it is under way, like the outcome.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it ended.
    pub outcome: Option<TurnOutcome>,
    /// Why it failed.
    pub error: Option<ChatError>,
    /// Tokens so far.
    pub usage: Usage,
    /// Its cost in millionths, where prices are known; at its end.
    pub cost_micros: Option<u64>,
    /// Committed steps.
    pub steps: u64,
    /// Attempts, retries included.
    pub attempts: u64,
    /// Attempts that failed and were tried again.
    pub retries: u64,
    /// Tool calls that the server started.
    pub tool_calls: u64,
    /// From its beginning to its end, in ms.
    pub duration_ms: Option<u64>,
}

impl ReadModels {
    /// A chat's turns, the newest first.
    pub async fn turns(
        &self,
        chat_id: ChatId,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Listing<TurnSummary>, ReadError> {
        let [before] = cursor.map(cursor::decode::<1>).transpose()?.unwrap_or([i64::MAX as u64]);
        let live = self.live();
        self.on_runtime(async move {
            let statement = Statement::new(
                "SELECT turn_id, reason, started_at, finished_at, outcome, error, usage, cost_micros, steps, attempts,
                 retries, tool_calls, duration_ms
                 FROM turns WHERE chat_id = ? AND turn_id < ? ORDER BY turn_id DESC LIMIT ?",
                vec![Value::Id(Some(chat_id.0)), Value::unsigned(before), Value::unsigned(rows_to_fetch(limit))],
            );
            let mut rows = live.database.fetch(statement).await?;
            let more = cut(&mut rows, limit);
            let items: Vec<TurnSummary> = rows.iter().map(summary).collect::<Result<_, _>>()?;
            let next_cursor = items.last().filter(|_| more).map(|last| cursor::encode([last.turn_id]));
            Ok(Listing { items, next_cursor })
        })
        .await
    }
}

fn summary(row: &Row) -> Result<TurnSummary, ReadError> {
    let moment = |micros: i64| {
        DateTime::from_timestamp_micros(micros).ok_or_else(|| ReadError::Damaged(format!("a time of {micros}")))
    };
    Ok(TurnSummary {
        turn_id: row.unsigned(0)?,
        reason: named(row.text(1)?)?,
        started_at: moment(row.integer(2)?)?,
        finished_at: row.optional_integer(3)?.map(moment).transpose()?,
        outcome: row.optional_text(4)?.map(named).transpose()?,
        error: row.optional_json(5)?,
        usage: row.json(6)?,
        cost_micros: row.optional_unsigned(7)?,
        steps: row.unsigned(8)?,
        attempts: row.unsigned(9)?,
        retries: row.unsigned(10)?,
        tool_calls: row.unsigned(11)?,
        duration_ms: row.optional_unsigned(12)?,
    })
}

/// The variant of this stable name.
fn named<T: serde::de::DeserializeOwned>(name: String) -> Result<T, ReadError> {
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|error| ReadError::Damaged(format!("a {}: {error}", std::any::type_name::<T>())))
}
