//! Makes a chat's workspace: once, whatever crashes and however often it is asked for.
//!
//! A wish is named by its call, so a second run finds what the first began. Where a provisioner cannot find a workspace by such
//! a name, the log first says under which name it will be made (a binding without an id); the second run looks for that name. The
//! binding with the id is recorded before the build ends: from then on the chat has this workspace, whatever becomes of it.

use serde_json::{Map, Value};
use verbatim_events::chat::Chat;
use verbatim_events::command::Command;
use verbatim_events::event::{SettingsChanged, WorkspaceBinding};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::tool::{AccessError, ChatAccess};

use super::names::candidates;
use super::port::{AgentStatus, Found, NewWorkspace, ProvisionError, WorkspaceStatus, WorkspaceView};
use super::template::complete;
use super::workspaces::Workspaces;

/// How often a binding is sent to a log that cannot be had.
const BIND_TRIES: u32 = 10;
/// Between two such tries.
const BIND_PAUSE_MS: u64 = 1_000;

/// What is wished for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    pub template_id: String,
    pub name: Option<String>,
    pub parameters: Map<String, Value>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Created {
    /// This wish made it.
    pub created: bool,
    pub view: WorkspaceView,
    /// The workspace whose place it took.
    pub replaced: Option<String>,
}

/// A wish that is being granted.
pub(super) struct Creation<'a> {
    pub spaces: &'a Workspaces,
    pub access: &'a dyn ChatAccess,
    pub chat_id: ChatId,
    /// The wish's name.
    pub key: String,
    /// It may have been begun before.
    pub again: bool,
}

impl Creation<'_> {
    /// Grants the wish, or says why not in words.
    pub async fn run(&self, wish: Wish) -> Result<Created, String> {
        // One after the other: what the first makes the second finds.
        let _turn = self.spaces.locks.turn(&format!("chat {}", self.chat_id)).await;
        let chat = self.access.look(self.chat_id).await.map_err(words)?.ok_or("there is no such chat")?;
        let names = candidates(wish.name.as_deref(), &wish.template_id, &self.key);
        let bound = bound_by(&chat).cloned();
        let own = bound.as_ref().is_some_and(|binding| self.is_own(binding, &wish, &names));
        let mut replaced = None;
        if let Some(id) = bound.as_ref().and_then(|binding| binding.id.clone()) {
            let view = self.existing(&id).await?;
            let is_lost = matches!(
                view.status,
                WorkspaceStatus::Failed | WorkspaceStatus::Deleted | WorkspaceStatus::Unreachable
            );
            if own || !is_lost {
                let template_id = bound.and_then(|binding| binding.template_id).or(view.template_id);
                return Ok(Created { created: own, view: WorkspaceView { template_id, ..view }, replaced: None });
            }
            replaced = Some(id);
        }
        let intended = if own { bound.and_then(|binding| binding.name) } else { None };
        let view = self.make(&wish, &names, intended.as_deref()).await?;
        // By the name that was asked for: its maker may call it otherwise.
        let view = WorkspaceView { template_id: Some(wish.template_id), ..view };
        Ok(Created { created: true, view, replaced })
    }

    /// Whether a binding is this very wish's, from before a crash.
    fn is_own(&self, binding: &WorkspaceBinding, wish: &Wish, names: &[String]) -> bool {
        self.again
            && binding.template_id.as_deref() == Some(&wish.template_id)
            && binding.name.as_ref().is_some_and(|name| names.contains(name))
    }

    /// A workspace that the chat has: how it is once it has settled.
    async fn existing(&self, id: &str) -> Result<WorkspaceView, String> {
        let maker = match self.spaces.maker_of(id) {
            Ok(maker) => maker,
            // Whoever made it is no longer there to look after it.
            Err(_) => return Ok(WorkspaceView::gone(id)),
        };
        match maker.settle(id).await {
            Ok(view) => with_agent(self.spaces, view).await.map_err(|problem| problem.to_string()),
            Err(ProvisionError::NotFound(_)) => Ok(WorkspaceView::gone(id)),
            Err(problem) => Err(problem.to_string()),
        }
    }

    async fn make(&self, wish: &Wish, names: &[String], intended: Option<&str>) -> Result<WorkspaceView, String> {
        let failed = |problem: ProvisionError| problem.to_string();
        let (template, provisioner) = self.spaces.template_of(&wish.template_id).map_err(failed)?;
        let detail = provisioner.template(&wish.template_id, &template).await.map_err(failed)?;
        let parameters = complete(&detail.parameters, &wish.parameters)?;
        let binding = |id: Option<&str>, name: &str| WorkspaceBinding {
            id: id.map(str::to_owned),
            template_id: Some(wish.template_id.clone()),
            name: Some(name.to_owned()),
            parameters: (!wish.parameters.is_empty()).then(|| Value::Object(wish.parameters.clone())),
        };
        for name in names {
            let wanted = NewWorkspace {
                key: self.key.clone(),
                chat_id: self.chat_id,
                template_id: wish.template_id.clone(),
                template: template.clone(),
                name: name.clone(),
                parameters: parameters.clone(),
                now: self.spaces.pause.now(),
            };
            let begun = match provisioner.find(&wanted, intended == Some(name)).await.map_err(failed)? {
                Found::Ours(view) => *view,
                Found::Taken => continue,
                Found::Free => {
                    if !provisioner.finds_by_key() {
                        self.bind(binding(None, name)).await?;
                    }
                    match provisioner.begin(&wanted).await {
                        Ok(view) => view,
                        Err(ProvisionError::NameTaken) => continue,
                        Err(problem) => return Err(problem.to_string()),
                    }
                }
            };
            self.bind(binding(Some(&begun.id), &begun.name)).await?;
            let view = provisioner.settle(&begun.id).await.map_err(failed)?;
            return with_agent(self.spaces, view).await.map_err(failed);
        }
        Err(format!("the names {} are taken; give another", names.join(" and ")))
    }

    /// Records the chat's workspace.
    async fn bind(&self, binding: WorkspaceBinding) -> Result<(), String> {
        let what = serde_json::to_vec(&binding).map_err(|error| error.to_string())?;
        // The same wish may be bound to a name, then to an id, then to another name: each is recorded once.
        let key = format!("workspace-{}-{}", self.key, &Digest::of(&what).to_string()[..16]);
        let patch = SettingsChanged { workspace: Some(binding), ..SettingsChanged::default() };
        let mut tries = 1;
        loop {
            let command = Command::ChangeSettings { patch: patch.clone(), archived: None };
            match self.access.send(self.chat_id, command, key.clone()).await {
                Ok(_) => return Ok(()),
                Err(AccessError::Unavailable(_)) if tries < BIND_TRIES => tries += 1,
                Err(error) => return Err(words(error)),
            }
            self.spaces.pause.sleep_ms(BIND_PAUSE_MS).await;
        }
    }
}

/// What a chat is bound to.
pub(super) fn bound_by(chat: &Chat) -> Option<&WorkspaceBinding> {
    chat.outline.workspace.as_ref()
}

/// Waits for the agent of a workspace that runs. One that was there and is gone makes the workspace unreachable.
pub(super) async fn with_agent(spaces: &Workspaces, view: WorkspaceView) -> Result<WorkspaceView, ProvisionError> {
    if view.status != WorkspaceStatus::Running || view.agent_status == AgentStatus::Ready {
        return Ok(view);
    }
    let agent_status = spaces.maker_of(&view.id)?.agent(&view.id).await?;
    let status = match agent_status {
        AgentStatus::Disconnected => WorkspaceStatus::Unreachable,
        AgentStatus::Ready | AgentStatus::NotReady | AgentStatus::NoAgent => WorkspaceStatus::Running,
    };
    Ok(WorkspaceView { status, agent_status, ..view })
}

fn words(error: AccessError) -> String {
    format!("the chat cannot be changed now: {error}")
}
