//! Where chats work: the provisioners of the settings, and the shell with what confines it.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use verbatim_tools::confine::{ConfinementReport, probe};
use verbatim_tools::process::{ProcessLimits, Processes};
use verbatim_tools::workspace::coder::{CoderProvisioner, CoderTimeouts};
use verbatim_tools::workspace::local::LocalProvisioner;
use verbatim_tools::workspace::pause::{Pause, SystemPause};
use verbatim_tools::workspace::port::{Provisioner, ProvisionerKind};
use verbatim_tools::workspace::{Shell, Workspaces};

use super::StartError;
use crate::config::{Environment, Settings};

/// Where chats work.
#[derive(Clone)]
pub struct WorkspaceHome {
    /// The templates and the workspaces.
    pub spaces: Arc<Workspaces>,
    /// What confines commands on this machine; `None` where none are ever run.
    pub confinement: Option<ConfinementReport>,
}

impl WorkspaceHome {
    /// No workspaces at all.
    pub fn none() -> WorkspaceHome {
        let spaces = Workspaces::new(Default::default(), [], Arc::new(SystemPause::default()));
        WorkspaceHome { spaces: Arc::new(spaces), confinement: None }
    }

    /// What confines commands, in a sentence; `None` where none are ever run.
    pub fn confinement_words(&self) -> Option<String> {
        let report = self.confinement.as_ref()?;
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

    /// What the settings say. Without templates nothing is touched.
    pub(super) async fn open(settings: &Settings, environment: &Environment) -> Result<WorkspaceHome, StartError> {
        if settings.templates.is_empty() {
            return Ok(WorkspaceHome::none());
        }
        let unusable = |source: std::io::Error| StartError::Workspaces(source.to_string());
        let pause: Arc<dyn Pause> = Arc::new(SystemPause::default());
        let mut provisioners: Vec<(ProvisionerKind, Arc<dyn Provisioner>)> = Vec::new();
        let needs = |kind| settings.templates.values().any(|template| template.provisioner == kind);
        if needs(ProvisionerKind::Local) {
            let local = LocalProvisioner::open(settings.data_dir.join("workspaces")).map_err(unusable)?;
            provisioners.push((ProvisionerKind::Local, Arc::new(local)));
        }
        if let Some(coder) = &settings.coder {
            let token = environment.get(&coder.token_env).unwrap_or_default();
            if token.is_empty() {
                tracing::warn!(variable = %coder.token_env, "there is no token for the Coder deployment");
            }
            let made = CoderProvisioner::new(coder, token, Arc::clone(&pause), CoderTimeouts::default());
            provisioners.push((ProvisionerKind::Coder, Arc::new(made.map_err(StartError::Workspaces)?)));
        }
        let program: PathBuf = std::env::current_exe().map_err(unusable)?;
        let report = probe(&program, &settings.data_dir.join("probe")).await.map_err(unusable)?;
        for open in &report.open {
            tracing::warn!("confinement: {open}");
        }
        let place = settings.data_dir.join("processes");
        let processes = Processes::open(place, program, report.layers, ProcessLimits::default()).map_err(unusable)?;
        let hidden = vec![settings.data_dir.canonicalize().map_err(unusable)?];
        let shell = Shell::new(processes, settings.workspaces.clone(), hidden);
        let spaces = Workspaces::new(settings.templates.clone(), provisioners, pause).with_shell(shell);
        Ok(WorkspaceHome { spaces: Arc::new(spaces), confinement: Some(report) })
    }
}
