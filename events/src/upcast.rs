//! How events written with an old schema number are read: each step raises one event type's JSON by one number, and a
//! step, once released, is never changed. Frozen samples in `golden/` hold every number to it.

use serde_json::Value;

/// Raises the JSON of one event type from one schema number to the next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The event type's stored name.
    pub event_type: &'static str,
    /// The schema number it reads; it yields the next one.
    pub from: u32,
    /// Rewrites the JSON, or says what is wrong with it.
    pub raise: fn(Value) -> Result<Value, String>,
}

/// Every step there is.
pub const STEPS: &[Step] = &[
    // Number 2 may say which calls nobody runs; in number 1 that was found out when they were to run.
    Step { event_type: "message_committed", from: 1, raise: unchanged },
    // Number 3 may say where context files were read; of those of number 2 nobody knows more than their text.
    Step { event_type: "message_committed", from: 2, raise: unchanged },
    // Number 4 may say what the step cost; what the earlier ones cost nobody wrote down.
    Step { event_type: "message_committed", from: 3, raise: unchanged },
    // Number 3 may say how what was spent is shared out; of number 2 the sum is known.
    Step { event_type: "chat_erased", from: 2, raise: unchanged },
    // Number 2 may name the chat that it was forked from.
    Step { event_type: "chat_created", from: 1, raise: unchanged },
    // Number 2 may be a fork's; the reasons of number 1 mean what they meant.
    Step { event_type: "turn_started", from: 1, raise: unchanged },
    // Number 2 may say what the server offered; in number 1 it offered nothing.
    Step { event_type: "attempt_recorded", from: 1, raise: unchanged },
    // Number 2 may carry files beside the result.
    Step { event_type: "tool_call_finished", from: 1, raise: unchanged },
    // The next number of these may say what stands in a file; before, models only learnt its name.
    Step { event_type: "message_committed", from: 4, raise: unchanged },
    Step { event_type: "message_queued", from: 1, raise: unchanged },
    Step { event_type: "tool_call_finished", from: 2, raise: unchanged },
    // Number 3 may say which files went along; before, none did.
    Step { event_type: "attempt_recorded", from: 2, raise: unchanged },
    // Number 4 may say that there is no diff any more, by a `null`, and that figures are not whole.
    Step { event_type: "settings_changed", from: 3, raise: without_null_diff },
    // Number 4 may say which media types the model takes; before, the protocol alone said which.
    Step { event_type: "attempt_recorded", from: 3, raise: unchanged },
    // Number 5 may say which of the client's tools were kept back; before, all were shown.
    Step { event_type: "attempt_recorded", from: 4, raise: unchanged },
    // Number 2 says whether files were refused; in number 1 every error of this kind was taken for that.
    Step { event_type: "retry_scheduled", from: 1, raise: refused_files },
    // Number 3 may say what the last turn did.
    Step { event_type: "settings_changed", from: 2, raise: unchanged },
    // Number 2 may say how context files stand to those of the workspace.
    Step { event_type: "settings_changed", from: 1, raise: unchanged },
    // Number 2 says what stays known of the chat; in number 1 that stood in the events before it.
    Step { event_type: "chat_erased", from: 1, raise: unchanged },
];

/// The next number only adds what may be left out.
pub(crate) fn unchanged(data: Value) -> Result<Value, String> {
    Ok(data)
}

/// What was taken for a refusal of files is one.
fn refused_files(mut data: Value) -> Result<Value, String> {
    let is_refusal = data.pointer("/error/kind").and_then(Value::as_str) == Some("config");
    if let (true, Some(fields)) = (is_refusal, data.as_object_mut()) {
        fields.insert("files_refused".to_owned(), Value::Bool(true));
    }
    Ok(data)
}

/// A `null` meant nothing before it was given a meaning.
fn without_null_diff(mut data: Value) -> Result<Value, String> {
    if let Some(fields) = data.as_object_mut()
        && fields.get("diff_status").is_some_and(Value::is_null)
    {
        fields.remove("diff_status");
    }
    Ok(data)
}

/// Raises `data` of `event_type` from schema number `from` to `to` along `steps`. Fails, naming the number, where a step
/// is missing or refuses.
pub fn raise(steps: &[Step], event_type: &str, from: u32, to: u32, data: Value) -> Result<Value, String> {
    (from..to).try_fold(data, |data, number| {
        let step = steps
            .iter()
            .find(|step| step.event_type == event_type && step.from == number)
            .ok_or_else(|| format!("nothing raises schema {number} of {event_type:?}"))?;
        (step.raise)(data).map_err(|problem| format!("schema {number} of {event_type:?} cannot be raised: {problem}"))
    })
}

#[cfg(test)]
mod tests;
