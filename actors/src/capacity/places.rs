//! Who may be at work and who waits: bounds per owner and for the node, first come first served inside an owner, owners in
//! turn where the node is full. A plain value without clocks, locks or tasks.
//!
//! **Invariant:** after every call no turn waits that could have a place, and no bound is exceeded. (While the doors are
//! closed everybody waits.)

use std::collections::{BTreeSet, HashMap, VecDeque};

use chrono::{DateTime, Utc};
use verbatim_events::event::CapacityScope;
use verbatim_events::ids::{ChatId, TurnId};

/// Which of an owner's bounds a turn counts towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The chat stands for itself.
    Root,
    /// The chat belongs to another one.
    Child,
}

/// How many may be at work at once; 0 for any number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Root turns of one owner.
    pub(crate) root: usize,
    /// Child turns of one owner.
    pub(crate) child: usize,
    /// Turns of all owners.
    pub(crate) node: usize,
}

impl Bounds {
    fn of(&self, kind: Kind) -> usize {
        match kind {
            Kind::Root => self.root,
            Kind::Child => self.child,
        }
    }

    /// Nobody ever waits.
    pub(crate) fn are_none(&self) -> bool {
        (self.root, self.child, self.node) == (0, 0, 0)
    }
}

fn has_room(bound: usize, held: usize) -> bool {
    bound == 0 || held < bound
}

/// A place in an owner's line: the smaller is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// It was not at work before the server stopped: those that were go first.
    pub(crate) is_new: bool,
    /// Since when it waits.
    pub(crate) since: DateTime<Utc>,
}

/// A turn that asks for a place.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) chat_id: ChatId,
    pub(crate) turn_id: TurnId,
    pub(crate) owner: String,
    pub(crate) kind: Kind,
    pub(crate) rank: Rank,
}

/// Where a turn stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has a place.
    Held,
    /// It waits: for this bound first of all.
    Waits(CapacityScope),
}

struct Entry {
    claim: Claim,
    is_held: bool,
}

/// One owner's turns.
#[derive(Default)]
struct Owner {
    held: [usize; 2],
    waiting: [BTreeSet<(Rank, ChatId)>; 2],
}

const KINDS: [Kind; 2] = [Kind::Root, Kind::Child];

impl Owner {
    fn is_gone(&self) -> bool {
        self.held == [0, 0] && self.waits_no_more()
    }

    fn waits_no_more(&self) -> bool {
        self.waiting.iter().all(BTreeSet::is_empty)
    }
}

/// The places of a node.
pub(crate) struct Places {
    bounds: Bounds,
    entries: HashMap<ChatId, Entry>,
    owners: HashMap<String, Owner>,
    /// The owners of whom somebody waits, in the order in which they are served.
    line: VecDeque<String>,
    held: [usize; 2],
    waiting: [usize; 2],
    is_closed: bool,
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Places {
        Places {
            bounds,
            entries: HashMap::new(),
            owners: HashMap::new(),
            line: VecDeque::new(),
            held: [0; 2],
            waiting: [0; 2],
            is_closed: false,
        }
    }

    /// Asks for a place for a chat's turn. A turn that has one keeps it, and one that waits stays where it is in its line.
    /// A new turn of the chat gives up what the one before had, and joins the end of the line. Returns those chats that
    /// got a place by that, itself included if it waited before.
    pub(crate) fn ask(&mut self, claim: Claim) -> (Standing, Vec<ChatId>) {
        let chat_id = claim.chat_id;
        if self.entries.get(&chat_id).is_none_or(|entry| entry.claim.turn_id != claim.turn_id) {
            self.take_out(chat_id);
            self.line_up(claim);
        }
        let granted = self.serve();
        (self.standing(chat_id).unwrap_or(Standing::Held), granted)
    }

    /// The chat has no turn that is at work any more, or waits no longer. Returns who got the place.
    pub(crate) fn leave(&mut self, chat_id: ChatId) -> Vec<ChatId> {
        self.take_out(chat_id);
        self.serve()
    }

    /// Where the chat's turn stands; `None` for one that did not ask.
    pub(crate) fn standing(&self, chat_id: ChatId) -> Option<Standing> {
        let entry = self.entries.get(&chat_id)?;
        Some(if entry.is_held { Standing::Held } else { Standing::Waits(self.scope(&entry.claim)) })
    }

    /// The turn that a chat has a place for, or waits with.
    pub(crate) fn turn(&self, chat_id: ChatId) -> Option<TurnId> {
        self.entries.get(&chat_id).map(|entry| entry.claim.turn_id)
    }

    /// Nobody gets a place until `open`.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Opens the doors: those that were at work before come first, whoever owns them; then everybody in turn, the owners by
    /// who of theirs has waited longest.
    pub(crate) fn open(&mut self) -> Vec<ChatId> {
        self.is_closed = false;
        let mut waiting: Vec<(Rank, ChatId)> =
            self.owners.values().flat_map(|owner| owner.waiting.iter().flatten().copied()).collect();
        waiting.sort_unstable();
        let mut granted = Vec::new();
        for (_, chat_id) in waiting.iter().take_while(|(rank, _)| !rank.is_new) {
            let Some(claim) = self.entries.get(chat_id).map(|entry| &entry.claim) else { continue };
            if self.owner_has_room(&claim.owner, claim.kind) && has_room(self.bounds.node, self.held_in_all()) {
                self.grant(*chat_id);
                granted.push(*chat_id);
            }
        }
        self.line.clear();
        for (_, chat_id) in &waiting {
            if let Some(entry) = self.entries.get(chat_id).filter(|entry| !entry.is_held)
                && !self.line.contains(&entry.claim.owner)
            {
                self.line.push_back(entry.claim.owner.clone());
            }
        }
        granted.extend(self.serve());
        granted
    }

    /// Everybody who waits.
    pub(crate) fn all_waiting(&self) -> Vec<ChatId> {
        self.entries.values().filter(|entry| !entry.is_held).map(|entry| entry.claim.chat_id).collect()
    }

    /// Places held, and turns that wait, by kind: root, child.
    pub(crate) fn figures(&self) -> ([usize; 2], [usize; 2]) {
        (self.held, self.waiting)
    }

    fn held_in_all(&self) -> usize {
        self.held.iter().sum()
    }

    fn owner_has_room(&self, owner: &str, kind: Kind) -> bool {
        let held = self.owners.get(owner).map_or(0, |owner| owner.held[kind as usize]);
        has_room(self.bounds.of(kind), held)
    }

    fn scope(&self, claim: &Claim) -> CapacityScope {
        match claim.kind {
            _ if self.owner_has_room(&claim.owner, claim.kind) => CapacityScope::Node,
            Kind::Root => CapacityScope::Root,
            Kind::Child => CapacityScope::Child,
        }
    }

    fn line_up(&mut self, claim: Claim) {
        let (chat_id, kind) = (claim.chat_id, claim.kind as usize);
        let owner = self.owners.entry(claim.owner.clone()).or_default();
        if owner.waits_no_more() {
            self.line.push_back(claim.owner.clone());
        }
        owner.waiting[kind].insert((claim.rank, chat_id));
        self.waiting[kind] += 1;
        self.entries.insert(chat_id, Entry { claim, is_held: false });
    }

    fn take_out(&mut self, chat_id: ChatId) {
        let Some(Entry { claim, is_held }) = self.entries.remove(&chat_id) else { return };
        let kind = claim.kind as usize;
        let Some(owner) = self.owners.get_mut(&claim.owner) else { return };
        if is_held {
            owner.held[kind] -= 1;
            self.held[kind] -= 1;
        } else {
            owner.waiting[kind].remove(&(claim.rank, chat_id));
            self.waiting[kind] -= 1;
            if owner.waits_no_more() {
                self.line.retain(|waiting| *waiting != claim.owner);
            }
        }
        if owner.is_gone() {
            self.owners.remove(&claim.owner);
        }
    }

    /// Gives the chat its place. It waits, and there is room.
    fn grant(&mut self, chat_id: ChatId) {
        let Some(entry) = self.entries.get_mut(&chat_id) else { return };
        entry.is_held = true;
        let kind = entry.claim.kind as usize;
        let Some(owner) = self.owners.get_mut(&entry.claim.owner) else { return };
        owner.waiting[kind].remove(&(entry.claim.rank, chat_id));
        owner.held[kind] += 1;
        self.waiting[kind] -= 1;
        self.held[kind] += 1;
    }

    /// Gives out what there is: a place to the first owner in line who has room for somebody that waits; then that owner
    /// goes to the line's end.
    fn serve(&mut self) -> Vec<ChatId> {
        let mut granted = Vec::new();
        while !self.is_closed && has_room(self.bounds.node, self.held_in_all()) {
            let next = self.line.iter().enumerate().find_map(|(at, name)| Some((at, self.next_of(name)?)));
            let Some((at, chat_id)) = next else { break };
            self.grant(chat_id);
            granted.push(chat_id);
            if let Some(name) = self.line.remove(at)
                && self.owners.get(&name).is_some_and(|owner| !owner.waits_no_more())
            {
                self.line.push_back(name);
            }
        }
        granted
    }

    /// Who of an owner's is next, of those kinds that have room.
    fn next_of(&self, name: &str) -> Option<ChatId> {
        let owner = self.owners.get(name)?;
        let with_room = KINDS.into_iter().filter(|kind| self.owner_has_room(name, *kind));
        let first = with_room.filter_map(|kind| owner.waiting[kind as usize].first()).min();
        first.map(|(_, chat_id)| *chat_id)
    }
}

#[cfg(test)]
mod tests;
