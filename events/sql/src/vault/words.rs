//! A sealed event's bytes: the id of its key, then what the key sealed.

use uuid::Uuid;
use verbatim_events::envelope::{Encoding, NewEvent, Words};
use verbatim_events::vault::associated_data;

use crate::seal::{SealError, SealingKey};

/// Bytes of a key's id.
const ID_BYTES: usize = 16;

/// The key that an event was sealed with; `None` if it was not.
pub fn key_of(event: &NewEvent) -> Option<Uuid> {
    if event.encoding != Encoding::Sealed {
        return None;
    }
    event.data.first_chunk::<ID_BYTES>().map(|bytes| Uuid::from_bytes(*bytes))
}

/// The bytes that are stored in place of `plain`.
pub(super) fn seal(key_id: Uuid, key: &SealingKey, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let sealed = key.seal(associated, plain)?;
    Ok([&key_id.as_bytes()[..], &sealed].concat())
}

/// What a sealed event says. Bytes that do not open were changed: then nothing is known of it.
pub(super) fn open(event: &NewEvent, key: Option<&SealingKey>) -> Words {
    let Some(key) = key else { return Words::Erased };
    let sealed = event.data.get(ID_BYTES..).unwrap_or_default();
    match key.open(&associated_data(event), sealed) {
        Ok(plain) => Words::Opened(plain.to_vec()),
        Err(_) => Words::AsStored,
    }
}

/// What a chat's wrapped key is bound to.
pub(super) fn chat_key_place(key_id: Uuid) -> Vec<u8> {
    [&b"chat\0"[..], key_id.as_bytes()].concat()
}

/// What one of the server's wrapped keys is bound to.
pub(super) fn server_key_place(name: &str) -> Vec<u8> {
    [&b"server\0"[..], name.as_bytes()].concat()
}
