//! Sealing: what is kept so that only who has the key reads it, and so that destroying a key destroys what it sealed.
//!
//! The master key comes from outside of the database. It wraps keys and nothing else; everything that is sealed is
//! sealed with a key that it wraps, so that it can be changed without touching what was sealed.

mod cipher;
mod master;

#[cfg(test)]
mod tests;

pub use cipher::{KEY_BYTES, SealError, SealingKey, new_key_bytes};
pub use master::{MasterKey, MasterKeyError};
