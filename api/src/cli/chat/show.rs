//! What a person who reads along wants to see of a chat.

use serde_json::Value;

/// Something to show.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Show {
    /// What somebody said is in the history now. Only where a whole chat is followed.
    Said {
        /// The message.
        id: u64,
        /// Its words.
        text: String,
    },
    /// The model is asked.
    Asked {
        /// What for: `generate`, `tools`, `compact`.
        action: String,
    },
    /// More of the answer, not yet final.
    Text(String),
    /// More of the model's reasoning.
    Reasoning(String),
    /// A tool is about to be called: its arguments are still coming.
    Calling {
        /// The tool.
        name: String,
    },
    /// A tool is called.
    ToolCall {
        /// The tool.
        name: String,
        /// Its arguments.
        args: Value,
    },
    /// More of what a running tool prints.
    ToolOutput {
        /// Which call prints it.
        call_id: String,
        /// What.
        output: String,
    },
    /// A tool answered.
    ToolResult {
        /// The call.
        call_id: String,
        /// The tool.
        name: String,
        /// What it answered.
        result: Value,
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
        /// When the next one begins, by the server's clock.
        retry_at: String,
        /// Why it failed.
        error: String,
    },
    /// The final text of a step. `streamed` of its bytes were shown already and are the same.
    Answer {
        /// The whole text.
        text: String,
        /// Bytes at its beginning that were shown as `Text`.
        streamed: usize,
    },
    /// The message waits behind a turn that is under way.
    Waits,
    /// The turn waits until fewer others are at work.
    WaitsForCapacity,
    /// The turn waits for somebody to run tools or to approve calls.
    Action(Action),
    /// Somebody decided on calls.
    Decided(Vec<Decision>),
    /// The turn waits no longer.
    Resolved,
    /// The messages that wait are these now.
    Queue(Vec<Waiting>),
    /// The chat is called this now.
    Title(String),
    /// Something else worth a line.
    Remark(String),
    /// The connection broke and is being made anew.
    Reconnecting,
    /// The turn is over for whoever waits here.
    End(End),
}

/// What a turn waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Action {
    /// The calls, in order.
    pub calls: Vec<OpenCall>,
    /// Until when, by the server's clock.
    pub deadline: String,
}

/// A call that waits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpenCall {
    /// Its id.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub args: Value,
    /// It waits for an approval; otherwise for a client to run it.
    pub needs_approval: bool,
}

impl Action {
    /// The action of an event or of a chat.
    pub(super) fn of(action: &Value) -> Action {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let calls = action["calls"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let calls = calls.map(|call| OpenCall {
            call_id: text(&call["call_id"]),
            name: text(&call["name"]),
            args: call["args"].clone(),
            needs_approval: call["needs"] == "approval",
        });
        Action { calls: calls.collect(), deadline: text(&action["deadline"]) }
    }
}

/// What somebody decided on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The call.
    pub call_id: String,
    /// It may run.
    pub approved: bool,
    /// Why.
    pub reason: Option<String>,
}

impl Decision {
    /// The decisions of an event.
    pub(super) fn all(data: &Value) -> Vec<Decision> {
        let decisions = data["decisions"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let decision = |decision: &Value| {
            let call_id = decision["call_id"].as_str()?.to_owned();
            let reason = decision["reason"].as_str().map(str::to_owned);
            Some(Decision { call_id, approved: decision["decision"] == "approve", reason })
        };
        decisions.filter_map(decision).collect()
    }
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its id.
    pub id: u64,
    /// Its words.
    pub text: String,
    /// It enters at the next step.
    pub steer: bool,
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
    /// The message was taken back: deleted, edited or erased.
    Withdrawn,
}
