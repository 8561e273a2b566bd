use super::*;

#[test]
fn bounds_ascend() {
    for Metric { name, kind, .. } in METRICS {
        if let Kind::Histogram(bounds) = kind {
            assert!(!bounds.is_empty() && bounds.is_sorted_by(|one, next| one < next), "{name}: {bounds:?}");
        }
    }
}

#[test]
fn names_follow_one_rule() {
    for Metric { name, labels, help, .. } in METRICS {
        let words = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(name.starts_with("verbatim_") && words(name), "{name}");
        assert!(labels.iter().all(|label| words(label) && *label != "le"), "{name}: {labels:?}");
        assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
    }
}
