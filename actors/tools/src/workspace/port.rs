//! The provisioner's port: what makes workspaces and says how they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use verbatim_events::ids::ChatId;
use verbatim_events::log::BoxFuture;
pub use verbatim_events::template::ProvisionerKind;

use super::template::{Parameter, TemplateConfig};
use crate::files::Files;

/// How a workspace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceStatus {
    /// It is being made or started.
    Building,
    /// It can be worked in.
    Running,
    /// It is being stopped.
    Stopping,
    /// It rests; its files are kept.
    Stopped,
    /// Its last build failed.
    Failed,
    /// There is no such workspace, or there will soon be none.
    Deleted,
    /// It should run and cannot be reached.
    Unreachable,
}

/// Whether commands can be run in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// They can.
    Ready,
    /// Not yet.
    NotReady,
    /// Not any more: the agent was there and is gone.
    Disconnected,
    /// Never: this workspace has no agent.
    NoAgent,
}

/// A workspace as it is now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkspaceView {
    /// Its id: the provisioner's name, a dash, and what the provisioner calls it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The template it was made from, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// How it is.
    pub status: WorkspaceStatus,
    /// Why it is so; for failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its agent.
    pub agent_status: AgentStatus,
    /// The chat that it was made for, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
}

impl WorkspaceView {
    /// A workspace that is not there, or of which nobody knows any more.
    pub fn gone(id: &str) -> WorkspaceView {
        WorkspaceView {
            id: id.to_owned(),
            name: String::new(),
            template_id: None,
            status: WorkspaceStatus::Deleted,
            detail: None,
            agent_status: AgentStatus::NoAgent,
            chat_id: None,
            created_at: None,
        }
    }
}

/// A template as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TemplateDetail {
    /// Its id: its name in the settings.
    pub id: String,
    /// What it is for.
    pub description: String,
    /// Who makes workspaces of it.
    pub provisioner: ProvisionerKind,
    /// What may be said about a workspace of it.
    pub parameters: Vec<Parameter>,
}

/// A workspace that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewWorkspace {
    /// Names the wish: the same for the same call, before and after a crash. Hexadecimal digits.
    pub key: String,
    /// The chat it is for.
    pub chat_id: ChatId,
    /// The template's id.
    pub template_id: String,
    /// The template.
    pub template: TemplateConfig,
    /// The workspace's name.
    pub name: String,
    /// The parameters, complete.
    pub parameters: BTreeMap<String, Value>,
    /// When it is wanted.
    pub now: DateTime<Utc>,
}

/// What a look for a wanted workspace found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Nothing: it can be made.
    Free,
    /// It was made already, for this very wish.
    Ours(Box<WorkspaceView>),
    /// Its name belongs to another.
    Taken,
}

/// Why a provisioner did not do what it was asked. Its words are for the model: no address, no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// The name belongs to another workspace.
    #[error("the name is taken")]
    NameTaken,
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The platform refuses.
    #[error("{0}")]
    Refused(String),
    /// The platform cannot be had now.
    #[error("{0}")]
    Unavailable(String),
}

/// How a command is run in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandPlan {
    /// Here, confined to a directory.
    Confined {
        /// The workspace's own directory.
        root: PathBuf,
        /// Where its temporary files go.
        scratch: PathBuf,
    },
    /// Through a program that reaches the workspace.
    Through {
        /// The program and its arguments; the command is the last.
        arguments: Vec<String>,
        /// Variables that it needs, secrets among them.
        environment: BTreeMap<String, String>,
    },
}

/// Makes workspaces and looks after them.
pub trait Provisioner: Send + Sync {
    /// A template, with its description and parameters.
    fn template<'a>(
        &'a self,
        id: &'a str,
        template: &'a TemplateConfig,
    ) -> BoxFuture<'a, Result<TemplateDetail, ProvisionError>>;

    /// Whether a wish is found again by its key alone. Where it is not, the wish's name is recorded before it is made.
    fn finds_by_key(&self) -> bool;

    /// Looks for what a wish was made into. `intended`: the log says that this wish was about to be made under this name.
    fn find<'a>(&'a self, wanted: &'a NewWorkspace, intended: bool) -> BoxFuture<'a, Result<Found, ProvisionError>>;

    /// Begins to make a workspace. It need not be built when this returns.
    fn begin<'a>(&'a self, wanted: &'a NewWorkspace) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>>;

    /// How a workspace is; `Deleted` where there is none.
    fn look<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>>;

    /// Waits until nothing is being built any more, in bounded time: what comes back may still be `Building`.
    fn settle<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>>;

    /// Waits for the agent, in bounded time.
    fn agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<AgentStatus, ProvisionError>>;

    /// Begins to start what is stopped or failed.
    fn start<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Begins to stop what runs.
    fn stop<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// Begins to take a workspace away, with all that is in it.
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>>;

    /// All workspaces.
    fn list(&self) -> BoxFuture<'_, Result<Vec<WorkspaceView>, ProvisionError>>;

    /// The files of a workspace that runs.
    fn files<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Arc<dyn Files>, ProvisionError>>;

    /// How a shell's command line is run in a workspace that runs.
    fn command<'a>(
        &'a self,
        id: &'a str,
        line: &'a str,
        workdir: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CommandPlan, ProvisionError>>;
}
