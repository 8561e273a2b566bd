//! `CommitStep`: what an attempt achieved enters history, and the steered messages behind it.

use serde_json::json;

use super::draft::{Decided, Draft};
use crate::chat::Status;
use crate::chat::calls::sort_open_calls;
use crate::chat::compaction::unanswered_messages;
use crate::command::{Compacted, Generated, Step};
use crate::event::{AttemptAction, ContextCompacted, ContextSource, Event, MessageCommitted};
use crate::ids::AttemptId;
use crate::message::{Origin, Role, Visibility};
use crate::part::Part;
use crate::rejection::Rejection;

/// The name of the visible mark that a compaction leaves in the conversation.
const SUMMARIZED: &str = "chat_summarized";

pub(super) fn commit_step(draft: &mut Draft<'_>, attempt_id: AttemptId, step: &Step) -> Decided {
    draft.require(&[Status::Running])?;
    draft.fence(attempt_id)?;
    let wanted = match step {
        Step::Generated(_) => AttemptAction::Generate,
        Step::ToolResults { .. } => AttemptAction::RunTools,
        Step::Compacted(_) => AttemptAction::Compact,
        Step::ContextLoaded { .. } => AttemptAction::LoadContext,
    };
    if draft.chat.outline.attempt.as_ref().is_none_or(|attempt| attempt.action != wanted) {
        return mismatch(format!("it is a result of {wanted:?}"));
    }
    match step {
        Step::Generated(generated) => {
            commit_answer(draft, attempt_id, generated)?;
            draft.let_steered_in()
        }
        Step::ToolResults { results } => {
            commit_tool_results(draft, attempt_id, results)?;
            draft.let_steered_in()
        }
        Step::Compacted(compacted) => {
            commit_summary(draft, attempt_id, compacted)?;
            draft.let_steered_in()
        }
        Step::ContextLoaded { files, source } => commit_context(draft, attempt_id, files, source),
    }
}

fn mismatch<T>(problem: impl Into<String>) -> Decided<T> {
    Err(Rejection::StepMismatch { problem: problem.into() })
}

fn commit_answer(draft: &mut Draft<'_>, attempt_id: AttemptId, generated: &Generated) -> Decided {
    if generated.parts.is_empty() {
        return mismatch("the answer is empty");
    }
    let answer = MessageCommitted {
        model: Some(generated.model.clone()),
        usage: generated.usage,
        cost_micros: generated.cost_micros,
        finish_reason: Some(generated.finish_reason),
        response_id: generated.response_id.clone(),
        attempt_id: Some(attempt_id),
        first_part_ms: generated.first_part_ms,
        refused_calls: generated.refused_calls.clone(),
        ..MessageCommitted::new(Role::Assistant, generated.parts.clone(), Origin::Model)
    };
    draft.push(Event::MessageCommitted(answer))?;
    Ok(())
}

/// One message with the results of exactly the calls that the server had to run, in call order, each with the files that
/// came with it.
fn commit_tool_results(draft: &mut Draft<'_>, attempt_id: AttemptId, results: &[Part]) -> Decided {
    let wanted = sort_open_calls(&draft.chat).server;
    let mut parts = Vec::with_capacity(wanted.len());
    for call in &wanted {
        let Some(at) = results.iter().position(|part| part.answered_call_id() == Some(&call.call_id)) else {
            return mismatch(format!("call {:?} has no result", call.call_id));
        };
        parts.push(results[at].clone());
        let files = results[at + 1..].iter().take_while(|part| matches!(part, Part::File { .. }));
        parts.extend(files.cloned());
    }
    if parts.len() != results.len() {
        return mismatch("there are results that no call asked for");
    }
    let answers =
        MessageCommitted { attempt_id: Some(attempt_id), ..MessageCommitted::new(Role::Tool, parts, Origin::Tool) };
    draft.push(Event::MessageCommitted(answers))?;
    Ok(())
}

/// The boundary, the summary for the model, its mark for the user, and word for word what nobody has answered yet.
fn commit_summary(draft: &mut Draft<'_>, attempt_id: AttemptId, compacted: &Compacted) -> Decided {
    if compacted.summary.trim().is_empty() {
        return mismatch("the summary is empty");
    }
    let unanswered = unanswered_messages(&draft.chat);
    let boundary = draft.push(Event::ContextCompacted(ContextCompacted {
        source: compacted.source,
        context_tokens: compacted.context_tokens,
        window_tokens: compacted.window_tokens,
        threshold_percent: compacted.threshold_percent,
    }))?;
    draft.push(Event::MessageCommitted(MessageCommitted {
        visibility: Visibility::Model,
        model: Some(compacted.model.clone()),
        usage: compacted.usage,
        cost_micros: compacted.cost_micros,
        attempt_id: Some(attempt_id),
        compressed: true,
        ..MessageCommitted::new(Role::User, vec![Part::text(&compacted.summary)], Origin::Summary)
    }))?;
    draft.push(Event::MessageCommitted(MessageCommitted {
        visibility: Visibility::User,
        model: Some(compacted.model.clone()),
        compressed: true,
        ..MessageCommitted::new(Role::Assistant, summary_mark(boundary, compacted), Origin::Summary)
    }))?;
    for prompt in unanswered {
        draft.push(Event::MessageCommitted(MessageCommitted {
            visibility: Visibility::Model,
            author: prompt.author.clone(),
            model: prompt.model.clone(),
            effort: prompt.effort.clone(),
            ..MessageCommitted::new(Role::User, prompt.parts.clone(), Origin::User)
        }))?;
    }
    Ok(())
}

/// A call and its result that nobody has to answer: both are marked as the provider's own.
fn summary_mark(boundary: u64, compacted: &Compacted) -> Vec<Part> {
    let call_id = format!("{SUMMARIZED}_{boundary}");
    let args = json!({ "source": compacted.source, "threshold_percent": compacted.threshold_percent });
    let result = json!({
        "summary": compacted.summary,
        "source": compacted.source,
        "threshold_percent": compacted.threshold_percent,
        "context_tokens": compacted.context_tokens,
        "window_tokens": compacted.window_tokens,
    });
    let name = SUMMARIZED.to_owned();
    vec![
        Part::ToolCall { call_id: call_id.clone(), name: name.clone(), args, provider_executed: true, metadata: None },
        Part::ToolResult { call_id, name, result, is_error: false, provider_executed: true, metadata: None },
    ]
}

/// The workspace's files. None still commits a message, or the step would repeat for ever.
fn commit_context(draft: &mut Draft<'_>, attempt_id: AttemptId, files: &[Part], source: &ContextSource) -> Decided {
    if files.iter().any(|part| !matches!(part, Part::ContextFile { .. })) {
        return mismatch("not every part is a context file");
    }
    draft.push(Event::MessageCommitted(MessageCommitted {
        visibility: Visibility::Model,
        attempt_id: Some(attempt_id),
        context: Some(source.clone()),
        ..MessageCommitted::new(Role::User, files.to_vec(), Origin::Context)
    }))?;
    Ok(())
}
