use super::{ROUND_ROWS_MAX, SIZES, Shape, Statements, TEXTS_MAX, size_for};
use crate::raw::event_columns;
use crate::sqlite::round::EVENT_COLUMNS;

#[test]
fn sizes_hold_their_rows() {
    for rows in 0..=ROUND_ROWS_MAX {
        let size = size_for(rows);
        assert!(size >= rows && SIZES.contains(&size));
    }
    assert_eq!((size_for(0), size_for(1), size_for(2), size_for(65)), (0, 1, 4, 256));
}

#[test]
fn an_event_has_as_many_values_as_columns() {
    assert_eq!(event_columns!().split(',').count(), EVENT_COLUMNS);
}

#[test]
fn the_largest_round_is_below_the_limit_of_values() {
    let size = ROUND_ROWS_MAX;
    let shape = Shape { begin: true, created: size, moved: size, events: size, receipts: size, head: true };
    let text = Statements::default().round(shape);
    let values = text.matches('?').count();
    assert_eq!(values, size * (3 + 5 + EVENT_COLUMNS + 6) + 3);
    assert!(values < 32_766);
}

#[test]
fn equal_shapes_share_a_text_and_texts_are_bounded() {
    let mut statements = Statements::default();
    let shape = Shape { begin: true, created: 0, moved: 1, events: 1, receipts: 0, head: true };
    assert!(std::sync::Arc::ptr_eq(&statements.round(shape), &statements.round(shape)));
    for created in SIZES {
        for moved in SIZES {
            for events in SIZES {
                for receipts in SIZES {
                    statements.round(Shape { created, moved, events, receipts, ..shape });
                }
            }
        }
    }
    assert!(statements.rounds.len() <= TEXTS_MAX);
}
