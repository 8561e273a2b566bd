//! What tokens cost: a price per class of tokens, and the one place where tokens become money.
//!
//! **Invariant:** money is counted in whole millionths of a US dollar ("micros"). A step's cost is rounded once, and from
//! then on only added: the steps of a turn, the turns of a day and the days of a month add up exactly.

use serde::{Deserialize, Serialize};

use crate::message::Usage;

/// Tokens that a price is for.
const TOKENS_PER_PRICE: u128 = 1_000_000;

/// The highest price of a class: a million dollars per million tokens. What is above it is a mistake in a unit.
pub const PRICE_MAX_MICROS: u64 = 1_000_000_000_000;

/// The highest cost of a step, in micros: ten million dollars. What is above it is a mistake, and must not spoil sums.
pub const STEP_COST_MAX_MICROS: u64 = 10_000_000_000_000;

/// The highest sum of costs, in micros: what every database can store.
pub const COST_MAX_MICROS: u64 = i64::MAX.unsigned_abs();

/// What a model's tokens cost, in millionths of a US dollar per million tokens of each class: 3 dollars are `3000000`.
///
/// A class without a price makes the cost of a step unknown that spent tokens of it; it is never taken for free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Prompt tokens that no cache served.
    pub input_micros: u64,
    /// Tokens the model made, reasoning included.
    pub output_micros: u64,
    /// Prompt tokens served by the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_micros: Option<u64>,
    /// Prompt tokens written to the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_micros: Option<u64>,
}

/// A price that cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class} is {micros}, above {PRICE_MAX_MICROS} (a million dollars per million tokens)")]
pub struct ImpossiblePrice {
    /// The field that is too high.
    pub class: &'static str,
    /// What it says.
    pub micros: u64,
}

impl Price {
    /// Fails, naming the class, where a price is above what can be meant.
    pub fn check(&self) -> Result<(), ImpossiblePrice> {
        let classes = [
            ("input_micros", Some(self.input_micros)),
            ("output_micros", Some(self.output_micros)),
            ("cache_read_micros", self.cache_read_micros),
            ("cache_write_micros", self.cache_write_micros),
        ];
        for (class, micros) in classes {
            if let Some(micros) = micros.filter(|micros| *micros > PRICE_MAX_MICROS) {
                return Err(ImpossiblePrice { class, micros });
            }
        }
        Ok(())
    }

    /// What a step cost, in micros, the half rounded up; `None` where it spent tokens of a class without a price.
    pub fn cost_micros(&self, usage: &Usage) -> Option<u64> {
        let classes = [
            (usage.input_tokens, Some(self.input_micros)),
            (usage.output_tokens, Some(self.output_micros)),
            (usage.cache_read_tokens, self.cache_read_micros),
            (usage.cache_write_tokens, self.cache_write_micros),
        ];
        let mut total = 0_u128;
        for (tokens, micros) in classes {
            if tokens > 0 {
                total = total.saturating_add(u128::from(tokens) * u128::from(micros?));
            }
        }
        let cost = total.saturating_add(TOKENS_PER_PRICE / 2) / TOKENS_PER_PRICE;
        Some(u64::try_from(cost).unwrap_or(u64::MAX).min(STEP_COST_MAX_MICROS))
    }
}

/// Micros in words for a person: `$0.25`, `$12.000345`; exact, with at least two decimals.
pub fn dollars(micros: u64) -> String {
    let (whole, fraction) = (micros / 1_000_000, format!("{:06}", micros % 1_000_000));
    let cents = 2;
    let digits = fraction.trim_end_matches('0').len().max(cents);
    format!("${whole}.{}", &fraction[..digits])
}

/// What several steps cost together. Knows that it does not know: one step without a known cost makes the whole unknown,
/// while what is known of it is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cost {
    /// The costs that are known, in micros.
    pub known_micros: u64,
    /// Steps that spent tokens at an unknown price.
    pub unpriced_steps: u64,
}

impl Cost {
    /// Adds a step's cost; `None` is one that nobody knows.
    pub fn add_step(&mut self, cost_micros: Option<u64>) {
        match cost_micros {
            Some(micros) => self.known_micros = self.known_micros.saturating_add(micros).min(COST_MAX_MICROS),
            None => self.unpriced_steps = self.unpriced_steps.saturating_add(1),
        }
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Cost) {
        self.known_micros = self.known_micros.saturating_add(other.known_micros).min(COST_MAX_MICROS);
        self.unpriced_steps = self.unpriced_steps.saturating_add(other.unpriced_steps);
    }

    /// The whole cost in micros, where all of it is known.
    pub fn total_micros(&self) -> Option<u64> {
        (self.unpriced_steps == 0).then_some(self.known_micros)
    }
}

#[cfg(test)]
mod tests;
