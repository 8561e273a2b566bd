//! What became of each tool call. The log says that a call began and how it ended; where the server stopped in between,
//! or the user stopped the call, a result is written all the same, and only both together tell that nobody knows.

use std::collections::BTreeSet;

use verbatim_events::event::Event;
use verbatim_events::message::Role;
use verbatim_events::part::Part;

/// The calls that began and have not ended, while a chat's events go by in order.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    begun: BTreeSet<String>,
}

impl Ledger {
    /// A result for this call would be no tool's own: the call began, and no end of it is in the log.
    pub(super) fn is_unknown(&self, call_id: &str) -> bool {
        self.begun.contains(call_id)
    }

    /// Goes on behind an event.
    pub(super) fn pass(&mut self, event: &Event) {
        match event {
            Event::ToolCallStarted(call) => {
                self.begun.insert(call.call_id.clone());
            }
            Event::ToolCallFinished(call) => {
                self.begun.remove(&call.call_id);
            }
            // A provider may use an id again; what was answered is over.
            Event::MessageCommitted(message) if message.role == Role::Tool => {
                for part in &message.parts {
                    if let Part::ToolResult { call_id, .. } = part {
                        self.begun.remove(call_id);
                    }
                }
            }
            Event::TurnFinished(_) => self.begun.clear(),
            _ => {}
        }
    }
}
