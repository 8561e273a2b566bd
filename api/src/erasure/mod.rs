//! Erasure: a chat's content goes, the fact stays.
//!
//! First the intent is noted in the vault, then the log says that the chat is erased: from then on everybody is told so.
//! What must go is read from the chat's own events while they still can be read, and noted; then the key is destroyed,
//! which ends what nothing else could; then files, workspaces, processes and rows go, and the note with them. The key goes
//! before what lies elsewhere because that may take long (a workspace's maker may be away for days), and no word has
//! to wait for it.
//!
//! **Invariant:** every step can be done again, and the note stays until the last is done, so whatever crashes, the next
//! start finishes what was begun. A chat's children are erased after it: an erased chat gets no new ones.

mod remains;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use verbatim_actors::clock::Clock;
use verbatim_actors::handle::{Answer, Handle, Meta, SendError};
use verbatim_events::chat::Outline;
use verbatim_events::command::Command;
use verbatim_events::envelope::Encoding;
use verbatim_events::ids::{AttemptId, ChatId};
use verbatim_events::journal::PartJournal;
use verbatim_events::log::{EventLog, LogError};
use verbatim_events::rejection::Rejection;
use verbatim_events_sql::{ChatVault, Erasure, Sweeper, key_of};
use verbatim_projections::{ChatFilter, Parent, ReadError, ReadModels};
use verbatim_tools::workspace::Workspaces;
use verbatim_tools::workspace::port::ProvisionError;

use self::remains::Remains;
use self::request::Request;
use crate::files::{FileError, FileHome};

/// How long a caller waits for the last step before it is told that the erasure goes on by itself, in ms.
const PATIENCE_MS: u64 = 10_000;
/// How long rows may take to follow the log before it is tried again later.
const ROWS_PATIENCE: Duration = Duration::from_secs(10);
/// How often unfinished erasures are tried again, in ms.
const RETRY_MS: u64 = 30_000;
/// Erased chats that are looked at together.
const ERASED_PAGE: usize = 100;
/// Children of one chat that are looked up at once.
const CHILDREN_PAGE: usize = 200;

/// Why a chat was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The chat refused, or the log did.
    #[error(transparent)]
    Refused(#[from] SendError),
    /// The chat was stored before chats were sealed: its words stand in the log for ever.
    #[error("the chat's events are stored as they are")]
    NotSealed,
    /// The keys cannot be reached.
    #[error(transparent)]
    Vault(#[from] LogError),
}

/// Why a step could not be done now.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Chat(#[from] SendError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Reads(#[from] ReadError),
    #[error(transparent)]
    Files(#[from] FileError),
    #[error(transparent)]
    Workspaces(#[from] ProvisionError),
    #[error("the read models are behind")]
    Behind,
    #[error("what was noted of it cannot be read")]
    Note,
}

/// How an erasure was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who asked.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// A chat that is stored plain is erased, too; its events stay in the log as they are.
    pub keep_events: bool,
}

/// What an erasure reaches.
pub struct Reach {
    /// The chats.
    pub handle: Handle,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The keys; `None` where nothing is sealed.
    pub vault: Option<ChatVault>,
    /// The part journal.
    pub journal: Arc<dyn PartJournal>,
    /// What writes forgotten receipts and parts out of their files.
    pub sweeper: Option<Sweeper>,
    /// The read models.
    pub reads: ReadModels,
    /// The files.
    pub files: FileHome,
    /// The workspaces.
    pub workspaces: Arc<Workspaces>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where work goes on when nobody waits for it.
    pub runtime: tokio::runtime::Handle,
}

/// Erases chats. Cheap to clone.
#[derive(Clone)]
pub struct Eraser {
    inner: Arc<Inner>,
}

struct Inner {
    reach: Reach,
    /// One at a time: a second one of the same chat waits and finds nothing to do.
    turn: Mutex<()>,
    asked: Notify,
}

impl Eraser {
    /// Erases within this reach.
    pub fn new(reach: Reach) -> Eraser {
        Eraser { inner: Arc::new(Inner { reach, turn: Mutex::new(()), asked: Notify::new() }) }
    }

    /// Erases a chat and its descendants. Once this returns, the log says so; nearly always nothing is left by then, else
    /// the rest goes on by itself. A chat that is stored plain is refused, unless its events may stay.
    pub async fn erase(&self, chat_id: ChatId, meta: Meta, asked: Asked) -> Result<Answer, EraseError> {
        let Asked { by, reason, keep_events } = asked;
        let reach = &self.inner.reach;
        let opened = reach.handle.open(chat_id).await?;
        if opened.chat.outline.erased {
            // Refused, or told again what was said under the same key.
            let command = Command::Erase { by, reason };
            return Ok(reach.handle.send(chat_id, command, meta).await?);
        }
        if !keep_events && !self.inner.family_is_sealed(chat_id).await? {
            return Err(EraseError::NotSealed);
        }
        if let Some(vault) = &reach.vault {
            let request = Request::of(&meta, reason.as_deref());
            vault.begin_erasure(chat_id, &by, Some(request.to_text())).await?;
        }
        let command = Command::Erase { by: by.clone(), reason };
        let answer = match reach.handle.send(chat_id, command, meta).await {
            Ok(answer) => answer,
            Err(SendError::Rejected(rejection)) => {
                if let Some(vault) = &reach.vault
                    && rejection != Rejection::Erased
                {
                    vault.end_erasure(chat_id).await?;
                }
                return Err(SendError::Rejected(rejection).into());
            }
            Err(error) => {
                // It may have been done; whoever finishes looks.
                self.inner.asked.notify_one();
                return Err(error.into());
            }
        };
        let inner = Arc::clone(&self.inner);
        let rest = reach.runtime.spawn(async move {
            inner.finish_family(Erasure { chat_id, asked_by: by, request: None, remains: None }).await;
        });
        tokio::select! {
            _ = rest => {}
            () = reach.clock.sleep_ms(PATIENCE_MS) => {
                tracing::info!(chat.id = %chat_id, "An erasure goes on by itself.");
            }
        }
        Ok(answer)
    }

    /// Finishes what was begun, at a start and whenever something was left. Ends when it is dropped.
    pub async fn run(self) {
        self.inner.finish_all().await;
        if let Err(error) = self.inner.destroy_what_came_back().await {
            tracing::warn!(%error, "It could not be made sure that the keys of erased chats are gone; the next start tries again.");
        }
        loop {
            tokio::select! {
                () = self.inner.asked.notified() => {}
                () = self.inner.reach.clock.sleep_ms(RETRY_MS) => {}
            }
            self.inner.finish_all().await;
        }
    }
}

impl Inner {
    /// Whether a chat's events are sealed: all of them are, or none.
    async fn is_sealed(&self, chat_id: ChatId) -> Result<bool, LogError> {
        let first = self.reach.log.read_chat(chat_id, 0, 1).await?;
        Ok(first.first().is_some_and(|stored| stored.event.encoding == Encoding::Sealed))
    }

    /// Whether the events of a chat and of all its descendants are sealed. A child began when sealing may have been off.
    async fn family_is_sealed(&self, chat_id: ChatId) -> Result<bool, EraseError> {
        let reach = &self.reach;
        if reach.reads.wait_until(reach.log.head().await?, ROWS_PATIENCE).await.is_err() {
            return Err(LogError::Unavailable("the chat's descendants are not known yet".to_owned()).into());
        }
        let mut waiting = vec![chat_id];
        while let Some(next) = waiting.pop() {
            if !self.is_sealed(next).await? {
                return Ok(false);
            }
            let children = self.children(next).await;
            let children = children.map_err(|error| LogError::Unavailable(error.to_string()))?;
            waiting.extend(children.into_iter().filter(|child| !child.erased).map(|child| child.id));
        }
        Ok(true)
    }

    /// Destroys the keys of erased chats that are there again: an older copy of the keys was put back, beside a log that
    /// knows more. Where an erasure is not finished the key may be needed still, to read what must go.
    async fn destroy_what_came_back(&self) -> Result<(), StepError> {
        let reach = &self.reach;
        let Some(vault) = &reach.vault else { return Ok(()) };
        reach.reads.wait_until(reach.log.head().await?, ROWS_PATIENCE).await.map_err(|_| StepError::Behind)?;
        let mut after = 0;
        loop {
            let page = reach.reads.erased_chats(after, ERASED_PAGE).await?;
            // Asked after the page: what begins now is noted before the log says that the chat is erased.
            let unfinished: BTreeSet<_> = vault.erasures().await?.into_iter().map(|erasure| erasure.chat_id).collect();
            let mut keys = Vec::new();
            for (_, erased) in page.iter().filter(|(_, erased)| !unfinished.contains(&erased.id)) {
                let first = reach.log.read_chat(erased.id, 0, 1).await?;
                keys.extend(first.first().and_then(|stored| key_of(&stored.event)));
            }
            let back = vault.held(keys).await?;
            if !back.is_empty() {
                tracing::warn!(keys = back.len(), "Keys of erased chats were there again; they are destroyed.");
                vault.destroy(back).await?;
            }
            match page.last() {
                Some((position, _)) if page.len() >= ERASED_PAGE => after = *position,
                _ => return Ok(()),
            }
        }
    }

    /// Finishes every erasure that was begun, those of children that come up on the way included.
    async fn finish_all(&self) {
        let _turn = self.turn.lock().await;
        let Some(vault) = &self.reach.vault else { return };
        match vault.erasures().await {
            Ok(erasures) => self.finish(erasures).await,
            Err(error) => tracing::warn!(%error, "Unfinished erasures could not be looked up."),
        }
    }

    /// Finishes an erasure, those of all descendants, and with it what others have begun: what is written anew in the end
    /// is so once for all of them.
    async fn finish_family(&self, erasure: Erasure) {
        let _turn = self.turn.lock().await;
        let Some(vault) = &self.reach.vault else { return self.finish(vec![erasure]).await };
        match vault.erasures().await {
            Ok(begun) if begun.iter().any(|one| one.chat_id == erasure.chat_id) => self.finish(begun).await,
            Ok(_) => tracing::debug!(chat.id = %erasure.chat_id, "Somebody else has finished an erasure."),
            Err(error) => {
                tracing::warn!(chat.id = %erasure.chat_id, %error, "An erasure is not finished; it is tried again.")
            }
        }
    }

    async fn finish(&self, erasures: Vec<Erasure>) {
        let not_finished = |chat_id: ChatId, error: &StepError| {
            tracing::warn!(chat.id = %chat_id, %error, "An erasure is not finished; it is tried again.");
        };
        let (mut waiting, mut removed) = (erasures, Vec::new());
        while let Some(erasure) = waiting.pop() {
            let chat_id = erasure.chat_id;
            match self.remove(erasure).await {
                Ok((remains, children)) => {
                    removed.push((chat_id, remains));
                    let known = |child: &Erasure| removed.iter().any(|(chat_id, _)| *chat_id == child.chat_id);
                    let is_new =
                        |child: &Erasure| !known(child) && waiting.iter().all(|one| one.chat_id != child.chat_id);
                    let children: Vec<_> = children.into_iter().filter(is_new).collect();
                    waiting.extend(children);
                }
                Err(error) => not_finished(chat_id, &error),
            }
        }
        if removed.iter().any(|(_, remains)| !remains.swept)
            && let Err(error) = self.sweep().await
        {
            removed.iter().for_each(|(chat_id, _)| not_finished(*chat_id, &error));
            return;
        }
        for (chat_id, remains) in removed {
            match self.conclude(chat_id, remains).await {
                Ok(()) => tracing::info!(chat.id = %chat_id, "A chat was erased."),
                Err(error) => not_finished(chat_id, &error),
            }
        }
    }

    /// Removes what there is of a chat here; returns what is known to lie elsewhere, and the erasures of its children.
    async fn remove(&self, erasure: Erasure) -> Result<(Remains, Vec<Erasure>), StepError> {
        let Erasure { chat_id, asked_by, request, remains } = erasure;
        let reach = &self.reach;
        self.say_so(chat_id, &asked_by, request.as_deref()).await?;
        reach.journal.forget(chat_id, AttemptId::MAX).await?;
        let remains = match remains {
            Some(note) => Remains::read(&note).ok_or(StepError::Note)?,
            None => {
                let found = remains::of(reach.log.as_ref(), chat_id).await?;
                if let Some(vault) = &reach.vault {
                    vault.note_remains(chat_id, found.to_text()).await?;
                }
                found
            }
        };
        if remains.swept {
            return Ok((remains, Vec::new()));
        }
        if let Some(vault) = &reach.vault {
            vault.destroy(remains.keys.iter().copied().collect()).await?;
        }
        // The rows follow the log by themselves; they are far enough when the end of the chat is in them.
        let gone = reach.reads.wait_until(reach.log.head().await?, ROWS_PATIENCE).await;
        gone.map_err(|_| StepError::Behind)?;
        let children = self.begin_children(chat_id, &asked_by).await?;
        self.remove_files(chat_id, &remains).await?;
        // What an attempt that was just stopped still wrote.
        reach.journal.forget(chat_id, AttemptId::MAX).await?;
        if let Some(sweeper) = &reach.sweeper {
            sweeper.forget_receipts(remains::receipts_of(reach.log.as_ref(), chat_id).await?).await?;
        }
        Ok((remains, children))
    }

    /// Writes what was removed out of all files.
    async fn sweep(&self) -> Result<(), StepError> {
        if let Some(sweeper) = &self.reach.sweeper {
            sweeper.sweep().await?;
        }
        Ok(self.reach.reads.sweep().await?)
    }

    /// Removes a chat's workspaces, and then the note. They are the last, because whoever made them may be away for days; what was
    /// done till then need not be done again.
    async fn conclude(&self, chat_id: ChatId, remains: Remains) -> Result<(), StepError> {
        let reach = &self.reach;
        let made: Vec<_> = remains.workspaces.iter().cloned().collect();
        let forgotten = reach.workspaces.forget_chat(chat_id, &made).await;
        let Some(vault) = &reach.vault else { return Ok(forgotten?) };
        match forgotten {
            Ok(()) => Ok(vault.end_erasure(chat_id).await?),
            Err(error) => {
                if !remains.swept {
                    vault.note_remains(chat_id, Remains { swept: true, ..remains }.to_text()).await?;
                }
                Err(error.into())
            }
        }
    }

    /// The log says that the chat is erased, and that the request which began it was carried out.
    async fn say_so(&self, chat_id: ChatId, by: &str, request: Option<&str>) -> Result<(), StepError> {
        let opened = self.reach.handle.open(chat_id).await?;
        if opened.chat.outline.erased {
            return Ok(());
        }
        let noted = request.and_then(Request::read).map(Request::into_meta);
        let (meta, reason) = noted.unwrap_or_else(|| (Meta::user(by), None));
        let command = Command::Erase { by: by.to_owned(), reason };
        match self.reach.handle.send(chat_id, command, meta).await {
            Ok(_) | Err(SendError::Rejected(Rejection::Erased)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A chat's children.
    async fn children(&self, chat_id: ChatId) -> Result<Vec<Outline>, ReadError> {
        let (mut children, mut cursor) = (Vec::new(), None);
        loop {
            let filter = ChatFilter { parent: Parent::ChildOf(chat_id), ..ChatFilter::default() };
            let page = self.reach.reads.chats(filter, CHILDREN_PAGE, cursor.as_deref()).await?;
            children.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(children);
            }
        }
    }

    /// Notes the erasures of a chat's children, those that are finished already left out.
    async fn begin_children(&self, chat_id: ChatId, by: &str) -> Result<Vec<Erasure>, StepError> {
        let mut begun = Vec::new();
        for child in self.children(chat_id).await? {
            if let Some(vault) = &self.reach.vault {
                vault.begin_erasure(child.id, by, None).await?;
            }
            begun.push(Erasure { chat_id: child.id, asked_by: by.to_owned(), request: None, remains: None });
        }
        Ok(begun)
    }

    /// Removes the files that the chat showed and nobody shows any more.
    async fn remove_files(&self, chat_id: ChatId, remains: &Remains) -> Result<(), StepError> {
        for file_id in &remains.files {
            if !self.reach.reads.shows(&file_id.to_string()).await? {
                self.reach.files.remove(*file_id).await?;
            }
        }
        // What tools attached and no message came to show.
        for file_id in self.reach.files.of_chat(chat_id).await? {
            if !self.reach.reads.shows(&file_id.to_string()).await? {
                self.reach.files.remove(file_id).await?;
            }
        }
        Ok(())
    }
}
