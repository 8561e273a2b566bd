//! How long to wait for a receiver, and when to stop. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// The first wait after a failure, in ms; it doubles with each further one.
const BASE_MS: u64 = 1000;

/// The longest wait, in ms. A receiver that is back is noticed within this time.
const CAP_MS: u64 = 5 * 60 * 1000;

/// How often a receiver that is there may refuse one and the same thing before it is set aside.
pub const REFUSED_MAX: u32 = 8;

/// How long a receiver may not get anything before its webhook stands still and waits for the administrator.
pub const GIVE_UP: TimeDelta = TimeDelta::days(3);

/// The wait after the `failures`-th failure in a row (from 1). A receiver that says when to come back is waited for as
/// long, up to the longest wait.
pub fn wait_ms(failures: u32, asked_ms: Option<u64>) -> u64 {
    let doubled = BASE_MS.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.max(asked_ms.unwrap_or(0)).min(CAP_MS)
}

/// Whether a receiver that gets nothing since a moment is given up.
pub fn is_given_up(failing_since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - failing_since >= GIVE_UP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_cap() {
        let waits: Vec<u64> = (1..=10).map(|failures| wait_ms(failures, None)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]);
        assert_eq!((wait_ms(u32::MAX, None), wait_ms(0, None)), (CAP_MS, BASE_MS));
        assert_eq!(
            (wait_ms(1, Some(30_000)), wait_ms(8, Some(1)), wait_ms(1, Some(u64::MAX))),
            (30_000, 128_000, CAP_MS)
        );
    }

    #[test]
    fn a_receiver_is_given_up_after_days_alone() {
        let since = DateTime::<Utc>::UNIX_EPOCH;
        assert!(!is_given_up(since, since + GIVE_UP - TimeDelta::milliseconds(1)));
        assert!(is_given_up(since, since + GIVE_UP));
        assert!(!is_given_up(since + GIVE_UP, since), "a clock that was set back gives nobody up");
    }
}
