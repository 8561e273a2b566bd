//! What is told of a chat's workspace without anybody asking: how its files differ from what was committed, and whether its
//! context files are still those that prompts hold.
//!
//! It is looked at beside the turn, after what may have changed files and when a turn begins; once at a time for each chat, and
//! not again before a pause is over. What was noticed meanwhile is looked at then, so that the last change is never missed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use verbatim_events::chat::Chat;
use verbatim_events::command::Command;
use verbatim_events::event::{ContextFreshness, ContextMark, DiffStatus, SettingsChanged};
use verbatim_events::ids::{ChatId, Digest};
use verbatim_events::tool::{ChatAccess, ContextFiles};

use super::context;
use super::port::{AgentStatus, ProvisionError, WorkspaceStatus};
use super::workspaces::{DiffError, Workspaces};

/// Between two looks at one chat's workspace, in ms.
const PAUSE_MS: u64 = 3_000;
/// Looks at once, whosever.
const AT_ONCE_MAX: usize = 4;
/// Chats whose workspaces are being looked at, or soon will be; the next is not looked at until it changes again.
const CHATS_MAX: usize = 1_024;
/// How long one look may take, in ms.
const LOOK_MAX_MS: u64 = 60_000;

/// Looks at the workspaces of chats.
pub(super) struct Surveys {
    spaces: Arc<Workspaces>,
    access: Arc<dyn ChatAccess>,
    places: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Chats that are looked after, and whether something more was noticed.
    chats: HashMap<ChatId, bool>,
    /// Processes whose end is waited for, by chat and name.
    awaited: HashSet<(ChatId, String)>,
}

impl Surveys {
    pub fn new(spaces: Arc<Workspaces>, access: Arc<dyn ChatAccess>) -> Arc<Surveys> {
        Arc::new(Surveys { spaces, access, places: Semaphore::new(AT_ONCE_MAX), state: Mutex::default() })
    }

    /// Something may have changed in a chat's workspace. The work that looks at it, unless somebody does so already.
    pub fn noticed(self: &Arc<Self>, chat_id: ChatId) -> Option<impl Future<Output = ()> + Send + use<>> {
        {
            let mut state = self.state.lock();
            if let Some(again) = state.chats.get_mut(&chat_id) {
                *again = true;
                return None;
            }
            if state.chats.len() >= CHATS_MAX {
                tracing::debug!(chat.id = %chat_id, "Too many workspaces change at once to look at this one.");
                return None;
            }
            state.chats.insert(chat_id, false);
        }
        let mut turn = Turn { surveys: Arc::clone(self), chat_id, is_over: false };
        Some(async move { while turn.surveys.look_once(chat_id).await && turn.goes_on() {} })
    }

    /// A process runs on in a chat's workspace: its end is waited for, and counts as a change.
    pub fn runs_on(self: &Arc<Self>, chat_id: ChatId, process_id: String) {
        let key = (chat_id, process_id);
        {
            let mut state = self.state.lock();
            if state.awaited.len() >= CHATS_MAX || !state.awaited.insert(key.clone()) {
                return;
            }
        }
        let surveys = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(shell) = surveys.spaces.shell() {
                shell.ended(chat_id, &key.1).await;
            }
            surveys.state.lock().awaited.remove(&key);
            if let Some(work) = surveys.noticed(chat_id) {
                work.await;
            }
        });
    }

    /// Looks at a chat's workspace and tells the chat what is new; then lets some time pass.
    async fn look_once(&self, chat_id: ChatId) -> bool {
        let Ok(place) = self.places.acquire().await else { return false };
        let patience = std::time::Duration::from_millis(LOOK_MAX_MS);
        let looked = tokio::time::timeout(patience, self.look(chat_id)).await;
        drop(place);
        match looked {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => tracing::debug!(chat.id = %chat_id, problem, "A workspace could not be looked at."),
            Err(_) => tracing::debug!(chat.id = %chat_id, "A workspace could not be looked at in time."),
        }
        self.spaces.pause.sleep_ms(PAUSE_MS).await;
        true
    }

    async fn look(&self, chat_id: ChatId) -> Result<(), String> {
        let Some(chat) = self.access.look(chat_id).await.map_err(|error| error.to_string())? else { return Ok(()) };
        let Some(workspace_id) = workspace_of(&chat).filter(|_| !chat.outline.erased) else { return Ok(()) };
        let diff = match chat.outline.diff_status {
            Some(_) => self.spaces.diff(workspace_id, false).await,
            None => self.spaces.diff_if_there(workspace_id, false).await,
        };
        let diff_status = match diff {
            Ok(diff) => Some(Some(diff.status())),
            // What is gone leaves nothing that could differ.
            Err(DiffError::NoRepository(_) | DiffError::Missing) => Some(None),
            // What was known before may be so no more; that nothing was found out is said.
            Err(DiffError::TooSlow { branch }) => Some(Some(nothing_found(branch))),
            Err(problem) => {
                tracing::debug!(chat.id = %chat_id, %problem, "What changed in a workspace is not known.");
                None
            }
        };
        let context = self.freshness(&chat, workspace_id).await;
        // Told only if it is news; whoever decides compares again.
        let patch = SettingsChanged {
            diff_status: diff_status.filter(|found| *found != chat.outline.diff_status),
            context: context.filter(|mark| mark.freshness != chat.outline.context_freshness),
            ..SettingsChanged::default()
        };
        if patch.is_empty() || !self.is_still_in(chat_id, workspace_id).await {
            return Ok(());
        }
        let told = serde_json::to_vec(&patch).map_err(|error| error.to_string())?;
        let key = format!("survey-{chat_id}-{}-{}", chat.outline.version, &Digest::of(&told).to_string()[..16]);
        let command = Command::ChangeSettings { patch, archived: None };
        self.access.send(chat_id, command, key).await.map(drop).map_err(|error| error.to_string())
    }

    /// Whether a chat works where it did: what was seen of one workspace says nothing of another, which is looked at by itself.
    async fn is_still_in(&self, chat_id: ChatId, workspace_id: &str) -> bool {
        match self.access.look(chat_id).await {
            Ok(Some(chat)) => workspace_of(&chat) == Some(workspace_id),
            Ok(None) | Err(_) => false,
        }
    }

    /// How the context files that prompts hold stand to those of the workspace; nothing where that cannot be found out.
    async fn freshness(&self, chat: &Chat, workspace_id: &str) -> Option<ContextMark> {
        let pinned = chat.context.as_ref().filter(|pinned| pinned.source.workspace_id == workspace_id)?;
        let files = self.spaces.ready_files(workspace_id).await.ok()?;
        let now = context::told(workspace_id.to_owned(), &context::look(&*files).await.ok()?);
        let held = chat.history.get(pinned.message_id);
        let is_same = now.source.files == pinned.source.files && held.is_none_or(|held| held.parts == now.files);
        let freshness = match is_same {
            true => ContextFreshness::Current,
            // Nobody has ever read them: they are read as soon as they can be.
            false if pinned.source.unreachable => ContextFreshness::Reload,
            false => ContextFreshness::Changed,
        };
        Some(ContextMark { message_id: pinned.message_id, freshness })
    }
}

/// A chat that is looked after. Also a look that is dropped in its middle leaves the chat to be looked at again.
struct Turn {
    surveys: Arc<Surveys>,
    chat_id: ChatId,
    /// Somebody else may look after the chat by now.
    is_over: bool,
}

impl Turn {
    /// Whether something was noticed since the last look. If nothing was, the next to notice something looks at it.
    fn goes_on(&mut self) -> bool {
        let mut state = self.surveys.state.lock();
        match state.chats.get_mut(&self.chat_id) {
            Some(again) if *again => {
                *again = false;
                true
            }
            _ => {
                state.chats.remove(&self.chat_id);
                self.is_over = true;
                false
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.surveys.state.lock().chats.remove(&self.chat_id);
    }
}

/// There is a repository, and no more is known of it.
fn nothing_found(branch: Option<String>) -> DiffStatus {
    DiffStatus { branch, files_changed: 0, insertions: 0, deletions: 0, partial: true }
}

/// The workspace that a chat has.
pub(super) fn workspace_of(chat: &Chat) -> Option<&str> {
    chat.outline.workspace.as_ref()?.id.as_deref()
}

/// Reads a chat's context files; says so where the workspace cannot be reached.
pub(super) async fn read_context(spaces: &Workspaces, chat: &Chat) -> ContextFiles {
    let Some(workspace_id) = workspace_of(chat) else { return ContextFiles::none(chat, false) };
    match spaces.ready_files(workspace_id).await {
        Ok(files) => match context::look(&*files).await {
            Ok(gathered) => context::told(workspace_id.to_owned(), &gathered),
            Err(problem) => unreachable(chat, &problem),
        },
        // What is gone will never have files again.
        Err(ProvisionError::NotFound(_)) => ContextFiles::none(chat, false),
        Err(problem) => unreachable(chat, &problem),
    }
}

fn unreachable(chat: &Chat, problem: &dyn std::fmt::Display) -> ContextFiles {
    tracing::info!(chat.id = %chat.outline.id, %problem, "The workspace's context files cannot be read yet.");
    ContextFiles::none(chat, true)
}

impl Workspaces {
    /// The files of a workspace that can be worked in now; nothing is waited for.
    pub(super) async fn ready_files(&self, id: &str) -> Result<Arc<dyn crate::files::Files>, ProvisionError> {
        let maker = self.maker_of(id)?;
        let view = maker.look(id).await?;
        match (view.status, view.agent_status) {
            (WorkspaceStatus::Deleted, _) => Err(ProvisionError::NotFound("the workspace is gone".to_owned())),
            (WorkspaceStatus::Running, AgentStatus::Ready) => maker.files(id).await,
            _ => Err(ProvisionError::Unavailable("the workspace is not ready".to_owned())),
        }
    }
}
