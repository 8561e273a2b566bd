//! From the frames of a chat's stream to what a person who waits for one turn wants to see. Pure.

use serde_json::Value;

/// What to look for: the user's message, by what the server said when it took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ours {
    /// The first turn of the chat.
    FirstTurn,
    /// The turn that it started.
    Turn(u64),
    /// Its place in the queue.
    Queued(u64),
}

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// More of the answer, not yet final.
    Text(String),
    /// More of the model's reasoning.
    Reasoning(String),
    /// A tool is called.
    ToolCall {
        /// The tool.
        name: String,
    },
    /// More of what a running tool prints.
    ToolOutput(String),
    /// A tool answered.
    ToolResult {
        /// The tool.
        name: String,
        /// What, as text.
        result: String,
        /// The answer is an error.
        is_error: bool,
    },
    /// The text shown since the last answer is void: the attempt that said it failed.
    Void,
    /// An attempt failed; there will be another.
    Retry {
        /// The number of the attempt that failed.
        attempt: u64,
        /// The wait before the next one, in ms.
        delay_ms: u64,
        /// Why it failed.
        error: String,
    },
    /// The final text of a step. `streamed` of its characters were shown already and are the same.
    Answer {
        /// The whole text.
        text: String,
        /// Bytes at its beginning that were shown as `Text`.
        streamed: usize,
    },
    /// The message waits behind a turn that is under way.
    Waits,
    /// The turn is over for whoever waits here.
    End(End),
}

/// How the wait for a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The model was done.
    Complete,
    /// The model was done without a word.
    NoOutput,
    /// Somebody stopped it.
    Interrupted,
    /// It failed.
    Failed {
        /// Why, in a sentence.
        message: String,
    },
    /// It waits for somebody else.
    ActionRequired {
        /// The tools that wait to be run or approved.
        tools: Vec<String>,
    },
    /// The message was taken back: deleted, edited or erased.
    Withdrawn,
}

/// Follows one turn.
#[derive(Debug)]
pub(super) struct Follow {
    ours: Ours,
    /// The turn that is under way, as far as the stream said.
    current: Option<u64>,
    /// What the open attempt said so far.
    streamed: String,
    /// Calls of the open attempt that were shown.
    calls: Vec<String>,
    /// Messages up to here were shown.
    shown: u64,
    said_waits: bool,
}

impl Follow {
    pub(super) fn new(ours: Ours) -> Follow {
        Follow { ours, current: None, streamed: String::new(), calls: Vec::new(), shown: 0, said_waits: false }
    }

    /// What a frame of the stream means.
    pub(super) fn feed(&mut self, event: &str, frame: &Value) -> Vec<Show> {
        let data = &frame["data"];
        match event {
            "part" => self.part(&frame["part"]),
            "snapshot" => self.snapshot(frame),
            "turn_started" => self.turn_started(frame["version"].as_u64()),
            "message_committed" => self.message(data),
            "attempt_recorded" | "attempt_abandoned" => self.void(),
            "retry_scheduled" => self.retry(data),
            "action_required" if self.is_ours() => vec![Show::End(action_required(data))],
            "turn_finished" => self.turn_finished(data),
            "queued_message_deleted" if data["queued_id"].as_u64() == self.queued() => vec![Show::End(End::Withdrawn)],
            "messages_withdrawn" | "chat_erased" if self.is_ours() => vec![Show::End(End::Withdrawn)],
            _ => Vec::new(),
        }
    }

    fn queued(&self) -> Option<u64> {
        match self.ours {
            Ours::Queued(id) => Some(id),
            Ours::FirstTurn | Ours::Turn(_) => None,
        }
    }

    /// Whether the turn under way is the one we wait for.
    fn is_ours(&self) -> bool {
        matches!((self.ours, self.current), (Ours::Turn(ours), Some(current)) if ours == current)
    }

    fn turn_started(&mut self, version: Option<u64>) -> Vec<Show> {
        self.current = version;
        if let (Ours::FirstTurn, Some(turn)) = (self.ours, version) {
            self.ours = Ours::Turn(turn);
        }
        self.streamed.clear();
        self.calls.clear();
        Vec::new()
    }

    fn part(&mut self, part: &Value) -> Vec<Show> {
        if !self.is_ours() {
            return self.waits();
        }
        let text = |name: &str| part[name].as_str().unwrap_or_default().to_owned();
        match part["type"].as_str().unwrap_or_default() {
            "text_delta" | "text" => {
                self.streamed.push_str(&text("text"));
                vec![Show::Text(text("text"))]
            }
            "reasoning_delta" | "reasoning" => vec![Show::Reasoning(text("text"))],
            "tool_args_delta" | "tool_call" => self.call(&text("call_id"), text("name")),
            "tool_output_delta" => vec![Show::ToolOutput(text("output"))],
            _ => Vec::new(),
        }
    }

    fn call(&mut self, call_id: &str, name: String) -> Vec<Show> {
        if self.calls.iter().any(|shown| shown == call_id) {
            return Vec::new();
        }
        self.calls.push(call_id.to_owned());
        vec![Show::ToolCall { name }]
    }

    fn waits(&mut self) -> Vec<Show> {
        if self.queued().is_none() || self.said_waits {
            return Vec::new();
        }
        self.said_waits = true;
        vec![Show::Waits]
    }

    fn message(&mut self, message: &Value) -> Vec<Show> {
        let is_mine = self.queued().is_some() && message["queued_id"].as_u64() == self.queued();
        if let (true, Some(turn)) = (is_mine, message["turn_id"].as_u64().or(self.current)) {
            self.ours = Ours::Turn(turn);
            self.current = Some(turn);
            return Vec::new();
        }
        if !self.is_ours() {
            return Vec::new();
        }
        self.shown = message["id"].as_u64().unwrap_or(self.shown);
        let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        match message["role"].as_str().unwrap_or_default() {
            "assistant" => self.answer(parts),
            "tool" => parts.iter().filter_map(tool_result).collect(),
            _ => Vec::new(),
        }
    }

    /// The model's message is final; what was streamed of it is the beginning of it, or void.
    fn answer(&mut self, parts: &[Value]) -> Vec<Show> {
        let mut shows = Vec::new();
        for part in parts.iter().filter(|part| part["type"] == "tool_call") {
            let call_id = part["call_id"].as_str().unwrap_or_default();
            shows.extend(self.call(call_id, part["name"].as_str().unwrap_or_default().to_owned()));
        }
        let text: String =
            parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect();
        let streamed = if text.starts_with(&self.streamed) { self.streamed.len() } else { 0 };
        if streamed == 0 {
            shows.extend(self.void());
        }
        self.streamed.clear();
        self.calls.clear();
        if !text.is_empty() {
            shows.push(Show::Answer { text, streamed });
        }
        shows
    }

    fn void(&mut self) -> Vec<Show> {
        self.calls.clear();
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
        shows.push(Show::Retry {
            attempt: data["attempt"].as_u64().unwrap_or_default(),
            delay_ms: data["delay_ms"].as_u64().unwrap_or_default(),
            error: error_message(&data["error"]),
        });
        shows
    }

    fn turn_finished(&mut self, data: &Value) -> Vec<Show> {
        let finished = data["turn_id"].as_u64().or(self.current);
        let ours = matches!(self.ours, Ours::Turn(id) if Some(id) == finished);
        self.current = None;
        if !ours {
            return Vec::new();
        }
        let mut shows = self.void();
        shows.push(Show::End(match data["outcome"].as_str().unwrap_or_default() {
            "failed" => End::Failed { message: error_message(&data["error"]) },
            "max_steps" => End::Failed { message: "the turn took too many steps".to_owned() },
            "interrupted" => End::Interrupted,
            "no_output" => End::NoOutput,
            _ => End::Complete,
        }));
        shows
    }

    /// The server could not resume where we were: catches up from its picture of now.
    fn snapshot(&mut self, snapshot: &Value) -> Vec<Show> {
        let chat = &snapshot["chat"];
        let messages = snapshot["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut shows = self.void();
        if let Some(mine) =
            messages.iter().find(|message| self.queued().is_some() && message["queued_id"].as_u64() == self.queued())
            && let Some(turn) = mine["turn_id"].as_u64()
        {
            self.ours = Ours::Turn(turn);
        }
        if let (Ours::FirstTurn, Some(turn)) =
            (self.ours, messages.iter().find_map(|message| message["turn_id"].as_u64()))
        {
            self.ours = Ours::Turn(turn);
        }
        let Ours::Turn(turn) = self.ours else { return shows };
        self.current = Some(turn);
        for message in messages.iter().filter(|message| message["turn_id"].as_u64() == Some(turn)) {
            if message["id"].as_u64().is_some_and(|id| id > self.shown) {
                shows.extend(self.message(message));
            }
        }
        for part in snapshot["parts"].as_array().into_iter().flatten() {
            let piece = if part["part"].is_object() { &part["part"] } else { part };
            shows.extend(self.part(piece));
        }
        match chat["status"].as_str().unwrap_or_default() {
            "waiting" => shows.push(Show::End(End::Complete)),
            "error" => shows.push(Show::End(End::Failed { message: error_message(&chat["last_error"]) })),
            "requires_action" => shows.push(Show::End(action_required(&chat["action"]))),
            _ => {}
        }
        shows
    }
}

fn action_required(action: &Value) -> End {
    let calls = action["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    End::ActionRequired { tools: calls.iter().filter_map(|call| call["name"].as_str()).map(str::to_owned).collect() }
}

fn tool_result(part: &Value) -> Option<Show> {
    if part["type"] != "tool_result" {
        return None;
    }
    let result = match &part["result"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let name = part["name"].as_str().unwrap_or_default().to_owned();
    Some(Show::ToolResult { name, result, is_error: part["is_error"].as_bool().unwrap_or_default() })
}

/// The sentence for a person, with the provider's own words if there are any.
fn error_message(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("no reason was given");
    match error["detail"].as_str() {
        Some(detail) if detail != message => format!("{message} ({detail})"),
        Some(_) | None => message.to_owned(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
