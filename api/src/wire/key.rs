//! Keys, as administrators see them.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use verbatim_events_sql::StoredKey;

use super::Time;

/// A key: `{id, name, owner, roles, created_at, revoked_at?, key?}`; `key` is there once, in the answer to its making.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView<'a> {
    /// Its id. Not secret.
    #[schema(value_type = String, format = "uuid")]
    pub id: Uuid,
    /// What people call it.
    pub name: &'a str,
    /// Whom it speaks for.
    pub owner: &'a str,
    /// What it may do.
    pub roles: &'a [String],
    /// When it was made.
    pub created_at: Time,
    /// Since when it is no longer valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// The key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
}

impl<'a> KeyView<'a> {
    /// What is kept of a key.
    pub fn of(key: &'a StoredKey) -> KeyView<'a> {
        KeyView {
            id: key.id,
            name: &key.name,
            owner: &key.owner,
            roles: &key.roles,
            created_at: Time(key.created_at),
            revoked_at: key.revoked_at.map(Time),
            key: None,
        }
    }
}
