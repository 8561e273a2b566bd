//! Which trace a chat's turns belong to: that of the command which began the turn, which queued its message, or which set
//! it going again. So the steps of a turn carry the trace of the request behind them, however long after it they come.

use tracing::Span;
use verbatim_events::chat::Outline;
use verbatim_events::envelope::Actor;
use verbatim_events::event::Event;
use verbatim_events::ids::{QueuedId, TurnId};

use crate::handle::Meta;
use crate::hydrate::Witnessed;

/// A turn's trace.
#[derive(Clone)]
pub(crate) struct TurnTrace {
    /// Its id, as the events carry it.
    pub(crate) trace_id: Option<String>,
    /// The command's span; what the turn does is shown below it.
    pub(crate) span: Span,
}

impl TurnTrace {
    fn none() -> TurnTrace {
        TurnTrace { trace_id: None, span: Span::none() }
    }
}

/// The traces of a chat's running turn and of the messages that wait.
pub(crate) struct Traces {
    turn: TurnTrace,
    waiting: Vec<(QueuedId, TurnTrace)>,
}

impl Traces {
    pub(crate) fn new() -> Traces {
        Traces { turn: TurnTrace::none(), waiting: Vec::new() }
    }

    /// The running turn's.
    pub(crate) fn turn(&self) -> &TurnTrace {
        &self.turn
    }

    /// The chat was read from the log, where the last event says this.
    pub(crate) fn read(&mut self, trace_id: Option<String>, outline: &Outline) {
        if outline.turn.is_some() && self.turn.trace_id.is_none() {
            self.turn.trace_id = trace_id;
        }
    }

    /// Events of the command that is being done were committed; `before` is the turn that ran before it.
    pub(crate) fn committed(&mut self, events: &[Witnessed], meta: &Meta, before: Option<TurnId>, after: &Outline) {
        let own = match &meta.actor {
            Actor::User(_) => Some(TurnTrace { trace_id: meta.trace_id.clone(), span: Span::current() }),
            Actor::Node(_) | Actor::System => None,
        };
        let (mut promoted, mut attempts) = (None, false);
        for Witnessed { recorded, .. } in events {
            match (&recorded.event, &own) {
                (Event::MessageQueued(_), Some(own)) => self.waiting.push((recorded.version, own.clone())),
                (Event::MessageCommitted(message), _) => promoted = message.queued_id.or(promoted),
                (Event::AttemptRecorded(_), _) => attempts = true,
                _ => {}
            }
        }
        let now = after.turn.as_ref().map(|turn| turn.id);
        if now != before || (attempts && own.is_some()) {
            let waited = || Some(self.waiting.iter().find(|(id, _)| Some(*id) == promoted)?.1.clone());
            self.turn = match now {
                Some(_) => own.or_else(waited).unwrap_or_else(TurnTrace::none),
                None => TurnTrace::none(),
            };
        }
        self.waiting.retain(|(id, _)| after.queue.contains(id));
    }
}
