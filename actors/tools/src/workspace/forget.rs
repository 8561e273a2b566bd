//! What is left of a chat that is gone: its processes, and the workspaces that were made for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use verbatim_events::event::WorkspaceBinding;
use verbatim_events::ids::ChatId;

use super::port::{Found, NewWorkspace, ProvisionError, ProvisionerKind, WorkspaceStatus};
use super::template::TemplateConfig;
use super::workspaces::Workspaces;

/// How often a workspace that is being deleted is looked at before that is left to the next try.
const LOOKS: u32 = 10;
/// The wait between two looks, in ms.
const LOOK_PAUSE_MS: u64 = 1_000;

/// A workspace that was made for a chat, or was about to be, by what the chat's events say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeWorkspace {
    /// Its id; absent where nobody came to write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The template it was made from.
    pub template_id: String,
    /// Its name.
    pub name: String,
}

impl MadeWorkspace {
    /// The workspace of a binding that a chat recorded while it was made. `None` for one that was there before: what
    /// somebody else made is not taken away.
    pub fn of(binding: &WorkspaceBinding) -> Option<MadeWorkspace> {
        let WorkspaceBinding { id, template_id, name, parameters: _ } = binding;
        Some(MadeWorkspace { id: id.clone(), template_id: template_id.clone()?, name: name.clone()? })
    }
}

impl Workspaces {
    /// Leaves nothing of a chat behind that is gone: its processes end, the workspaces that were made for it go, `made`
    /// among them. Can be done again, and must be after an error: what could not be reached is still there.
    pub async fn forget_chat(&self, chat_id: ChatId, made: &[MadeWorkspace]) -> Result<(), ProvisionError> {
        // Whatever was being made for it has ended by then.
        let _turn = self.locks.turn(&format!("chat {chat_id}")).await;
        if let Some(shell) = self.any_shell() {
            shell.clear_chat(chat_id).await.map_err(ProvisionError::Unavailable)?;
        }
        for provisioner in self.provisioners().filter(|provisioner| provisioner.finds_by_key()) {
            for view in provisioner.list().await? {
                if view.chat_id == Some(chat_id) {
                    self.delete(&view.id).await?;
                }
            }
        }
        for one in made {
            let id = match &one.id {
                Some(id) => Some(id.clone()),
                None => self.find_nameless(chat_id, one).await?,
            };
            if let Some(id) = id {
                self.take_away(&id).await?;
            }
        }
        Ok(())
    }

    /// The id of a workspace that was about to be made, if it was.
    async fn find_nameless(&self, chat_id: ChatId, made: &MadeWorkspace) -> Result<Option<String>, ProvisionError> {
        let known = self.template_set(&made.template_id);
        let is_gone = known.is_none();
        // Of one that was taken back since anybody may have been about to make it.
        let anybodys = ProvisionerKind::ALL.into_iter().filter(|_| is_gone).map(TemplateConfig::of);
        for template in known.into_iter().chain(anybodys) {
            let provisioner = match self.provisioner(template.provisioner) {
                Ok(provisioner) => provisioner,
                Err(_) if is_gone => continue,
                Err(error) => return Err(not_configured(error)),
            };
            if provisioner.finds_by_key() {
                // Found by its chat.
                continue;
            }
            let wanted = NewWorkspace {
                key: String::new(),
                chat_id,
                template_id: made.template_id.clone(),
                template,
                name: made.name.clone(),
                parameters: BTreeMap::new(),
                now: self.pause.now(),
            };
            if let Found::Ours(view) = provisioner.find(&wanted, true).await.map_err(not_configured)? {
                return Ok(Some(view.id));
            }
        }
        Ok(None)
    }

    /// Deletes a workspace, and is content only when it is gone.
    async fn take_away(&self, id: &str) -> Result<(), ProvisionError> {
        let provisioner = self.maker_of(id).map_err(not_configured)?;
        for look in 0..LOOKS {
            let view = provisioner.look(id).await?;
            match view.status {
                WorkspaceStatus::Deleted => return Ok(()),
                WorkspaceStatus::Building | WorkspaceStatus::Stopping => {}
                _ if look == 0 => self.delete(id).await.map(drop)?,
                // It was to be deleted, and is there all the same.
                _ => break,
            }
            self.pause.sleep_ms(LOOK_PAUSE_MS).await;
        }
        Err(ProvisionError::Unavailable(format!("the workspace {id} is still there")))
    }
}

/// Whoever made it is no longer there; it goes when its maker is back.
fn not_configured(error: ProvisionError) -> ProvisionError {
    match error {
        ProvisionError::NotFound(words) => ProvisionError::Unavailable(words),
        error => error,
    }
}
