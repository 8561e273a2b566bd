//! Open calls: calls of the last assistant message that nobody answered. Who must answer them, and what is said where
//! nobody will.

use serde_json::Value;

use crate::chat::tool_rules::{is_exclusive, policy_of};
use crate::chat::{CallRecord, CallToRun, Chat};
use crate::event::{ApprovalDecision, CallNeed, PendingCall, ToolPolicy};
use crate::ids::MessageId;
use crate::message::Role;
use crate::part::Part;

/// What a model reads whose call the chat's policy denies.
pub const DENIED_BY_POLICY: &str = "this chat's tool policy does not allow the call; it was not run";

/// A call that nobody answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenCall<'a> {
    /// The message that holds it.
    pub message_id: MessageId,
    /// The call.
    pub call_id: &'a str,
    /// The tool.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a Value,
}

/// The calls of the last assistant message that no later message answers, in order, each id once. Calls that the provider
/// runs itself are never open.
pub fn open_calls(chat: &Chat) -> Vec<OpenCall<'_>> {
    let mut answered = Vec::new();
    for message in chat.history.iter().rev() {
        if message.role != Role::Assistant {
            answered.extend(message.answered_call_ids());
            continue;
        }
        let mut open: Vec<OpenCall<'_>> = Vec::new();
        for part in &message.parts {
            let Part::ToolCall { call_id, name, args, provider_executed: false, .. } = part else {
                continue;
            };
            if !answered.contains(&call_id.as_str()) && open.iter().all(|other| other.call_id != call_id) {
                open.push(OpenCall { message_id: message.id, call_id, name, args });
            }
        }
        return open;
    }
    Vec::new()
}

/// Open calls by who must answer them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SortedCalls {
    /// The server answers these now.
    pub server: Vec<CallToRun>,
    /// A client must run these, or somebody must approve them.
    pub waiting: Vec<PendingCall>,
}

/// Sorts the open calls by who must answer them.
///
/// A client's calls wait for results; a server's calls under policy `ask` wait for approvals until decided. Refused calls
/// are the server's to answer, whoever would have run them. Where an exclusive tool stands in a larger batch, the whole
/// batch is refused.
pub fn sort_open_calls(chat: &Chat) -> SortedCalls {
    let open = open_calls(chat);
    let is_client = |name: &str| chat.config.tools.iter().any(|tool| tool.name == name);
    let exclusive = match open.len() {
        0 | 1 => None,
        _ => open.iter().find(|call| is_exclusive(call.name) && !is_client(call.name)),
    };
    let mut sorted = SortedCalls::default();
    for call in &open {
        let decision = chat.approvals.get(call.call_id);
        let policy = policy_of(&chat.config.tool_policy, call.name);
        let refused = match exclusive {
            Some(alone) => Some(format!("{} must be called alone; none of these calls was run", alone.name)),
            None => chat.refused_calls.get(call.call_id).cloned().or_else(|| refusal(policy, decision)),
        };
        let needs = match refused {
            Some(_) => None,
            None if is_client(call.name) => Some(CallNeed::Result),
            None if policy == ToolPolicy::Ask && decision.is_none() => Some(CallNeed::Approval),
            None => None,
        };
        match needs {
            Some(needs) => sorted.waiting.push(PendingCall {
                call_id: call.call_id.to_owned(),
                name: call.name.to_owned(),
                args: call.args.clone(),
                needs,
            }),
            None => sorted.server.push(CallToRun {
                message_id: call.message_id,
                call_id: call.call_id.to_owned(),
                name: call.name.to_owned(),
                args: call.args.clone(),
                record: chat.calls.get(call.call_id).cloned(),
                decision: decision.cloned(),
                refused,
            }),
        }
    }
    sorted
}

fn refusal(policy: ToolPolicy, decision: Option<&ApprovalDecision>) -> Option<String> {
    if policy == ToolPolicy::Deny {
        return Some(DENIED_BY_POLICY.to_owned());
    }
    let denied = decision.filter(|decision| !decision.approved)?;
    Some(match denied.reason.as_deref().map(str::trim) {
        None | Some("") => "the call was denied; it was not run".to_owned(),
        Some(reason) => format!("the call was denied; it was not run. The reason given: {reason}"),
    })
}

/// Why the server answers in a tool's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// A user stopped the turn while the call waited.
    Cancelled,
    /// A user stopped the turn while the call ran.
    Interrupted,
    /// A user stopped the turn before the call was begun.
    NotBegun,
    /// The client's deadline passed.
    TimedOut,
    /// The deadline of an approval passed.
    Undecided,
    /// The conversation goes on without it.
    Abandoned,
}

impl Unanswered {
    /// What the model and the user read.
    pub fn text(self) -> &'static str {
        match self {
            Unanswered::Cancelled => "cancelled: the user stopped the turn before this call was answered",
            Unanswered::Interrupted => "interrupted: the user stopped the turn before this call ended",
            Unanswered::NotBegun => "interrupted: the user stopped the turn before this call began; it was not run",
            Unanswered::TimedOut => "timed out: nobody answered this call in time",
            Unanswered::Undecided => "denied: nobody decided on this call in time; it was not run",
            Unanswered::Abandoned => "not answered: the conversation went on without this call's result",
        }
    }
}

/// An error result in a tool's place.
pub fn synthetic_result(call_id: &str, name: &str, why: Unanswered) -> Part {
    Part::ToolResult {
        call_id: call_id.to_owned(),
        name: name.to_owned(),
        result: Value::String(why.text().to_owned()),
        is_error: true,
        provider_executed: false,
        metadata: None,
    }
}

/// Answers for every open call, in order: the real result where the log holds one, else a synthetic error. The flag says
/// whether any of them is synthetic.
pub fn answers(chat: &Chat, why: Unanswered) -> (Vec<Part>, bool) {
    let mut any_synthetic = false;
    let mut answer = |call: OpenCall<'_>| match chat.calls.get(call.call_id) {
        Some(CallRecord::Finished { result, is_error, attachments }) => {
            let result = Part::ToolResult {
                call_id: call.call_id.to_owned(),
                name: call.name.to_owned(),
                result: result.clone(),
                is_error: *is_error,
                provider_executed: false,
                metadata: None,
            };
            [vec![result], attachments.clone()].concat()
        }
        record @ (Some(CallRecord::Started { .. }) | None) => {
            any_synthetic = true;
            // What runs is in the log as started before it does.
            let why = if record.is_none() && why == Unanswered::Interrupted { Unanswered::NotBegun } else { why };
            vec![synthetic_result(call.call_id, call.name, why)]
        }
    };
    let parts = open_calls(chat).into_iter().flat_map(&mut answer).collect();
    (parts, any_synthetic)
}
