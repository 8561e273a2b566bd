//! How many turns are at work at once on this node. A turn has a place from its first attempt to its end; where none is
//! left it waits, which its chat's log tells, and goes on when its place comes.
//!
//! A wait for a retry keeps the place: it is short, and the next turn would meet the same provider in the same trouble. A
//! wait for people or clients (`requires_action`) gives it up, for that may last a day; so does a wait for another chat
//! (`Capacity::give_up`), or the two would wait for each other. The turn asks again before its next step.
//!
//! **Invariant:** what a chat holds follows from its state alone (`Seat::follow`, after every message), so a place cannot be
//! lost; a seat that is dropped, however its actor ended, gives back what it had. **Invariant:** the lock is held for a look
//! at plain values and never across a wait; others are told after it.

mod places;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use verbatim_events::chat::{Outline, Status};
use verbatim_events::event::CapacityScope;
use verbatim_events::ids::{ChatId, TurnId};
use verbatim_events::limits::Limits;

use self::places::{Bounds, Claim, Kind, Places, Rank, Standing};
use crate::clock::Clock;
use crate::core::Tell;
use crate::messages::ChatMessage;
use crate::metrics::PlaceMetrics;

/// Whether a turn may take its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It has a place.
    Open,
    /// It waits for one.
    Full(CapacityScope),
    /// Nobody gets a place just now, and it is not worth a word: the server starts or stops.
    Closed,
}

/// An actor's seat, as the node knows it.
struct Seated {
    /// Which: an actor that was replaced must not give its successor's place away.
    seat_id: u64,
    tell: Tell,
    /// Since when it waits.
    waits_since: Option<DateTime<Utc>>,
}

struct Inner {
    places: Places,
    seats: HashMap<ChatId, Seated>,
}

/// The node's places.
pub(crate) struct Capacity {
    inner: Mutex<Inner>,
    /// Nobody ever waits.
    is_unbounded: bool,
    clock: Arc<dyn Clock>,
    metrics: PlaceMetrics,
    seat_ids: AtomicU64,
    /// The server stops: the doors stay closed.
    is_stopping: AtomicBool,
}

impl Capacity {
    pub(crate) fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Arc<Capacity> {
        let bounds = Bounds { root: limits.turns_root_max, child: limits.turns_child_max, node: limits.turns_node_max };
        Arc::new(Capacity {
            inner: Mutex::new(Inner { places: Places::new(bounds), seats: HashMap::new() }),
            is_unbounded: bounds.are_none(),
            clock,
            metrics: PlaceMetrics::new(),
            seat_ids: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// A seat for a chat's actor. It holds nothing yet.
    pub(crate) fn seat(self: &Arc<Capacity>, chat_id: ChatId, tell: &Tell) -> Seat {
        let id = self.seat_ids.fetch_add(1, Ordering::Relaxed) + 1;
        Seat { capacity: Arc::clone(self), chat_id, id, tell: Arc::clone(tell), has_asked: AtomicBool::new(false) }
    }

    /// The chat's turn waits for another chat and needs no place until its next step.
    pub(crate) fn give_up(&self, chat_id: ChatId, turn_id: TurnId) {
        self.change(
            None,
            |inner| {
                if inner.places.turn(chat_id) == Some(turn_id) { inner.leave(chat_id) } else { Vec::new() }
            },
        );
    }

    /// Nobody gets a place until `open`.
    pub(crate) fn close(&self) {
        self.inner.lock().places.close();
    }

    /// Nobody gets a place any more.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.close();
    }

    /// Places are given out from now on; everybody who waited looks again.
    pub(crate) fn open(&self) {
        if self.is_stopping.load(Ordering::Acquire) {
            return;
        }
        let mut tells = Vec::new();
        self.change(None, |inner| {
            let granted = inner.places.open();
            let waiting = inner.places.all_waiting();
            tells.extend(
                waiting.iter().filter_map(|chat_id| inner.seats.get(chat_id)).map(|seat| Arc::clone(&seat.tell)),
            );
            granted
        });
        for tell in tells {
            tell(ChatMessage::Wake);
        }
    }

    /// Changes something and tells those who got a place by it, all but `asking`.
    fn change(&self, asking: Option<ChatId>, change: impl FnOnce(&mut Inner) -> Vec<ChatId>) {
        let (mut tells, mut waits) = (Vec::new(), Vec::new());
        let (held, waiting) = {
            let mut inner = self.inner.lock();
            for chat_id in change(&mut inner) {
                let Some(seat) = inner.seats.get_mut(&chat_id) else { continue };
                waits.extend(seat.waits_since.take());
                if Some(chat_id) != asking {
                    tells.push(Arc::clone(&seat.tell));
                }
            }
            inner.places.figures()
        };
        self.metrics.places(held, waiting);
        for since in waits {
            self.metrics.waited((self.clock.now() - since).to_std().unwrap_or_default());
        }
        for tell in tells {
            tell(ChatMessage::Wake);
        }
    }
}

impl Inner {
    fn leave(&mut self, chat_id: ChatId) -> Vec<ChatId> {
        self.seats.remove(&chat_id);
        self.places.leave(chat_id)
    }
}

/// What one actor has of the node's places.
pub(crate) struct Seat {
    capacity: Arc<Capacity>,
    chat_id: ChatId,
    id: u64,
    tell: Tell,
    /// It asked for something, and the node may still know it.
    has_asked: AtomicBool,
}

impl Seat {
    /// Asks for a place for the next step of the chat's turn.
    pub(crate) fn ask(&self, outline: &Outline, now: DateTime<Utc>) -> Gate {
        if self.capacity.is_unbounded {
            return Gate::Open;
        }
        let Some(turn) = &outline.turn else { return Gate::Open };
        self.has_asked.store(true, Ordering::Relaxed);
        let mut gate = Gate::Open;
        self.capacity.change(Some(self.chat_id), |inner| {
            let is_closed = inner.places.is_closed();
            let has_begun = turn.steps > 0 || outline.attempts_at_history > 0;
            let rank = match outline.capacity {
                Some(wait) => Rank { is_new: true, since: wait.since },
                None if is_closed && has_begun => Rank { is_new: false, since: turn.started_at },
                None => Rank { is_new: true, since: now },
            };
            let kind = if outline.parent.is_some() { Kind::Child } else { Kind::Root };
            let owner = outline.owner.clone();
            let (standing, granted) =
                inner.places.ask(Claim { chat_id: self.chat_id, turn_id: turn.id, owner, kind, rank });
            let waits_since = inner.seats.get(&self.chat_id).and_then(|seat| seat.waits_since);
            let waits_since = match standing {
                // What it had before is counted with those who got a place.
                Standing::Held if granted.contains(&self.chat_id) => outline.capacity.map(|wait| wait.since),
                Standing::Held => None,
                Standing::Waits(_) => waits_since.or(Some(rank.since)),
            };
            let seated = Seated { seat_id: self.id, tell: Arc::clone(&self.tell), waits_since };
            inner.seats.insert(self.chat_id, seated);
            gate = match standing {
                Standing::Held => Gate::Open,
                Standing::Waits(_) if is_closed => Gate::Closed,
                Standing::Waits(scope) => Gate::Full(scope),
            };
            granted
        });
        gate
    }

    /// Whether the chat has nothing to do but wait: it has asked, nothing can be said that is not said already, and it will
    /// be told.
    pub(crate) fn is_blocked(&self, outline: &Outline) -> bool {
        if !self.has_asked.load(Ordering::Relaxed) {
            return false;
        }
        let inner = self.capacity.inner.lock();
        self.is_known(&inner)
            && matches!(inner.places.standing(self.chat_id), Some(Standing::Waits(_)))
            && (outline.capacity.is_some() || inner.places.is_closed())
    }

    /// Gives back what the chat's state does not warrant, and asks for what it had before a restart.
    pub(crate) fn follow(&self, outline: Option<&Outline>) {
        let at_work = outline.filter(|outline| matches!(outline.status, Status::Running | Status::Interrupting));
        let turn_id = at_work.and_then(|outline| outline.turn.as_ref()).map(|turn| turn.id);
        if self.has_asked.load(Ordering::Relaxed) {
            let is_stopping = outline.is_some_and(|outline| outline.status == Status::Interrupting);
            let is_right = {
                let inner = self.capacity.inner.lock();
                let is_its_turn = turn_id.is_some() && inner.places.turn(self.chat_id) == turn_id;
                is_its_turn && (!is_stopping || inner.places.standing(self.chat_id) == Some(Standing::Held))
            };
            if is_right {
                return;
            }
            self.leave();
        }
        // A turn that waits, for its place or for a retry, stands in line from the beginning of its actor's life.
        let waits = |outline: &Outline| {
            outline.status == Status::Running && (outline.capacity.is_some() || outline.retry.is_some())
        };
        if let Some(outline) = at_work.filter(|outline| waits(outline)) {
            let gate = self.ask(outline, self.capacity.clock.now());
            if gate == Gate::Open && outline.capacity.is_some() {
                (self.tell)(ChatMessage::Wake);
            }
        }
    }

    fn leave(&self) {
        self.has_asked.store(false, Ordering::Relaxed);
        self.capacity.change(None, |inner| if self.is_known(inner) { inner.leave(self.chat_id) } else { Vec::new() });
    }

    fn is_known(&self, inner: &Inner) -> bool {
        inner.seats.get(&self.chat_id).is_some_and(|seat| seat.seat_id == self.id)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.has_asked.load(Ordering::Relaxed) {
            self.leave();
        }
    }
}
