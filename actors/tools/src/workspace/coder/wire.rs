//! What a Coder deployment's interface says, as far as it matters here. Fields that are missing are empty.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::port::{AgentStatus, WorkspaceStatus};
use super::super::template::{Parameter, ParameterType};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub id: String,
    pub name: String,
    pub description: String,
    pub active_version_id: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RichParameter {
    pub name: String,
    pub description: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub default_value: String,
    pub required: bool,
    pub ephemeral: bool,
    pub options: Option<Vec<ParameterOption>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ParameterOption {
    pub value: String,
}

impl RichParameter {
    /// The parameter as the model sees it. A default that does not fit its own type is none.
    pub fn told(self) -> Parameter {
        let kind = match self.kind.as_str() {
            "number" => ParameterType::Number,
            "bool" => ParameterType::Bool,
            "list(string)" => ParameterType::List,
            _ => ParameterType::String,
        };
        let typed = |text: &str| match kind {
            ParameterType::String => Some(Value::String(text.to_owned())),
            ParameterType::Number | ParameterType::Bool | ParameterType::List => serde_json::from_str(text).ok(),
        };
        let default = if self.required { None } else { typed(&self.default_value) };
        Parameter {
            options: self.options.unwrap_or_default().iter().filter_map(|option| typed(&option.value)).collect(),
            name: self.name,
            kind,
            description: self.description,
            required: self.required,
            default,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workspace {
    pub id: String,
    pub name: String,
    pub owner_name: String,
    pub template_id: String,
    pub template_name: String,
    pub created_at: Option<DateTime<Utc>>,
    pub latest_build: Build,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workspaces {
    pub workspaces: Vec<Workspace>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Build {
    pub status: String,
    pub job: Job,
    pub resources: Vec<Resource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    pub agents: Option<Vec<Agent>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub name: String,
    pub status: String,
    pub lifecycle_state: String,
    pub expanded_directory: String,
}

impl Workspace {
    pub fn status(&self) -> WorkspaceStatus {
        match self.latest_build.status.as_str() {
            "running" => WorkspaceStatus::Running,
            "stopping" | "canceling" => WorkspaceStatus::Stopping,
            "stopped" => WorkspaceStatus::Stopped,
            "failed" | "canceled" => WorkspaceStatus::Failed,
            "deleting" | "deleted" => WorkspaceStatus::Deleted,
            // `pending` and `starting`; what is new and unknown is waited for as well, within the usual bound.
            _ => WorkspaceStatus::Building,
        }
    }

    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.latest_build.resources.iter().flat_map(|resource| resource.agents.iter().flatten())
    }

    /// The agent that commands go to: the first.
    pub fn agent_status(&self) -> AgentStatus {
        let Some(agent) = self.agents().next() else {
            return if self.status() == WorkspaceStatus::Running {
                AgentStatus::NoAgent
            } else {
                AgentStatus::NotReady
            };
        };
        match (agent.status.as_str(), agent.lifecycle_state.as_str()) {
            // A start script that failed or takes too long leaves an agent that works.
            ("connected", "ready" | "start_error" | "start_timeout" | "") => AgentStatus::Ready,
            ("disconnected" | "timeout", _) => AgentStatus::Disconnected,
            _ => AgentStatus::NotReady,
        }
    }

    /// How the command line names it.
    pub fn target(&self) -> String {
        let whole = format!("{}/{}", self.owner_name, self.name);
        match self.agents().next() {
            Some(agent) if self.agents().count() > 1 => format!("{whole}.{}", agent.name),
            Some(_) | None => whole,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct CreateWorkspace<'a> {
    pub name: &'a str,
    pub template_id: &'a str,
    pub rich_parameter_values: Vec<ParameterValue>,
}

#[derive(Debug, Serialize)]
pub(super) struct ParameterValue {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Serialize)]
pub(super) struct CreateBuild {
    pub transition: &'static str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub message: String,
    pub detail: String,
    pub validations: Option<Vec<Validation>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Validation {
    pub field: String,
    pub detail: String,
}

impl Refusal {
    /// What is wrong, on one line.
    pub fn words(&self) -> String {
        let mut words = self.message.clone();
        if !self.detail.is_empty() {
            words = format!("{words} {}", self.detail);
        }
        for validation in self.validations.iter().flatten() {
            words = format!("{words} {}: {}", validation.field, validation.detail);
        }
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
