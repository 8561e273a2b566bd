//! Turns: what each was for, how it ended, what it took. An erased chat's go: nothing that made them can be read again.
//! A running turn's row grows with its steps.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use verbatim_events::event::{Event, TurnFinished, TurnReason};
use verbatim_events::ids::{ChatId, TurnId};
use verbatim_events::message::Usage;

use super::{Column, Kind, PAGE_ROWS, Projection, Table, column, erased, id, json, key, name, time};
use crate::batch::{Batch, Step};
use crate::database::{Dialect, Statement, Value, in_list, multi_row};

/// The turns.
pub(super) struct Turns;

const COLUMNS: &[Column] = &[
    key("chat_id", Kind::Id),
    key("turn_id", Kind::Integer),
    column("reason", Kind::Text),
    column("started_at", Kind::Integer),
    column("finished_at", Kind::Integer),
    column("outcome", Kind::Text),
    column("error", Kind::Text),
    column("usage", Kind::Text),
    column("cost_micros", Kind::Integer),
    column("steps", Kind::Integer),
    column("attempts", Kind::Integer),
    column("retries", Kind::Integer),
    column("tool_calls", Kind::Integer),
    column("duration_ms", Kind::Integer),
];

/// What a batch says about one turn.
struct Gain<'a> {
    reason: TurnReason,
    started_at: DateTime<Utc>,
    usage: Usage,
    steps: u32,
    attempts: u64,
    retries: u64,
    tool_calls: u64,
    finished: Option<(&'a TurnFinished, DateTime<Utc>)>,
}

impl Gain<'_> {
    fn new(reason: TurnReason, started_at: DateTime<Utc>) -> Self {
        Gain {
            reason,
            started_at,
            usage: Usage::default(),
            steps: 0,
            attempts: 0,
            retries: 0,
            tool_calls: 0,
            finished: None,
        }
    }
}

impl Projection for Turns {
    fn name(&self) -> &'static str {
        "turns"
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "turns", columns: COLUMNS, page_rows: PAGE_ROWS }]
    }

    fn apply(&self, batch: &Batch, _dialect: Dialect) -> Vec<Statement> {
        let rows = gains(batch).into_iter().map(|((chat_id, turn_id), gain)| turn_row(chat_id, turn_id, &gain));
        let mut statements = multi_row(
            "INSERT INTO turns (chat_id, turn_id, reason, started_at, finished_at, outcome, error, usage, cost_micros,
             steps, attempts, retries, tool_calls, duration_ms) VALUES ",
            "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            " ON CONFLICT (chat_id, turn_id) DO UPDATE SET finished_at = excluded.finished_at,
             outcome = excluded.outcome, error = excluded.error, usage = excluded.usage,
             cost_micros = excluded.cost_micros, steps = excluded.steps,
             attempts = turns.attempts + excluded.attempts, retries = turns.retries + excluded.retries,
             tool_calls = turns.tool_calls + excluded.tool_calls, duration_ms = excluded.duration_ms",
            rows.collect(),
        );
        let gone: Vec<_> = erased(batch).map(|chat_id| chat_id.0).collect();
        statements.extend(in_list("DELETE FROM turns WHERE chat_id IN ", "", &gone));
        statements
    }
}

/// The turns that a batch touched, with what it adds to each.
fn gains(batch: &Batch) -> BTreeMap<(ChatId, TurnId), Gain<'_>> {
    let mut gains = BTreeMap::new();
    for touched in batch.chats.values() {
        if let Some(turn) = touched.before.as_ref().and_then(|outline| outline.turn.as_ref()) {
            gains.insert((touched.after.id, turn.id), Gain::new(turn.reason, turn.started_at));
        }
    }
    for Step { recorded, turn_id, .. } in &batch.steps {
        let Some(turn_id) = *turn_id else { continue };
        if let Event::TurnStarted(started) = &recorded.event {
            gains.insert((recorded.chat_id, turn_id), Gain::new(started.reason, recorded.recorded_at));
        }
        let Some(gain) = gains.get_mut(&(recorded.chat_id, turn_id)) else { continue };
        match &recorded.event {
            Event::AttemptRecorded(_) => gain.attempts += 1,
            Event::RetryScheduled(_) => gain.retries += 1,
            Event::ToolCallStarted(_) => gain.tool_calls += 1,
            Event::TurnFinished(finished) => gain.finished = Some((finished, recorded.recorded_at)),
            _ => {}
        }
    }
    for touched in batch.chats.values() {
        if let Some(turn) = &touched.after.turn
            && let Some(gain) = gains.get_mut(&(touched.after.id, turn.id))
        {
            gain.usage = turn.usage;
            gain.steps = turn.steps;
        }
    }
    gains
}

fn turn_row(chat_id: ChatId, turn_id: TurnId, gain: &Gain<'_>) -> Vec<Value> {
    let finished = gain.finished.map(|(finished, _)| finished);
    let (usage, steps) = finished.map_or((gain.usage, gain.steps), |finished| (finished.usage, finished.steps));
    let error = finished.and_then(|finished| finished.error.as_ref());
    vec![
        id(chat_id),
        Value::unsigned(turn_id),
        name(&gain.reason),
        time(gain.started_at),
        Value::Integer(gain.finished.map(|(_, at)| at.timestamp_micros())),
        finished.map_or(Value::Text(None), |finished| name(&finished.outcome)),
        error.map_or(Value::Text(None), json),
        json(&usage),
        Value::optional_unsigned(finished.and_then(|finished| finished.cost_micros)),
        Value::unsigned(u64::from(steps)),
        Value::unsigned(gain.attempts),
        Value::unsigned(gain.retries),
        Value::unsigned(gain.tool_calls),
        Value::optional_unsigned(finished.map(|finished| finished.duration_ms)),
    ]
}
