//! What is sealed opens with the same key for the same place, and with nothing else.

use super::*;

fn key(byte: u8) -> SealingKey {
    SealingKey::new(&[byte; KEY_BYTES])
}

#[test]
fn what_was_sealed_opens_for_its_place_and_key_alone() {
    let sealed = key(1).seal(b"here", b"the words").unwrap();
    assert_eq!(key(1).open(b"here", &sealed).unwrap().as_slice(), b"the words");
    assert!(!sealed.windows(5).any(|window| window == b"words"));
    assert_eq!(key(1).open(b"there", &sealed), Err(SealError::DoesNotOpen));
    assert_eq!(key(2).open(b"here", &sealed), Err(SealError::DoesNotOpen));
    for changed in 0..sealed.len() {
        let mut other = sealed.clone();
        other[changed] ^= 1;
        assert!(key(1).open(b"here", &other).is_err(), "byte {changed} was changed");
    }
    for cut in 0..sealed.len() {
        assert!(key(1).open(b"here", &sealed[..cut]).is_err(), "cut to {cut} bytes");
    }
}

#[test]
fn the_same_words_never_look_the_same() {
    let (one, two) = (key(1).seal(b"", b"yes").unwrap(), key(1).seal(b"", b"yes").unwrap());
    assert_ne!(one, two);
    assert_eq!(key(1).open(b"", &key(1).seal(b"", b"").unwrap()).unwrap().as_slice(), b"");
}

#[test]
fn a_master_key_is_its_text_and_shows_no_digit_of_it() {
    let master = MasterKey::generate().unwrap();
    let text = master.to_text();
    let again: MasterKey = format!("  {}\n", text.to_uppercase()).parse().unwrap();
    assert_eq!((again.to_text(), again.mark()), (text.clone(), master.mark()));
    assert_ne!(MasterKey::generate().unwrap().mark(), master.mark());
    let shown = format!("{master:?} {:?}", key(1));
    assert!(shown.contains(&master.mark()) && !text.contains(&master.mark()), "{shown}");
    for bad in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66), &"ž".repeat(32)] {
        assert_eq!(bad.parse::<MasterKey>().err(), Some(MasterKeyError::Malformed), "{bad:?}");
    }
}

#[test]
fn a_wrapped_key_is_had_by_its_master_key_for_its_purpose() {
    let (master, other) = (MasterKey::generate().unwrap(), MasterKey::generate().unwrap());
    let wrapped = master.wrap(b"chat 1", &[7; KEY_BYTES]).unwrap();
    assert_eq!(*master.unwrap(b"chat 1", &wrapped).unwrap(), [7; KEY_BYTES]);
    assert_eq!(master.unwrap(b"chat 2", &wrapped).err(), Some(SealError::DoesNotOpen));
    assert_eq!(other.unwrap(b"chat 1", &wrapped).err(), Some(SealError::DoesNotOpen));
}
