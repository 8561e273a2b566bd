//! What this crate counts. Handles are made once, when a node starts, so that counting costs an atomic operation and
//! nothing is allocated while parts flow.
//!
//! **Invariant:** no label has values without bound: no ids, of models only the configured, and of tools only the server's own have names.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use parking_lot::RwLock;
use serde_json::Value;
use verbatim_events::chat::{Outline, StateName};
use verbatim_events::command::{Command, Step, SubmittedResult};
use verbatim_events::event::{AttemptAction, Event, ToolCallFinished, TurnFinished, TurnOutcome};
use verbatim_events::spending::Spending;

use crate::handle::{Answer, SendError};

/// What separates a server's name from its tool's in the names of foreign tools.
const FOREIGN_TOOL_MARK: &str = "__";
/// What every client's tool is counted as.
const CLIENT_TOOL: &str = "client";
/// What every foreign tool is counted as.
const FOREIGN_TOOL: &str = "mcp";

/// What every model is counted as that is not in the settings.
const UNCONFIGURED_MODEL: &str = "other";
/// What is counted where an event names no model.
const UNKNOWN_MODEL: &str = "unknown";

/// A part of a turn's work whose duration is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// From a chat's state to the exact bytes of a prompt.
    Prepare,
    /// From the request to a model to the end of its answer.
    Generate,
    /// From the first call of a batch to the last one's result.
    RunTools,
    /// From handing events to the log to its answer.
    Append,
    /// From a command to its committed outcome: reading on, deciding, appending, taking over.
    Commit,
}

/// The counters of one name with two labels, each made when it is first needed.
struct Family {
    name: &'static str,
    labels: [&'static str; 2],
    known: RwLock<HashMap<[&'static str; 2], Counter>>,
}

impl Family {
    fn new(name: &'static str, labels: [&'static str; 2]) -> Family {
        Family { name, labels, known: RwLock::default() }
    }

    fn add(&self, values: [&'static str; 2]) {
        if let Some(counter) = self.known.read().get(&values) {
            return counter.increment(1);
        }
        let counter = counter!(self.name, self.labels[0] => values[0], self.labels[1] => values[1]);
        counter.increment(1);
        self.known.write().insert(values, counter);
    }
}

/// The figures of turns at work and of turns that wait for a place.
pub(crate) struct PlaceMetrics {
    held: [Gauge; 2],
    waiting: [Gauge; 2],
    wait: Histogram,
}

impl PlaceMetrics {
    pub(crate) fn new() -> PlaceMetrics {
        let kinds = ["root", "child"];
        PlaceMetrics {
            held: kinds.map(|kind| gauge!("verbatim_turns_at_work", "kind" => kind)),
            waiting: kinds.map(|kind| gauge!("verbatim_turns_waiting", "kind" => kind)),
            wait: histogram!("verbatim_turn_wait_seconds"),
        }
    }

    /// So many have a place and so many wait: root, child.
    pub(crate) fn places(&self, held: [usize; 2], waiting: [usize; 2]) {
        for kind in 0..2 {
            self.held[kind].set(held[kind] as f64);
            self.waiting[kind].set(waiting[kind] as f64);
        }
    }

    /// A turn got its place after so long.
    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.record(wait);
    }
}

/// A node's figures.
pub(crate) struct Metrics {
    chats: [Gauge; StateName::ALL.len()],
    commands: Family,
    attempts: Family,
    stages: [Histogram; 5],
    prompt_bytes: Histogram,
    prompt_messages: Histogram,
    turn_seconds: Histogram,
    turn_steps: Histogram,
    restarts: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let stage = |stage: &'static str| histogram!("verbatim_stage_duration_seconds", "stage" => stage);
        Metrics {
            chats: StateName::ALL.map(|state| gauge!("verbatim_chats", "state" => format!("{state:?}"))),
            commands: Family::new("verbatim_commands_total", ["command", "result"]),
            attempts: Family::new("verbatim_attempts_total", ["action", "result"]),
            stages: ["prepare", "generate", "run_tools", "append", "commit"].map(stage),
            prompt_bytes: histogram!("verbatim_prompt_size_bytes"),
            prompt_messages: histogram!("verbatim_prompt_messages"),
            turn_seconds: histogram!("verbatim_turn_duration_seconds"),
            turn_steps: histogram!("verbatim_turn_steps"),
            restarts: counter!("verbatim_actor_restarts_total"),
        }
    }

    /// A stage that began at `began` is over.
    pub(crate) fn stage(&self, stage: Stage, began: Instant) {
        let index = match stage {
            Stage::Prepare => 0,
            Stage::Generate => 1,
            Stage::RunTools => 2,
            Stage::Append => 3,
            Stage::Commit => 4,
        };
        self.stages[index].record(began.elapsed());
    }

    /// A prompt was made.
    pub(crate) fn prompt(&self, bytes: usize, messages: usize) {
        self.prompt_bytes.record(bytes as f64);
        self.prompt_messages.record(messages as f64);
    }

    /// A command was answered.
    pub(crate) fn command(&self, command: &'static str, answer: &Result<Answer, SendError>) {
        self.commands.add([command, result_name(answer)]);
    }

    /// An actor that died was replaced.
    pub(crate) fn restart(&self) {
        self.restarts.increment(1);
    }

    /// An attempt is over and wants this done; nothing where it was cancelled.
    pub(crate) fn attempt(&self, action: AttemptAction, wants: Option<&Command>) {
        let result = match wants {
            None => "cancelled",
            Some(Command::ScheduleRetry { .. }) => "retried",
            Some(Command::FailTurn { .. }) => "failed",
            Some(Command::FinishTurn { .. }) => "no_output",
            Some(_) => "done",
        };
        self.attempts.add([action_name(action), result]);
        // A compaction that succeeded is counted where it is committed.
        if action == AttemptAction::Compact && result != "done" {
            counter!("verbatim_compactions_total", "result" => result).increment(1);
        }
    }

    /// A model call said something for the first time.
    pub(crate) fn first_part(&self, provider: &str, after: Duration) {
        histogram!("verbatim_first_part_seconds", "provider" => provider.to_owned()).record(after);
    }

    /// A model call is over.
    pub(crate) fn model_call(&self, provider: &str, parts: usize) {
        counter!("verbatim_parts_total", "provider" => provider.to_owned()).increment(parts as u64);
    }

    /// Tokens were spent.
    fn spent(&self, spending: &Spending<'_>) {
        let model = model_label(spending.model);
        let purpose = spending.purpose.name();
        match spending.cost_micros {
            Some(micros) => {
                counter!("verbatim_cost_micros_total", "model" => model.clone(), "purpose" => purpose)
                    .increment(micros);
            }
            None => counter!("verbatim_unpriced_steps_total", "model" => model.clone()).increment(1),
        }
        let usage = spending.usage;
        let kinds = [
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
        ];
        for (kind, tokens) in kinds.into_iter().filter(|(_, tokens)| *tokens > 0) {
            counter!("verbatim_tokens_total", "model" => model.clone(), "kind" => kind).increment(tokens);
        }
    }

    /// A command was committed with these events.
    pub(crate) fn committed<'a>(&self, command: Option<&Command>, events: impl Iterator<Item = &'a Event>) {
        match command {
            Some(Command::CommitStep { step, .. }) => {
                counter!("verbatim_steps_total", "action" => step_name(step)).increment(1);
            }
            Some(Command::SubmitToolResults { results }) => results.iter().for_each(client_result),
            Some(_) | None => {}
        }
        for event in events {
            if let Some(spending) = event.spending() {
                self.spent(&spending);
            }
            match event {
                Event::RetryScheduled(retry) => {
                    counter!("verbatim_retries_total", "kind" => retry.error.kind.name()).increment(1);
                }
                Event::TurnFinished(finished) => self.turn(finished),
                Event::ToolCallFinished(finished) => server_result(finished),
                Event::ContextCompacted(_) => counter!("verbatim_compactions_total", "result" => "done").increment(1),
                Event::AttemptAbandoned(_) => counter!("verbatim_attempts_abandoned_total").increment(1),
                _ => {}
            }
        }
    }

    fn turn(&self, finished: &TurnFinished) {
        let outcome = match finished.outcome {
            TurnOutcome::Complete => "complete",
            TurnOutcome::StopAfterTool => "stop_after_tool",
            TurnOutcome::MaxSteps => "max_steps",
            TurnOutcome::NoOutput => "no_output",
            TurnOutcome::Interrupted => "interrupted",
            TurnOutcome::Failed => "failed",
        };
        counter!("verbatim_turns_total", "outcome" => outcome).increment(1);
        self.turn_seconds.record(Duration::from_millis(finished.duration_ms));
        self.turn_steps.record(finished.steps);
        if let Some(error) = &finished.error {
            counter!("verbatim_turn_failures_total", "kind" => error.kind.name()).increment(1);
        }
    }

    fn chats(&self, state: StateName) -> &Gauge {
        // The names are declared in the order of the list.
        &self.chats[state as usize]
    }
}

/// A chat's share in the gauge of chats by state: moved with the chat's state, taken back when it leaves the memory.
pub(crate) struct Census(Option<StateName>);

impl Census {
    /// A chat whose state is not known yet.
    pub(crate) fn new() -> Census {
        Census(None)
    }

    /// The chat's state is this now; `None` for a chat that does not exist or leaves the memory.
    pub(crate) fn moved(&mut self, metrics: &Metrics, outline: Option<&Outline>) {
        let now = outline.and_then(StateName::of);
        if now == self.0 {
            return;
        }
        if let Some(before) = self.0 {
            metrics.chats(before).decrement(1);
        }
        if let Some(now) = now {
            metrics.chats(now).increment(1);
        }
        self.0 = now;
    }
}

/// How a command ended, in a word.
pub(crate) fn result_name(answer: &Result<Answer, SendError>) -> &'static str {
    match answer {
        Ok(Answer { replayed: true, .. }) => "replayed",
        Ok(_) => "done",
        Err(SendError::Rejected(_)) => "rejected",
        Err(SendError::KeyReused) => "key_reused",
        Err(SendError::FamilyTooLarge { .. }) => "rejected",
        Err(SendError::Busy { .. }) => "busy",
        Err(SendError::LogUnavailable { .. }) => "log_unavailable",
        Err(SendError::Damaged { .. }) => "damaged",
        Err(SendError::Died) => "died",
        Err(SendError::GivenUp) => "given_up",
        Err(SendError::Stopping) => "stopping",
    }
}

/// An action's name, as events have it.
pub(crate) fn action_name(action: AttemptAction) -> &'static str {
    match action {
        AttemptAction::Generate => "generate",
        AttemptAction::RunTools => "run_tools",
        AttemptAction::Compact => "compact",
        AttemptAction::LoadContext => "load_context",
    }
}

fn step_name(step: &Step) -> &'static str {
    action_name(match step {
        Step::Generated(_) => AttemptAction::Generate,
        Step::ToolResults { .. } => AttemptAction::RunTools,
        Step::Compacted(_) => AttemptAction::Compact,
        Step::ContextLoaded { .. } => AttemptAction::LoadContext,
    })
}

/// What a model is counted as. A configured name has no slash; a model that a chat names by its provider's own name
/// (`PROVIDER/MODEL`) is one of any number.
fn model_label(model: Option<&str>) -> String {
    match model {
        Some(name) if !name.contains('/') => name.to_owned(),
        Some(_) => UNCONFIGURED_MODEL.to_owned(),
        None => UNKNOWN_MODEL.to_owned(),
    }
}

/// What a server tool is counted as: an MCP server may bring any number of names.
pub(crate) fn tool_label(name: &str) -> &str {
    if name.contains(FOREIGN_TOOL_MARK) { FOREIGN_TOOL } else { name }
}

fn server_result(finished: &ToolCallFinished) {
    let tool = tool_label(&finished.name).to_owned();
    histogram!("verbatim_tool_duration_seconds", "tool" => tool.clone())
        .record(Duration::from_millis(finished.duration_ms));
    tool_result(tool, &finished.result, finished.is_error);
}

fn client_result(submitted: &SubmittedResult) {
    if let Some(result) = &submitted.result {
        tool_result(CLIENT_TOOL.to_owned(), result, submitted.is_error);
    }
}

fn tool_result(tool: String, result: &Value, is_error: bool) {
    histogram!("verbatim_tool_result_size_bytes", "tool" => tool.clone()).record(json_bytes(result) as f64);
    let result = if is_error { "error" } else { "done" };
    counter!("verbatim_tool_calls_total", "tool" => tool, "result" => result).increment(1);
}

/// The length of a value's JSON, without making it.
fn json_bytes(value: &Value) -> u64 {
    struct Length(u64);
    impl std::io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    // Counting does not fail, and a value always has its JSON.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

#[cfg(test)]
mod tests;
