//! The newest head this node knows of, and waiting for a newer one.

use std::sync::Arc;

use tokio::sync::watch;
use verbatim_events::ids::Position;

/// Shared by the writer, the listener, the poller (who publish) and the readers (who wait).
#[derive(Clone, Debug)]
pub(crate) struct KnownHead {
    sender: Arc<watch::Sender<Position>>,
}

impl KnownHead {
    pub(crate) fn new(position: Position) -> KnownHead {
        KnownHead { sender: Arc::new(watch::Sender::new(position)) }
    }

    /// Makes a head known. Heads only grow: an older one, which came late, changes nothing.
    pub(crate) fn publish(&self, position: Position) {
        self.sender.send_if_modified(|known| {
            let newer = position > *known;
            *known = (*known).max(position);
            newer
        });
    }

    pub(crate) fn get(&self) -> Position {
        *self.sender.borrow()
    }

    /// Returns once the known head is beyond `position`. Needs no timer: whoever can miss a hint has a poller that
    /// publishes.
    pub(crate) async fn wait_beyond(&self, position: Position) {
        // The sender lives as long as `self`, so the channel cannot be closed while we wait.
        let _ = self.sender.subscribe().wait_for(|known| *known > position).await;
    }
}

#[cfg(test)]
mod tests;
