//! From a chat's state to what a model is asked: a pure function, so that every prompt can be made again from the log.
//!
//! Histories are repaired here and nowhere else, since providers refuse a conversation for the smallest flaw and a chat
//! must never be stuck on one. Messages that need no repair are shared, not copied.

use std::sync::Arc;

use crate::chat::{Chat, ChatFiles};
use crate::error::ErrorKind;
use crate::event::{Offer, ToolDefinition};
use crate::ids::MessageId;
use crate::message::{Message, Origin, Role};
use crate::model::{Continuation, Prompt};
use crate::part::Part;

mod problems;
mod repair;

pub use problems::problems;

/// The result that stands in for one that the history lacks.
pub const NO_RESULT: &str = "no result was recorded";
/// What a conversation is opened with whose first message would be the model's own.
pub const OPENING: &str = "(Earlier messages are left out.)";
/// What a conversation is ended with that would leave nothing to answer.
pub const CONTINUE: &str = "Continue.";

/// Why an expired file is not shown.
const EXPIRED: &str = "it is expired and cannot be read any more";

/// What a summary is asked for with. The digests in the log are of requests that hold it, so another wording makes
/// those of before incomparable.
pub const SUMMARY_INSTRUCTION: &str = "Summarise the conversation above, so that it can go on from your summary alone: \
what stood before it will no longer be seen. Begin with \"Summary of the conversation so far:\". Keep what the user \
wants and has decided, names, numbers, paths and identifiers exactly as they were, what was done and found, which errors \
occurred and how they were solved, and what is still to do. Leave out pleasantries and what no longer matters. Answer \
with the summary and nothing else, and call no tool.";

/// The prompt of the chat's next model call. `offer` is what the server adds to it.
/// Valid for every provider: each call has its answer directly after it, no answer lacks its call, and the conversation
/// ends with something to answer.
///
/// A call that the provider executed itself stays only with its result behind it in the same message: a provider that
/// reports no result must be given an empty one when the answer is recorded.
pub fn assemble(chat: &Chat, offer: &Offer) -> Prompt {
    let mut messages = repair::repaired(visible(chat));
    if messages.last().is_none_or(|last| !matches!(last.role, Role::User | Role::Tool)) {
        let nudge = words(CONTINUE, messages.last(), chat);
        messages.push(nudge);
    }
    let prompt = prompt(chat, offer, messages);
    Prompt { continues: continuation(chat, &prompt.messages), ..prompt }
}

/// The prompt of the chat's next summary: with the tools of its other prompts, so that the provider's cache holds, unless
/// it was just refused with them.
pub fn summary(chat: &Chat, offer: &Offer) -> Prompt {
    let mut prompt = assemble_summary(chat, offer, SUMMARY_INSTRUCTION);
    if summary_goes_without_tools(chat) {
        prompt.tools.clear();
    }
    prompt
}

/// Whether the chat's next summary is asked for without tools: the last try at it was refused as it was.
pub fn summary_goes_without_tools(chat: &Chat) -> bool {
    chat.outline.retry.as_ref().is_some_and(|retry| retry.error.kind == ErrorKind::Config)
}

/// The prompt that asks for a summary of the chat: the prompt of the next model call with the same beginning, so that the
/// provider's cache holds, but without the user messages that nobody has answered yet, and `instruction` at its end.
pub fn assemble_summary(chat: &Chat, offer: &Offer, instruction: &str) -> Prompt {
    let is_answer = |message: &&Arc<Message>| message.role == Role::Assistant && !message.compressed;
    let answered_to: MessageId = visible(chat).filter(is_answer).last().map_or(0, |message| message.id);
    let is_waiting =
        |message: &Message| message.id > answered_to && message.role == Role::User && message.origin == Origin::User;
    let mut messages = repair::repaired(visible(chat).filter(|message| !is_waiting(message)));
    let instruction = words(instruction, messages.last(), chat);
    messages.push(instruction);
    prompt(chat, offer, messages)
}

fn prompt(chat: &Chat, offer: &Offer, mut messages: Vec<Arc<Message>>) -> Prompt {
    let first = messages.iter().position(|message| message.role != Role::System);
    if let Some(first) = first.filter(|&first| messages[first].role != Role::User) {
        let opening = words(OPENING, messages.get(first), chat);
        messages.insert(first, opening);
    }
    if chat.outline.files.any_expired() {
        messages.iter_mut().for_each(|message| leave_expired_out(message, &chat.outline.files));
    }
    let instructions = [chat.config.system_prompt.as_deref(), offer.guidance.as_deref()];
    let instructions: Vec<&str> = instructions.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect();
    let system = (!instructions.is_empty()).then(|| instructions.join("\n\n"));
    Prompt { system, messages, tools: tools(chat, offer), continues: None }
}

/// Names the files that are expired instead of showing them.
fn leave_expired_out(message: &mut Arc<Message>, files: &ChatFiles) {
    let is_expired = |part: &Part| matches!(part, Part::File { file_id, .. } if files.is_expired(file_id));
    if !message.parts.iter().any(is_expired) {
        return;
    }
    let parts = message.parts.iter().map(|part| match part {
        Part::File { media_type, name, .. } if is_expired(part) => {
            Part::text(file_words(name, media_type, Some(EXPIRED)))
        }
        part => part.clone(),
    });
    *message = Arc::new(Message { parts: parts.collect(), ..Message::clone(message) });
}

/// What a model reads in a file's place, with the reason where there is one to tell.
pub fn file_words(name: &str, media_type: &str, reason: Option<&str>) -> String {
    match reason {
        None => format!("[attached file {name:?}, {media_type}]"),
        Some(reason) => format!("[attached file {name:?}, {media_type}: {reason}]"),
    }
}

/// How far the newest answer's provider knows the messages, where it keeps the answer and they still begin with exactly
/// what it answered.
fn continuation(chat: &Chat, messages: &[Arc<Message>]) -> Option<Continuation> {
    let response = chat.chain.kept()?;
    let is_answer = |message: &Arc<Message>| message.id == response.message_id && message.role == Role::Assistant;
    let answered = messages.iter().rposition(is_answer)?;
    let before = &messages[..answered];
    // An answer behind another one answered words of our own, which were no part of the history.
    let asked = before.last().is_some_and(|message| matches!(message.role, Role::User | Role::Tool));
    // A result that came later than the answer now stands before it, where it did not stand then.
    let unchanged = asked && before.iter().all(|message| message.id <= response.message_id);
    unchanged.then(|| Continuation { response: response.clone(), messages_known: answered + 1 })
}

/// What the model may see: all system messages, and everything after the newest boundary, but of context messages the
/// newest alone.
fn visible(chat: &Chat) -> impl Iterator<Item = &Arc<Message>> {
    let boundary = chat.boundary;
    let pinned = chat.context.as_ref().map(|pinned| pinned.message_id);
    let is_in_force = move |message: &Message| message.origin != Origin::Context || Some(message.id) == pinned;
    chat.history
        .instructions_up_to(boundary)
        .chain(chat.history.after(boundary))
        .filter(move |message| message.for_model() && is_in_force(message))
}

/// The client's tools that are not withheld, then the server's that the chat names; of two with one name the first.
fn tools(chat: &Chat, offer: &Offer) -> Vec<Arc<ToolDefinition>> {
    let named = |tool: &&Arc<ToolDefinition>| match &chat.config.server_tools {
        Some(names) => names.iter().any(|name| *name == tool.name || name == "*"),
        None => true,
    };
    let is_shown = |tool: &&Arc<ToolDefinition>| !offer.withheld.contains(&tool.name);
    let mut tools: Vec<Arc<ToolDefinition>> = chat.config.tools.iter().filter(is_shown).cloned().collect();
    for tool in offer.tools.iter().filter(named) {
        if tools.iter().all(|other| other.name != tool.name) {
            tools.push(tool.clone());
        }
    }
    tools
}

/// A user message of our own beside `neighbour`.
fn words(text: &str, neighbour: Option<&Arc<Message>>, chat: &Chat) -> Arc<Message> {
    let outline = &chat.outline;
    let (id, at) = neighbour.map_or((outline.version, outline.updated_at), |message| (message.id, message.created_at));
    Arc::new(Message::synthetic(id, text, at))
}

#[cfg(test)]
mod tests;
