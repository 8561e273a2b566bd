//! From the frames of a chat's stream to what a person wants to see of it: of one turn, or of everything. Pure.

use std::collections::BTreeSet;

use serde_json::Value;
use verbatim_events::price::dollars;

use super::phrases;
use super::show::{Action, Decision, End, Show, Waiting};

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// The first turn of the chat.
    FirstTurn,
    /// This turn: the user's message started it.
    Turn(u64),
    /// The turn of a message that waits, by its place in the queue.
    Queued(u64),
    /// All that happens.
    Everything,
}

/// Follows a chat.
#[derive(Debug)]
pub(super) struct Follow {
    ours: Ours,
    /// The turn that is under way, as far as the stream said.
    current: Option<u64>,
    /// What the open attempt said so far.
    streamed: String,
    /// The open attempt writes a summary.
    is_summarising: bool,
    /// Calls that are about to be made, and calls that were shown.
    begun: BTreeSet<String>,
    called: BTreeSet<String>,
    /// Calls whose answers were shown.
    answered: BTreeSet<String>,
    /// Messages up to here were shown.
    shown: u64,
    queue: Vec<Waiting>,
    said_waits: bool,
}

impl Follow {
    pub(super) fn new(ours: Ours) -> Follow {
        Follow {
            ours,
            current: None,
            streamed: String::new(),
            is_summarising: false,
            begun: BTreeSet::new(),
            called: BTreeSet::new(),
            answered: BTreeSet::new(),
            shown: 0,
            queue: Vec::new(),
            said_waits: false,
        }
    }

    /// Follows all that happens from here on.
    pub(super) fn widen(&mut self) {
        self.ours = Ours::Everything;
    }

    /// What a frame of the stream means.
    pub(super) fn feed(&mut self, event: &str, frame: &Value) -> Vec<Show> {
        let data = &frame["data"];
        match event {
            "part" => self.part(&frame["part"]),
            "snapshot" => self.snapshot(frame),
            "turn_started" => self.turn_started(frame["version"].as_u64()),
            "message_committed" => self.message(data),
            "attempt_recorded" => self.asked(data),
            "attempt_abandoned" => self.void(),
            "capacity_awaited" if self.is_ours() => vec![Show::WaitsForCapacity],
            "retry_scheduled" => self.retry(data),
            "tool_call_finished" if self.is_ours() => self.answered(data).into_iter().collect(),
            "action_required" if self.is_ours() => vec![Show::Action(Action::of(data))],
            "approvals_decided" if self.is_ours() => vec![Show::Decided(Decision::all(data))],
            "action_resolved" if self.is_ours() => vec![Show::Resolved],
            "turn_finished" => self.turn_finished(data),
            "messages_withdrawn" | "chat_erased" if self.queued().is_none() && self.is_ours() => self.withdrawn(event),
            "message_queued" => self.enqueued(data),
            "queued_message_deleted" => self.dequeued(data["queued_id"].as_u64(), true),
            "queued_message_promoted" => self.promoted(data),
            _ if self.ours == Ours::Everything => remarks(event, data),
            _ => Vec::new(),
        }
    }

    fn queued(&self) -> Option<u64> {
        match self.ours {
            Ours::Queued(id) => Some(id),
            Ours::FirstTurn | Ours::Turn(_) | Ours::Everything => None,
        }
    }

    /// Whether the turn under way is the one we wait for.
    fn is_ours(&self) -> bool {
        match self.ours {
            Ours::Everything => true,
            Ours::Turn(ours) => self.current == Some(ours),
            Ours::FirstTurn | Ours::Queued(_) => false,
        }
    }

    fn turn_started(&mut self, version: Option<u64>) -> Vec<Show> {
        self.current = version;
        if let (Ours::FirstTurn, Some(turn)) = (self.ours, version) {
            self.ours = Ours::Turn(turn);
        }
        self.streamed.clear();
        self.begun.clear();
        self.called.clear();
        self.answered.clear();
        Vec::new()
    }

    fn asked(&mut self, data: &Value) -> Vec<Show> {
        let mut shows = self.void();
        self.is_summarising = data["action"] == "compact";
        if self.is_ours() {
            shows.push(Show::Asked { action: text(data, "action") });
        }
        shows
    }

    fn part(&mut self, part: &Value) -> Vec<Show> {
        if !self.is_ours() {
            return self.waits();
        }
        // A summary in the making is the model's note to itself, and no answer.
        if self.is_summarising {
            return Vec::new();
        }
        match part["type"].as_str().unwrap_or_default() {
            "text_delta" | "text" => {
                self.streamed.push_str(part["text"].as_str().unwrap_or_default());
                vec![Show::Text(text(part, "text"))]
            }
            "reasoning_delta" | "reasoning" => vec![Show::Reasoning(text(part, "text"))],
            "tool_args_delta" if self.begun.insert(text(part, "call_id")) => {
                vec![Show::Calling { name: text(part, "name") }]
            }
            "tool_call" => self.call(part).into_iter().collect(),
            "tool_result" => self.answered(part).into_iter().collect(),
            "tool_output_delta" => {
                vec![Show::ToolOutput { call_id: text(part, "call_id"), output: text(part, "output") }]
            }
            _ => Vec::new(),
        }
    }

    fn call(&mut self, call: &Value) -> Option<Show> {
        let is_new = self.called.insert(text(call, "call_id"));
        is_new.then(|| Show::ToolCall { name: text(call, "name"), args: call["args"].clone() })
    }

    fn answered(&mut self, result: &Value) -> Option<Show> {
        let call_id = text(result, "call_id");
        let is_new = self.answered.insert(call_id.clone());
        is_new.then(|| Show::ToolResult {
            call_id,
            name: text(result, "name"),
            result: result["result"].clone(),
            is_error: result["is_error"] == true,
        })
    }

    fn waits(&mut self) -> Vec<Show> {
        if self.queued().is_none() || self.said_waits {
            return Vec::new();
        }
        self.said_waits = true;
        vec![Show::Waits]
    }

    fn message(&mut self, message: &Value) -> Vec<Show> {
        let queued_id = message["queued_id"].as_u64();
        let turn = message["turn_id"].as_u64().or(self.current);
        let mut shows = if queued_id.is_some() { self.dequeued(queued_id, false) } else { Vec::new() };
        if let (true, Some(turn)) = (queued_id.is_some() && queued_id == self.queued(), turn) {
            self.ours = Ours::Turn(turn);
            self.current = Some(turn);
        }
        if !self.is_ours() {
            return shows;
        }
        self.is_summarising = false;
        let id = message["id"].as_u64().unwrap_or_default();
        self.shown = self.shown.max(id);
        let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        match message["role"].as_str().unwrap_or_default() {
            // The mark that a summary leaves.
            _ if message["origin"] == "summary" => {}
            "assistant" => shows.extend(self.answer(parts)),
            "tool" => shows.extend(results(parts).filter_map(|result| self.answered(result))),
            "user" if self.ours == Ours::Everything && message["withheld"] != true => {
                shows.push(Show::Said { id, text: words(parts) });
            }
            _ => {}
        }
        shows
    }

    /// The model's message is final; what was streamed of it is the beginning of it, or void.
    fn answer(&mut self, parts: &[Value]) -> Vec<Show> {
        let mut shows = Vec::new();
        let text = words(parts);
        let is_its_beginning = text.starts_with(&self.streamed);
        if !is_its_beginning {
            shows.extend(self.void());
        }
        let streamed = self.streamed.len();
        self.streamed.clear();
        if !text.is_empty() {
            shows.push(Show::Answer { text, streamed });
        }
        shows.extend(parts.iter().filter(|part| part["type"] == "tool_call").filter_map(|call| self.call(call)));
        shows.extend(results(parts).filter_map(|result| self.answered(result)));
        self.begun.clear();
        shows
    }

    fn void(&mut self) -> Vec<Show> {
        self.begun.clear();
        // A call of an attempt that failed is no call; the next attempt's may have the same id.
        self.called.clear();
        if self.streamed.is_empty() {
            return Vec::new();
        }
        self.streamed.clear();
        vec![Show::Void]
    }

    fn retry(&mut self, data: &Value) -> Vec<Show> {
        if !self.is_ours() {
            return Vec::new();
        }
        let mut shows = self.void();
        shows.push(retry(data));
        shows
    }

    fn turn_finished(&mut self, data: &Value) -> Vec<Show> {
        let finished = data["turn_id"].as_u64().or(self.current);
        let is_ours = match self.ours {
            Ours::Turn(id) => Some(id) == finished,
            Ours::Everything => true,
            Ours::FirstTurn | Ours::Queued(_) => false,
        };
        self.current = None;
        if !is_ours {
            return Vec::new();
        }
        let mut shows = self.void();
        if let Some(micros) = data["cost_micros"].as_u64().filter(|micros| *micros > 0) {
            shows.push(Show::Remark(format!("this cost {}", dollars(micros))));
        }
        shows.push(Show::End(match data["outcome"].as_str().unwrap_or_default() {
            "failed" => End::Failed { message: phrases::error(&data["error"]) },
            "max_steps" => End::Failed { message: "the turn took too many steps".to_owned() },
            "interrupted" => End::Interrupted,
            "no_output" => End::NoOutput,
            _ => End::Complete,
        }));
        shows
    }

    fn withdrawn(&mut self, event: &str) -> Vec<Show> {
        if self.ours != Ours::Everything {
            return vec![Show::End(End::Withdrawn)];
        }
        let mut shows = self.void();
        let remark = if event == "chat_erased" { "the chat was erased" } else { "what followed was withdrawn" };
        shows.push(Show::Remark(remark.to_owned()));
        shows
    }

    fn enqueued(&mut self, queued: &Value) -> Vec<Show> {
        self.queue.extend(waiting(queued));
        self.queue_shown()
    }

    /// A message waits no longer. If it was ours and `is_gone` nobody will answer it.
    fn dequeued(&mut self, id: Option<u64>, is_gone: bool) -> Vec<Show> {
        self.queue.retain(|waiting| Some(waiting.id) != id);
        if is_gone && id.is_some() && id == self.queued() {
            return vec![Show::End(End::Withdrawn)];
        }
        self.queue_shown()
    }

    /// A message goes to the head of the queue, or leaves it; in that case the message itself tells.
    fn promoted(&mut self, data: &Value) -> Vec<Show> {
        let id = data["queued_id"].as_u64();
        if let Some(index) = self.queue.iter().position(|waiting| Some(waiting.id) == id) {
            let first = self.queue.remove(index);
            self.queue.insert(0, first);
        }
        self.queue_shown()
    }

    fn queue_shown(&self) -> Vec<Show> {
        if self.ours == Ours::Everything { vec![Show::Queue(self.queue.clone())] } else { Vec::new() }
    }

    /// A picture of now: at the beginning, or because the server could not resume where we were.
    fn snapshot(&mut self, snapshot: &Value) -> Vec<Show> {
        let chat = &snapshot["chat"];
        let messages = snapshot["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut shows = self.void();
        self.find_ours(messages);
        let is_first = self.shown == 0;
        let mut from = 0;
        match self.ours {
            Ours::Everything => {
                self.current = chat["turn_id"].as_u64();
                self.queue = snapshot["queue"].as_array().into_iter().flatten().filter_map(waiting).collect();
                shows.push(Show::Title(text(chat, "title")));
                if is_first {
                    // The last exchange reminds of what it was about.
                    from = messages.iter().rposition(|message| message["role"] == "user").unwrap_or(0);
                    shows.extend(earlier(from));
                }
            }
            Ours::Turn(turn) => self.current = Some(turn),
            Ours::FirstTurn | Ours::Queued(_) => return shows,
        }
        for message in &messages[from..] {
            let is_new = message["id"].as_u64().is_some_and(|id| id > self.shown);
            let of_ours = match self.ours {
                Ours::Turn(turn) => message["turn_id"].as_u64() == Some(turn),
                _ => true,
            };
            if is_new && of_ours {
                shows.extend(self.message(message));
            }
        }
        shows.extend(self.queue_shown());
        if snapshot["attempt"].is_object() {
            shows.extend(self.asked(&snapshot["attempt"]));
        }
        for part in snapshot["parts"].as_array().into_iter().flatten() {
            shows.extend(self.part(&part["part"]));
        }
        shows.extend(self.status(chat, is_first));
        shows
    }

    /// What the chat does at the time of a snapshot.
    fn status(&self, chat: &Value, is_first: bool) -> Option<Show> {
        let is_all = self.ours == Ours::Everything;
        match chat["status"].as_str().unwrap_or_default() {
            "waiting" if is_all && is_first => None,
            "waiting" => Some(Show::End(End::Complete)),
            "error" => Some(Show::End(End::Failed { message: phrases::error(&chat["last_error"]) })),
            "requires_action" => Some(Show::Action(Action::of(&chat["action"]))),
            _ if chat["waiting_for_capacity"] == true => Some(Show::WaitsForCapacity),
            _ if chat["retry"].is_object() => Some(retry(&chat["retry"])),
            _ => None,
        }
    }

    /// Whether our message began its turn while we did not look.
    fn find_ours(&mut self, messages: &[Value]) {
        let mine = match self.ours {
            Ours::Queued(id) => messages.iter().find(|message| message["queued_id"].as_u64() == Some(id)),
            Ours::FirstTurn => messages.iter().find(|message| message["turn_id"].is_u64()),
            Ours::Turn(_) | Ours::Everything => None,
        };
        if let Some(turn) = mine.and_then(|message| message["turn_id"].as_u64()) {
            self.ours = Ours::Turn(turn);
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// The words of a message.
fn words(parts: &[Value]) -> String {
    parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect()
}

fn results(parts: &[Value]) -> impl Iterator<Item = &Value> {
    parts.iter().filter(|part| part["type"] == "tool_result")
}

fn waiting(queued: &Value) -> Option<Waiting> {
    let parts = queued["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(Waiting { id: queued["queued_id"].as_u64()?, text: words(parts), steer: queued["steer"] == true })
}

fn earlier(count: usize) -> Option<Show> {
    (count > 0).then(|| Show::Remark(format!("… {count} messages before")))
}

fn retry(data: &Value) -> Show {
    Show::Retry {
        attempt: data["attempt"].as_u64().unwrap_or_default(),
        delay_ms: data["delay_ms"].as_u64().unwrap_or_default(),
        retry_at: text(data, "retry_at"),
        error: phrases::error(&data["error"]),
    }
}

/// What else happens in a chat.
fn remarks(event: &str, data: &Value) -> Vec<Show> {
    let remark = |text: &str| vec![Show::Remark(text.to_owned())];
    match event {
        "chat_created" => vec![Show::Title(text(data, "title"))],
        "settings_changed" if data["title"].is_string() => vec![Show::Title(text(data, "title"))],
        "settings_changed" if data["model"].is_string() => {
            vec![Show::Remark(format!("{} answers from now on", text(data, "model")))]
        }
        "interrupt_requested" => remark("stopping …"),
        "context_compacted" => remark("what was said is summarised; the model goes on from the summary"),
        "context_cleared" => remark("the model has forgotten what was said; it can still be read here"),
        "chat_archived" => remark("archived"),
        "chat_unarchived" => remark("no longer archived"),
        "child_spawned" => vec![Show::Remark(format!("a chat of its own was begun: {}", text(data, "child")))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
