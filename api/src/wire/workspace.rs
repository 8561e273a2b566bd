//! Templates and workspaces.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use verbatim_events::settings::{Entry, Source};
use verbatim_tools::workspace::port::{TemplateDetail, WorkspaceView as Workspace};
use verbatim_tools::workspace::template::{Parameter, TemplateConfig, parameters_of};

use super::Time;
use super::settings::source;

/// A template: `{id, description, provisioner, parameters: [{name, type, description, required, default?, options?}], path?,
/// template?, source, overrides_file}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Template)]
pub struct TemplateView {
    /// Its id: its name in the settings.
    pub id: String,
    /// What it is for.
    pub description: String,
    /// Who makes workspaces of it: `local` or `coder`.
    pub provisioner: &'static str,
    /// What may be said about a workspace of it.
    pub parameters: Vec<ParameterView>,
    /// The directory that is copied; for auditors and administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What the deployment calls it, if not by its id; for auditors and administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Where it comes from: `file` or `api`.
    pub source: &'static str,
    /// It was set over one of the server's file, which counts again when this is deleted.
    pub overrides_file: bool,
}

/// A template's parameter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TemplateParameter)]
pub struct ParameterView {
    /// Its name.
    pub name: String,
    /// What kind of value it takes: `string`, `number`, `bool` or `list`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Value,
    /// What it is for.
    pub description: String,
    /// It must be given.
    pub required: bool,
    /// What it is if it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The values it may have; any where absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub options: Vec<Value>,
}

/// A workspace: `{id, name, status, agent_status, provisioner, template_id?, detail?, chat_id?, created_at?}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspace)]
pub struct WorkspaceView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it is: `building`, `running`, `stopping`, `stopped`, `failed`, `deleted` or `unreachable`.
    #[schema(value_type = String)]
    pub status: Value,
    /// Whether commands can be run in it: `ready`, `not_ready`, `disconnected` or `no_agent`.
    #[schema(value_type = String)]
    pub agent_status: Value,
    /// The template it was made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// Why it is so; for failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The chat that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
}

/// What confines commands on the server's machine: `{in_force, open, shell}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Confinement)]
pub struct ConfinementView {
    /// The layers in force, on one line.
    pub in_force: String,
    /// What they leave open.
    pub open: Vec<String>,
    /// Chats are offered a shell.
    pub shell: bool,
}

/// A provisioner whose workspaces cannot be had now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnavailableProvisioner)]
pub struct UnavailableView {
    /// Its name.
    pub provisioner: &'static str,
    /// Why.
    pub detail: String,
}

/// All workspaces: `{items, next_cursor, unavailable, confinement?}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workspaces)]
pub struct WorkspacesView {
    /// The workspaces; always whole.
    pub items: Vec<WorkspaceView>,
    /// Always null.
    #[schema(value_type = serde_json::Value)]
    pub next_cursor: Option<String>,
    /// Whose workspaces are missing here.
    pub unavailable: Vec<UnavailableView>,
    /// What confines commands; absent where none are ever run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<ConfinementView>,
}

fn word(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

impl TemplateView {
    /// A template in force as it was set, without what its directory or its deployment says of it besides.
    pub fn set(name: &str, entry: &Entry<TemplateConfig>) -> TemplateView {
        let config = &entry.value;
        let detail = TemplateDetail {
            id: name.to_owned(),
            description: config.description.clone().unwrap_or_default(),
            provisioner: config.provisioner,
            // What is set is checked.
            parameters: parameters_of(&config.parameters).unwrap_or_default(),
        };
        TemplateView::of(detail, entry, true)
    }

    /// A template in force; `whole` for those who may see where it lies.
    pub fn of(template: TemplateDetail, entry: &Entry<TemplateConfig>, whole: bool) -> TemplateView {
        let config = Some(&entry.value).filter(|_| whole);
        let parameter = |one: Parameter| ParameterView {
            name: one.name,
            kind: word(one.kind),
            description: one.description,
            required: one.required,
            default: one.default,
            options: one.options,
        };
        TemplateView {
            id: template.id,
            description: template.description,
            provisioner: template.provisioner.name(),
            parameters: template.parameters.into_iter().map(parameter).collect(),
            path: config.and_then(|config| config.path.as_ref()).map(|path| path.to_string_lossy().into_owned()),
            template: config.and_then(|config| config.template.clone()),
            source: source(entry.source),
            overrides_file: entry.source == Source::SetOverFile,
        }
    }
}

impl WorkspaceView {
    /// A workspace.
    pub fn of(workspace: Workspace) -> WorkspaceView {
        WorkspaceView {
            id: workspace.id,
            name: workspace.name,
            status: word(workspace.status),
            agent_status: word(workspace.agent_status),
            template_id: workspace.template_id,
            detail: workspace.detail,
            chat_id: workspace.chat_id.map(|id| id.to_string()),
            created_at: workspace.created_at.map(Time),
        }
    }
}
