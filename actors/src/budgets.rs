//! What owners may spend, and what they have spent: judged from memory before a turn makes its first model call.
//!
//! The ledger is told of every event when it is committed here, so a turn's own end counts before the next one begins. Turns
//! under way at one time know nothing of what the others will still spend: beyond a budget an owner can get by one
//! turn for each that was under way when it was used up, and no further.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use parking_lot::RwLock;
use tokio::sync::watch;
use verbatim_events::budget::{Budget, BudgetPeriod, Ledger, Spent};
use verbatim_events::chat::Outline;
use verbatim_events::envelope::Recorded;
use verbatim_events::error::ChatError;
use verbatim_events::ids::Position;
use verbatim_events::log::BoxFuture;

/// The budgets in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetLimits {
    /// By owner.
    pub by_owner: BTreeMap<String, Budget>,
    /// Of everybody else.
    pub default: Option<Budget>,
}

impl BudgetLimits {
    /// An owner's budget, if there is any.
    pub fn of(&self, owner: &str) -> Option<Budget> {
        self.by_owner.get(owner).copied().or(self.default)
    }
}

/// May a turn begin?
pub(crate) enum Verdict {
    /// It may.
    Begins,
    /// What was spent is not known yet; it is when this ends.
    NotKnownYet(BoxFuture<'static, ()>),
    /// The budget is used up.
    UsedUp(ChatError),
}

/// Budgets and spending of all owners. Cheap to ask: nothing here waits or reads.
#[derive(Debug)]
pub struct Budgets {
    limits: RwLock<Arc<BudgetLimits>>,
    ledger: RwLock<Ledger>,
    seeded: watch::Sender<bool>,
}

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets { limits: RwLock::default(), ledger: RwLock::default(), seeded: watch::Sender::new(false) }
    }
}

impl Budgets {
    /// Other budgets are in force: for every turn that begins from now on.
    pub fn set(&self, limits: BudgetLimits) {
        *self.limits.write() = Arc::new(limits);
    }

    /// The budgets in force.
    pub fn limits(&self) -> Arc<BudgetLimits> {
        Arc::clone(&self.limits.read())
    }

    /// What was spent in each day of this month by events up to `position`. False where that is not far enough.
    pub fn seed(&self, position: Position, sums: impl IntoIterator<Item = (String, NaiveDate, Spent)>) -> bool {
        let seeded = self.ledger.write().seed(position, sums);
        if seeded {
            self.seeded.send_replace(true);
        }
        seeded
    }

    /// What an owner has spent in the period of `now`; `None` while that is not known.
    pub fn spent(&self, owner: &str, period: BudgetPeriod, now: DateTime<Utc>) -> Option<Spent> {
        let ledger = self.ledger.read();
        ledger.is_seeded().then(|| ledger.spent(owner, period, now))
    }

    /// An event of a chat was committed.
    pub(crate) fn committed(&self, outline: &Outline, recorded: &Recorded) {
        if let Some(spending) = recorded.event.spending() {
            self.ledger.write().spend(&outline.owner, recorded.position, recorded.recorded_at, &spending);
        }
    }

    /// Whether a turn of this owner may begin, `uncommitted` being what the same append says was spent. Where it is not
    /// known what was spent `is_prepared` says that there has been time enough to find out.
    pub(crate) fn judge(&self, owner: &str, uncommitted: Spent, now: DateTime<Utc>, is_prepared: bool) -> Verdict {
        let Some(budget) = self.limits.read().of(owner) else { return Verdict::Begins };
        if budget.limit_micros.is_none() && budget.limit_tokens.is_none() {
            return Verdict::Begins;
        }
        let Some(mut spent) = self.spent(owner, budget.period, now) else {
            if is_prepared {
                tracing::warn!("What owners have spent is not known yet; a turn begins without being judged.");
                return Verdict::Begins;
            }
            let mut seeded = self.seeded.subscribe();
            return Verdict::NotKnownYet(Box::pin(async move {
                // The sender lives as long as the budgets; without it nothing is left to be judged.
                let _ = seeded.wait_for(|seeded| *seeded).await;
            }));
        };
        spent.add(uncommitted);
        budget.refusal(spent, now).map_or(Verdict::Begins, Verdict::UsedUp)
    }
}

#[cfg(test)]
mod tests {
    use verbatim_events::error::ErrorKind;

    use super::*;

    const LIMIT: Budget = Budget { period: BudgetPeriod::Day, limit_micros: Some(10), limit_tokens: None };

    fn begins(budgets: &Budgets, owner: &str, cost_micros: u64) -> bool {
        let uncommitted = Spent { tokens: 0, cost_micros };
        match budgets.judge(owner, uncommitted, now(), false) {
            Verdict::Begins => true,
            Verdict::UsedUp(error) => {
                assert_eq!(error.kind, ErrorKind::UsageLimit);
                false
            }
            Verdict::NotKnownYet(_) => panic!("it was seeded"),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
    }

    #[test]
    fn an_owners_budget_goes_before_the_default_one() {
        let budgets = Budgets::default();
        assert!(budgets.seed(0, [("ada".to_owned(), now().date_naive(), Spent { tokens: 1, cost_micros: 7 })]));
        assert!(begins(&budgets, "ada", 1000), "nothing is limited");
        budgets.set(BudgetLimits { by_owner: BTreeMap::new(), default: Some(LIMIT) });
        assert!(begins(&budgets, "ada", 2) && !begins(&budgets, "ada", 3));
        assert!(begins(&budgets, "bob", 9) && !begins(&budgets, "bob", 10));
        let more = Budget { limit_micros: Some(20), ..LIMIT };
        let unlimited = Budget { limit_micros: None, ..LIMIT };
        let by_owner = BTreeMap::from([("ada".to_owned(), more), ("bob".to_owned(), unlimited)]);
        budgets.set(BudgetLimits { by_owner, default: Some(LIMIT) });
        assert!(begins(&budgets, "ada", 12) && !begins(&budgets, "ada", 13));
        assert!(begins(&budgets, "bob", u64::MAX));
    }

    #[tokio::test]
    async fn who_has_a_budget_waits_until_it_is_known_what_was_spent() {
        let budgets = Budgets::default();
        budgets.set(BudgetLimits { by_owner: BTreeMap::from([("ada".to_owned(), LIMIT)]), default: None });
        assert!(matches!(budgets.judge("bob", Spent::default(), now(), false), Verdict::Begins));
        assert!(matches!(budgets.judge("ada", Spent::default(), now(), true), Verdict::Begins));
        let Verdict::NotKnownYet(known) = budgets.judge("ada", Spent::default(), now(), false) else {
            panic!("nobody said what was spent");
        };
        assert!(budgets.seed(3, [("ada".to_owned(), now().date_naive(), Spent { tokens: 0, cost_micros: 10 })]));
        known.await;
        assert!(!begins(&budgets, "ada", 0));
    }
}
