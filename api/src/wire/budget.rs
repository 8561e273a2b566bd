//! Budgets: what owners may spend, and what they have spent.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use verbatim_actors::budgets::{BudgetLimits, Budgets};
use verbatim_events::budget::{Budget, BudgetPeriod};

use super::{Time, words};

/// What was spent of a budget: `{cost_micros, tokens}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BudgetSpent)]
pub struct BudgetSpentView {
    /// Millionths of a US dollar; steps of unknown cost are not in it.
    pub cost_micros: u64,
    /// Tokens of all classes.
    pub tokens: u64,
}

/// An owner's budget: `{owner, period?, limit_micros, limit_tokens, source, spent?, used_up?, resets_at?}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Budget)]
pub struct BudgetView<'a> {
    /// Whose.
    pub owner: &'a str,
    /// In which time; absent where nothing is limited because nobody set anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<words::BudgetPeriod>)]
    pub period: Option<BudgetPeriod>,
    /// Millionths of a US dollar that may be spent; null for no limit.
    #[schema(required = true)]
    pub limit_micros: Option<u64>,
    /// Tokens of all classes that may be spent; null for no limit.
    #[schema(required = true)]
    pub limit_tokens: Option<u64>,
    /// Where it comes from: `api` (the owner's own), `file` (the default of the server's file) or `none`.
    pub source: &'static str,
    /// What was spent in the period so far; absent while the server is finding out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent: Option<BudgetSpentView>,
    /// Turns that would begin now are refused with `usage_limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_up: Option<bool>,
    /// When the next period begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Time>,
}

impl<'a> BudgetView<'a> {
    /// A budget as it is set.
    pub fn set(owner: &'a str, budget: &Budget) -> BudgetView<'a> {
        let by_owner = std::collections::BTreeMap::from([(owner.to_owned(), *budget)]);
        BudgetView::limits(owner, &BudgetLimits { by_owner, default: None })
    }

    /// What an owner may spend, without what was spent.
    fn limits(owner: &'a str, limits: &BudgetLimits) -> BudgetView<'a> {
        let own = limits.by_owner.get(owner).copied();
        let budget: Option<Budget> = limits.of(owner);
        let source = match (own, budget) {
            (Some(_), _) => "api",
            (None, Some(_)) => "file",
            (None, None) => "none",
        };
        BudgetView {
            owner,
            period: budget.map(|budget| budget.period),
            limit_micros: budget.and_then(|budget| budget.limit_micros),
            limit_tokens: budget.and_then(|budget| budget.limit_tokens),
            source,
            spent: None,
            used_up: None,
            resets_at: None,
        }
    }

    /// What an owner may spend, and has spent at `now`.
    pub fn of(owner: &'a str, budgets: &Budgets, now: DateTime<Utc>) -> BudgetView<'a> {
        let limits = budgets.limits();
        let view = BudgetView::limits(owner, &limits);
        let Some(budget) = limits.of(owner) else { return view };
        let spent = budgets.spent(owner, budget.period, now);
        BudgetView {
            spent: spent.map(|spent| BudgetSpentView { cost_micros: spent.cost_micros, tokens: spent.tokens }),
            used_up: spent.map(|spent| budget.refusal(spent, now).is_some()),
            resets_at: Some(Time(budget.period.next(now))),
            ..view
        }
    }
}
