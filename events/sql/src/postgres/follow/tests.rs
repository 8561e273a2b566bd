use uuid::Uuid;

use super::announced;

#[test]
fn only_this_log_is_listened_to() {
    let timeline = Uuid::from_u128(7);
    assert_eq!(announced(&format!("{timeline} 0 42"), timeline), Some(42));
    assert_eq!(announced(&format!("{} 0 42", Uuid::from_u128(8)), timeline), None);
    for strange in
        ["", "42", "0 42", &format!("{timeline} 0"), &format!("{timeline} 0 x"), &format!("{timeline} 0 1 2")]
    {
        assert_eq!(announced(strange, timeline), None, "{strange:?}");
    }
}
