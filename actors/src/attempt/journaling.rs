//! Writes an attempt's parts to the journal while they flow.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use verbatim_events::log::{BoxFuture, LogError};
use verbatim_events::part::NumberedPart;

use crate::attempt::Scope;
use crate::node::Deps;

/// What has been journaled of one attempt.
pub(super) struct Journaling<'a> {
    scope: &'a Scope,
    written: u64,
}

impl<'a> Journaling<'a> {
    pub(super) fn new(scope: &'a Scope) -> Journaling<'a> {
        Journaling { scope, written: 0 }
    }

    /// A write of everything not yet written; `None` if there is nothing. One at a time.
    pub(super) fn write(&mut self) -> Option<BoxFuture<'static, Result<(), LogError>>> {
        let frames = self.scope.channel.parts_after(self.scope.attempt_id, self.written);
        self.written = frames.last()?.part.n;
        let parts: Vec<NumberedPart> = frames.iter().map(|frame| frame.part.clone()).collect();
        let deps: Arc<Deps> = Arc::clone(&self.scope.deps);
        let (chat_id, attempt_id) = (self.scope.chat_id, self.scope.attempt_id);
        self.scope.journaled.store(true, Ordering::Release);
        Some(Box::pin(async move { deps.journal.write(chat_id, attempt_id, parts).await }))
    }
}
