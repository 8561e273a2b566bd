//! Ids of calls as a provider accepts them: of certain characters, not too long, and each used once in a conversation.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use verbatim_events::ids::Digest;
use verbatim_events::message::{Message, Role};
use verbatim_events::part::Part;

/// Gives each call of a conversation, read from its beginning, the id that is sent. A longer conversation begins with the
/// same ids, so that a provider's cache holds.
#[derive(Debug)]
pub(crate) struct CallIds<'a> {
    bytes_max: usize,
    used: HashSet<Cow<'a, str>>,
    open: HashMap<&'a str, Cow<'a, str>>,
}

impl<'a> CallIds<'a> {
    /// Ids of at most `bytes_max` bytes, which must be at least 48.
    pub(crate) fn new(bytes_max: usize) -> CallIds<'a> {
        CallIds { bytes_max, used: HashSet::new(), open: HashMap::new() }
    }

    /// The id to send for a call.
    pub(crate) fn call(&mut self, call_id: &'a str) -> Cow<'a, str> {
        let fits = (1..=self.bytes_max).contains(&call_id.len()) && call_id.bytes().all(is_accepted);
        let mut sent = if fits { Cow::Borrowed(call_id) } else { Cow::Owned(short(call_id)) };
        let mut times = 1_u32;
        while self.used.contains(&sent) {
            times += 1;
            sent = Cow::Owned(format!("{}_{times}", short(call_id)));
        }
        self.used.insert(sent.clone());
        self.open.insert(call_id, sent.clone());
        sent
    }

    /// Takes a call that was not sent here, but which the provider knows under this very id.
    pub(crate) fn adopt(&mut self, call_id: &'a str) {
        self.open.insert(call_id, Cow::Borrowed(call_id));
    }

    /// The id to send with the answer to a call, once; nothing if no such call is open.
    pub(crate) fn answer(&mut self, call_id: &str) -> Option<Cow<'a, str>> {
        self.open.remove(call_id)
    }

    /// Takes an id that must be sent as it is; `false` if it cannot be.
    pub(crate) fn reserve(&mut self, id: &'a str) -> bool {
        !id.is_empty() && id.bytes().all(is_accepted) && self.used.insert(Cow::Borrowed(id))
    }
}

/// The id that a call has here, and the one that it has in a request.
#[derive(Debug)]
pub(crate) struct SentId<'a> {
    own: &'a str,
    sent: Option<Cow<'a, str>>,
}

impl SentId<'_> {
    /// The id in the request; none where the part cannot be sent as a call or an answer.
    pub(crate) fn sent(&self) -> Option<&str> {
        self.sent.as_deref()
    }

    /// The request has the call's own id: what the message becomes does not depend on what stands before it.
    pub(crate) fn is_own(&self) -> bool {
        self.sent() == Some(self.own)
    }
}

/// The ids of a message's calls, or of the calls that it answers, in the order of its parts. Of the calls that the provider
/// ran itself those count whose block goes back as it came: `block_id` gives the block's id of the part at an index.
pub(crate) fn sent_ids<'a>(
    message: &'a Message,
    ids: &mut CallIds<'a>,
    block_id: impl Fn(usize) -> Option<&'a str>,
) -> Vec<SentId<'a>> {
    let sent = message.parts.iter().enumerate().filter_map(|(index, part)| match (message.role, part) {
        (Role::Assistant, Part::ToolCall { call_id, provider_executed: false, .. }) => {
            Some(SentId { own: call_id, sent: Some(ids.call(call_id)) })
        }
        (Role::Assistant, Part::ToolCall { .. }) => {
            let own = block_id(index)?;
            let sent = ids.reserve(own).then_some(Cow::Borrowed(own));
            Some(SentId { own, sent })
        }
        (Role::Tool, Part::ToolResult { call_id, provider_executed: false, .. }) => {
            Some(SentId { own: call_id, sent: ids.answer(call_id) })
        }
        _ => None,
    });
    sent.collect()
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
