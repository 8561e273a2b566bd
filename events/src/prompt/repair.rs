//! Makes a conversation that every provider accepts out of any history.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::NO_RESULT;
use crate::message::{Message, Origin, Role};
use crate::part::Part;

/// A message and the answers to the calls in it.
struct Entry<'a> {
    message: Arc<Message>,
    /// Calls without an answer so far: id and tool.
    unanswered: Vec<(&'a str, &'a str)>,
    /// Which parts of which later message answer the others.
    answers: Vec<(&'a Arc<Message>, Vec<usize>)>,
}

/// The conversation: calls with their answers directly behind them, a missing one made up, answers without a call left
/// out, and so are parts and messages that say nothing. A call takes the first answer that comes before its id is used
/// again.
///
/// As long as calls are answered where they should be, which is nearly always and for ever, each message is shared as it
/// is, and nothing else is kept.
pub(super) fn repaired<'a>(mut history: impl Iterator<Item = &'a Arc<Message>>) -> Vec<Arc<Message>> {
    let mut sound = Vec::with_capacity(history.size_hint().0);
    // The newest message with calls and the answers behind it, while some call is open.
    let mut step: Vec<&'a Arc<Message>> = Vec::new();
    let mut open: Vec<&'a str> = Vec::new();
    for message in history.by_ref() {
        if step.is_empty() {
            // An answer that nobody waits for is left out.
            if message.role != Role::Tool
                && let Some(message_cleaned) = cleaned(message)
            {
                sound.push(message_cleaned);
                open.extend(calls(message).map(|(id, _)| id));
                step.extend((!open.is_empty()).then_some(message));
            }
            continue;
        }
        step.push(message);
        if !all_answer(message, &mut open) {
            break;
        }
        if open.is_empty() {
            sound.extend(step.drain(1..).cloned());
            step.clear();
        }
    }
    if !step.is_empty() {
        // The message with the calls begins what has to be rearranged.
        sound.pop();
        sound.extend(rearranged(step.into_iter().chain(history)));
    }
    sound
}

/// Every part of the message answers one of the open calls, which are then open no more.
fn all_answer(message: &Message, open: &mut Vec<&str>) -> bool {
    let mut is_answered = false;
    let is_answer = |part: &Part| match part {
        Part::ToolResult { call_id, provider_executed: false, .. } => {
            let place = open.iter().position(|id| id == call_id);
            is_answered = place.map(|place| open.remove(place)).is_some();
            is_answered
        }
        _ => is_answered && comes_along(part),
    };
    message.role == Role::Tool && !message.parts.is_empty() && message.parts.iter().all(is_answer)
}

/// The part belongs to the result that it stands behind: a file whose content a model can be given.
fn comes_along(part: &Part) -> bool {
    matches!(part, Part::File { content: Some(_), .. })
}

/// The rest of a conversation, from its first message on whose calls are not answered directly behind it.
pub(super) fn rearranged<'a>(history: impl Iterator<Item = &'a Arc<Message>>) -> Vec<Arc<Message>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    let mut awaited: BTreeMap<&'a str, usize> = BTreeMap::new();
    for message in history {
        if message.role == Role::Tool {
            for (index, id) in results(message) {
                if let Some(entry) = awaited.remove(id).and_then(|entry| entries.get_mut(entry)) {
                    entry.answer(message, index, id);
                }
            }
        } else if let Some(message_cleaned) = cleaned(message) {
            let mut unanswered = Vec::new();
            for (id, name) in calls(message) {
                if awaited.insert(id, entries.len()) != Some(entries.len()) {
                    unanswered.push((id, name));
                }
            }
            entries.push(Entry { message: message_cleaned, unanswered, answers: Vec::new() });
        }
    }
    entries.into_iter().flat_map(Entry::into_messages).collect()
}

/// The calls in an assistant's message that somebody other than the provider must answer: id and tool.
fn calls(message: &Message) -> impl Iterator<Item = (&str, &str)> {
    let parts = if message.role == Role::Assistant { message.parts.as_slice() } else { &[] };
    parts.iter().enumerate().filter_map(|(index, part)| match part {
        Part::ToolCall { call_id, name, provider_executed: false, .. } if first_call(parts, call_id) == Some(index) => {
            Some((call_id.as_str(), name.as_str()))
        }
        _ => None,
    })
}

/// The results in a tool's message: index of the part and id of the call.
fn results(message: &Message) -> impl Iterator<Item = (usize, &str)> {
    message.parts.iter().enumerate().filter_map(|(index, part)| match part {
        Part::ToolResult { call_id, provider_executed: false, .. } => Some((index, call_id.as_str())),
        _ => None,
    })
}

impl<'a> Entry<'a> {
    fn answer(&mut self, source: &'a Arc<Message>, index: usize, id: &str) {
        self.unanswered.retain(|(open, _)| *open != id);
        let files = source.parts[index + 1..].iter().take_while(|part| comes_along(part)).count();
        let parts = index..=index + files;
        match self.answers.last_mut() {
            Some((last, indices)) if Arc::ptr_eq(last, source) => indices.extend(parts),
            _ => self.answers.push((source, parts.collect())),
        }
    }

    fn into_messages(self) -> impl Iterator<Item = Arc<Message>> {
        let missing = (!self.unanswered.is_empty()).then(|| Arc::new(made_up(&self.message, &self.unanswered)));
        let answers = self.answers.into_iter().map(|(source, indices)| {
            if indices.len() == source.parts.len() {
                return Arc::clone(source);
            }
            let parts = indices.into_iter().map(|index| source.parts[index].clone()).collect();
            Arc::new(Message { parts, ..Message::clone(source) })
        });
        std::iter::once(self.message).chain(answers).chain(missing)
    }
}

/// Answers in the place of those that the history lacks.
fn made_up(message: &Message, unanswered: &[(&str, &str)]) -> Message {
    let parts = unanswered.iter().map(|(id, name)| Part::ToolResult {
        call_id: (*id).to_owned(),
        name: (*name).to_owned(),
        result: Value::String(NO_RESULT.to_owned()),
        is_error: true,
        provider_executed: false,
        metadata: None,
    });
    Message {
        role: Role::Tool,
        parts: parts.collect(),
        origin: Origin::Synthetic,
        usage: None,
        finish_reason: None,
        response_id: None,
        ..message.clone()
    }
}

/// The message without what no provider takes; none where nothing is left to say.
fn cleaned(message: &Arc<Message>) -> Option<Arc<Message>> {
    let parts = message.parts.as_slice();
    let kept = |index: usize| says_something(message.role, parts, index);
    // Reasoning that leads to nothing is refused: what was cut off after it must take it along.
    let end = (0..parts.len()).rev().find(|&index| kept(index) && speaks(&parts[index]))? + 1;
    let reaches_out = |index: usize| index < end || !matches!(parts[index], Part::Reasoning { .. });
    let kept = |index: usize| kept(index) && reaches_out(index);
    if (0..parts.len()).all(kept) {
        return Some(Arc::clone(message));
    }
    let parts = (0..parts.len()).filter(|&index| kept(index)).map(|index| parts[index].clone()).collect();
    Some(Arc::new(Message { parts, ..Message::clone(message) }))
}

/// Whether a part alone makes a message worth sending.
pub(super) fn speaks(part: &Part) -> bool {
    match part {
        Part::Text { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } => true,
        Part::File { .. } | Part::ContextFile { .. } => true,
        Part::Reasoning { .. } | Part::Source { .. } => false,
    }
}

/// Whether the part may stand in a message of this role (not a tool's), between the others.
pub(super) fn says_something(role: Role, parts: &[Part], index: usize) -> bool {
    let by_model = role == Role::Assistant;
    match &parts[index] {
        Part::Text { text } => !text.trim().is_empty(),
        Part::Reasoning { text, metadata } => by_model && (!text.trim().is_empty() || metadata.is_some()),
        Part::ToolCall { call_id, provider_executed, .. } => {
            by_model
                && first_call(parts, call_id) == Some(index)
                && (!provider_executed || provider_result(parts, index, call_id).is_some())
        }
        Part::ToolResult { call_id, .. } => {
            by_model
                && first_call(parts, call_id).is_some_and(|call| {
                    matches!(parts[call], Part::ToolCall { provider_executed: true, .. })
                        && provider_result(parts, call, call_id) == Some(index)
                })
        }
        Part::Source { .. } | Part::File { .. } | Part::ContextFile { .. } => true,
    }
}

/// Where the first call of an id stands.
fn first_call(parts: &[Part], id: &str) -> Option<usize> {
    parts.iter().position(|part| matches!(part, Part::ToolCall { call_id, .. } if call_id == id))
}

/// Where the provider's result of its own call stands.
fn provider_result(parts: &[Part], call: usize, id: &str) -> Option<usize> {
    let is_result =
        |part: &Part| matches!(part, Part::ToolResult { call_id, provider_executed: true, .. } if call_id == id);
    parts[call..].iter().position(is_result).map(|distance| call + distance)
}
