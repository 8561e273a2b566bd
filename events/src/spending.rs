//! Which events spent tokens, and how many. State, read models, budgets and metrics all count by this one function, so
//! that their sums agree.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::event::{Event, UsagePurpose, UsageRecorded};
use crate::ids::AttemptId;
use crate::message::{Origin, Role, Usage};
use crate::price::{Cost, STEP_COST_MAX_MICROS};

/// Tokens of one class that one step can have spent. A provider that says more is wrong, and must not spoil sums.
const TOKENS_MAX: u64 = 10_000_000_000;

/// What a model call under way has spent, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallSpent {
    /// Nothing: no request was sent, or the provider refused it.
    Nothing,
    /// Nobody knows: a request may have been sent, and the provider has not said what it cost.
    Unknown,
    /// What the provider has said so far.
    Known {
        /// The tokens.
        usage: Usage,
        /// What they cost, in millionths of a US dollar; `None` where no price is known.
        cost_micros: Option<u64>,
    },
}

impl CallSpent {
    /// The tokens, if they are known.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            CallSpent::Known { usage, .. } => Some(*usage),
            CallSpent::Nothing | CallSpent::Unknown => None,
        }
    }

    /// The event that says so, where no message does: none where nothing was spent.
    pub fn recorded(
        self,
        purpose: UsagePurpose,
        model: Option<String>,
        attempt_id: Option<AttemptId>,
    ) -> Option<UsageRecorded> {
        let usage = match self {
            CallSpent::Nothing => return None,
            CallSpent::Unknown => Usage::default(),
            CallSpent::Known { usage, .. } => usage,
        };
        Some(UsageRecorded { purpose, model, usage, cost_micros: self.cost_micros(), attempt_id })
    }

    /// The cost, if it is known.
    pub fn cost_micros(&self) -> Option<u64> {
        match self {
            CallSpent::Known { cost_micros, .. } => *cost_micros,
            CallSpent::Nothing | CallSpent::Unknown => None,
        }
    }
}

/// What one event says was spent: one model call's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending<'a> {
    /// What for.
    pub purpose: UsagePurpose,
    /// The model, by its configured name.
    pub model: Option<&'a str>,
    /// The tokens. All zero where the provider said nothing, as after an interrupt.
    pub usage: Usage,
    /// What they cost, in millionths of a US dollar; `None` where that is not known.
    pub cost_micros: Option<u64>,
}

impl Event {
    /// What this event says was spent. Messages that no attempt here made (a fork's copies) were paid for elsewhere.
    pub fn spending(&self) -> Option<Spending<'_>> {
        match self {
            Event::MessageCommitted(committed) => {
                committed.attempt_id?;
                let purpose = match (committed.role, committed.origin) {
                    (_, Origin::Summary) => UsagePurpose::Summary,
                    (Role::Assistant, _) => UsagePurpose::Answer,
                    // Tools' answers and context files are attempts' work, but no model's.
                    _ => return None,
                };
                Some(Spending {
                    purpose,
                    model: committed.model.as_deref(),
                    usage: believable(committed.usage.unwrap_or_default()),
                    cost_micros: committed.cost_micros.map(|micros| micros.min(STEP_COST_MAX_MICROS)),
                })
            }
            Event::UsageRecorded(recorded) => Some(Spending {
                purpose: recorded.purpose,
                model: recorded.model.as_deref(),
                usage: believable(recorded.usage),
                cost_micros: recorded.cost_micros.map(|micros| micros.min(STEP_COST_MAX_MICROS)),
            }),
            _ => None,
        }
    }
}

/// The figures as far as they can be true.
fn believable(usage: Usage) -> Usage {
    let Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens } = usage;
    Usage {
        input_tokens: input_tokens.min(TOKENS_MAX),
        output_tokens: output_tokens.min(TOKENS_MAX),
        cache_read_tokens: cache_read_tokens.min(TOKENS_MAX),
        cache_write_tokens: cache_write_tokens.min(TOKENS_MAX),
        reasoning_tokens: reasoning_tokens.min(TOKENS_MAX),
    }
}

/// What a chat spent on one day (UTC) with one model for one purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpendingShare {
    /// The day.
    pub day: NaiveDate,
    /// The model, by its configured name; absent where the events name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What for.
    pub purpose: UsagePurpose,
    /// Model calls.
    pub steps: u64,
    /// Their tokens.
    pub usage: Usage,
    /// What they cost.
    pub cost: Cost,
}

/// Adds what was spent on a day to its share.
pub fn add_to_share(shares: &mut Vec<SpendingShare>, day: NaiveDate, spending: &Spending<'_>) {
    let is_its = |share: &&mut SpendingShare| {
        share.day == day && share.purpose == spending.purpose && share.model.as_deref() == spending.model
    };
    // The newest are the last.
    if let Some(share) = shares.iter_mut().rev().find(is_its) {
        share.steps += 1;
        share.usage.add(&spending.usage);
        share.cost.add_step(spending.cost_micros);
        return;
    }
    let mut cost = Cost::default();
    cost.add_step(spending.cost_micros);
    shares.push(SpendingShare {
        day,
        model: spending.model.map(str::to_owned),
        purpose: spending.purpose,
        steps: 1,
        usage: spending.usage,
        cost,
    });
}
