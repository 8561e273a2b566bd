//! Every metric there is. What is counted anywhere in the program is described here; a test holds the two together.
//!
//! Names end in their unit; durations are in seconds and sizes in bytes, as Prometheus has it. **Invariant:** the values of
//! every label are few and known: ids, models and foreign tools' names are none.

use metrics::Unit;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by these upper bounds.
    Histogram(&'static [f64]),
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// Its unit; `Count` for whatever is counted.
    pub unit: Unit,
    /// What it says.
    pub help: &'static str,
}

/// Durations of what should take milliseconds, in seconds.
const SHORT: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Durations of what models and tools do, in seconds.
const LONG: &[f64] = &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];
/// Durations from microseconds of our own work to minutes of a model's, in seconds.
const WIDE: &[f64] =
    &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];
/// Sizes, in bytes.
const SIZES: &[f64] = &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0];
/// Numbers of things.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, unit: Unit::Count, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], unit: Unit, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, unit, help }
}

const fn seconds(
    name: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [f64],
    help: &'static str,
) -> Metric {
    Metric { name, kind: Kind::Histogram(bounds), labels, unit: Unit::Seconds, help }
}

const fn bytes(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram(SIZES), labels, unit: Unit::Bytes, help }
}

const fn counts(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram(COUNTS), labels, unit: Unit::Count, help }
}

/// The table.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    // Chats and commands.
    gauge("verbatim_chats", &["state"], Unit::Count, "Chats in memory by state, as the architecture's table of states names them; every chat that is under way is in memory."),
    gauge("verbatim_chats_in_memory", &[], Unit::Count, "Chats whose actor is in memory."),
    counter("verbatim_actor_restarts_total", &[], "Actors that died and were rebuilt from the log."),
    counter("verbatim_commands_total", &["command", "result"], "Commands by name and how they ended."),
    gauge("verbatim_commands_under_way", &[], Unit::Count, "Commands that wait for their chat or are being done: the depth of all mailboxes."),
    gauge("verbatim_watchers", &["stream"], Unit::Count, "Open streams by what they show."),
    // Turns.
    counter("verbatim_turns_total", &["outcome"], "Turns that ended, by how."),
    counter("verbatim_turn_failures_total", &["kind"], "Turns that failed, by the kind of the error."),
    seconds("verbatim_turn_duration_seconds", &[], LONG, "From a turn's begin to its end."),
    counts("verbatim_turn_steps", &[], "Steps that a turn committed."),
    gauge("verbatim_turns_at_work", &["kind"], Unit::Count, "Turns that have a place among those that may be at work at once: root or child chats'; 0 where nothing bounds them."),
    gauge("verbatim_turns_waiting", &["kind"], Unit::Count, "Turns that wait for a place."),
    seconds("verbatim_turn_wait_seconds", &[], LONG, "How long turns waited that had to."),
    counter("verbatim_steps_total", &["action"], "Committed steps by what they did."),
    counter("verbatim_attempts_total", &["action", "result"], "Attempts that ended here, by what they did and what came of it."),
    counter("verbatim_attempts_abandoned_total", &[], "Attempts of a server that had stopped while they ran."),
    counter("verbatim_retries_total", &["kind"], "Retries that were scheduled, by the kind of the error."),
    seconds("verbatim_stage_duration_seconds", &["stage"], WIDE, "How long a stage of a turn's work took: prepare, generate, run_tools, append, commit."),
    counter("verbatim_compactions_total", &["result"], "Compactions by what came of them."),
    counter("verbatim_background_words_total", &["purpose", "result"], "Titles and labels that a model was to write by itself, by what came of it."),
    // Models.
    seconds("verbatim_first_part_seconds", &["provider"], LONG, "From the request to a model to the first part of its answer."),
    counter("verbatim_parts_total", &["provider"], "Streamed parts of models' answers."),
    counter("verbatim_tokens_total", &["model", "kind"], "Tokens as providers count them: input, output, cache_read, cache_write."),
    counter("verbatim_cost_micros_total", &["model", "purpose"], "Cost of model calls, in millionths of a US dollar."),
    counter("verbatim_unpriced_steps_total", &["model"], "Model calls whose cost is not known: no price, or no figures."),
    counter("verbatim_provider_responses_total", &["provider", "status"], "Answers of providers by HTTP status; `broken` where there was none."),
    bytes("verbatim_prompt_size_bytes", &[], "Prompts as they are sent."),
    counts("verbatim_prompt_messages", &[], "Messages of a prompt."),
    // Tools.
    counter("verbatim_tool_calls_total", &["tool", "result"], "Answered tool calls; foreign tools are `mcp` or `client`."),
    seconds("verbatim_tool_duration_seconds", &["tool"], LONG, "How long the server's tools ran."),
    bytes("verbatim_tool_result_size_bytes", &["tool"], "Results of tools as JSON."),
    // The log and the part journal.
    counter("verbatim_appends_total", &["result"], "Appends to the log by what came of them."),
    seconds("verbatim_append_duration_seconds", &[], SHORT, "From handing an append to the log to its answer."),
    seconds("verbatim_append_write_seconds", &[], SHORT, "How long the log's writer worked on a batch."),
    counts("verbatim_append_batch_requests", &[], "Appends of a batch."),
    counts("verbatim_append_batch_events", &[], "Events of a batch."),
    counter("verbatim_journal_writes_total", &["result"], "Batches written to the part journal."),
    counter("verbatim_journal_parts_total", &[], "Parts written to the part journal."),
    seconds("verbatim_journal_write_seconds", &[], SHORT, "How long a batch took to be written to the part journal."),
    // Read models.
    gauge("verbatim_projection_lag_events", &[], Unit::Count, "Events of the log that the read models do not show yet."),
    gauge("verbatim_projection_lag_seconds", &[], Unit::Seconds, "The age of the newest event that the read models show, while others wait."),
    seconds("verbatim_projection_apply_duration_seconds", &[], SHORT, "How long a page of events took to be applied."),
    counter("verbatim_projection_events_total", &[], "Events that were applied, by rebuilds too."),
    counter("verbatim_projection_dead_letters_total", &[], "Events that could not be applied; their chats' rows stop before them."),
    counter("verbatim_projection_failures_total", &[], "Steps of the read models that failed."),
    // Webhooks.
    counter("verbatim_webhook_deliveries_total", &["result"], "Attempts to tell a webhook's receiver something, by what became of them: delivered, failed, set_aside."),
    gauge("verbatim_webhooks_failing", &[], Unit::Count, "Webhooks whose receiver takes nothing, or that stand still."),
    // HTTP and the process.
    counter("verbatim_http_requests_total", &["route", "method", "status"], "Requests by route, method and status."),
    seconds("verbatim_http_request_duration_seconds", &["route", "method"], SHORT, "From a request to the beginning of its answer."),
    gauge("verbatim_log_position", &[], Unit::Count, "The log's newest position that this node knows of."),
    gauge("verbatim_build_info", &["version"], Unit::Count, "1, with the program's version."),
];
