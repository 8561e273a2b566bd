//! The cipher: AES-256-GCM with a random nonce for each text, and what it is bound to.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// The first byte of everything sealed: which way it was sealed.
const FORMAT: u8 = 1;

/// What stands before the ciphertext.
const HEAD_BYTES: usize = 1 + NONCE_LEN;

/// Why something could not be sealed or opened. Says nothing of the words or the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The system's generator gave no random bytes, or the text is too long for the cipher.
    #[error("it could not be sealed")]
    NotSealed,
    /// It is not what this program seals.
    #[error("it is not sealed in a way this program knows")]
    UnknownFormat,
    /// It was sealed with another key, for another place, or was changed.
    #[error("it was sealed with another key, or for another place, or was changed since")]
    DoesNotOpen,
}

/// A key that seals and opens texts. One key may seal some four thousand million texts before two nonces meet.
pub struct SealingKey {
    // The cipher keeps the key in a form of its own, which it does not wipe; it lives no longer than this does.
    cipher: LessSafeKey,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealingKey(…)")
    }
}

impl SealingKey {
    /// The key of these bytes.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> SealingKey {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes).expect("AES-256 has keys of 32 bytes");
        SealingKey { cipher: LessSafeKey::new(unbound) }
    }

    /// Seals `plain` so that it opens with the same `associated` alone, which is not kept: it says where `plain` stands.
    pub fn seal(&self, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        fill_randomly(&mut nonce)?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .cipher
            .seal_in_place_separate_tag(nonce, Aad::from(associated), &mut sealed[HEAD_BYTES..])
            .map_err(|_| SealError::NotSealed)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what `seal` made of a text with the same `associated`.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (head, text) = sealed.split_at_checked(HEAD_BYTES).ok_or(SealError::UnknownFormat)?;
        if head[0] != FORMAT {
            return Err(SealError::UnknownFormat);
        }
        let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| SealError::UnknownFormat)?;
        let mut text = Zeroizing::new(text.to_vec());
        let plain = self.cipher.open_in_place(nonce, Aad::from(associated), &mut text);
        let length = plain.map_err(|_| SealError::DoesNotOpen)?.len();
        text.truncate(length);
        Ok(text)
    }
}

/// The bytes of a new key.
pub fn new_key_bytes() -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    fill_randomly(&mut *bytes)?;
    Ok(bytes)
}

fn fill_randomly(bytes: &mut [u8]) -> Result<(), SealError> {
    SystemRandom::new().fill(bytes).map_err(|_| SealError::NotSealed)
}
