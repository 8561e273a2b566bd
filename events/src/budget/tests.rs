//! Budgets: periods, limits, and a ledger that knows what the log says.

use proptest::prelude::*;

use super::*;
use crate::event::UsagePurpose;
use crate::message::Usage;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a moment")
}

fn spending(tokens: u64, cost_micros: Option<u64>) -> Spending<'static> {
    let usage = Usage { input_tokens: tokens, ..Usage::default() };
    Spending { purpose: UsagePurpose::Answer, model: None, usage, cost_micros }
}

fn spent(tokens: u64, cost_micros: u64) -> Spent {
    Spent { tokens, cost_micros }
}

#[test]
fn periods_begin_and_end_with_the_calendar() {
    let cases = [
        (BudgetPeriod::Day, "2026-12-31T23:59:59.999999Z", "2027-01-01T00:00:00Z"),
        (BudgetPeriod::Month, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        (BudgetPeriod::Month, "2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z"),
        (BudgetPeriod::Day, "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
    ];
    for (period, now, next) in cases {
        assert_eq!(period.next(at(now)), at(next), "{period:?} of {now}");
    }
    for period in [BudgetPeriod::Day, BudgetPeriod::Month] {
        assert_eq!(serde_json::json!(period), serde_json::json!(period.name()));
    }
}

#[test]
fn a_budget_refuses_once_it_is_used_up() {
    let now = at("2026-11-21T18:00:00Z");
    let budget = Budget { period: BudgetPeriod::Month, limit_micros: Some(5_000_000), limit_tokens: Some(100) };
    assert_eq!(budget.refusal(spent(99, 4_999_999), now), None);
    let by_money = budget.refusal(spent(0, 5_000_000), now).expect("used up");
    assert_eq!((by_money.kind, by_money.retryable), (ErrorKind::UsageLimit, false));
    assert_eq!(
        by_money.message,
        "The budget of this month is used up: $5.00 of $5.00 are spent. The next one begins at 2026-12-01T00:00:00Z."
    );
    let by_tokens = Budget { period: BudgetPeriod::Day, ..budget }.refusal(spent(120, 0), now).expect("used up");
    assert_eq!(
        by_tokens.message,
        "The budget of today is used up: 120 of 100 tokens are spent. The next one begins at 2026-11-22T00:00:00Z."
    );
    let nothing_allowed = Budget { period: BudgetPeriod::Day, limit_micros: Some(0), limit_tokens: None };
    assert!(nothing_allowed.refusal(Spent::default(), now).is_some(), "a limit of nothing allows nothing");
    let unlimited = Budget { period: BudgetPeriod::Day, limit_micros: None, limit_tokens: None };
    assert_eq!(unlimited.refusal(spent(u64::MAX, u64::MAX), now), None);
}

#[test]
fn a_new_day_and_a_new_month_begin_with_nothing() {
    let mut ledger = Ledger::default();
    assert!(ledger.seed(0, []));
    let evening = at("2026-11-30T23:59:00Z");
    ledger.spend("ada", 1, evening - chrono::Days::new(1), &spending(1, Some(10)));
    ledger.spend("ada", 2, evening, &spending(2, Some(20)));
    ledger.spend("ada", 3, evening, &spending(4, None));
    assert_eq!(ledger.spent("ada", BudgetPeriod::Day, evening), spent(6, 20), "unknown cost is no cost here");
    assert_eq!(ledger.spent("ada", BudgetPeriod::Month, evening), spent(7, 30));
    assert_eq!(ledger.spent("bob", BudgetPeriod::Month, evening), Spent::default());
    let next = at("2026-12-01T00:00:00Z");
    assert_eq!(ledger.spent("ada", BudgetPeriod::Day, next), Spent::default());
    assert_eq!(ledger.spent("ada", BudgetPeriod::Month, next), Spent::default());
    ledger.spend("ada", 4, next, &spending(8, Some(40)));
    assert_eq!(ledger.spent("ada", BudgetPeriod::Month, next), spent(8, 40));
    // A clock that was set back: the day before is over, and no longer this month.
    ledger.spend("ada", 5, evening, &spending(16, Some(80)));
    assert_eq!(ledger.spent("ada", BudgetPeriod::Month, next), spent(8, 40));
}

#[test]
fn a_ledger_without_its_seed_is_not_asked_and_loses_nothing_it_cannot_get_back() {
    let now = at("2026-11-21T18:00:00Z");
    let mut ledger = Ledger::default();
    for position in 1..=UNSEEDED_MAX as u64 + 3 {
        ledger.spend("ada", position, now, &spending(1, Some(1)));
    }
    assert!(!ledger.is_seeded());
    assert!(!ledger.seed(UNSEEDED_MAX as u64 - 1, []), "what was not kept is not in this seed");
    let sums = [("ada".to_owned(), now.date_naive(), spent(UNSEEDED_MAX as u64 + 1, UNSEEDED_MAX as u64 + 1))];
    assert!(ledger.seed(UNSEEDED_MAX as u64 + 1, sums));
    let all = UNSEEDED_MAX as u64 + 3;
    assert_eq!(ledger.spent("ada", BudgetPeriod::Day, now), spent(all, all));
}

proptest! {
    /// Wherever the seed ends and whenever it comes, the ledger says what the events say.
    #[test]
    fn a_ledger_is_the_sum_of_the_log(
        events in prop::collection::vec((0_u64..100, 0_u64..3, prop::option::of(0_u64..1000)), 0..60),
        seed_at in 0_usize..60, told_before in 0_usize..60,
    ) {
        let start = at("2026-11-27T12:00:00Z");
        let mut now = start;
        let log: Vec<_> = events.iter().enumerate().map(|(index, (tokens, days, cost))| {
            now += chrono::TimeDelta::days(i64::from(*days == 2));
            (index as u64 + 1, ["ada", "bob"][(*days % 2) as usize], now, spending(*tokens, *cost))
        }).collect();
        // The seed holds the log up to here; the ledger is told of everything from an earlier place on.
        let seed_at = seed_at.min(log.len());
        let told_before = told_before.min(seed_at);
        let mut ledger = Ledger::default();
        for (position, owner, at, spending) in &log[told_before..seed_at] {
            ledger.spend(owner, *position, *at, spending);
        }
        let sums = log[..seed_at].iter().map(|(_, owner, at, spending)| {
            let mut spent = Spent::default();
            spent.spend(spending);
            ((*owner).to_owned(), at.date_naive(), spent)
        });
        prop_assert!(ledger.seed(seed_at as u64, sums));
        for (position, owner, at, spending) in &log[seed_at..] {
            ledger.spend(owner, *position, *at, spending);
        }
        for period in [BudgetPeriod::Day, BudgetPeriod::Month] {
            for owner in ["ada", "bob"] {
                let mut wanted = Spent::default();
                for (_, who, at, spending) in &log {
                    let same = period.first_day(at.date_naive()) == period.first_day(now.date_naive());
                    if *who == owner && same {
                        wanted.spend(spending);
                    }
                }
                prop_assert_eq!(ledger.spent(owner, period, now), wanted, "{} per {:?}", owner, period);
            }
        }
    }
}
