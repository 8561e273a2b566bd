//! Who asks: keys, their owners and roles. A key is 32 random bytes or whatever an administrator chose; only its SHA-256
//! is kept.

mod keys;
mod rates;
mod ring;

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, dev};
use tokio_util::sync::CancellationToken;

pub use self::keys::{Keys, KeysError, MadeKey, NewKey, make};
pub use self::rates::Rates;
pub use self::ring::{KeyRing, Known};

use crate::error::{Code, Problem};
use crate::state::AppState;

/// The name of the query parameter that carries a key where headers cannot be set (EventSource, WebSocket). It counts in
/// requests that read alone: whoever writes can set headers, and addresses end up in logs of other people's machines.
pub const ACCESS_TOKEN: &str = "access_token";

/// The owner's name of the administrator's key.
pub const ADMIN_OWNER: &str = "admin";

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads and writes its own chats.
    User,
    /// Reads everything, writes nothing.
    Auditor,
    /// Reads and writes everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 3] = [Role::User, Role::Auditor, Role::Admin];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Whom a key speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The owner's name.
    pub owner: String,
    /// What the key may do.
    pub roles: BTreeSet<Role>,
}

impl Principal {
    /// The administrator.
    pub fn admin() -> Principal {
        Principal { owner: ADMIN_OWNER.to_owned(), roles: BTreeSet::from([Role::Admin]) }
    }

    /// May read every owner's chats.
    pub fn reads_all(&self) -> bool {
        self.roles.contains(&Role::Admin) || self.roles.contains(&Role::Auditor)
    }

    /// May write anything at all.
    pub fn writes(&self) -> bool {
        self.roles.contains(&Role::Admin) || self.roles.contains(&Role::User)
    }

    /// May change the server itself.
    pub fn administers(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// May read a chat of this owner. Another owner's chat does not exist for the caller.
    pub fn check_read(&self, chat_owner: &str) -> Result<(), Problem> {
        if self.reads_all() || self.owner == chat_owner { Ok(()) } else { Err(Problem::chat_not_found()) }
    }

    /// May write to a chat of this owner.
    pub fn check_write(&self, chat_owner: &str) -> Result<(), Problem> {
        self.check_read(chat_owner)?;
        let allowed = self.administers() || (self.owner == chat_owner && self.roles.contains(&Role::User));
        if allowed { Ok(()) } else { Err(forbidden("this key may read the chat, but not write to it")) }
    }

    /// May make chats.
    pub fn check_create(&self) -> Result<(), Problem> {
        if self.writes() { Ok(()) } else { Err(forbidden("this key may only read")) }
    }

    /// May change what it has read. An inbox is its owner's, but whoever only reads writes nothing.
    pub fn check_inbox(&self) -> Result<(), Problem> {
        if self.writes() { Ok(()) } else { Err(forbidden("this key may only read")) }
    }

    /// May read what only auditors and administrators see.
    pub fn check_audit(&self) -> Result<(), Problem> {
        if self.reads_all() { Ok(()) } else { Err(forbidden("this needs a key with the role auditor or admin")) }
    }

    /// May change the server itself.
    pub fn check_admin(&self) -> Result<(), Problem> {
        if self.administers() { Ok(()) } else { Err(forbidden("this needs a key with the role admin")) }
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(Code::Forbidden, detail)
}

/// The caller of a request, known by its key.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Arc<Principal>,
    /// Cancelled when the key is revoked: a stream must not outlive it.
    pub revoked: CancellationToken,
}

impl std::ops::Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

/// The key of a request: the header's, else, where it reads, the query's.
fn presented_key(request: &HttpRequest) -> Result<String, Problem> {
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let key = value.to_str().ok().and_then(|text| {
            let (scheme, key) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().to_owned())
        });
        return key.ok_or_else(|| Problem::new(Code::Unauthorized, "send the key as \"Authorization: Bearer KEY\""));
    }
    let pairs = if request.method() == Method::GET { crate::routes::query::pairs(request)? } else { Vec::new() };
    pairs
        .into_iter()
        .find(|(name, _)| name == ACCESS_TOKEN)
        .map(|(_, key)| key)
        .ok_or_else(|| Problem::new(Code::Unauthorized, "send a key as \"Authorization: Bearer KEY\""))
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Caller, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut dev::Payload) -> Self::Future {
        ready(presented_key(request).and_then(|key| {
            let state = request
                .app_data::<Data<AppState>>()
                .ok_or_else(|| Problem::new(Code::Internal, "the server is not set up"))?;
            let known = state.keys.ring().find(&key);
            let (digest, known) = known.ok_or_else(|| Problem::new(Code::Unauthorized, "this key is not known"))?;
            state.rates.check(&digest)?;
            Ok(Caller { principal: known.principal, revoked: known.revoked })
        }))
    }
}

#[cfg(test)]
mod tests;
