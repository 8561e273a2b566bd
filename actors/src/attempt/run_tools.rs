//! Answers the calls of one message: at once, each recorded before it runs and when it ends, results in call order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{FutureExt, StreamExt, stream};
use tracing::Instrument as _;
use verbatim_events::chat::{CallRecord, CallToRun};
use verbatim_events::command::{Command, Step};
use verbatim_events::event::{EffectClass, UsageRecorded};
use verbatim_events::part::{LivePart, Part};
use verbatim_events::tool::{CallKey, OutputSink, ToolAnswer, ToolInvocation};
use verbatim_events::tool_result;

use crate::attempt::Scope;
use crate::core::ask;
use crate::handle::SendError;
use crate::metrics::Stage;
use crate::plan::answering_window;
use crate::spans;

/// What the model reads where nobody knows whether a tool did its work.
const OUTCOME_UNKNOWN: &str = "outcome unknown: the server stopped while this ran";

pub(super) async fn run(scope: &Scope, calls: Vec<CallToRun>) -> Option<Command> {
    let began = Instant::now();
    let mut cancelled = scope.cancelled.clone();
    let answers = stream::iter(calls)
        .map(|call| answer(scope, call))
        .buffered(scope.deps.limits.tools_parallel_max.max(1))
        .collect::<Vec<Option<Vec<Part>>>>();
    tokio::select! {
        biased;
        () = async { drop(cancelled.wait_for(Option::is_some).await) } => None,
        answers = answers => {
            scope.deps.metrics.stage(Stage::RunTools, began);
            // A call that was fenced off has no answer; then the whole attempt is void.
            let results = answers.into_iter().collect::<Option<Vec<Vec<Part>>>>()?.concat();
            Some(Command::CommitStep { attempt_id: scope.attempt_id, step: Step::ToolResults { results } })
        }
    }
}

/// A result part, with the files that came with it behind it.
fn result(call: &CallToRun, answer: ToolAnswer) -> Vec<Part> {
    let result = Part::ToolResult {
        call_id: call.call_id.clone(),
        name: call.name.clone(),
        result: answer.result,
        is_error: answer.is_error,
        provider_executed: false,
        metadata: None,
    };
    let files = answer.attachments.into_iter().filter(|part| matches!(part, Part::File { .. }));
    std::iter::once(result).chain(files).collect()
}

/// What answers a call without running it, if anything does.
fn settled(call: &CallToRun) -> Option<ToolAnswer> {
    if let Some(reason) = &call.refused {
        return Some(ToolAnswer::error(reason.clone()));
    }
    match &call.record {
        Some(CallRecord::Finished { result, is_error, attachments }) => {
            let (result, attachments) = (result.clone(), attachments.clone());
            Some(ToolAnswer { result, is_error: *is_error, attachments, spent: None })
        }
        Some(CallRecord::Started { effect_class: EffectClass::AtMostOnce, .. }) => {
            Some(ToolAnswer::error(OUTCOME_UNKNOWN))
        }
        Some(CallRecord::Started { effect_class: EffectClass::Resumable | EffectClass::Idempotent, .. }) | None => None,
    }
}

/// One call's answer; `None` if the attempt is no longer the chat's current one.
async fn answer(scope: &Scope, call: CallToRun) -> Option<Vec<Part>> {
    if let Some(answer) = settled(&call) {
        return Some(result(&call, answer));
    }
    let Some(effect_class) = scope.deps.tools.effect_class(&scope.chat, &call.name) else {
        let why = scope.deps.tools.violation(&scope.chat, &call.name, &call.args);
        let gone = why.unwrap_or_else(|| format!("there is no tool named {:?}", call.name));
        return Some(result(&call, ToolAnswer::error(gone)));
    };
    if call.record.is_none() {
        let started = Command::StartToolCall {
            attempt_id: scope.attempt_id,
            call_id: call.call_id.clone(),
            name: call.name.clone(),
            effect_class,
        };
        recorded(scope, started).await?;
    }
    // What is found again has run since it was started; what runs again runs from now on.
    let found = match call.record {
        Some(CallRecord::Started { effect_class: EffectClass::Resumable, at, .. }) => Some(at),
        _ => None,
    };
    let (reattach, began) = (found.is_some(), found.unwrap_or_else(|| scope.deps.clock.now()));
    let span = spans::tool(scope.chat_id, scope.attempt_id, &call.call_id, &call.name);
    let mut answer = run_one(scope, &call, reattach).instrument(span).await;
    answer.result =
        tool_result::shorten(answer.result, tool_result::budget_bytes(answering_window(&scope.deps, &scope.chat)));
    let duration_ms = u64::try_from((scope.deps.clock.now() - began).num_milliseconds()).unwrap_or(0);
    if let Some(spent) = answer.spent.take() {
        let spent = UsageRecorded { attempt_id: Some(scope.attempt_id), ..*spent };
        recorded(scope, Command::RecordUsage(spent)).await?;
    }
    let finished = Command::FinishToolCall {
        attempt_id: scope.attempt_id,
        call_id: call.call_id.clone(),
        name: call.name.clone(),
        result: answer.result.clone(),
        is_error: answer.is_error,
        attachments: answer.attachments.clone(),
        duration_ms,
    };
    recorded(scope, finished).await?;
    Some(result(&call, answer))
}

async fn run_one(scope: &Scope, call: &CallToRun, reattach: bool) -> ToolAnswer {
    let invocation = ToolInvocation {
        chat: Arc::clone(&scope.chat),
        key: CallKey { chat_id: scope.chat_id, message_id: call.message_id, call_id: call.call_id.clone() },
        attempt_id: scope.attempt_id,
        name: call.name.clone(),
        args: call.args.clone(),
        reattach,
        trace_id: scope.trace_id.clone(),
    };
    let (channel, attempt_id) = (Arc::clone(&scope.channel), scope.attempt_id);
    let (call_id, bytes_max) = (call.call_id.clone(), scope.deps.limits.attempt_bytes_max);
    let output: OutputSink = Box::new(move |output| {
        // Progress is for watchers; a tool that prints more than is shown goes on all the same.
        let _ =
            channel.publish_part(attempt_id, LivePart::ToolOutputDelta { call_id: call_id.clone(), output }, bytes_max);
    });
    let tools = Arc::clone(&scope.deps.tools);
    let work = AssertUnwindSafe(async move { tools.run(invocation, output).await });
    let answer = work.catch_unwind().await.unwrap_or_else(|_| ToolAnswer::error("the tool crashed"));
    if answer.is_error {
        spans::tool_failed();
    }
    answer
}

/// Records a call's start or end, or what was spent, before anything else is done. `None` if the attempt is void. While the log cannot be
/// written it waits: a tool must not run unrecorded, and an answer must not be lost.
pub(super) async fn recorded(scope: &Scope, command: Command) -> Option<()> {
    let mut wait_ms = 100;
    loop {
        let trace_id = scope.trace_id.clone();
        match ask(&scope.tell, scope.chat_id, command.clone(), &scope.deps.node_name, trace_id).await {
            Ok(_) => return Some(()),
            Err(SendError::Busy { .. } | SendError::LogUnavailable { .. }) => {
                scope.deps.clock.sleep_ms(wait_ms).await;
                wait_ms = (wait_ms * 2).min(5_000);
            }
            Err(
                SendError::Rejected(_)
                | SendError::KeyReused
                | SendError::FamilyTooLarge { .. }
                | SendError::Damaged { .. }
                | SendError::Died
                | SendError::GivenUp
                | SendError::Stopping,
            ) => return None,
        }
    }
}
