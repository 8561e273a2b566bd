//! What was spent, by whom, on what, when.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, NaiveTime};
use serde_json::json;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::message::Usage;
use verbatim_events::price::Cost;

use super::{Listing, cut, rows_to_fetch};
use crate::database::{Row, Statement, Value};
use crate::error::ReadError;
use crate::handle::ReadModels;

/// What sums are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageGroup {
    /// Who owns the chat.
    Owner,
    /// The day (UTC).
    Day,
    /// The model.
    Model,
    /// What the tokens were spent on.
    Purpose,
    /// The chat.
    Chat,
}

impl UsageGroup {
    fn column(self) -> &'static str {
        match self {
            UsageGroup::Owner => "owner",
            UsageGroup::Day => "day",
            UsageGroup::Model => "model",
            UsageGroup::Purpose => "purpose",
            UsageGroup::Chat => "chat_id",
        }
    }
}

/// Which spending counts. The default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Only this owner's.
    pub owner: Option<String>,
    /// Only this model's, by its configured name.
    pub model: Option<String>,
    /// Only this chat's own.
    pub chat: Option<ChatId>,
    /// Only that of the family with this root, the root itself included.
    pub family: Option<ChatId>,
    /// From this day on.
    pub from: Option<NaiveDate>,
    /// Up to and including this day.
    pub to: Option<NaiveDate>,
}

/// What was spent under one heading. A part of the heading is there if it was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageSum {
    /// The owner.
    pub owner: Option<String>,
    /// The day (UTC).
    pub day: Option<NaiveDate>,
    /// The model; empty where the events name none.
    pub model: Option<String>,
    /// What for, by its stable name.
    pub purpose: Option<String>,
    /// The chat.
    pub chat: Option<ChatId>,
    /// Model calls that spent something.
    pub steps: u64,
    /// Tokens.
    pub usage: Usage,
    /// What they cost.
    pub cost: Cost,
}

/// What an owner spent on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentOnDay {
    /// The owner.
    pub owner: String,
    /// The day (UTC).
    pub day: NaiveDate,
    /// Tokens of all classes.
    pub tokens: u64,
    /// The costs that are known, in millionths of a US dollar.
    pub cost_micros: u64,
}

const SUMS: &str = "CAST(COALESCE(SUM(steps), 0) AS BIGINT), CAST(COALESCE(SUM(unpriced_steps), 0) AS BIGINT),
 CAST(COALESCE(SUM(cost_micros), 0) AS BIGINT), CAST(COALESCE(SUM(input_tokens), 0) AS BIGINT),
 CAST(COALESCE(SUM(output_tokens), 0) AS BIGINT), CAST(COALESCE(SUM(cache_read_tokens), 0) AS BIGINT),
 CAST(COALESCE(SUM(cache_write_tokens), 0) AS BIGINT), CAST(COALESCE(SUM(reasoning_tokens), 0) AS BIGINT)";

impl ReadModels {
    /// Sums under each heading that `groups` make, in the headings' order, and what all of them come to (also of the
    /// other pages). `groups` must name something, and nothing twice.
    pub async fn usage(
        &self,
        filter: UsageFilter,
        groups: Vec<UsageGroup>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Listing<UsageSum>, UsageSum), ReadError> {
        let after = cursor.map(|cursor| decode(cursor, &groups)).transpose()?;
        let live = self.live();
        self.on_runtime(async move {
            let (condition, values) = condition(&filter);
            let all = Statement::once(format!("SELECT {SUMS} FROM usage_days{condition}"), values.clone());
            let total = match live.database.fetch(all).await?.first() {
                Some(row) => sum(row, &[])?,
                None => UsageSum::default(),
            };
            let statement = grouped(condition, values, &groups, after, limit);
            let mut rows = live.database.fetch(statement).await?;
            let more = cut(&mut rows, limit);
            let items: Vec<UsageSum> = rows.iter().map(|row| sum(row, &groups)).collect::<Result<_, _>>()?;
            let next_cursor = items.last().filter(|_| more).map(|last| encode(last, &groups));
            Ok((Listing { items, next_cursor }, total))
        })
        .await
    }

    /// What every owner spent on each day from `from` on, and the position up to which that is told.
    pub async fn spent_since(&self, from: NaiveDate) -> Result<(Position, Vec<SpentOnDay>), ReadError> {
        let live = self.live();
        self.on_runtime(async move {
            // One statement, so that the sums are those of the position.
            let statement = Statement::new(
                "SELECT checkpoint.position, spent.owner, spent.day, spent.tokens, spent.cost_micros
                 FROM checkpoint LEFT JOIN (
                     SELECT owner, day, CAST(SUM(input_tokens + output_tokens + cache_read_tokens
                     + cache_write_tokens) AS BIGINT) AS tokens, CAST(SUM(cost_micros) AS BIGINT) AS cost_micros
                     FROM usage_days WHERE day >= ? GROUP BY owner, day
                 ) spent ON 1 = 1",
                vec![Value::Integer(Some(days(from)))],
            );
            let rows = live.database.fetch(statement).await?;
            let position = rows.first().map(|row| row.unsigned(0)).transpose()?.unwrap_or(0);
            let mut spent = Vec::with_capacity(rows.len());
            for row in &rows {
                let (Some(owner), Some(day)) = (row.optional_text(1)?, row.optional_integer(2)?) else { continue };
                let (tokens, cost_micros) = (row.unsigned(3)?, row.unsigned(4)?);
                spent.push(SpentOnDay { owner, day: date(day)?, tokens, cost_micros });
            }
            Ok((position, spent))
        })
        .await
    }
}

fn condition(filter: &UsageFilter) -> (String, Vec<Value>) {
    let UsageFilter { owner, model, chat, family, from, to } = filter;
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    let mut narrow = |condition: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(value);
        }
    };
    narrow("owner = ?", owner.as_deref().map(Value::text));
    narrow("model = ?", model.as_deref().map(Value::text));
    narrow("chat_id = ?", chat.map(|chat| Value::Id(Some(chat.0))));
    narrow("root = ?", family.map(|root| Value::Id(Some(root.0))));
    narrow("day >= ?", from.map(|day| Value::Integer(Some(days(day)))));
    narrow("day <= ?", to.map(|day| Value::Integer(Some(days(day)))));
    let text = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    (text, values)
}

fn grouped(
    condition: String,
    mut values: Vec<Value>,
    groups: &[UsageGroup],
    after: Option<Vec<Value>>,
    limit: usize,
) -> Statement {
    let columns = groups.iter().map(|group| group.column()).collect::<Vec<_>>().join(", ");
    let mut sql = format!("SELECT {columns}, {SUMS} FROM usage_days{condition}");
    if let Some(after) = after {
        let marks = vec!["?"; groups.len()].join(", ");
        let and = if values.is_empty() { "WHERE" } else { "AND" };
        let _ = write!(sql, " {and} ({columns}) > ({marks})");
        values.extend(after);
    }
    let _ = write!(sql, " GROUP BY {columns} ORDER BY {columns} LIMIT ?");
    values.push(Value::unsigned(rows_to_fetch(limit)));
    Statement::once(sql, values)
}

fn sum(row: &Row, groups: &[UsageGroup]) -> Result<UsageSum, ReadError> {
    let mut sum = UsageSum::default();
    for (column, group) in groups.iter().enumerate() {
        match group {
            UsageGroup::Owner => sum.owner = Some(row.text(column)?),
            UsageGroup::Day => sum.day = Some(date(row.integer(column)?)?),
            UsageGroup::Model => sum.model = Some(row.text(column)?),
            UsageGroup::Purpose => sum.purpose = Some(row.text(column)?),
            UsageGroup::Chat => sum.chat = Some(ChatId(row.id(column)?)),
        }
    }
    let at = groups.len();
    sum.steps = row.unsigned(at)?;
    sum.cost = Cost { unpriced_steps: row.unsigned(at + 1)?, known_micros: row.unsigned(at + 2)? };
    sum.usage = Usage {
        input_tokens: row.unsigned(at + 3)?,
        output_tokens: row.unsigned(at + 4)?,
        cache_read_tokens: row.unsigned(at + 5)?,
        cache_write_tokens: row.unsigned(at + 6)?,
        reasoning_tokens: row.unsigned(at + 7)?,
    };
    Ok(sum)
}

/// Days since 1970.
fn days(day: NaiveDate) -> i64 {
    day.and_time(NaiveTime::MIN).and_utc().timestamp().div_euclid(86_400)
}

fn date(days: i64) -> Result<NaiveDate, ReadError> {
    let moment = days.checked_mul(86_400).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    moment.map(|moment| moment.date_naive()).ok_or_else(|| ReadError::Damaged(format!("a day of {days}")))
}

/// The cursor behind a heading: its parts as JSON, in hexadecimal digits.
fn encode(last: &UsageSum, groups: &[UsageGroup]) -> String {
    let parts: Vec<_> = groups
        .iter()
        .map(|group| match group {
            UsageGroup::Owner => json!(last.owner),
            UsageGroup::Day => json!(last.day.map(days)),
            UsageGroup::Model => json!(last.model),
            UsageGroup::Purpose => json!(last.purpose),
            UsageGroup::Chat => json!(last.chat),
        })
        .collect();
    let mut text = String::new();
    for byte in json!(parts).to_string().bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn decode(cursor: &str, groups: &[UsageGroup]) -> Result<Vec<Value>, ReadError> {
    let bad = || ReadError::BadCursor;
    if !cursor.len().is_multiple_of(2) || !cursor.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let bytes: Vec<u8> = (0..cursor.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&cursor[at..at + 2], 16).map_err(|_| bad()))
        .collect::<Result<_, _>>()?;
    let parts: Vec<serde_json::Value> = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    if parts.len() != groups.len() {
        return Err(bad());
    }
    let values = groups.iter().zip(parts).map(|(group, part)| match group {
        UsageGroup::Owner | UsageGroup::Model | UsageGroup::Purpose => part.as_str().map(Value::text),
        UsageGroup::Day => part.as_i64().map(|day| Value::Integer(Some(day))),
        UsageGroup::Chat => part.as_str()?.parse::<ChatId>().ok().map(|chat| Value::Id(Some(chat.0))),
    });
    values.map(|value| value.ok_or_else(bad)).collect()
}
