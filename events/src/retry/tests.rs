use proptest::prelude::*;

use super::*;

fn delay(number: u32, retry_after_ms: Option<u64>, seed: u64) -> u64 {
    match backoff(number, retry_after_ms, seed, &Limits::default()) {
        Backoff::Wait { delay_ms } => delay_ms,
        other => panic!("attempt {number} ended with {other:?}"),
    }
}

#[test]
fn waits_double_up_to_the_cap() {
    let middles = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000];
    for (number, middle) in (1..).zip(middles) {
        for seed in 0..500 {
            let delay_ms = delay(number, None, seed);
            assert!(delay_ms.abs_diff(middle) <= middle / 10, "attempt {number}, seed {seed}: {delay_ms}");
        }
    }
}

#[test]
fn neighbouring_seeds_spread_over_the_whole_jitter() {
    let delays: Vec<u64> = (0..500).map(|seed| delay(1, None, seed)).collect();
    let (least, most) = (delays.iter().min().expect("some"), delays.iter().max().expect("some"));
    assert!(*least < 910 && *most > 1090, "{least} to {most}");
}

#[test]
fn the_same_seed_gives_the_same_wait() {
    assert_eq!(delay(3, None, 42), delay(3, None, 42));
}

#[test]
fn the_providers_wish_is_a_minimum() {
    assert_eq!(delay(1, Some(5000), 1), 5000);
    assert_eq!(delay(4, Some(5000), 1), delay(4, None, 1));
    assert_eq!(delay(1, Some(15 * 60 * 1000), 1), 15 * 60 * 1000);
}

#[test]
fn too_long_a_wish_ends_the_turn_also_at_the_last_attempt() {
    let too_long = Backoff::TooLong { retry_after_ms: 900_001 };
    assert_eq!(backoff(1, Some(900_001), 1, &Limits::default()), too_long);
    assert_eq!(backoff(25, Some(900_001), 1, &Limits::default()), too_long);
}

#[test]
fn attempts_are_used_up_at_the_limit() {
    assert!(matches!(backoff(24, None, 1, &Limits::default()), Backoff::Wait { .. }));
    assert_eq!(backoff(25, None, 1, &Limits::default()), Backoff::GiveUp);
    assert_eq!(backoff(u32::MAX, None, 1, &Limits::default()), Backoff::GiveUp);
}

proptest! {
    /// No input overflows, and every wait lies between what the provider asks for and the cap plus its jitter.
    #[test]
    fn every_wait_is_within_its_bounds(
        number: u32,
        retry_after_ms: Option<u64>,
        seed: u64,
        base in prop_oneof![Just(0), 0..5000_u64, any::<u64>()],
        cap in prop_oneof![Just(0), 0..100_000_u64, any::<u64>()],
        retry_after_max_ms: u64,
        attempts_max: u32,
    ) {
        let limits = Limits {
            retry_base_ms: base, retry_cap_ms: cap, retry_after_max_ms, attempts_max, ..Limits::default()
        };
        let asked_ms = retry_after_ms.unwrap_or(0);
        match backoff(number, retry_after_ms, seed, &limits) {
            Backoff::TooLong { retry_after_ms } => {
                prop_assert_eq!(retry_after_ms, asked_ms);
                prop_assert!(asked_ms > retry_after_max_ms);
            }
            Backoff::GiveUp => prop_assert!(number >= attempts_max),
            Backoff::Wait { delay_ms } => {
                prop_assert!(number < attempts_max && asked_ms <= retry_after_max_ms);
                prop_assert!(delay_ms >= asked_ms);
                let exact = u128::from(base) << number.saturating_sub(1).min(64);
                let middle = exact.min(u128::from(cap));
                if u128::from(delay_ms) != u128::from(asked_ms) {
                    prop_assert!(u128::from(delay_ms) >= middle - middle / 10);
                    prop_assert!(u128::from(delay_ms) <= middle + middle / 10);
                }
            }
        }
    }
}
