use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn the_budget_is_a_third_of_the_window() {
    assert_eq!(budget_bytes(None), 65_536);
    assert_eq!(budget_bytes(Some(0)), 16_384);
    assert_eq!(budget_bytes(Some(8_000)), 16_384);
    assert_eq!(budget_bytes(Some(90_000)), 90_000);
    assert_eq!(budget_bytes(Some(u64::MAX)), usize::try_from(u64::MAX / 3 * 3).unwrap_or(usize::MAX));
}

#[test]
fn a_long_text_keeps_its_head_and_its_tail() {
    let text = format!("{}{}", "a".repeat(600), "z".repeat(600));
    let cut = shorten_text(&text, 300).expect("it is too long");
    assert!(cut.starts_with(&"a".repeat(200)), "{cut}");
    assert!(cut.ends_with(&"z".repeat(100)), "{cut}");
    assert!(cut.contains("900 of 1200 bytes are left out"), "{cut}");
    assert_eq!(shorten_text(&text, 1200), None);
}

#[test]
fn an_object_keeps_its_shape() {
    let cut = shorten(json!({"exit_code": 1, "output": "x".repeat(5_000)}), 1_000);
    assert_eq!(cut["exit_code"], json!(1));
    let output = cut["output"].as_str().expect("the text stays a text");
    assert!(output.len() < 1_100, "{}", output.len());
    assert!(output.contains("bytes are left out"), "{output}");
}

#[test]
fn what_has_no_long_text_becomes_a_text() {
    let cut = shorten(json!((0..5_000).collect::<Vec<_>>()), 1_000);
    let text = cut.as_str().expect("a text");
    assert!(text.starts_with("[0,1,2"), "{text}");
    assert!(text.ends_with("4999]"), "{text}");
}

proptest! {
    #[test]
    fn nothing_grows_beyond_its_budget(text in "\\PC{0,400}", budget in 0usize..300) {
        let marker = 80;
        match shorten_text(&text, budget) {
            None => prop_assert!(text.len() <= budget),
            // Whole characters: up to three bytes of one at each cut.
            Some(cut) => prop_assert!(cut.len() <= budget + marker + 6, "{} > {budget}", cut.len()),
        }
    }
}
