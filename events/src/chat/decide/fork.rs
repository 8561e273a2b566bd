//! `ForkChat`: from nothing to a resting chat with the history of another one.
//!
//! The messages are copied, so the fork needs the other chat no more: what is edited or erased there stays as it is here.
//! A version amid a compaction's append stands for the one before it. They stand in turns that begin and end with the fork, one from each boundary of the other chat's prompts to the next.

use std::collections::BTreeMap;

use super::create::refuse_existing;
use super::draft::{Decided, Draft};
use crate::chat::Chat;
use crate::chat::calls::Unanswered;
use crate::chat::compaction::is_amid_compaction;
use crate::command::{Context, ForkChat};
use crate::event::{
    ChatCreated, CompactionSource, ContextCleared, Event, ForkOrigin, MessageCommitted, TurnFinished, TurnOutcome,
    TurnReason, TurnStarted,
};
use crate::ids::Version;
use crate::message::{Message, Usage};
use crate::rejection::Rejection;

pub(super) fn fork_chat(
    state: Option<&Chat>,
    fork: &ForkChat,
    command: &'static str,
    context: Context<'_>,
) -> Result<Vec<Event>, Rejection> {
    refuse_existing(state)?;
    let source = &fork.source;
    let outline = &source.outline;
    if outline.erased {
        return Err(Rejection::Erased);
    }
    let config = &source.config;
    let created = ChatCreated {
        owner: outline.owner.clone(),
        parent: None,
        root: fork.id,
        title: outline.title.clone(),
        title_source: outline.title_source,
        model: outline.model.clone(),
        effort: outline.effort.clone(),
        system_prompt: config.system_prompt.clone(),
        tools: config.tools.clone(),
        server_tools: config.server_tools.clone(),
        mcp_servers: config.mcp_servers.clone(),
        tool_policy: config.tool_policy.clone(),
        labels: outline.labels.clone(),
        // Two chats in one workspace would change each other's files.
        workspace: None,
        plan_mode: outline.plan_mode,
        forked_from: Some(ForkOrigin { chat_id: outline.id, version: outline.version, hash: source.head_hash }),
    };
    let mut draft = Draft::begin(fork.id, Event::ChatCreated(created), command, context)?;
    // A boundary whose summary is not there yet would hide what was said and tell nothing of it: it is as if the compaction
    // had not begun.
    let (newest, end) =
        if is_amid_compaction(source) { (None, source.boundary) } else { (Some(source.boundary), Version::MAX) };
    let boundaries = source.earlier_boundaries.iter().map(|boundary| boundary.version).chain(newest);
    let mut messages = source.history.iter().take_while(|message| message.id < end).peekable();
    for boundary in boundaries.filter(|boundary| *boundary > 0) {
        let before = std::iter::from_fn(|| messages.next_if(|message| message.id < boundary));
        copy(&mut draft, before.map(AsRef::as_ref))?;
        draft.push(Event::ContextCleared(ContextCleared { source: CompactionSource::Manual }))?;
    }
    copy(&mut draft, messages.map(AsRef::as_ref))?;
    Ok(draft.finish())
}

/// A turn of these messages; none where there are none. What they cost was paid in the other chat.
fn copy<'a>(draft: &mut Draft<'_>, messages: impl Iterator<Item = &'a Message>) -> Decided {
    let mut messages = messages.peekable();
    if messages.peek().is_none() {
        return Ok(());
    }
    let turn_id = draft.push(Event::TurnStarted(TurnStarted { reason: TurnReason::Fork }))?;
    for message in messages {
        draft.push(Event::MessageCommitted(copied(message)))?;
    }
    // Nobody here runs what was called there.
    draft.answer_open_calls(Unanswered::Abandoned)?;
    draft.push(Event::TurnFinished(TurnFinished {
        turn_id,
        outcome: TurnOutcome::Complete,
        error: None,
        partial: Vec::new(),
        usage: Usage::default(),
        cost_micros: Some(0),
        steps: 0,
        duration_ms: 0,
    }))?;
    Ok(())
}

fn copied(message: &Message) -> MessageCommitted {
    let Message {
        id: _,
        role,
        parts,
        visibility,
        origin,
        author,
        model,
        effort,
        usage,
        finish_reason,
        response_id,
        compressed,
        created_at: _,
        turn_id: _,
        queued_id: _,
        form: _,
    } = message;
    MessageCommitted {
        role: *role,
        parts: parts.clone(),
        visibility: *visibility,
        origin: *origin,
        author: author.clone(),
        queued_id: None,
        model: model.clone(),
        effort: effort.clone(),
        // How large the context was is what says when the next compaction is due.
        usage: *usage,
        cost_micros: None,
        finish_reason: *finish_reason,
        response_id: response_id.clone(),
        attempt_id: None,
        first_part_ms: None,
        refused_calls: BTreeMap::new(),
        compressed: *compressed,
        // They were read in a workspace that the fork does not have.
        context: None,
    }
}
