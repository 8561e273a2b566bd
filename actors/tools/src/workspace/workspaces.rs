//! All templates and all workspaces of a server, whoever makes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use serde_json::{Map, Value};
use verbatim_events::ids::ChatId;
use verbatim_events::tool::CallKey;

use super::git::{self, NoDiff, NoRepository, WorkspaceDiff};
use super::locks::{Locks, Shared};
use super::pause::Pause;
use super::port::{
    AgentStatus, CommandPlan, ProvisionError, Provisioner, ProvisionerKind, TemplateDetail, WorkspaceStatus,
    WorkspaceView,
};
use super::probe::LookError;
use super::shell::Shell;
use super::template::{TemplateConfig, complete};

/// All workspaces, and of which provisioners they could not be had, with the reason.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkspaceListing {
    /// The workspaces.
    pub workspaces: Vec<WorkspaceView>,
    /// What cannot be had now.
    pub unavailable: Vec<(ProvisionerKind, String)>,
}

/// Why it cannot be said how a workspace's files differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// There is nothing that the files could be compared with.
    #[error(transparent)]
    NoRepository(NoRepository),
    /// There is no such workspace any more, or it can never be reached again.
    #[error("the workspace is gone")]
    Missing,
    /// Git has had its time, and has not even said which files differ.
    #[error("git takes too long to say how the files differ")]
    TooSlow {
        /// The branch, if one is checked out and that much was said.
        branch: Option<String>,
    },
    /// The workspace cannot be looked at now. In words for people.
    #[error("{0}")]
    Unavailable(String),
}

/// Who is told that a workspace was taken away.
type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// Templates, and who makes workspaces of them. Templates come and go while chats work; who makes workspaces of them, and
/// the shell, may come later, and stay.
pub struct Workspaces {
    templates: RwLock<Arc<BTreeMap<String, TemplateConfig>>>,
    local: OnceLock<Arc<dyn Provisioner>>,
    coder: OnceLock<Arc<dyn Provisioner>>,
    shell: OnceLock<Shell>,
    pub(super) pause: Arc<dyn Pause>,
    pub(super) locks: Locks,
    diffs: Shared<Result<WorkspaceDiff, DiffError>>,
    gone: OnceLock<Listener>,
}

impl Workspaces {
    /// These templates, made into workspaces by these provisioners.
    pub fn new(
        templates: BTreeMap<String, TemplateConfig>,
        provisioners: impl IntoIterator<Item = (ProvisionerKind, Arc<dyn Provisioner>)>,
        pause: Arc<dyn Pause>,
    ) -> Workspaces {
        let workspaces = Workspaces {
            templates: RwLock::new(Arc::new(templates)),
            local: OnceLock::new(),
            coder: OnceLock::new(),
            shell: OnceLock::new(),
            pause,
            locks: Locks::default(),
            diffs: Shared::default(),
            gone: OnceLock::new(),
        };
        for (kind, provisioner) in provisioners {
            workspaces.add_provisioner(kind, provisioner);
        }
        workspaces
    }

    /// From now on these are the templates. Workspaces that were made from others stay as they are.
    pub fn set_templates(&self, templates: BTreeMap<String, TemplateConfig>) {
        *self.templates.write() = Arc::new(templates);
    }

    /// From now on this provisioner makes workspaces of its kind. The first one of a kind stays.
    pub fn add_provisioner(&self, kind: ProvisionerKind, provisioner: Arc<dyn Provisioner>) {
        // A second one would look after the same workspaces.
        let _ = self.slot(kind).set(provisioner);
    }

    /// Whether somebody makes workspaces of this kind.
    pub fn has_provisioner(&self, kind: ProvisionerKind) -> bool {
        self.slot(kind).get().is_some()
    }

    /// From now on commands can be run in the workspaces. The first shell stays.
    pub fn add_shell(&self, shell: Shell) {
        // A second one would keep the same processes.
        let _ = self.shell.set(shell);
    }

    fn slot(&self, kind: ProvisionerKind) -> &OnceLock<Arc<dyn Provisioner>> {
        match kind {
            ProvisionerKind::Local => &self.local,
            ProvisionerKind::Coder => &self.coder,
        }
    }

    fn now(&self) -> Arc<BTreeMap<String, TemplateConfig>> {
        Arc::clone(&self.templates.read())
    }

    /// From now on `listener` is told of each workspace that was taken away, by its id; perhaps more than once. The first
    /// listener stays. It is told in passing, so it must not wait for anything.
    pub fn when_gone(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        // A second one would be the same server's.
        let _ = self.gone.set(Box::new(listener));
    }

    fn tell_of_end(&self, id: &str) {
        if let Some(listener) = self.gone.get() {
            listener(id);
        }
    }

    /// The shell, where commands may be run.
    pub fn shell(&self) -> Option<&Shell> {
        // What is elsewhere is confined there.
        let all_elsewhere = self.local.get().is_none();
        self.shell.get().filter(|shell| all_elsewhere || shell.is_on())
    }

    /// The directory of a workspace on this machine, while commands can be run there. What is elsewhere ends with its workspace.
    async fn root_of(&self, id: &str) -> Option<PathBuf> {
        match self.maker_of(id).ok()?.command(id, "", None).await {
            Ok(CommandPlan::Confined { root, .. }) => Some(root),
            // It does not run, so nothing runs in it.
            Ok(CommandPlan::Through { .. }) | Err(_) => None,
        }
    }

    async fn end_in(&self, root: Option<&Path>) -> Result<(), ProvisionError> {
        match (self.shell.get(), root) {
            (Some(shell), Some(root)) => shell.clear(root).await.map_err(ProvisionError::Unavailable),
            _ => Ok(()),
        }
    }

    /// Ends everything that runs in a workspace on this machine.
    pub(super) async fn end_processes(&self, id: &str) -> Result<(), ProvisionError> {
        let root = self.root_of(id).await;
        self.end_in(root.as_deref()).await
    }

    /// What runs commands and keeps their processes, whether new ones may be run or not.
    pub(super) fn any_shell(&self) -> Option<&Shell> {
        self.shell.get()
    }

    /// All who make workspaces.
    pub(super) fn provisioners(&self) -> impl Iterator<Item = &Arc<dyn Provisioner>> {
        ProvisionerKind::ALL.into_iter().filter_map(|kind| self.slot(kind).get())
    }

    /// Whether workspaces can be made at all.
    pub fn has_templates(&self) -> bool {
        !self.templates.read().is_empty()
    }

    /// A template as it is set now, and who makes workspaces of it.
    pub(super) fn template_of(&self, id: &str) -> Result<(TemplateConfig, &Arc<dyn Provisioner>), ProvisionError> {
        let unknown = || ProvisionError::NotFound(format!("there is no template {id:?}; list_templates lists them"));
        let template = self.template_set(id).ok_or_else(unknown)?;
        let provisioner = self.provisioner(template.provisioner)?;
        Ok((template, provisioner))
    }

    /// A template as it is set now.
    pub(super) fn template_set(&self, id: &str) -> Option<TemplateConfig> {
        self.now().get(id).cloned()
    }

    pub(super) fn provisioner(&self, kind: ProvisionerKind) -> Result<&Arc<dyn Provisioner>, ProvisionError> {
        let missing = || ProvisionError::NotFound(format!("the provisioner {:?} is not configured", kind.name()));
        self.slot(kind).get().ok_or_else(missing)
    }

    /// Who made a workspace.
    pub(super) fn maker_of(&self, workspace_id: &str) -> Result<&Arc<dyn Provisioner>, ProvisionError> {
        let unknown = || ProvisionError::NotFound(format!("there is no workspace {workspace_id:?}"));
        self.provisioner(ProvisionerKind::of_workspace(workspace_id).ok_or_else(unknown)?)
    }

    /// Checks what a chat is to be made with: the template exists and takes these parameters. The inner error says in words
    /// what is wrong with them.
    pub async fn check_wish(
        &self,
        template_id: &str,
        parameters: &Map<String, Value>,
    ) -> Result<Result<(), String>, ProvisionError> {
        let detail = self.template(template_id).await?;
        Ok(complete(&detail.parameters, parameters).map(drop))
    }

    /// A template with its parameters.
    pub async fn template(&self, id: &str) -> Result<TemplateDetail, ProvisionError> {
        let (template, provisioner) = self.template_of(id)?;
        provisioner.template(id, &template).await
    }

    /// The templates whose name or description holds the query, by name. One that cannot be looked at is listed with what the
    /// settings say of it.
    pub async fn templates(&self, query: Option<&str>) -> Vec<TemplateDetail> {
        let query = query.unwrap_or_default().to_lowercase();
        let mut found = Vec::new();
        for (id, template) in self.now().iter() {
            let detail = match self.template(id).await {
                Ok(detail) => detail,
                Err(problem) => TemplateDetail {
                    id: id.clone(),
                    description: template.description.clone().unwrap_or_else(|| problem.to_string()),
                    provisioner: template.provisioner,
                    parameters: Vec::new(),
                },
            };
            if detail.id.to_lowercase().contains(&query) || detail.description.to_lowercase().contains(&query) {
                found.push(detail);
            }
        }
        found
    }

    /// All workspaces.
    pub async fn list(&self) -> WorkspaceListing {
        let mut listing = WorkspaceListing::default();
        for kind in ProvisionerKind::ALL {
            let Some(provisioner) = self.slot(kind).get() else { continue };
            match provisioner.list().await {
                Ok(mut workspaces) => listing.workspaces.append(&mut workspaces),
                Err(problem) => listing.unavailable.push((kind, problem.to_string())),
            }
        }
        listing
    }

    /// How a workspace is.
    pub async fn look(&self, id: &str) -> Result<WorkspaceView, ProvisionError> {
        self.maker_of(id)?.look(id).await
    }

    /// How a workspace's files differ from what was last committed to its repository; with the difference itself if that is
    /// wanted. Bounded in time. Whoever asks while git runs is told what the next run finds, with all others who wait for it.
    pub async fn diff(&self, id: &str, with_patch: bool) -> Result<WorkspaceDiff, DiffError> {
        match self.diff_if_there(id, with_patch).await {
            Err(DiffError::TooSlow { .. } | DiffError::Unavailable(_)) if self.is_lost(id).await => {
                Err(DiffError::Missing)
            }
            found => found,
        }
    }

    /// The same, where it does not matter whether a workspace that cannot be looked at will ever be there again.
    pub(super) async fn diff_if_there(&self, id: &str, with_patch: bool) -> Result<WorkspaceDiff, DiffError> {
        let name = format!("diff {id}");
        let turn = self.locks.turn(&name);
        self.diffs.run(&format!("{with_patch} {id}"), turn, || self.diff_now(id, with_patch)).await
    }

    /// Whether nobody will ever work in a workspace again. One that rests, or whose maker cannot be asked now, may come back.
    async fn is_lost(&self, id: &str) -> bool {
        let Ok(maker) = self.maker_of(id) else { return true };
        match maker.look(id).await {
            Ok(view) => match view.status {
                WorkspaceStatus::Deleted | WorkspaceStatus::Unreachable => true,
                WorkspaceStatus::Running => view.agent_status == AgentStatus::NoAgent,
                WorkspaceStatus::Building
                | WorkspaceStatus::Stopping
                | WorkspaceStatus::Stopped
                | WorkspaceStatus::Failed => false,
            },
            Err(problem) => matches!(problem, ProvisionError::NotFound(_)),
        }
    }

    async fn diff_now(&self, id: &str, with_patch: bool) -> Result<WorkspaceDiff, DiffError> {
        let unavailable = |problem: ProvisionError| match problem {
            ProvisionError::NotFound(_) => DiffError::Missing,
            problem => DiffError::Unavailable(problem.to_string()),
        };
        let shell = self.shell();
        let shell = shell.ok_or_else(|| DiffError::Unavailable("no commands can be run here".to_owned()))?;
        let script = git::script(with_patch);
        let plan = self.maker_of(id).map_err(unavailable)?.command(id, &script, None).await;
        let output = shell.look(id, plan.map_err(unavailable)?, &script).await.map_err(|problem| match problem {
            LookError::TooSlow => DiffError::TooSlow { branch: None },
            LookError::Failed(problem) => DiffError::Unavailable(problem),
        });
        match git::read(&output?) {
            Ok(diff) => Ok(diff),
            Err(NoDiff::NoRepository(why)) => Err(DiffError::NoRepository(why)),
            Err(NoDiff::TooSlow { branch }) => Err(DiffError::TooSlow { branch }),
            Err(NoDiff::Failed(problem)) => Err(DiffError::Unavailable(problem)),
        }
    }

    /// Takes a workspace away, with all that is and runs in it. One that is gone already is no error.
    pub async fn delete(&self, id: &str) -> Result<WorkspaceView, ProvisionError> {
        let _turn = self.locks.turn(id).await;
        let provisioner = self.maker_of(id)?;
        let view = provisioner.settle(id).await?;
        if view.status == WorkspaceStatus::Deleted {
            self.tell_of_end(id);
            return Ok(view);
        }
        let root = self.root_of(id).await;
        self.end_in(root.as_deref()).await?;
        provisioner.delete(id).await?;
        self.tell_of_end(id);
        // What was started meanwhile found its directory just before that went.
        self.end_in(root.as_deref()).await?;
        if let Some(shell) = self.shell.get() {
            shell.forget_looks(id).await.map_err(ProvisionError::Unavailable)?;
        }
        Ok(WorkspaceView { status: WorkspaceStatus::Deleted, agent_status: AgentStatus::NoAgent, ..view })
    }
}

/// The key of what a call wishes for: the same before and after a crash, and another call's is another.
pub(super) fn key_of(call: &CallKey) -> String {
    call.uuid().simple().to_string()
}

/// The key of the workspace that a chat was made with.
pub(super) fn own_key_of(chat_id: ChatId) -> String {
    // No message has this id, so no call has this address.
    key_of(&CallKey { chat_id, message_id: 0, call_id: "workspace".to_owned() })
}
