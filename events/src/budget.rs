//! Budgets: what an owner's chats may spend in a day or a month, and what they have spent.
//!
//! Days and months are those of UTC. A budget refuses turns that would begin after it is used up; it cuts none short. So
//! an owner's spending can go beyond a budget by what the turns under way still spend, and by nothing else.

use std::collections::HashMap;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{ChatError, ErrorKind};
use crate::ids::Position;
use crate::price::dollars;
use crate::spending::Spending;

/// The longest name of a budget's owner, in bytes.
pub const OWNER_MAX_BYTES: usize = 256;

/// What a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// A day.
    Day,
    /// A calendar month.
    Month,
}

impl BudgetPeriod {
    /// Its stable name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            BudgetPeriod::Day => "day",
            BudgetPeriod::Month => "month",
        }
    }

    /// The first day of the period that a day is in.
    pub fn first_day(self, day: NaiveDate) -> NaiveDate {
        match self {
            BudgetPeriod::Day => day,
            // Every month has a first day.
            BudgetPeriod::Month => day.with_day(1).unwrap_or(day),
        }
    }

    /// When the next period begins.
    pub fn next(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let first = self.first_day(now.date_naive());
        let next = match self {
            BudgetPeriod::Day => first.checked_add_days(chrono::Days::new(1)),
            BudgetPeriod::Month => first.checked_add_months(chrono::Months::new(1)),
        };
        next.map_or(DateTime::<Utc>::MAX_UTC, |day| day.and_time(NaiveTime::MIN).and_utc())
    }
}

/// What an owner's chats may spend. Without any limit it allows everything, also where a default budget would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// In which time.
    pub period: BudgetPeriod,
    /// Millionths of a US dollar. Steps of unknown cost do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_micros: Option<u64>,
    /// Tokens of all classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_tokens: Option<u64>,
}

impl Budget {
    /// Why no turn may begin after this was spent in the period; `None` where one may.
    pub fn refusal(&self, spent: Spent, now: DateTime<Utc>) -> Option<ChatError> {
        let told = if self.limit_micros.is_some_and(|limit| spent.cost_micros >= limit) {
            format!("{} of {}", dollars(spent.cost_micros), dollars(self.limit_micros.unwrap_or(0)))
        } else if self.limit_tokens.is_some_and(|limit| spent.tokens >= limit) {
            format!("{} of {} tokens", spent.tokens, self.limit_tokens.unwrap_or(0))
        } else {
            return None;
        };
        let period = match self.period {
            BudgetPeriod::Day => "today",
            BudgetPeriod::Month => "this month",
        };
        let next = self.period.next(now).to_rfc3339_opts(SecondsFormat::Secs, true);
        let message = format!("The budget of {period} is used up: {told} are spent. The next one begins at {next}.");
        Some(ChatError::terminal(ErrorKind::UsageLimit, message))
    }
}

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens of all classes.
    pub tokens: u64,
    /// The costs that are known, in millionths of a US dollar.
    pub cost_micros: u64,
}

impl Spent {
    /// Adds what an event says was spent.
    pub fn spend(&mut self, spending: &Spending<'_>) {
        let tokens = spending.usage.context_tokens().saturating_add(spending.usage.output_tokens);
        self.add(Spent { tokens, cost_micros: spending.cost_micros.unwrap_or(0) });
    }

    /// Adds.
    pub fn add(&mut self, other: Spent) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
    }
}

/// One owner's spending in the newest day and month that it knows of.
#[derive(Clone, Copy, Debug)]
struct Account {
    day: NaiveDate,
    today: Spent,
    month: Spent,
}

impl Account {
    fn add(&mut self, day: NaiveDate, spent: Spent) {
        let month = |day| BudgetPeriod::Month.first_day(day);
        if day > self.day {
            self.today = Spent::default();
            if month(day) != month(self.day) {
                self.month = Spent::default();
            }
            self.day = day;
        }
        // What a clock that was set back dates earlier belongs to a period that is over, or to the month alone.
        if day == self.day {
            self.today.add(spent);
        }
        if month(day) == month(self.day) {
            self.month.add(spent);
        }
    }
}

/// Something spent that the seed may not hold yet.
#[derive(Clone, Debug)]
struct Entry {
    position: Position,
    owner: String,
    day: NaiveDate,
    spent: Spent,
}

/// Entries that are kept until the seed comes.
const UNSEEDED_MAX: usize = 65_536;

/// What every owner has spent in the current day and month. It begins with a seed (sums up to a position of the log) and is
/// told of everything after it; what it is told before the seed comes waits.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: HashMap<String, Account>,
    seeded: bool,
    waiting: Vec<Entry>,
    /// So much came before the seed that some of it was not kept: positions up to this one must be in the seed.
    lost_up_to: Position,
}

impl Ledger {
    /// It knows everything that was spent.
    pub fn is_seeded(&self) -> bool {
        self.seeded
    }

    /// Begins with the sums of all events up to `position`. False where that is not far enough: later ones are wanted.
    pub fn seed(&mut self, position: Position, sums: impl IntoIterator<Item = (String, NaiveDate, Spent)>) -> bool {
        if self.seeded {
            return true;
        }
        if position < self.lost_up_to {
            return false;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by_key(|(_, day, _)| *day);
        for (owner, day, spent) in sums {
            self.add(&owner, day, spent);
        }
        for entry in std::mem::take(&mut self.waiting) {
            if entry.position > position {
                self.add(&entry.owner, entry.day, entry.spent);
            }
        }
        self.seeded = true;
        true
    }

    /// An event at this position of the log spent something.
    pub fn spend(&mut self, owner: &str, position: Position, at: DateTime<Utc>, spending: &Spending<'_>) {
        let mut spent = Spent::default();
        spent.spend(spending);
        let day = at.date_naive();
        if self.seeded {
            return self.add(owner, day, spent);
        }
        if self.waiting.len() >= UNSEEDED_MAX {
            self.lost_up_to = self.waiting.drain(..).map(|entry| entry.position).max().unwrap_or(0);
        }
        self.waiting.push(Entry { position, owner: owner.to_owned(), day, spent });
    }

    /// What an owner has spent in the period of `now`.
    pub fn spent(&self, owner: &str, period: BudgetPeriod, now: DateTime<Utc>) -> Spent {
        let Some(account) = self.accounts.get(owner) else { return Spent::default() };
        let today = now.date_naive();
        match period {
            BudgetPeriod::Day if account.day == today => account.today,
            BudgetPeriod::Month if period.first_day(account.day) == period.first_day(today) => account.month,
            BudgetPeriod::Day | BudgetPeriod::Month => Spent::default(),
        }
    }

    fn add(&mut self, owner: &str, day: NaiveDate, spent: Spent) {
        if let Some(account) = self.accounts.get_mut(owner) {
            return account.add(day, spent);
        }
        self.accounts.insert(owner.to_owned(), Account { day, today: spent, month: spent });
    }
}

#[cfg(test)]
mod tests;
