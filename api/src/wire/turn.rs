//! Turns.

use serde::Serialize;
use utoipa::ToSchema;
use verbatim_events::error::ChatError;
use verbatim_events::event::{TurnOutcome, TurnReason};
use verbatim_events::ids::TurnId;
use verbatim_events::message::Usage;
use verbatim_projections::TurnSummary;

use super::{Time, words};

/// A turn: `{id, turn_id, reason, outcome?, error?, usage, cost_micros?, steps, attempts, retries, tool_calls, started_at,
/// finished_at?, duration_ms?}`. `id` and `turn_id` are the same number. One that is under way has no outcome.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Turn)]
pub struct TurnView<'a> {
    /// Its id.
    #[schema(value_type = u64)]
    pub id: TurnId,
    /// Its id, as events call it.
    #[schema(value_type = u64)]
    pub turn_id: TurnId,
    /// What for.
    #[schema(value_type = words::TurnReason)]
    pub reason: TurnReason,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::TurnOutcome>)]
    pub outcome: Option<TurnOutcome>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChatError>)]
    pub error: Option<&'a ChatError>,
    /// Tokens so far.
    #[schema(value_type = words::Usage)]
    pub usage: Usage,
    /// Cost in millionths, where prices are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Committed steps.
    pub steps: u64,
    /// Attempts, retries included.
    pub attempts: u64,
    /// Attempts that failed and were tried again.
    pub retries: u64,
    /// Tool calls that the server started.
    pub tool_calls: u64,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// From its beginning to its end, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

impl<'a> TurnView<'a> {
    /// The turn of a read model.
    pub fn of(turn: &'a TurnSummary) -> TurnView<'a> {
        TurnView {
            id: turn.turn_id,
            turn_id: turn.turn_id,
            reason: turn.reason,
            outcome: turn.outcome,
            error: turn.error.as_ref(),
            usage: turn.usage,
            cost_micros: turn.cost_micros,
            steps: turn.steps,
            attempts: turn.attempts,
            retries: turn.retries,
            tool_calls: turn.tool_calls,
            started_at: Time(turn.started_at),
            finished_at: turn.finished_at.map(Time),
            duration_ms: turn.duration_ms,
        }
    }
}

#[cfg(test)]
mod tests;
