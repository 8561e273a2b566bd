//! Workspaces of a Coder deployment: made, started and stopped over its interface, worked in through its command line.

mod api;
mod remote;
mod scripts;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use verbatim_events::log::BoxFuture;

use self::api::{Api, ApiError};
use self::remote::{RemoteFiles, Ssh};
use self::wire::{CreateBuild, CreateWorkspace, ParameterValue, RichParameter, Template, Workspace};
use super::pause::Pause;
use super::port::{
    AgentStatus, CommandPlan, Found, NewWorkspace, ProvisionError, Provisioner, ProvisionerKind, TemplateDetail,
    WorkspaceStatus, WorkspaceView,
};
use super::settings::CoderConfig;
use super::template::{TemplateConfig, as_text};
use crate::files::Files;

/// Between two looks at a build, in ms.
const BUILD_POLL_MS: u64 = 2_000;
/// How long a build is waited for, in ms.
const BUILD_MAX_MS: u64 = 10 * 60 * 1_000;
/// Looks in a row that may fail before the deployment counts as gone.
const LOOKS_FAILED_MAX: u32 = 15;
/// How long an agent is waited for, in ms.
const AGENT_MAX_MS: u64 = 2 * 60 * 1_000;
/// Between two looks at an agent, in ms.
const AGENT_POLL_MS: u64 = 2_000;
/// How often a question is asked that has no other bound.
const TRIES: u32 = 3;
/// How long the list of templates is remembered, in ms.
const TEMPLATES_FRESH_MS: u64 = 10_000;
/// Workspaces that are listed at once, and at most.
const PAGE: usize = 100;
const LISTED_MAX: usize = 1_000;

/// How long single questions may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoderTimeouts {
    /// An ordinary one, in ms.
    pub request_ms: u64,
    /// One about an agent, in ms.
    pub agent_try_ms: u64,
}

impl Default for CoderTimeouts {
    fn default() -> CoderTimeouts {
        CoderTimeouts { request_ms: 30_000, agent_try_ms: 5_000 }
    }
}

/// A deployment's templates, and when they were read.
type KnownTemplates = Option<(u64, Arc<Vec<Template>>)>;

/// Makes workspaces in a Coder deployment.
pub struct CoderProvisioner {
    api: Api,
    program: PathBuf,
    pause: Arc<dyn Pause>,
    timeouts: CoderTimeouts,
    templates: Mutex<KnownTemplates>,
}

impl CoderProvisioner {
    /// The deployment of these settings, for the user of this token; in words, why it cannot be used.
    pub fn new(
        config: &CoderConfig,
        token: &str,
        pause: Arc<dyn Pause>,
        timeouts: CoderTimeouts,
    ) -> Result<CoderProvisioner, String> {
        let api = Api::new(&config.url, token)?;
        Ok(CoderProvisioner { api, program: config.program.clone(), pause, timeouts, templates: Mutex::default() })
    }

    /// Asks, and asks again what was not answered.
    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let mut tries = 1;
        loop {
            match self.api.get(path, self.timeouts.request_ms).await {
                Err(ApiError::Unavailable(_)) if tries < TRIES => tries += 1,
                answer => return answer,
            }
            self.pause.sleep_ms(BUILD_POLL_MS).await;
        }
    }

    async fn workspace(&self, id: &str) -> Result<Workspace, ApiError> {
        self.get(&path_of(id)?).await
    }

    /// The deployment's template behind one of ours.
    async fn template_behind(&self, id: &str, template: &TemplateConfig) -> Result<Template, ProvisionError> {
        let now_ms = self.pause.elapsed_ms();
        let known = self.templates.lock().clone().filter(|(read_ms, _)| now_ms < read_ms + TEMPLATES_FRESH_MS);
        let templates = match known {
            Some((_, templates)) => templates,
            None => {
                let read: Vec<Template> = self.get("templates").await?;
                let read = Arc::new(read);
                *self.templates.lock() = Some((now_ms, Arc::clone(&read)));
                read
            }
        };
        let wanted = template.template.as_deref().unwrap_or(id);
        let found = templates.iter().find(|one| one.id == wanted || one.name == wanted);
        let missing = || ProvisionError::NotFound(format!("the workspace platform has no template {wanted:?}"));
        found.cloned().ok_or_else(missing)
    }

    async fn named(&self, name: &str) -> Result<Option<Workspace>, ApiError> {
        match self.get(&format!("users/me/workspace/{name}")).await {
            Ok(workspace) => Ok(Some(workspace)),
            Err(ApiError::Gone(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts a build. One that is under way already is waited for by whoever looks next.
    async fn transition(&self, id: &str, transition: &'static str) -> Result<(), ProvisionError> {
        let path = format!("{}/builds", path_of(id)?);
        let mut tries = 1;
        loop {
            let built =
                self.api.post::<wire::Build>(&path, &CreateBuild { transition }, self.timeouts.request_ms).await;
            match built {
                Ok(_) | Err(ApiError::Conflict(_)) => return Ok(()),
                // Had it been taken after all, the next try is told so.
                Err(ApiError::Unavailable(_)) if tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
            self.pause.sleep_ms(BUILD_POLL_MS).await;
        }
    }

    async fn reachable(&self, id: &str) -> Result<(Workspace, Ssh), ProvisionError> {
        let workspace = self.workspace(id).await?;
        match workspace.status() {
            WorkspaceStatus::Running => {}
            WorkspaceStatus::Stopped => {
                return Err(ProvisionError::Refused("the workspace is stopped; start_workspace starts it".to_owned()));
            }
            _ => {
                let words = "the workspace does not run; start_workspace waits for it, create_workspace makes another";
                return Err(ProvisionError::Refused(words.to_owned()));
            }
        }
        let ssh = Ssh {
            program: self.program.clone(),
            target: workspace.target(),
            environment: BTreeMap::from([
                ("CODER_URL".to_owned(), self.api.url().to_owned()),
                ("CODER_SESSION_TOKEN".to_owned(), self.api.token().to_owned()),
                ("CODER_NO_VERSION_WARNING".to_owned(), "true".to_owned()),
                ("CODER_NO_FEATURE_WARNING".to_owned(), "true".to_owned()),
            ]),
        };
        Ok((workspace, ssh))
    }
}

impl From<ApiError> for ProvisionError {
    fn from(error: ApiError) -> ProvisionError {
        match error {
            ApiError::Gone(words) => ProvisionError::NotFound(words),
            ApiError::Conflict(words) | ApiError::Refused(words) => ProvisionError::Refused(words),
            ApiError::Unavailable(words) => ProvisionError::Unavailable(words),
        }
    }
}

/// The address of a workspace; an id that is not one of ours has none.
fn path_of(id: &str) -> Result<String, ApiError> {
    let uuid = id.strip_prefix("coder-").and_then(|uuid| uuid::Uuid::parse_str(uuid).ok());
    let uuid = uuid.ok_or_else(|| ApiError::Gone(format!("there is no workspace {id:?}")))?;
    Ok(format!("workspaces/{uuid}"))
}

fn view(workspace: Workspace) -> WorkspaceView {
    let (status, agent_status) = (workspace.status(), workspace.agent_status());
    WorkspaceView {
        id: format!("coder-{}", workspace.id),
        name: workspace.name,
        template_id: Some(workspace.template_name).filter(|name| !name.is_empty()),
        status,
        detail: workspace.latest_build.job.error.filter(|_| status == WorkspaceStatus::Failed),
        agent_status,
        chat_id: None,
        created_at: workspace.created_at,
    }
}

impl Provisioner for CoderProvisioner {
    fn template<'a>(
        &'a self,
        id: &'a str,
        template: &'a TemplateConfig,
    ) -> BoxFuture<'a, Result<TemplateDetail, ProvisionError>> {
        Box::pin(async move {
            let behind = self.template_behind(id, template).await?;
            let path = format!("templateversions/{}/rich-parameters", behind.active_version_id);
            let parameters: Vec<RichParameter> = self.get(&path).await?;
            Ok(TemplateDetail {
                id: id.to_owned(),
                description: template.description.clone().unwrap_or(behind.description),
                provisioner: ProvisionerKind::Coder,
                // What counts for one build alone is nothing to make a workspace with.
                parameters: parameters.into_iter().filter(|one| !one.ephemeral).map(RichParameter::told).collect(),
            })
        })
    }

    fn finds_by_key(&self) -> bool {
        false
    }

    fn find<'a>(&'a self, wanted: &'a NewWorkspace, intended: bool) -> BoxFuture<'a, Result<Found, ProvisionError>> {
        Box::pin(async move {
            let Some(found) = self.named(&wanted.name).await? else { return Ok(Found::Free) };
            let behind = self.template_behind(&wanted.template_id, &wanted.template).await?;
            // The name was free when the log said that it would be made; what has it now and comes from the same template
            // is what was made.
            if intended && found.template_id == behind.id && found.status() != WorkspaceStatus::Deleted {
                return Ok(Found::Ours(Box::new(view(found))));
            }
            Ok(Found::Taken)
        })
    }

    fn begin<'a>(&'a self, wanted: &'a NewWorkspace) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>> {
        Box::pin(async move {
            let behind = self.template_behind(&wanted.template_id, &wanted.template).await?;
            let value = |(name, value): (&String, &serde_json::Value)| ParameterValue {
                name: name.clone(),
                value: as_text(value),
            };
            let body = CreateWorkspace {
                name: &wanted.name,
                template_id: &behind.id,
                rich_parameter_values: wanted.parameters.iter().map(value).collect(),
            };
            let mut tries = 1;
            loop {
                let made = self.api.post::<Workspace>("users/me/workspaces", &body, self.timeouts.request_ms).await;
                match made {
                    Ok(workspace) => return Ok(view(workspace)),
                    Err(ApiError::Unavailable(_)) if tries < TRIES => {}
                    // After a try whose outcome is unknown the name may be taken by that very try: asked below.
                    Err(ApiError::Conflict(_)) if tries > 1 => {}
                    Err(ApiError::Conflict(_)) => return Err(ProvisionError::NameTaken),
                    Err(error) => return Err(error.into()),
                }
                self.pause.sleep_ms(BUILD_POLL_MS).await;
                match self.find(wanted, true).await? {
                    Found::Ours(view) => return Ok(*view),
                    Found::Taken => return Err(ProvisionError::NameTaken),
                    Found::Free => tries += 1,
                }
            }
        })
    }

    fn look<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>> {
        Box::pin(async move {
            match self.workspace(id).await {
                Ok(workspace) => Ok(view(workspace)),
                Err(ApiError::Gone(_)) => Ok(WorkspaceView::gone(id)),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn settle<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<WorkspaceView, ProvisionError>> {
        Box::pin(async move {
            let path = match path_of(id) {
                Ok(path) => path,
                Err(_) => return Ok(WorkspaceView::gone(id)),
            };
            let deadline_ms = self.pause.elapsed_ms() + BUILD_MAX_MS;
            let mut failed = 0;
            loop {
                match self.api.get::<Workspace>(&path, self.timeouts.request_ms).await {
                    Ok(workspace) => {
                        failed = 0;
                        let view = view(workspace);
                        let is_moving = matches!(view.status, WorkspaceStatus::Building | WorkspaceStatus::Stopping);
                        if !is_moving || self.pause.elapsed_ms() >= deadline_ms {
                            return Ok(view);
                        }
                    }
                    Err(ApiError::Gone(_)) => return Ok(WorkspaceView::gone(id)),
                    Err(ApiError::Unavailable(_)) if failed + 1 < LOOKS_FAILED_MAX => failed += 1,
                    Err(error) => return Err(error.into()),
                }
                self.pause.sleep_ms(BUILD_POLL_MS).await;
            }
        })
    }

    fn agent<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<AgentStatus, ProvisionError>> {
        Box::pin(async move {
            let path = path_of(id)?;
            let deadline_ms = self.pause.elapsed_ms() + AGENT_MAX_MS;
            let mut last = AgentStatus::NotReady;
            loop {
                match self.api.get::<Workspace>(&path, self.timeouts.agent_try_ms).await {
                    Ok(workspace) => last = workspace.agent_status(),
                    // The next try may be answered.
                    Err(ApiError::Unavailable(_)) => {}
                    Err(error) => return Err(error.into()),
                }
                let is_final = matches!(last, AgentStatus::Ready | AgentStatus::NoAgent);
                if is_final || self.pause.elapsed_ms() >= deadline_ms {
                    return Ok(last);
                }
                self.pause.sleep_ms(AGENT_POLL_MS).await;
            }
        })
    }

    fn start<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.transition(id, "start"))
    }

    fn stop<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.transition(id, "stop"))
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), ProvisionError>> {
        Box::pin(self.transition(id, "delete"))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<WorkspaceView>, ProvisionError>> {
        Box::pin(async move {
            let mut views: Vec<WorkspaceView> = Vec::new();
            loop {
                let path = format!("workspaces?q=owner:me&limit={PAGE}&offset={}", views.len());
                let page: wire::Workspaces = self.get(&path).await?;
                let count = page.workspaces.len();
                views.extend(page.workspaces.into_iter().map(view));
                if count < PAGE || views.len() >= LISTED_MAX {
                    return Ok(views);
                }
            }
        })
    }

    fn files<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Arc<dyn Files>, ProvisionError>> {
        Box::pin(async move {
            let (workspace, ssh) = self.reachable(id).await?;
            let root = workspace.agents().next().map(|agent| agent.expanded_directory.clone()).unwrap_or_default();
            Ok(Arc::new(RemoteFiles::new(ssh, root)) as Arc<dyn Files>)
        })
    }

    fn command<'a>(
        &'a self,
        id: &'a str,
        line: &'a str,
        workdir: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CommandPlan, ProvisionError>> {
        Box::pin(async move {
            let (workspace, ssh) = self.reachable(id).await?;
            let root = workspace.agents().next().map(|agent| agent.expanded_directory.clone()).unwrap_or_default();
            Ok(CommandPlan::Through {
                arguments: ssh.arguments(&remote::command(&root, workdir, line)),
                environment: ssh.environment,
            })
        })
    }
}
