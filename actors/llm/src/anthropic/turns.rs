//! A conversation as alternating messages of content blocks.

use std::sync::Arc;

use verbatim_events::form::Form;
use verbatim_events::message::{Message, Role};

use super::PROTOCOL;
use super::content::{BEGINS_WITH_THINKING, Content, HAS_CALL, HAS_TEXT};
use crate::body::{Body, Written, form_key};
use crate::call_ids::{CallIds, SentId, sent_ids};

/// The longest id of a call, in bytes.
const CALL_ID_MAX_BYTES: usize = 64;

/// What ends what the provider keeps in its cache, as the last field of a block.
const CACHE_MARK: &[u8] = b",\"cache_control\":{\"type\":\"ephemeral\"}";

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

impl Side {
    fn of(role: Role) -> Option<Side> {
        match role {
            Role::System => None,
            Role::User | Role::Tool => Some(Side::User),
            Role::Assistant => Some(Side::Assistant),
        }
    }

    fn opening(self) -> &'static [u8] {
        match self {
            Side::User => b"{\"role\":\"user\",\"content\":[",
            Side::Assistant => b"{\"role\":\"assistant\",\"content\":[",
        }
    }
}

/// One side's message in the making.
struct Turn {
    side: Side,
    flags: u8,
    /// Where its cache mark would go.
    mark: Option<usize>,
}

/// The turns so far.
struct Turns<'b> {
    body: &'b mut Body,
    open: Option<Turn>,
    /// Where the cache mark of the turn before the open one would go.
    mark_before: Option<usize>,
    /// What the model did since it was asked last began with thinking, as far as it called tools.
    thinks_first: bool,
}

/// Adds a conversation; messages that instruct are no part of it. The last two turns end what is cached.
///
/// Whether a thinking block may begin the answer: what the model already did in this turn began with thinking, or it did
/// nothing yet.
pub(super) fn add(messages: &[Arc<Message>], content: &Content<'_>, body: &mut Body) -> Written<bool> {
    let key = form_key([PROTOCOL, content.provider].into_iter().chain(content.offered.names()));
    let mut ids = CallIds::new(CALL_ID_MAX_BYTES);
    let mut turns = Turns { body, open: None, mark_before: None, thinks_first: true };
    for message in messages {
        let Some(side) = Side::of(message.role) else { continue };
        let sent = sent_ids(message, &mut ids, |index| content.own_call_id(&message.parts, index));
        if sent.iter().all(SentId::is_own) {
            message.form.with(key, || content.form(message, &sent), |form| turns.add(side, form))?;
        } else {
            // What stands before the message changed its ids: they hold for this conversation alone.
            turns.add(side, &content.form(message, &sent)?);
        }
    }
    Ok(turns.end())
}

impl Turns<'_> {
    fn add(&mut self, side: Side, form: &Form) {
        if form.bytes.is_empty() {
            return;
        }
        let flags = match self.open.take_if(|open| open.side != side) {
            _ if self.open.is_some() => {
                self.body.bytes().push(b',');
                form.flags & (HAS_TEXT | HAS_CALL)
            }
            closed => {
                if let Some(turn) = closed {
                    self.mark_before = turn.mark;
                    self.close(&turn);
                }
                self.body.begin_item();
                self.body.bytes().extend_from_slice(side.opening());
                form.flags
            }
        };
        let bytes = self.body.bytes();
        let mark = form.mark.map(|mark| bytes.len() + mark);
        bytes.extend_from_slice(&form.bytes);
        let open = self.open.get_or_insert(Turn { side, flags: 0, mark: None });
        open.flags |= flags;
        open.mark = mark.or(open.mark);
    }

    fn close(&mut self, turn: &Turn) {
        self.body.bytes().extend_from_slice(b"]}");
        if turn.side == Side::User && turn.flags & HAS_TEXT != 0 {
            self.thinks_first = true;
        } else if turn.flags & HAS_CALL != 0 {
            self.thinks_first &= turn.flags & BEGINS_WITH_THINKING != 0;
        }
    }

    fn end(mut self) -> bool {
        let last = self.open.take();
        if let Some(turn) = &last {
            self.close(turn);
        }
        // The later one first: it moves what comes after it.
        for mark in [last.and_then(|turn| turn.mark), self.mark_before].into_iter().flatten() {
            self.body.bytes().splice(mark..mark, CACHE_MARK.iter().copied());
        }
        self.thinks_first
    }
}
