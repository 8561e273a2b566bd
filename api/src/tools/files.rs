//! Keeps the files that tools attach to chats: they belong to the chat's owner.

use std::sync::Arc;

use uuid::Uuid;
use verbatim_actors::clock::Clock;
use verbatim_events::ids::Digest;
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::ChatAccess;
use verbatim_tools::workspace::{FileStore, NewFile, StoreError};

use crate::files::{FileHome, Kind, StoredFile, file_name};

/// The files of chats, for tools.
pub struct ToolFiles {
    home: FileHome,
    access: Arc<dyn ChatAccess>,
    clock: Arc<dyn Clock>,
}

impl ToolFiles {
    /// Files that are kept here.
    pub fn new(home: FileHome, access: Arc<dyn ChatAccess>, clock: Arc<dyn Clock>) -> ToolFiles {
        ToolFiles { home, access, clock }
    }
}

/// The id of what a call attached. A call that runs again after a crash and finds other content attaches another file; the
/// first one was told to nobody.
fn id_of(key: &str, digest: &Digest) -> Uuid {
    let named = Digest::of(format!("{key} {digest}").as_bytes());
    uuid::Builder::from_custom_bytes(std::array::from_fn(|index| named.0[index])).into_uuid()
}

fn words(problem: impl std::fmt::Display) -> StoreError {
    StoreError(problem.to_string())
}

impl FileStore for ToolFiles {
    fn put(&self, file: NewFile) -> BoxFuture<'static, Result<String, StoreError>> {
        let (home, now) = (self.home.clone(), self.clock.now());
        let look = self.access.look(file.chat_id);
        Box::pin(async move {
            let NewFile { chat_id, key, name, media_type, bytes } = file;
            let chat = look.await.map_err(words)?.ok_or_else(|| words("there is no such chat"))?;
            let kind = Kind::of(&media_type).map_err(words)?;
            kind.check(&bytes).map_err(words)?;
            let digest = Digest::of(&bytes);
            let stored = StoredFile {
                id: id_of(&key, &digest),
                owner: chat.outline.owner.clone(),
                chat_id: Some(chat_id),
                media_type: kind.media_type().to_owned(),
                name: file_name(&name).ok_or_else(|| words("the file's name cannot be used; give another"))?,
                size_bytes: bytes.len() as u64,
                digest,
                created_at: now,
                let_go_at: None,
            };
            let kept = home.keep(stored, bytes).await.map_err(|error| {
                tracing::error!(%error, chat.id = %chat_id, "A file could not be kept.");
                words("the file could not be kept")
            })?;
            Ok(kept.file.id.to_string())
        })
    }
}
