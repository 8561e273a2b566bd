//! When the history must be summarised, and what a summary must not swallow.

use std::sync::Arc;

use crate::chat::Chat;
use crate::ids::Version;
use crate::limits::Limits;
use crate::message::{Message, Origin, Role};

/// Windows from here on are large.
const LARGE_WINDOW_TOKENS: u64 = 500_000;

/// How often a summary is tried before it is left until a user acts.
pub const COMPACTION_TRIES_MAX: u32 = 3;

/// The share of a large window from which compaction is due, in percent.
const LARGE_WINDOW_PERCENT: u8 = 30;

/// From which share of the window on compaction is due, in percent; `None` where it is switched off.
pub fn threshold_percent(window_tokens: u64, limits: &Limits) -> Option<u8> {
    match limits.compaction_percent {
        100.. => None,
        percent if window_tokens >= LARGE_WINDOW_TOKENS => Some(percent.min(LARGE_WINDOW_PERCENT)),
        percent => Some(percent),
    }
}

/// Of two windows the one in which compaction is due first; one that is unknown does not count.
pub fn stricter_window(one: Option<u64>, other: Option<u64>, limits: &Limits) -> Option<u64> {
    let due_at = |window: &u64| {
        let percent = threshold_percent(*window, limits).unwrap_or(100);
        u128::from(*window) * u128::from(percent)
    };
    [one, other].into_iter().flatten().filter(|window| *window > 0).min_by_key(due_at)
}

/// Tokens of the newest prompt since the boundary, as its provider counted them; `None` before the first answer.
pub fn context_tokens(chat: &Chat) -> Option<u64> {
    let since_boundary = chat.history.iter().rev().take_while(|message| message.id > chat.boundary);
    since_boundary
        .filter(|message| is_answer(message))
        .filter_map(|message| message.usage)
        .map(|usage| match usage.context_tokens() {
            0 => usage.output_tokens,
            tokens => tokens,
        })
        .next()
}

/// The context has reached the window's threshold. Never for an unknown window.
pub fn is_over_threshold(chat: &Chat, window_tokens: Option<u64>, limits: &Limits) -> bool {
    let Some(window_tokens) = window_tokens.filter(|tokens| *tokens > 0) else {
        return false;
    };
    let Some(percent) = threshold_percent(window_tokens, limits) else {
        return false;
    };
    let Some(tokens) = context_tokens(chat) else {
        return false;
    };
    u128::from(tokens) * 100 >= u128::from(window_tokens) * u128::from(percent)
}

/// The model's own words in the conversation, not a compaction's.
pub fn is_answer(message: &Message) -> bool {
    message.role == Role::Assistant && !message.compressed
}

/// How many answers stand after the newest boundary.
pub fn answers_since_boundary(chat: &Chat) -> usize {
    chat.history.after(chat.boundary).filter(|message| is_answer(message)).count()
}

/// The user messages since the boundary that no answer follows: a summary must not swallow them.
pub fn unanswered_messages(chat: &Chat) -> Vec<Arc<Message>> {
    unanswered_between(chat, chat.boundary, Version::MAX)
}

/// As `unanswered_messages`, after one version and before another.
fn unanswered_between(chat: &Chat, after: Version, before: Version) -> Vec<Arc<Message>> {
    let there = chat.history.iter().rev().skip_while(|message| message.id >= before);
    let mut unanswered: Vec<_> = there
        .take_while(|message| message.id > after && !is_answer(message))
        .filter(|message| message.role == Role::User && message.origin == Origin::User)
        .cloned()
        .collect();
    unanswered.reverse();
    unanswered
}

/// A whole chat stands where the log never rested: behind a compaction's boundary, and before the last message that came
/// in its append. Its prompts would lack the summary, or messages that nobody has answered.
pub fn is_amid_compaction(chat: &Chat) -> bool {
    /// The boundary, the summary and its mark.
    const EVENTS: u64 = 3;
    if !chat.boundary_is_compaction {
        return false;
    }
    let earlier = chat.earlier_boundaries.last().map_or(0, |boundary| boundary.version);
    let kept = unanswered_between(chat, earlier, chat.boundary).len() as u64;
    chat.outline.version < chat.boundary + EVENTS - 1 + kept
}
