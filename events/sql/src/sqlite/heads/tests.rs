use uuid::Uuid;
use verbatim_events::ids::{ChatId, Digest};

use super::HeadCache;

fn chat(number: u128) -> ChatId {
    ChatId(Uuid::from_u128(number))
}

#[test]
fn remembers_the_last_head() {
    let mut heads = HeadCache::new(4);
    assert_eq!(heads.get(chat(1)), None);
    heads.set(chat(1), (1, Digest::ZERO));
    heads.set(chat(1), (2, Digest::of(b"two")));
    assert_eq!(heads.get(chat(1)), Some((2, Digest::of(b"two"))));
    heads.clear();
    assert_eq!(heads.get(chat(1)), None);
}

#[test]
fn forgets_what_is_not_used_and_keeps_what_is() {
    let mut heads = HeadCache::new(4);
    for number in 1..=100 {
        heads.set(chat(number), (1, Digest::ZERO));
        assert_eq!(heads.get(chat(1)), Some((1, Digest::ZERO)), "chat 1 was used after chat {number} came");
        assert!(heads.young.len() + heads.old.len() <= 4);
    }
    assert_eq!(heads.get(chat(2)), None);
}

#[test]
fn an_old_head_never_hides_a_new_one() {
    let mut heads = HeadCache::new(2);
    heads.set(chat(1), (1, Digest::ZERO));
    heads.set(chat(2), (1, Digest::ZERO));
    heads.set(chat(1), (2, Digest::ZERO));
    assert_eq!(heads.get(chat(1)), Some((2, Digest::ZERO)));
    assert_eq!(heads.get(chat(1)), Some((2, Digest::ZERO)));
}
