//! Costs by table, and what must hold of all of them.

use proptest::prelude::*;

use super::*;

const PRICE: Price = Price {
    input_micros: 3_000_000,
    output_micros: 15_000_000,
    cache_read_micros: Some(300_000),
    cache_write_micros: Some(3_750_000),
};

fn usage(input_tokens: u64, output_tokens: u64, cache_read_tokens: u64, cache_write_tokens: u64) -> Usage {
    Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens: 0 }
}

#[test]
fn a_step_costs_what_its_tokens_cost() {
    let cases = [
        (usage(0, 0, 0, 0), 0),
        (usage(1, 0, 0, 0), 3),
        (usage(0, 1, 0, 0), 15),
        // 0.3, 0.6 and 3.75 micros: rounded once, the half up.
        (usage(0, 0, 1, 0), 0),
        (usage(0, 0, 2, 0), 1),
        (usage(0, 0, 5, 0), 2),
        (usage(0, 0, 0, 1), 4),
        // 0.3 + 3.75 = 4.05: classes are not rounded one by one.
        (usage(0, 0, 1, 1), 4),
        (usage(1_000_000, 1_000_000, 1_000_000, 1_000_000), 22_050_000),
    ];
    for (usage, micros) in cases {
        assert_eq!(PRICE.cost_micros(&usage), Some(micros), "{usage:?}");
    }
}

#[test]
fn reasoning_is_output_and_not_paid_twice() {
    let thought = Usage { reasoning_tokens: 1_000_000, ..usage(0, 1_000_000, 0, 0) };
    assert_eq!(PRICE.cost_micros(&thought), Some(15_000_000));
}

#[test]
fn a_class_without_a_price_is_unknown_once_it_is_spent() {
    let price = Price { cache_write_micros: None, ..PRICE };
    assert_eq!(price.cost_micros(&usage(10, 10, 10, 0)), Some(183));
    assert_eq!(price.cost_micros(&usage(10, 10, 10, 1)), None);
    let free = Price::default();
    assert_eq!(free.cost_micros(&usage(10, 10, 0, 0)), Some(0), "a price of zero is known");
    assert_eq!(free.cost_micros(&usage(10, 10, 1, 0)), None, "no price is not a price of zero");
}

#[test]
fn a_price_in_the_wrong_unit_is_refused() {
    assert_eq!(PRICE.check(), Ok(()));
    let wrong = Price { cache_read_micros: Some(PRICE_MAX_MICROS + 1), ..PRICE };
    assert_eq!(wrong.check(), Err(ImpossiblePrice { class: "cache_read_micros", micros: PRICE_MAX_MICROS + 1 }));
}

#[test]
fn micros_are_told_exactly() {
    let cases = [(0, "$0.00"), (1, "$0.000001"), (250_000, "$0.25"), (100_000, "$0.10"), (12_000_345, "$12.000345")];
    for (micros, told) in cases {
        assert_eq!(dollars(micros), told);
    }
}

#[test]
fn one_unknown_step_makes_the_sum_unknown_and_loses_nothing() {
    let mut cost = Cost::default();
    cost.add_step(Some(7));
    assert_eq!(cost.total_micros(), Some(7));
    cost.add_step(None);
    cost.add_step(Some(5));
    assert_eq!(cost.total_micros(), None);
    assert_eq!(cost, Cost { known_micros: 12, unpriced_steps: 1 });
}

fn any_tokens() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..10_000, Just(u64::MAX)]
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (any_tokens(), any_tokens(), any_tokens(), any_tokens())
        .prop_map(|(input, output, read, write)| usage(input, output, read, write))
}

proptest! {
    /// However steps are put together, to turns, days or months, the sums are the same.
    #[test]
    fn sums_do_not_depend_on_how_steps_are_grouped(
        steps in prop::collection::vec((any_usage(), any::<bool>()), 0..40), cut in 0_usize..40,
    ) {
        let costs: Vec<_> = steps.iter().map(|(usage, priced)| priced.then(|| PRICE.cost_micros(usage)).flatten()).collect();
        let sum = |costs: &[Option<u64>]| {
            let mut sum = Cost::default();
            costs.iter().for_each(|cost| sum.add_step(*cost));
            sum
        };
        let (first, second) = costs.split_at(cut.min(costs.len()));
        let mut grouped = sum(first);
        grouped.add(&sum(second));
        prop_assert_eq!(grouped, sum(&costs));
    }

    /// Every cost can be stored, and is within half a micro of the exact one.
    #[test]
    fn costs_are_exact_to_half_a_micro(usage in any_usage()) {
        let cost = PRICE.cost_micros(&usage).expect("all classes have a price");
        prop_assert!(cost <= STEP_COST_MAX_MICROS);
        let exact = u128::from(usage.input_tokens) * 3_000_000
            + u128::from(usage.output_tokens) * 15_000_000
            + u128::from(usage.cache_read_tokens) * 300_000
            + u128::from(usage.cache_write_tokens) * 3_750_000;
        if cost < STEP_COST_MAX_MICROS {
            prop_assert!(exact.abs_diff(u128::from(cost) * 1_000_000) <= 500_000);
        }
    }
}
