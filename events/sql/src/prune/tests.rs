use super::{EVERY_MICROS, PRUNED_MAX, Pruning};

#[test]
fn looks_at_the_start_then_hourly_and_at_once_while_there_is_more() {
    let mut pruning = Pruning::default();
    assert!(pruning.is_due(0));
    pruning.done(0, PRUNED_MAX as u64);
    assert!(pruning.is_due(1));
    pruning.done(1, 3);
    assert!(!pruning.is_due(EVERY_MICROS));
    assert!(pruning.is_due(EVERY_MICROS + 1));
}
