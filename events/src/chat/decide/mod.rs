//! From a state and a command to events, or to a rejection.
//!
//! **Invariant:** pure. What it returns, `evolve` accepts: every event was tried on a copy of the state.

mod action;
mod attempt;
mod context;
mod create;
mod draft;
mod edit;
mod erase;
mod fork;
mod interrupt;
mod moves;
mod queue;
mod send;
mod settings;
mod step;
mod turn;

use crate::chat::Chat;
use crate::command::{Command, Context};
use crate::event::{ChildSpawned, Event};
use crate::rejection::Rejection;

use draft::Draft;

/// Decides a command. `state` is `None` for a chat that does not exist. An empty list means: it is so already.
///
/// Refusals come in this order: no such chat, erased, archived, the chat's status, then anything finer.
pub fn decide(state: Option<&Chat>, command: &Command, context: Context<'_>) -> Result<Vec<Event>, Rejection> {
    if let Command::CreateChat(create) = command {
        return create::create_chat(state, create, command.name(), context);
    }
    if let Command::ForkChat(fork) = command {
        return fork::fork_chat(state, fork, command.name(), context);
    }
    let chat = state.ok_or(Rejection::ChatNotFound)?;
    if chat.outline.erased {
        return Err(Rejection::Erased);
    }
    if chat.outline.archived && !is_for_archived(command) {
        return Err(Rejection::Archived);
    }
    let mut draft = Draft::new(chat, command, context);
    match command {
        Command::CreateChat(_) | Command::ForkChat(_) => return Err(Rejection::ChatExists),
        Command::SendMessage(send) => send::send_message(&mut draft, send)?,
        Command::EditMessage(edit) => edit::edit_message(&mut draft, edit)?,
        Command::RequestCompaction => context::request_compaction(&mut draft)?,
        Command::ClearContext => context::clear_context(&mut draft)?,
        Command::DeleteQueued { queued_id } => queue::delete_queued(&mut draft, *queued_id)?,
        Command::PromoteQueued { queued_id } => queue::promote_queued(&mut draft, *queued_id)?,
        Command::Interrupt => interrupt::interrupt(&mut draft)?,
        Command::SubmitToolResults { results } => action::submit_tool_results(&mut draft, results)?,
        Command::DecideApprovals { decisions, by } => action::decide_approvals(&mut draft, decisions, by)?,
        Command::ExpireAction => action::expire_action(&mut draft)?,
        Command::Archive => settings::archive(&mut draft)?,
        Command::Unarchive => settings::unarchive(&mut draft)?,
        Command::AwaitCapacity { scope } => attempt::await_capacity(&mut draft, *scope)?,
        Command::RecordAttempt(record) => attempt::record_attempt(&mut draft, record)?,
        Command::StartToolCall { attempt_id, call_id, name, effect_class } => {
            attempt::start_tool_call(&mut draft, *attempt_id, call_id, name, *effect_class)?;
        }
        Command::FinishToolCall { attempt_id, call_id, name, result, is_error, attachments, duration_ms } => {
            let finished = crate::event::ToolCallFinished {
                attempt_id: *attempt_id,
                call_id: call_id.clone(),
                name: name.clone(),
                result: result.clone(),
                is_error: *is_error,
                attachments: attachments.clone(),
                duration_ms: *duration_ms,
            };
            attempt::finish_tool_call(&mut draft, finished)?;
        }
        Command::ScheduleRetry { attempt_id, error, delay_ms, partial, files_refused } => {
            attempt::schedule_retry(&mut draft, *attempt_id, error, *delay_ms, partial, *files_refused)?;
        }
        Command::AbandonAttempt { attempt_id, cause, partial } => {
            attempt::abandon_attempt(&mut draft, *attempt_id, *cause, partial)?;
        }
        Command::CommitStep { attempt_id, step } => step::commit_step(&mut draft, *attempt_id, step)?,
        Command::RequireAction => action::require_action(&mut draft)?,
        Command::FinishTurn { attempt_id, outcome } => {
            turn::finish_turn(&mut draft, *attempt_id, *outcome)?;
        }
        Command::FailTurn { attempt_id, error, partial } => turn::fail_turn(&mut draft, *attempt_id, error, partial)?,
        Command::FinishInterruption { partial } => interrupt::finish_interruption(&mut draft, partial)?,
        Command::ChangeSettings { patch, archived } => settings::change_settings(&mut draft, patch, *archived)?,
        Command::Retitle { title } => settings::retitle(&mut draft, title)?,
        Command::Erase { by, reason } => erase::erase(&mut draft, by, reason.as_deref())?,
        Command::RecordUsage(recorded) => {
            draft.push(Event::UsageRecorded(recorded.clone()))?;
        }
        Command::RecordChild { child, kind } => {
            draft.push(Event::ChildSpawned(ChildSpawned { child: *child, kind: *kind }))?;
        }
    }
    Ok(draft.finish())
}

/// The commands that an archived chat takes.
fn is_for_archived(command: &Command) -> bool {
    matches!(
        command,
        Command::Archive
            | Command::Unarchive
            | Command::ChangeSettings { .. }
            | Command::Retitle { .. }
            | Command::Erase { .. }
            | Command::RecordUsage(_)
    )
}
