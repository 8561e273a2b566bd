//! Keys that administrators make and revoke: kept in the log's database, effective here at once and on other nodes within
//! seconds.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::sync::Mutex;
use uuid::Uuid;
use verbatim_events::ids::Digest;
use verbatim_events_sql::{KeyStore, KeyStoreError, KeyTally, StoredKey};

use super::{KeyRing, Principal, Role};

/// How every key that is made here begins, so that one that went astray is recognised as such.
const PREFIX: &str = "vbt_";

/// The random bytes of a key.
const SECRET_BYTES: usize = 32;

/// How often this node looks for keys that others made or revoked.
const POLL: Duration = Duration::from_secs(2);

/// Why keys could not be made, read or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(String),
}

/// What a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// Whom it speaks for, and what it may do.
    pub principal: Principal,
}

/// A key that was just made. The only moment in which it can be read.
#[derive(Clone)]
pub struct MadeKey {
    /// What is kept of it.
    pub stored: StoredKey,
    /// The key itself. Never to be logged.
    pub secret: String,
}

/// Makes a key and keeps it.
pub async fn make(store: &KeyStore, new: NewKey, now: DateTime<Utc>) -> Result<MadeKey, KeysError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| KeysError::NoRandomness(error.to_string()))?;
    let mut secret = String::from(PREFIX);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(secret, "{byte:02x}");
    }
    let stored = StoredKey {
        id: Uuid::now_v7(),
        name: new.name,
        owner: new.principal.owner,
        roles: new.principal.roles.iter().map(|role| role.name().to_owned()).collect(),
        digest: Digest::of(secret.as_bytes()),
        created_at: now.trunc_subsecs(6),
        revoked_at: None,
    };
    store.add(stored.clone()).await?;
    Ok(MadeKey { stored, secret })
}

/// The store of keys and the ring that requests are checked against. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    ring: KeyRing,
    store: KeyStore,
    /// The tally that the ring shows. Held during every change, so that no look at the store undoes a newer one.
    shown: Arc<Mutex<Option<KeyTally>>>,
}

impl Keys {
    /// The keys of a store beside those of a ring. None of the store's is valid before `refresh`.
    pub fn new(ring: KeyRing, store: KeyStore) -> Keys {
        Keys { ring, store, shown: Arc::default() }
    }

    /// The keys that are valid now.
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// All keys of the store, revoked ones too, in the order in which they were made.
    pub async fn list(&self) -> Result<Vec<StoredKey>, KeysError> {
        Ok(self.store.list().await?)
    }

    /// Makes a key, which is valid when this returns.
    pub async fn create(&self, new: NewKey, now: DateTime<Utc>) -> Result<MadeKey, KeysError> {
        let mut shown = self.shown.lock().await;
        // A change whose answer is lost may have happened: whatever comes of it, the next look is a whole one.
        *shown = None;
        let made = make(&self.store, new, now).await?;
        self.show(&made.stored);
        Ok(made)
    }

    /// Revokes a key; what it has opened ends. False if there is no such key, or it was revoked before.
    pub async fn revoke(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, KeysError> {
        let mut shown = self.shown.lock().await;
        *shown = None;
        let revoked = self.store.revoke(id, now).await?;
        self.ring.remove(id);
        Ok(revoked)
    }

    /// Brings the ring to what the store holds now.
    pub async fn refresh(&self) -> Result<(), KeysError> {
        let mut shown = self.shown.lock().await;
        let tally = self.store.tally().await?;
        if *shown == Some(tally) {
            return Ok(());
        }
        let keys = self.store.list().await?;
        let valid: HashSet<Uuid> = keys.iter().filter(|key| key.revoked_at.is_none()).map(|key| key.id).collect();
        self.ring.retain(|id| valid.contains(&id));
        keys.iter().filter(|key| key.revoked_at.is_none()).for_each(|key| self.show(key));
        // Counted before the rows were read: what came between is read again, never missed.
        *shown = Some(tally);
        Ok(())
    }

    /// Follows what other nodes and programs do to the keys. Runs until it is dropped.
    pub async fn follow(self) {
        loop {
            tokio::time::sleep(POLL).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the keys could not be looked at; those known so far stay valid");
            }
        }
    }

    fn show(&self, key: &StoredKey) {
        self.ring.insert(key.id, key.digest, principal_of(key));
    }
}

/// Whom a stored key speaks for. A role that a newer version knows gives no right here.
fn principal_of(key: &StoredKey) -> Principal {
    let roles = key.roles.iter().filter_map(|name| Role::parse(name)).collect();
    Principal { owner: key.owner.clone(), roles }
}
