//! The spans of this crate: one per command, one per attempt, one per tool call. Model and tool spans carry the names of
//! OpenTelemetry's conventions for generative AI beside our own.
//!
//! They are made at level debug: without somebody who wants them they cost a look at a flag. **Invariant:** no field holds
//! what anybody said, a tool's arguments or a key.

use tracing::Span;
use tracing::field::Empty;
use verbatim_events::command::{Command, Step};
use verbatim_events::event::AttemptAction;
use verbatim_events::ids::{AttemptId, ChatId, TurnId};
use verbatim_events::message::{FinishReason, Usage};

use crate::handle::{Answer, Meta, SendError};
use crate::metrics::{action_name, result_name};
use crate::plan::{ModelCall, Prepared, Work};

/// The span of a command, below the current one.
pub(crate) fn command(chat_id: ChatId, command: &Command, meta: &Meta) -> Span {
    tracing::debug_span!(
        "command",
        otel.name = command.name(),
        chat.id = %chat_id,
        command.name = command.name(),
        command.id = %meta.command_id,
        command.result = Empty,
        turn.id = Empty,
        otel.status_code = Empty,
    )
}

/// Notes in the current span how its command ended.
pub(crate) fn answered(answer: &Result<Answer, SendError>) {
    let span = Span::current();
    span.record("command.result", result_name(answer));
    match answer {
        Ok(Answer { outcome, .. }) => {
            if let Some(turn_id) = outcome.turn_id {
                span.record("turn.id", turn_id);
            }
        }
        // A refusal is an answer, and no fault of the server's.
        Err(SendError::Rejected(_)) => {}
        Err(_) => {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// The span of an attempt.
pub(crate) fn attempt(parent: &Span, chat_id: ChatId, turn_id: Option<TurnId>, prepared: &Prepared) -> Span {
    let Prepared { attempt_id, tries, work } = prepared;
    match work {
        Work::Generate(call) => model_call(parent, chat_id, turn_id, prepared, call),
        Work::Compact(summary) => model_call(parent, chat_id, turn_id, prepared, &summary.call),
        Work::RunTools(calls) => tracing::debug_span!(
            parent: parent,
            "attempt",
            otel.name = action_name(AttemptAction::RunTools),
            chat.id = %chat_id,
            turn.id = turn_id,
            attempt.id = *attempt_id,
            attempt.tries = *tries,
            attempt.action = action_name(AttemptAction::RunTools),
            attempt.result = Empty,
            calls = calls.len() as u64,
            error.r#type = Empty,
            otel.status_code = Empty,
        ),
        Work::LoadContext => tracing::debug_span!(
            parent: parent,
            "attempt",
            otel.name = action_name(AttemptAction::LoadContext),
            chat.id = %chat_id,
            turn.id = turn_id,
            attempt.id = *attempt_id,
            attempt.tries = *tries,
            attempt.action = action_name(AttemptAction::LoadContext),
            attempt.result = Empty,
            error.r#type = Empty,
            otel.status_code = Empty,
        ),
    }
}

/// The span of an attempt that calls a model.
fn model_call(parent: &Span, chat_id: ChatId, turn_id: Option<TurnId>, prepared: &Prepared, call: &ModelCall) -> Span {
    let (settings, recipe) = (&call.model.settings, &call.request.recipe);
    tracing::debug_span!(
        parent: parent,
        "attempt",
        otel.name = format!("chat {}", settings.provider_model),
        otel.kind = "client",
        chat.id = %chat_id,
        turn.id = turn_id,
        attempt.id = prepared.attempt_id,
        attempt.tries = prepared.tries,
        attempt.action = action_name(prepared.work.action()),
        attempt.result = Empty,
        model = settings.name,
        provider = settings.provider,
        prompt.size_bytes = call.request.body.len() as u64,
        first_part_ms = Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = genai_provider(&recipe.protocol),
        gen_ai.request.model = settings.provider_model,
        gen_ai.request.max_tokens = recipe.max_output_tokens,
        gen_ai.conversation.id = %chat_id,
        gen_ai.response.id = Empty,
        gen_ai.response.finish_reasons = Empty,
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        error.r#type = Empty,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    )
}

/// Notes in the current span what its attempt wants done; nothing where it was cancelled.
pub(crate) fn attempted(wants: Option<&Command>) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("attempt.result", wants.map_or("cancelled", Command::name));
    match wants {
        Some(Command::CommitStep { step: Step::Generated(answer), .. }) => {
            finished(&span, answer.finish_reason, answer.usage.as_ref());
            if let Some(id) = &answer.response_id {
                span.record("gen_ai.response.id", id);
            }
            if let Some(first_part_ms) = answer.first_part_ms {
                span.record("first_part_ms", first_part_ms);
            }
        }
        Some(Command::CommitStep { step: Step::Compacted(summary), .. }) => {
            finished(&span, FinishReason::Stop, summary.usage.as_ref());
        }
        Some(Command::FinishTurn { .. }) => finished(&span, FinishReason::Stop, None),
        Some(Command::ScheduleRetry { error, .. } | Command::FailTurn { error, .. }) => {
            span.record("error.type", error.kind.name());
            span.record("otel.status_code", "ERROR");
            if let Some(status) = error.status_code {
                span.record("http.response.status_code", status);
            }
        }
        Some(_) | None => {}
    }
}

fn finished(span: &Span, reason: FinishReason, usage: Option<&Usage>) {
    span.record("gen_ai.response.finish_reasons", reason_name(reason));
    if let Some(usage) = usage {
        // The convention counts the whole prompt, cached or not.
        span.record("gen_ai.usage.input_tokens", usage.context_tokens());
        span.record("gen_ai.usage.output_tokens", usage.output_tokens);
    }
}

/// The span of a call to a server tool, below the current one.
pub(crate) fn tool(chat_id: ChatId, attempt_id: AttemptId, call_id: &str, name: &str) -> Span {
    tracing::debug_span!(
        "tool",
        otel.name = format!("execute_tool {name}"),
        chat.id = %chat_id,
        attempt.id = attempt_id,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        gen_ai.tool.call.id = call_id,
        gen_ai.tool.r#type = "function",
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}

/// Notes in the current span that its tool answered with an error.
pub(crate) fn tool_failed() {
    let span = Span::current();
    span.record("error.type", "tool_error");
    span.record("otel.status_code", "ERROR");
}

/// Who speaks a protocol, by the names that the convention knows.
fn genai_provider(protocol: &str) -> &str {
    if protocol.starts_with("openai") { "openai" } else { protocol }
}

fn reason_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Interrupted => "interrupted",
        FinishReason::Unknown => "unknown",
    }
}
