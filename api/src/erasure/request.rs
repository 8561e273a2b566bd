//! The request that began an erasure, as it is noted before the log says that the chat is erased: whoever finishes the
//! erasure after a crash commits that very request, so that its sender, who asks again with the same idempotency key,
//! is told that it was done.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use verbatim_actors::handle::{IdempotencyKey, Meta};
use verbatim_events::envelope::Actor;
use verbatim_events::ids::Digest;

/// A request as it is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    actor: Actor,
    command_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    owner: String,
    key: String,
    request_hash: Digest,
}

impl Request {
    /// What is noted of a request.
    pub(super) fn of(meta: &Meta, reason: Option<&str>) -> Request {
        let key = |known: &IdempotencyKey| Key {
            owner: known.owner.clone(),
            key: known.key.clone(),
            request_hash: known.request_hash,
        };
        Request {
            actor: meta.actor.clone(),
            command_id: meta.command_id,
            idempotency: meta.idempotency.as_ref().map(key),
            trace_id: meta.trace_id.clone(),
            reason: reason.map(str::to_owned),
        }
    }

    /// As it is noted.
    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What `to_text` wrote.
    pub(super) fn read(text: &str) -> Option<Request> {
        serde_json::from_str(text).ok()
    }

    /// What accompanies the command, and why the chat is erased.
    pub(super) fn into_meta(self) -> (Meta, Option<String>) {
        let Request { actor, command_id, idempotency, trace_id, reason } = self;
        let idempotency =
            idempotency.map(|Key { owner, key, request_hash }| IdempotencyKey { owner, key, request_hash });
        (Meta { actor, command_id, idempotency, trace_id }, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again() {
        let key = IdempotencyKey { owner: "ann".to_owned(), key: "k".to_owned(), request_hash: Digest::of(b"r") };
        for idempotency in [None, Some(key)] {
            let meta = Meta { idempotency, trace_id: Some("t".to_owned()), ..Meta::user("ann") };
            let read = Request::read(&Request::of(&meta, Some("why")).to_text()).expect("it is one");
            assert_eq!(read.into_meta(), (meta, Some("why".to_owned())));
        }
        assert_eq!(Request::read("{}"), None);
    }
}
