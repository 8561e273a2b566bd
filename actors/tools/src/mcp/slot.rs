//! What is remembered about a server between connections: whether it may be tried, and what its tools were.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::catalogue::Catalogue;
use super::connection::Era;

/// A server's memory. Times come in as arguments.
pub(super) struct Slot {
    skip: Duration,
    skipped_until: Option<Instant>,
    /// Why it failed last, for people and models.
    problem: Option<String>,
    /// The tools that it had when it was last seen.
    pub tools: Arc<Catalogue>,
    /// The handshake that it understood last.
    pub era: Era,
}

impl Slot {
    pub(super) fn new(skip: Duration) -> Slot {
        Slot { skip, skipped_until: None, problem: None, tools: Arc::default(), era: Era::Any }
    }

    /// Whether it may be tried now.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        self.skipped_until.is_none_or(|until| now >= until)
    }

    /// Why it is not there.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// It could not be reached.
    pub(super) fn failed(&mut self, now: Instant, problem: String) {
        self.skipped_until = Some(now + self.skip);
        self.problem = Some(problem);
        // It may be another program by then.
        self.era = Era::Any;
    }

    /// It was reached.
    pub(super) fn connected(&mut self, era: Era) {
        self.skipped_until = None;
        self.problem = None;
        self.era = era;
    }

    /// A connection that had been open since `opened` is gone. One that had been good for a while is worth another at
    /// once; a server that falls over as soon as it stands is left alone like one that cannot be reached.
    pub(super) fn lost(&mut self, opened: Instant, now: Instant, tools: Arc<Catalogue>) {
        self.tools = tools;
        self.problem = Some("the connection to it broke".to_owned());
        if now.duration_since(opened) < self.skip {
            self.skipped_until = Some(now + self.skip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKIP: Duration = Duration::from_secs(30);

    #[test]
    fn a_server_that_failed_is_left_alone_for_a_while() {
        let start = Instant::now();
        let mut slot = Slot::new(SKIP);
        assert!(slot.may_try(start) && slot.problem().is_none());
        slot.failed(start, "no route".to_owned());
        assert_eq!(slot.problem(), Some("no route"));
        assert!(!slot.may_try(start));
        assert!(!slot.may_try(start + SKIP - Duration::from_millis(1)));
        assert!(slot.may_try(start + SKIP));
        slot.connected(Era::Older);
        assert!(slot.may_try(start) && slot.problem().is_none());
    }

    #[test]
    fn a_lost_connection_is_renewed_at_once_unless_it_was_short() {
        let start = Instant::now();
        let mut slot = Slot::new(SKIP);
        slot.lost(start, start + SKIP, Arc::default());
        assert!(slot.may_try(start + SKIP) && slot.problem().is_some());
        slot.lost(start, start + SKIP / 2, Arc::default());
        assert!(!slot.may_try(start + SKIP / 2) && slot.may_try(start + SKIP / 2 + SKIP));
    }
}
