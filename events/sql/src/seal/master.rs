//! The master key: it wraps all other keys, and is never kept with them.

use std::fmt;
use std::str::FromStr;

use verbatim_events::ids::Digest;
use zeroize::Zeroizing;

use super::cipher::{KEY_BYTES, SealError, SealingKey, new_key_bytes};

/// What the master key's mark is made of, so that the mark is of use for nothing else.
const MARK_PURPOSE: &[u8] = b"verbatim master key mark";

/// What everything wrapped is bound to, before what the caller binds it to.
const WRAP_PURPOSE: &[u8] = b"verbatim wrapped key\0";

/// Why a text is no master key. Never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// It does not have the form of one.
    #[error("a master key is 64 hexadecimal digits")]
    Malformed,
    /// The system's generator gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

/// The key that wraps all other keys. Its text is 64 hexadecimal digits.
pub struct MasterKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MasterKey({})", self.mark())
    }
}

impl FromStr for MasterKey {
    type Err = MasterKeyError;

    fn from_str(text: &str) -> Result<MasterKey, MasterKeyError> {
        let text = text.trim().as_bytes();
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if text.len() != 2 * KEY_BYTES {
            return Err(MasterKeyError::Malformed);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(MasterKey { bytes })
    }
}

fn digit(letter: u8) -> Result<u8, MasterKeyError> {
    let value = char::from(letter).to_digit(16).ok_or(MasterKeyError::Malformed)?;
    u8::try_from(value).map_err(|_| MasterKeyError::Malformed)
}

impl MasterKey {
    /// A new one.
    pub fn generate() -> Result<MasterKey, MasterKeyError> {
        Ok(MasterKey { bytes: new_key_bytes().map_err(|_| MasterKeyError::NoRandomness)? })
    }

    /// Its text, to be kept where nobody else reads it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in self.bytes.iter() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 0xf));
        }
        text
    }

    /// Sixteen digits that tell two master keys apart and say nothing about either. May be shown.
    pub fn mark(&self) -> String {
        let mut text = Zeroizing::new(MARK_PURPOSE.to_vec());
        text.extend_from_slice(&*self.bytes);
        Digest::of(&text).to_string()[..16].to_owned()
    }

    /// Wraps a key, bound to what `associated` says it is for.
    pub fn wrap(&self, associated: &[u8], key: &[u8; KEY_BYTES]) -> Result<Vec<u8>, SealError> {
        self.wrapping().seal(&bound(associated), key)
    }

    /// A key that `wrap` wrapped for the same.
    pub fn unwrap(&self, associated: &[u8], wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
        let opened = self.wrapping().open(&bound(associated), wrapped)?;
        let bytes: [u8; KEY_BYTES] = opened.as_slice().try_into().map_err(|_| SealError::UnknownFormat)?;
        Ok(Zeroizing::new(bytes))
    }

    fn wrapping(&self) -> SealingKey {
        SealingKey::new(&self.bytes)
    }
}

fn bound(associated: &[u8]) -> Vec<u8> {
    [WRAP_PURPOSE, associated].concat()
}
