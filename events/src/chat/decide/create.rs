//! `CreateChat`: from nothing to a resting chat, or to a running one where something was said.

use super::draft::Draft;
use super::moves::require_content;
use crate::chat::Chat;
use crate::command::{Context, CreateChat};
use crate::event::{ChatCreated, Event, MessageCommitted, TitleSource, TurnReason};
use crate::limits::{FALLBACK_TITLE_MAX_CHARACTERS, FALLBACK_TITLE_WORDS};
use crate::line::one_line;
use crate::message::{Origin, Role};
use crate::part::Part;
use crate::rejection::Rejection;

/// The title of a chat in which nothing was said.
pub(super) const EMPTY_TITLE: &str = "New chat";

pub(super) fn create_chat(
    state: Option<&Chat>,
    create: &CreateChat,
    command: &'static str,
    context: Context<'_>,
) -> Result<Vec<Event>, Rejection> {
    refuse_existing(state)?;
    if !create.content.is_empty() {
        require_content(&create.content)?;
    }
    let (title, title_source) = match &create.title {
        Some(title) => (title.clone(), TitleSource::User),
        None => (fallback_title(&create.content), TitleSource::Fallback),
    };
    let created = ChatCreated {
        owner: create.owner.clone(),
        parent: create.parent,
        root: create.root,
        title,
        title_source,
        model: create.model.clone(),
        effort: create.effort.clone(),
        system_prompt: create.system_prompt.clone(),
        tools: create.tools.clone(),
        server_tools: create.server_tools.clone(),
        mcp_servers: create.mcp_servers.clone(),
        tool_policy: create.tool_policy.clone(),
        labels: create.labels.clone(),
        workspace: create.workspace.clone(),
        plan_mode: create.plan_mode,
        forked_from: None,
    };
    let mut draft = Draft::begin(create.id, Event::ChatCreated(created), command, context)?;
    if !create.content.is_empty() {
        let prompt = MessageCommitted {
            author: Some(create.owner.clone()),
            model: create.model.clone(),
            effort: create.effort.clone(),
            ..MessageCommitted::new(Role::User, create.content.clone(), Origin::User)
        };
        draft.begin_turn(TurnReason::Message, prompt)?;
    }
    Ok(draft.finish())
}

/// Refuses to begin a chat that was begun before.
pub(super) fn refuse_existing(state: Option<&Chat>) -> Result<(), Rejection> {
    match state {
        Some(chat) if chat.outline.erased => Err(Rejection::Erased),
        Some(_) => Err(Rejection::ChatExists),
        None => Ok(()),
    }
}

/// The first words of what is said, on one line.
pub(super) fn fallback_title(content: &[Part]) -> String {
    let texts = content.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        _ => None,
    });
    let words: Vec<&str> = texts.flat_map(str::split_whitespace).take(FALLBACK_TITLE_WORDS).collect();
    let line = one_line(&words.join(" "));
    match line.is_empty() {
        true => EMPTY_TITLE.to_owned(),
        false => line.chars().take(FALLBACK_TITLE_MAX_CHARACTERS).collect::<String>().trim_end().to_owned(),
    }
}
