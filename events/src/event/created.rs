//! What a chat begins with.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ChatId, Digest, Version};

/// A tool that a client runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolDefinition {
    /// Its name, unique within the chat.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// Whether a call needs somebody's consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolPolicy {
    /// It runs.
    Auto,
    /// It waits for an approval.
    Ask,
    /// It is refused.
    Deny,
}

/// A chat's workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceBinding {
    /// The workspace's id; absent until it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The template it is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The template's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::part::given")]
    pub parameters: Option<Value>,
}

/// How a title came to be; a user's own is never overwritten by a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TitleSource {
    /// The first words of the first message.
    Fallback,
    /// A model wrote it.
    Model,
    /// A user wrote it.
    User,
}

/// The chat began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatCreated {
    /// Who owns it.
    pub owner: String,
    /// The chat that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ChatId>,
    /// The root of its family; itself for a root.
    pub root: ChatId,
    /// Its title.
    pub title: String,
    /// Who wrote the title.
    pub title_source: TitleSource,
    /// The model it talks to; the server's default model where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The reasoning effort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Instructions for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Tools that the client runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Arc<ToolDefinition>>,
    /// Names of the server's tools it may use; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_tools: Option<Vec<String>>,
    /// Names of configured MCP servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<String>,
    /// Policy by tool name, or `*`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tool_policy: BTreeMap<String, ToolPolicy>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceBinding>,
    /// Plan mode is on.
    #[serde(default)]
    pub plan_mode: bool,
    /// The chat whose history it begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkOrigin>,
}

impl ChatCreated {
    /// The beginning of a root chat of which nothing was chosen; its title is a fallback.
    pub fn new(owner: impl Into<String>, chat_id: ChatId, title: impl Into<String>) -> ChatCreated {
        ChatCreated {
            owner: owner.into(),
            parent: None,
            root: chat_id,
            title: title.into(),
            title_source: TitleSource::Fallback,
            model: None,
            effort: None,
            system_prompt: None,
            tools: Vec::new(),
            server_tools: None,
            mcp_servers: Vec::new(),
            tool_policy: BTreeMap::new(),
            labels: BTreeMap::new(),
            workspace: None,
            plan_mode: false,
            forked_from: None,
        }
    }
}

/// Where a chat's first messages are from: another chat, as it was after one of its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForkOrigin {
    /// The other chat.
    pub chat_id: ChatId,
    /// Its version then.
    pub version: Version,
    /// The hash of that event: what was copied can be held against it.
    pub hash: Digest,
}
