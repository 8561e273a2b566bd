//! Request bodies: from bytes to checked values. Bounds are checked here, where they enter; what depends on a chat's state
//! is the core's to judge.

mod budget;
mod fields;
mod inbox;
mod keys;
mod settings;
mod template;
mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;

use verbatim_events::command::{Busy, SubmittedResult};
use verbatim_events::event::{ApprovalDecision, ToolDefinition, ToolPolicy};
use verbatim_events::ids::ChatId;
use verbatim_events::part::Part;

pub use self::budget::BudgetRequest;
pub(crate) use self::fields::NAME_MAX_BYTES;
use self::fields::{content, labels, name, needed_content, parent, system_prompt, title};
pub use self::inbox::{read_mark, read_through};
pub(crate) use self::keys::NAME_MAX_BYTES as KEY_NAME_MAX_BYTES;
pub use self::keys::{check_name, read_new_key};
pub(crate) use self::settings::API_KEY_MAX_BYTES;
pub use self::settings::{ApiKey, ModelRequest, ProviderRequest};
pub use self::template::TemplateRequest;
pub use self::tools::WorkspaceRequest;
pub(crate) use self::tools::{MCP_SERVERS_MAX, SERVER_TOOLS_MAX, TOOL_NAME_MAX_BYTES, TOOL_POLICY_MAX};
use self::tools::{mcp_servers, server_tools, tool_policy, tools, workspace};
use super::reader::{Errors, Null, Object, parse};
use crate::error::Problem;

/// `POST /chats`
#[derive(Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::command::CreateChat`")]
pub struct CreateChatRequest {
    pub content: Vec<Part>,
    pub model: Option<String>,
    pub effort: Option<String>,
    pub title: Option<String>,
    pub system_prompt: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub tools: Vec<Arc<ToolDefinition>>,
    pub server_tools: Option<Vec<String>>,
    pub tool_policy: BTreeMap<String, ToolPolicy>,
    pub mcp_servers: Vec<String>,
    pub plan_mode: bool,
    pub parent: Option<ChatId>,
    pub workspace: Option<WorkspaceRequest>,
}

impl CreateChatRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<CreateChatRequest, Problem> {
        read(body, Null::IsAbsent, |errors, object| CreateChatRequest {
            content: object.take(errors, "content").map(|value| content(errors, value)).unwrap_or_default(),
            model: name(errors, object, "model"),
            effort: name(errors, object, "effort"),
            title: title(errors, object),
            system_prompt: system_prompt(errors, object),
            labels: labels(errors, object).unwrap_or_default(),
            tools: tools(errors, object),
            server_tools: server_tools(errors, object),
            tool_policy: tool_policy(errors, object),
            mcp_servers: mcp_servers(errors, object),
            plan_mode: object.boolean(errors, "plan_mode").unwrap_or(false),
            parent: parent(errors, object),
            workspace: workspace(errors, object),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// `POST /chats/{c}/messages`
#[derive(Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::command::SendMessage`")]
pub struct SendMessageRequest {
    pub content: Vec<Part>,
    pub busy: Busy,
    pub model: Option<String>,
    pub effort: Option<String>,
}

impl SendMessageRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<SendMessageRequest, Problem> {
        let words =
            [("queue", Busy::Queue), ("steer", Busy::Steer), ("interrupt", Busy::Interrupt), ("reject", Busy::Reject)];
        read(body, Null::IsAbsent, |errors, object| SendMessageRequest {
            content: needed_content(errors, object),
            busy: object.word(errors, "busy", &words).unwrap_or_default(),
            model: name(errors, object, "model"),
            effort: name(errors, object, "effort"),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// `POST /chats/{c}/fork`
#[derive(Debug, PartialEq)]
pub struct ForkChatRequest {
    /// The version at which the new chat's history ends.
    pub at: u64,
}

impl ForkChatRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<ForkChatRequest, Problem> {
        read(body, Null::IsAbsent, |errors, object| ForkChatRequest {
            at: object.need_number(errors, "at").unwrap_or_default(),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// `PATCH /chats/{c}/messages/{id}`
#[derive(Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::command::EditMessage`")]
pub struct EditMessageRequest {
    pub content: Vec<Part>,
    pub model: Option<String>,
    pub effort: Option<String>,
}

impl EditMessageRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<EditMessageRequest, Problem> {
        read(body, Null::IsAbsent, |errors, object| EditMessageRequest {
            content: needed_content(errors, object),
            model: name(errors, object, "model"),
            effort: name(errors, object, "effort"),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// `PATCH /chats/{c}`; absent fields stay.
#[derive(Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are those of `verbatim_events::event::SettingsChanged`")]
pub struct PatchChatRequest {
    pub title: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub pinned: Option<bool>,
    pub model: Option<String>,
    pub effort: Option<String>,
    pub plan_mode: Option<bool>,
    pub archived: Option<bool>,
}

impl PatchChatRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<PatchChatRequest, Problem> {
        read(body, Null::IsAnError, |errors, object| PatchChatRequest {
            title: title(errors, object),
            labels: labels(errors, object),
            pinned: object.boolean(errors, "pinned"),
            model: name(errors, object, "model"),
            effort: name(errors, object, "effort"),
            plan_mode: object.boolean(errors, "plan_mode"),
            archived: object.boolean(errors, "archived"),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// `POST /chats/{c}/tool-results`
#[derive(Debug, PartialEq)]
pub struct ToolResultsRequest {
    /// The results; whether they fit the waiting calls is the core's to judge.
    pub results: Vec<SubmittedResult>,
}

impl ToolResultsRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<ToolResultsRequest, Problem> {
        read(body, Null::IsAbsent, |errors, object| ToolResultsRequest {
            // None at all is for the core, too: it names the call that lacks its result.
            results: each(errors, object, "results", 0, |errors, item| {
                let call_id = item.need_string(errors, "call_id");
                let is_error = item.boolean(errors, "is_error").unwrap_or(false);
                // A result of null is a result; a missing one is for the core to refuse with its own code.
                let result = item.take_any("result");
                call_id.map(|call_id| SubmittedResult { call_id, result, is_error })
            }),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// `POST /chats/{c}/approvals`
#[derive(Debug, PartialEq)]
pub struct ApprovalsRequest {
    /// The decisions; whether they fit the waiting calls is the core's to judge.
    pub decisions: Vec<ApprovalDecision>,
}

impl ApprovalsRequest {
    /// Reads and checks the body.
    pub fn read(body: &[u8]) -> Result<ApprovalsRequest, Problem> {
        read(body, Null::IsAbsent, |errors, object| ApprovalsRequest {
            decisions: each(errors, object, "decisions", 1, |errors, item| {
                let call_id = item.need_string(errors, "call_id");
                let approved = item.need_word(errors, "decision", &[("approve", true), ("deny", false)]);
                let reason = item.string(errors, "reason");
                Some(ApprovalDecision { call_id: call_id?, approved: approved?, reason })
            }),
        })
        .and_then(|(request, errors, object)| done(request, errors, object))
    }
}

/// Reads a body that may be empty or an empty object: of commands that need no words.
pub fn read_nothing(body: &[u8]) -> Result<(), Problem> {
    read(body, Null::IsAbsent, |_, _| ()).and_then(|((), errors, object)| done((), errors, object))
}

fn read<T>(
    body: &[u8],
    null: Null,
    members: impl FnOnce(&mut Errors, &mut Object) -> T,
) -> Result<(T, Errors, Object), Problem> {
    let mut errors = Errors::default();
    let Some(mut object) = Object::new(&mut errors, "", parse(body)?, null) else {
        return Err(errors.finish().err().unwrap_or_else(|| Problem::invalid("the body is not an object")));
    };
    let request = members(&mut errors, &mut object);
    Ok((request, errors, object))
}

fn done<T>(request: T, mut errors: Errors, object: Object) -> Result<T, Problem> {
    object.finish(&mut errors);
    errors.finish().map(|()| request)
}

/// A needed array of objects, of at least so many.
fn each<T>(
    errors: &mut Errors,
    object: &mut Object,
    name: &str,
    items_min: usize,
    item: impl Fn(&mut Errors, &mut Object) -> Option<T>,
) -> Vec<T> {
    let pointer = object.pointer(name);
    let Some(values) = object.need_array(errors, name) else { return Vec::new() };
    if values.len() < items_min {
        errors.add(&pointer, "must hold at least one item");
    }
    let mut items = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let Some(mut object) = Object::new(errors, format!("{pointer}/{index}"), value, Null::IsAbsent) else {
            continue;
        };
        items.extend(item(errors, &mut object));
        object.finish(errors);
    }
    items
}

#[cfg(test)]
mod tests;
