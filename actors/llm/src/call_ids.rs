//! Ids of calls as a provider accepts them: of certain characters, not too long, and each used once in a conversation.

use std::collections::{BTreeMap, BTreeSet};

use verbatim_events::ids::Digest;

/// Gives each call of a conversation, read from its beginning, the id that is sent. A longer conversation begins with the
/// same ids, so that a provider's cache holds.
#[derive(Debug)]
pub(crate) struct CallIds<'a> {
    bytes_max: usize,
    used: BTreeSet<String>,
    open: BTreeMap<&'a str, String>,
}

impl<'a> CallIds<'a> {
    /// Ids of at most `bytes_max` bytes, which must be at least 48.
    pub(crate) fn new(bytes_max: usize) -> CallIds<'a> {
        CallIds { bytes_max, used: BTreeSet::new(), open: BTreeMap::new() }
    }

    /// The id to send for a call.
    pub(crate) fn call(&mut self, call_id: &'a str) -> String {
        let fits = (1..=self.bytes_max).contains(&call_id.len()) && call_id.bytes().all(is_accepted);
        let mut sent = if fits { call_id.to_owned() } else { short(call_id) };
        let mut times = 1_u32;
        while self.used.contains(&sent) {
            times += 1;
            sent = format!("{}_{times}", short(call_id));
        }
        self.used.insert(sent.clone());
        self.open.insert(call_id, sent.clone());
        sent
    }

    /// The id to send with the answer to a call, once; nothing if no such call is open.
    pub(crate) fn answer(&mut self, call_id: &str) -> Option<String> {
        self.open.remove(call_id)
    }

    /// Takes an id that must be sent as it is; `false` if it cannot be.
    pub(crate) fn reserve(&mut self, id: &str) -> bool {
        !id.is_empty() && id.bytes().all(is_accepted) && self.used.insert(id.to_owned())
    }
}

fn is_accepted(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn short(call_id: &str) -> String {
    let mut digest = Digest::of(call_id.as_bytes()).to_string();
    digest.truncate(32);
    format!("call_{digest}")
}

/// A tool's name as every provider accepts it: other characters become `_`. The names of the tools that are offered fit;
/// those that a history mentions may come from anywhere.
pub(crate) fn accepted_name(name: &str) -> String {
    const NAME_MAX_BYTES: usize = 64;
    let accepted = |character: char| if u8::try_from(character).is_ok_and(is_accepted) { character } else { '_' };
    let name: String = name.chars().take(NAME_MAX_BYTES).map(accepted).collect();
    if name.is_empty() { "tool".to_owned() } else { name }
}
