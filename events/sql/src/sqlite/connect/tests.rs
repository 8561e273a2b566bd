use super::good_enough;

#[test]
fn versions_are_compared_as_numbers() {
    for good in ["3.51.3", "3.51.10", "3.52.0", "3.100.0", "4.0.0", "3.51.3.1"] {
        good_enough(good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in ["3.51.2", "3.51", "3.9.9", "3.46.0", "2.99.99", "", "new"] {
        let error = good_enough(bad).expect_err(bad);
        assert!(error.to_string().contains("3.51.3"), "{error}");
    }
}
