//! What was spent.

use serde::Serialize;
use utoipa::ToSchema;
use verbatim_events::ids::ChatId;
use verbatim_events::message::Usage;
use verbatim_projections::UsageSum;

use super::words;

/// What was spent under one heading: `{owner?, day?, model?, purpose?, chat?, steps, usage, cost_micros, known_cost_micros,
/// unpriced_steps}`. The heading's parts are those that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageSum)]
pub struct UsageSumView<'a> {
    /// Who owns the chats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<&'a str>,
    /// The day, in UTC: `2026-09-21`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The model; empty where the log names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// What the tokens were spent on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::UsagePurpose>)]
    pub purpose: Option<&'a str>,
    /// The chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::ChatId>)]
    pub chat: Option<ChatId>,
    /// Model calls that spent something.
    pub steps: u64,
    /// Their tokens.
    #[schema(value_type = words::Usage)]
    pub usage: Usage,
    /// Their cost in millionths of a US dollar; null where that of a step is not known.
    #[schema(required = true)]
    pub cost_micros: Option<u64>,
    /// The part of the cost that is known.
    pub known_cost_micros: u64,
    /// Steps whose cost is not known: their model has no price, or the provider said no figures.
    pub unpriced_steps: u64,
}

impl<'a> UsageSumView<'a> {
    /// The sum of a read model.
    pub fn of(sum: &'a UsageSum) -> UsageSumView<'a> {
        UsageSumView {
            owner: sum.owner.as_deref(),
            day: sum.day.map(|day| day.to_string()),
            model: sum.model.as_deref(),
            purpose: sum.purpose.as_deref(),
            chat: sum.chat,
            steps: sum.steps,
            usage: sum.usage,
            cost_micros: sum.cost.total_micros(),
            known_cost_micros: sum.cost.known_micros,
            unpriced_steps: sum.cost.unpriced_steps,
        }
    }
}

/// A page of sums, and what they come to with those of all other pages: `{items, next_cursor, total}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageReport)]
pub struct UsageReportView<'a> {
    /// The sums.
    pub items: Vec<UsageSumView<'a>>,
    /// Where the next page begins; null at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// All of them.
    pub total: UsageSumView<'a>,
}
