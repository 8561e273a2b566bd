//! `ChangeSettings`, `Archive` and `Unarchive`: what is so already appends nothing and is no error.

use super::draft::{Decided, Draft};
use crate::chat::{Chat, Outline, Status};
use crate::event::{
    ChatArchived, ChatUnarchived, ContextFreshness, ContextMark, Event, SettingsChanged, TitleChange, TitleSource,
    WorkspaceBinding,
};

pub(super) fn archive(draft: &mut Draft<'_>) -> Decided {
    if draft.chat.outline.archived {
        return Ok(());
    }
    draft.require(&[Status::Waiting, Status::Error])?;
    draft.push(Event::ChatArchived(ChatArchived {}))?;
    Ok(())
}

pub(super) fn unarchive(draft: &mut Draft<'_>) -> Decided {
    if draft.chat.outline.archived {
        draft.push(Event::ChatUnarchived(ChatUnarchived {}))?;
    }
    Ok(())
}

pub(super) fn change_settings(draft: &mut Draft<'_>, patch: &SettingsChanged, archived: Option<bool>) -> Decided {
    let news = news(&draft.chat, patch);
    if !news.is_empty() {
        draft.push(Event::SettingsChanged(news))?;
    }
    match archived {
        Some(true) => archive(draft),
        Some(false) => unarchive(draft),
        None => Ok(()),
    }
}

/// The patch without what is so already.
fn news(chat: &Chat, patch: &SettingsChanged) -> SettingsChanged {
    let outline = &chat.outline;
    let SettingsChanged {
        title,
        labels,
        pinned,
        model,
        effort,
        plan_mode,
        workspace,
        diff_status,
        context,
        status_label,
    } = patch.clone();
    let workspace = workspace.filter(|workspace| Some(workspace) != outline.workspace.as_ref());
    let id_of = |binding: &WorkspaceBinding| binding.id.clone();
    // What was known of another workspace says nothing about this one, and whoever reads the event alone is told so.
    let is_another = workspace.as_ref().is_some_and(|new| new.id != outline.workspace.as_ref().and_then(id_of));
    let diff_status = diff_status.or_else(|| is_another.then_some(None));
    SettingsChanged {
        title: title.filter(|change| is_new_title(outline, change)),
        labels: labels.filter(|labels| *labels != outline.labels),
        pinned: pinned.filter(|pinned| *pinned != outline.pinned),
        model: model.filter(|model| Some(model) != outline.model.as_ref()),
        effort: effort.filter(|effort| Some(effort) != outline.effort.as_ref()),
        plan_mode: plan_mode.filter(|plan_mode| *plan_mode != outline.plan_mode),
        workspace,
        diff_status: diff_status.filter(|found| *found != outline.diff_status || is_another && found.is_some()),
        context: context.filter(|mark| is_new_mark(chat, *mark)),
        // A label is of a turn that is over; a turn that has begun meanwhile will have its own.
        status_label: status_label
            .filter(|label| outline.turn.is_none() && Some(label) != outline.status_label.as_ref()),
    }
}

/// Only what prompts hold now can be out of date, and what is read anew anyway stays so until it has been.
fn is_new_mark(chat: &Chat, mark: ContextMark) -> bool {
    let known = chat.outline.context_freshness;
    chat.context.as_ref().is_some_and(|pinned| pinned.message_id == mark.message_id)
        && known != mark.freshness
        && known != ContextFreshness::Reload
}

/// Gives the chat a title that a model wrote because somebody asked for one, whatever title it has.
pub(super) fn retitle(draft: &mut Draft<'_>, title: &str) -> Decided {
    let outline = &draft.chat.outline;
    if outline.title == title && outline.title_source == TitleSource::Model {
        return Ok(());
    }
    let change = TitleChange { title: title.to_owned(), source: TitleSource::Model };
    draft.push(Event::SettingsChanged(SettingsChanged { title: Some(change), ..SettingsChanged::default() }))?;
    Ok(())
}

/// A model's title counts only until somebody else has written one.
fn is_new_title(outline: &Outline, change: &TitleChange) -> bool {
    match change.source {
        TitleSource::User => change.title != outline.title || outline.title_source != TitleSource::User,
        TitleSource::Model | TitleSource::Fallback => outline.title_source == TitleSource::Fallback,
    }
}
