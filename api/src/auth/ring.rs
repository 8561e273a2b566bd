//! The keys that are valid now, in memory: every request asks here.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use verbatim_events::ids::Digest;

use super::Principal;

/// A key that is valid.
#[derive(Clone, Debug)]
pub struct Known {
    /// Whom it speaks for.
    pub principal: Arc<Principal>,
    /// Cancelled when it is revoked: what it has opened ends.
    pub revoked: CancellationToken,
}

#[derive(Debug)]
struct Entry {
    /// Its id in the store; none for the administrator's, which is not there.
    id: Option<Uuid>,
    known: Known,
}

/// The keys that are valid now. Cheap to clone; clones share the keys.
///
/// Keys are found by their SHA-256 in a table whose own hash is seeded at random, so how long a look takes says nothing
/// about any key.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Arc<RwLock<HashMap<Digest, Entry>>>,
}

impl KeyRing {
    /// A ring with the administrator's key.
    pub fn with_admin(key: &str) -> KeyRing {
        let ring = KeyRing::default();
        ring.keys.write().insert(Digest::of(key.as_bytes()), entry(None, Principal::admin()));
        ring
    }

    /// Adds a key by its SHA-256. One that is there stays as it is.
    pub fn insert(&self, id: Uuid, digest: Digest, principal: Principal) {
        self.keys.write().entry(digest).or_insert_with(|| entry(Some(id), principal));
    }

    /// Takes a key out; what it has opened ends.
    pub fn remove(&self, id: Uuid) {
        self.retain(|known| known != id);
    }

    /// Takes every key out that is not kept, the administrator's aside.
    pub fn retain(&self, keep: impl Fn(Uuid) -> bool) {
        self.keys.write().retain(|_, entry| {
            let kept = entry.id.is_none_or(&keep);
            if !kept {
                entry.known.revoked.cancel();
            }
            kept
        });
    }

    /// Whom a key speaks for.
    pub fn find(&self, key: &str) -> Option<(Digest, Known)> {
        let digest = Digest::of(key.as_bytes());
        self.keys.read().get(&digest).map(|entry| (digest, entry.known.clone()))
    }
}

fn entry(id: Option<Uuid>, principal: Principal) -> Entry {
    Entry { id, known: Known { principal: Arc::new(principal), revoked: CancellationToken::new() } }
}
