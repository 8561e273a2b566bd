//! Where chats work: the provisioners of the settings, and the shell with what confines it. All of it is opened when the
//! first template needs it, be that at the start or while the server runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use verbatim_tools::confine::{ConfinementReport, probe};
use verbatim_tools::process::{ProcessLimits, Processes};
use verbatim_tools::workspace::coder::{CoderProvisioner, CoderTimeouts};
use verbatim_tools::workspace::local::LocalProvisioner;
use verbatim_tools::workspace::pause::{Pause, SystemPause};
use verbatim_tools::workspace::port::{Provisioner, ProvisionerKind};
use verbatim_tools::workspace::settings::{CoderConfig, WorkspaceSettings};
use verbatim_tools::workspace::template::{TemplateConfig, check_directory};
use verbatim_tools::workspace::{Shell, Workspaces};

use super::StartError;
use crate::config::{Environment, Settings};

/// Where chats work. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct WorkspaceHome {
    /// The templates and the workspaces.
    pub spaces: Arc<Workspaces>,
    confinement: Arc<OnceLock<ConfinementReport>>,
    plan: Option<Arc<Plan>>,
}

/// What is opened once it is needed.
struct Plan {
    data_dir: PathBuf,
    /// The deployment and the token for it.
    coder: Option<(CoderConfig, String)>,
    commands: WorkspaceSettings,
    pause: Arc<dyn Pause>,
    /// Held by whoever opens.
    turn: Mutex<()>,
}

fn words(error: std::io::Error) -> String {
    error.to_string()
}

/// Who makes workspaces of these templates.
fn kinds_of(templates: &BTreeMap<String, TemplateConfig>) -> BTreeSet<ProvisionerKind> {
    templates.values().map(|template| template.provisioner).collect()
}

/// Whether there is something in a directory.
fn is_filled(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

impl WorkspaceHome {
    /// No workspaces at all, whatever is set.
    pub fn none() -> WorkspaceHome {
        WorkspaceHome::of(Workspaces::new(BTreeMap::new(), [], Arc::new(SystemPause::default())))
    }

    /// These workspaces, as they are: nothing is opened for them.
    pub fn of(spaces: Workspaces) -> WorkspaceHome {
        WorkspaceHome { spaces: Arc::new(spaces), confinement: Arc::default(), plan: None }
    }

    /// What confines commands on this machine; `None` where none are ever run.
    pub fn confinement(&self) -> Option<&ConfinementReport> {
        self.confinement.get()
    }

    /// What confines commands, in a sentence; `None` where none are ever run.
    pub fn confinement_words(&self) -> Option<String> {
        let report = self.confinement()?;
        Some(match self.spaces.shell() {
            Some(_) => format!("commands in workspaces are confined by: {}", report.summary()),
            None => "commands in workspaces cannot be confined on this machine, so there is no shell".to_owned(),
        })
    }

    /// Removes what is left of commands that ended long before `now`. How many went.
    pub(crate) async fn prune_processes(&self, now: DateTime<Utc>) -> usize {
        let Some(shell) = self.spaces.shell() else { return 0 };
        shell.prune(now).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is left of ended commands could not be removed");
            0
        })
    }

    /// What the settings say. Nothing is touched where there are neither templates, nor a deployment, nor workspaces of
    /// templates that there were.
    pub(super) async fn open(settings: &Settings, environment: &Environment) -> Result<WorkspaceHome, StartError> {
        let coder = settings.coder.as_ref().map(|coder| {
            let token = environment.get(&coder.token_env).unwrap_or_default();
            (coder.clone(), token.to_owned())
        });
        let mut kinds = kinds_of(&settings.templates);
        kinds.extend(coder.as_ref().map(|_| ProvisionerKind::Coder));
        kinds.extend(is_filled(&settings.data_dir.join("workspaces")).then_some(ProvisionerKind::Local));
        let pause: Arc<dyn Pause> = Arc::new(SystemPause::default());
        let plan = Plan {
            data_dir: settings.data_dir.clone(),
            coder,
            commands: settings.workspaces.clone(),
            pause: Arc::clone(&pause),
            turn: Mutex::new(()),
        };
        let spaces = Arc::new(Workspaces::new(settings.templates.clone(), [], pause));
        let home = WorkspaceHome { spaces, confinement: Arc::default(), plan: Some(Arc::new(plan)) };
        home.open_for(&kinds).await.map_err(StartError::Workspaces)?;
        Ok(home)
    }

    /// From now on these are the templates; whoever makes workspaces of them is there by then, or it is said why not.
    pub async fn put(&self, templates: BTreeMap<String, TemplateConfig>) {
        if let Err(problem) = self.open_for(&kinds_of(&templates)).await {
            tracing::error!(%problem, "No workspaces can be made of some templates.");
        }
        self.spaces.set_templates(templates);
    }

    /// Sees to it that workspaces of these kinds can be made, and commands be run in them; in words, why they cannot. What
    /// was opened stays open.
    pub async fn open_for(&self, kinds: &BTreeSet<ProvisionerKind>) -> Result<(), String> {
        let missing = || kinds.iter().copied().find(|kind| !self.spaces.has_provisioner(*kind));
        if missing().is_none() {
            return Ok(());
        }
        let Some(plan) = &self.plan else { return Err("no workspaces are made here".to_owned()) };
        let _turn = plan.turn.lock().await;
        if self.confinement.get().is_none() {
            let (shell, report) = plan.shell().await?;
            for open in &report.open {
                tracing::warn!("confinement: {open}");
            }
            self.spaces.add_shell(shell);
            self.confinement.get_or_init(|| report);
        }
        while let Some(kind) = missing() {
            self.spaces.add_provisioner(kind, plan.provisioner(kind)?);
        }
        Ok(())
    }

    /// What is wrong with the directory of a template that is to be set, in words.
    pub async fn check_directory(&self, path: PathBuf) -> Result<(), String> {
        let data_dir = self.plan.as_ref().map(|plan| plan.data_dir.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let private = data_dir.map(|data_dir| data_dir.canonicalize().unwrap_or(data_dir));
            check_directory(&path, private.as_deref())
        });
        looked.await.unwrap_or_else(|_| Err("the directory cannot be looked at".to_owned()))
    }
}

impl Plan {
    async fn shell(&self) -> Result<(Shell, ConfinementReport), String> {
        let program: PathBuf = std::env::current_exe().map_err(words)?;
        let report = probe(&program, &self.data_dir.join("probe")).await.map_err(words)?;
        let place = self.data_dir.join("processes");
        let processes = Processes::open(place, program, report.layers, ProcessLimits::default()).map_err(words)?;
        let hidden = vec![self.data_dir.canonicalize().map_err(words)?];
        Ok((Shell::new(processes, self.commands.clone(), hidden), report))
    }

    fn provisioner(&self, kind: ProvisionerKind) -> Result<Arc<dyn Provisioner>, String> {
        match kind {
            ProvisionerKind::Local => {
                let local = LocalProvisioner::open(self.data_dir.join("workspaces")).map_err(words)?;
                Ok(Arc::new(local))
            }
            ProvisionerKind::Coder => {
                let missing = || "the server's file names no deployment of Coder".to_owned();
                let (coder, token) = self.coder.as_ref().ok_or_else(missing)?;
                if token.is_empty() {
                    tracing::warn!(variable = %coder.token_env, "there is no token for the Coder deployment");
                }
                let made = CoderProvisioner::new(coder, token, Arc::clone(&self.pause), CoderTimeouts::default())?;
                Ok(Arc::new(made))
            }
        }
    }
}
