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

/// The wait after the failed attempt `number` (1, 2, 3 …): base × 2^(number−1), capped, ±10 % by `seed`, and at least
/// what the provider asks for.
pub fn backoff(number: u32, retry_after_ms: Option<u64>, seed: u64, limits: &Limits) -> Backoff {
    let _ = (number, retry_after_ms, seed, limits);
    unimplemented!()
}
