//! When to try again: integers only, so that a replay computes the same.

use crate::limits::Limits;

/// What to do after a retryable failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Wait this long, in ms.
    Wait {
        /// The wait.
        delay_ms: u64,
    },
    /// The attempts are used up.
    GiveUp,
    /// The provider wants a longer wait than we accept, in ms.
    TooLong {
        /// What it wants.
        retry_after_ms: u64,
    },
}

/// The jitter: a delay is off by at most a tenth of itself.
const JITTER_DIVISOR: u64 = 10;

/// The wait after the failed attempt `number` (1, 2, 3 …): base × 2^(number−1), capped, ±10 % by `seed`, and at least
/// what the provider asks for. Any seed will do, also a counter. A provider that asks for too long is told of before
/// used-up attempts are, since it says when to come back.
pub fn backoff(number: u32, retry_after_ms: Option<u64>, seed: u64, limits: &Limits) -> Backoff {
    let asked_ms = retry_after_ms.unwrap_or(0);
    if asked_ms > limits.retry_after_max_ms {
        return Backoff::TooLong { retry_after_ms: asked_ms };
    }
    if number >= limits.attempts_max {
        return Backoff::GiveUp;
    }
    let doublings = number.saturating_sub(1);
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let delay_ms = limits.retry_base_ms.saturating_mul(factor).min(limits.retry_cap_ms);
    let spread_ms = delay_ms / JITTER_DIVISOR;
    let offset_ms = mixed(seed) % (2 * spread_ms + 1);
    let delay_ms = (delay_ms - spread_ms).saturating_add(offset_ms);
    Backoff::Wait { delay_ms: delay_ms.max(asked_ms) }
}

/// Spreads neighbouring seeds over all 64 bits: the finaliser of the SplitMix64 generator.
fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
