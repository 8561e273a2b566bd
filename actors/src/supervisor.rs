//! The registry chat → actor: starts actors on demand, spreads them over arbiters, bounds what waits for them, puts idle
//! ones to rest and replaces dead ones from the log.
//!
//! actix's own supervisor and mailbox serve none of this: a panic is not restarted there, and every clone of an address
//! brings a free slot, so a mailbox bounds nothing. Hence permits, and an obituary that a dying actor leaves.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use actix::{Actor, Addr, AsyncContext};
use actix_rt::Arbiter;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use verbatim_events::command::Command;
use verbatim_events::ids::ChatId;

use crate::chat::ChatActor;
use crate::handle::{Answer, Meta, SendError, Stats};
use crate::hub::Opened;
use crate::messages::{ChatMessage, Permits};
use crate::node::Deps;
use crate::spans;

/// When a caller that was refused for want of room should come back, in ms.
const BUSY_RETRY_AFTER_MS: u64 = 1_000;
/// Panics further back than this are forgiven.
const RESTART_WINDOW: TimeDelta = TimeDelta::minutes(1);
/// How often the registry is looked through, in ms.
const SWEEP_MS: u64 = 1_000;

/// What the supervisor may know of a chat without asking its actor.
pub(crate) struct Mind {
    owing: AtomicBool,
    last_used_ms: AtomicI64,
}

impl Mind {
    /// Whether the chat owes something, so that it must stay in memory.
    pub(crate) fn set_owing(&self, owing: bool) {
        self.owing.store(owing, Ordering::Release);
    }
}

/// Left behind by an actor that ends without having been retired: it died.
pub(crate) struct Obituary {
    supervisor: Weak<Supervisor>,
    chat_id: ChatId,
    incarnation: u64,
}

impl Obituary {
    /// The actor goes in peace.
    pub(crate) fn cancel(&mut self) {
        self.supervisor = Weak::new();
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.upgrade() {
            supervisor.died(self.chat_id, self.incarnation);
        }
    }
}

struct Entry {
    address: Addr<ChatActor>,
    mailbox: Arc<Semaphore>,
    mind: Arc<Mind>,
    incarnation: u64,
}

#[derive(Default)]
struct Registry {
    entries: HashMap<ChatId, Entry>,
    /// When the actors of troubled chats died, within the window.
    deaths: HashMap<ChatId, Vec<DateTime<Utc>>>,
}

/// The node's supervisor.
pub(crate) struct Supervisor {
    deps: Arc<Deps>,
    arbiters: Mutex<Vec<Arbiter>>,
    /// Handles of the arbiters, to start actors from any thread.
    homes: Vec<actix_rt::ArbiterHandle>,
    registry: Mutex<Registry>,
    commands: Arc<Semaphore>,
    incarnations: AtomicU64,
    restarts: AtomicU64,
    stopping: AtomicBool,
    this: Weak<Supervisor>,
}

impl Supervisor {
    pub(crate) fn start(deps: Arc<Deps>, arbiters: usize) -> Arc<Supervisor> {
        let arbiters: Vec<Arbiter> = (0..arbiters).map(|_| Arbiter::new()).collect();
        let homes = arbiters.iter().map(Arbiter::handle).collect();
        let commands = Arc::new(Semaphore::new(deps.limits.commands_max.clamp(1, Semaphore::MAX_PERMITS)));
        let supervisor = Arc::new_cyclic(|this| Supervisor {
            deps,
            arbiters: Mutex::new(arbiters),
            homes,
            registry: Mutex::default(),
            commands,
            incarnations: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            this: this.clone(),
        });
        let weak = Arc::downgrade(&supervisor);
        let clock = Arc::clone(&supervisor.deps.clock);
        supervisor.deps.runtime.spawn(async move {
            loop {
                clock.sleep_ms(SWEEP_MS).await;
                let Some(supervisor) = weak.upgrade() else { return };
                if supervisor.stopping.load(Ordering::Acquire) {
                    return;
                }
                supervisor.sweep();
            }
        });
        supervisor
    }

    pub(crate) async fn send(&self, chat_id: ChatId, command: Command, meta: Meta) -> Result<Answer, SendError> {
        let (reply, answer) = oneshot::channel();
        let (name, span) = (command.name(), spans::command(chat_id, &command, &meta));
        let routed = self.route(chat_id, |permits| ChatMessage::Command {
            command: Box::new(command),
            meta: Box::new(meta),
            reply,
            span: span.clone(),
            permits: Some(permits),
        });
        let unheard = match routed {
            Ok(()) => match answer.await {
                Ok(answer) => return answer,
                Err(_) => Err(SendError::Died),
            },
            Err(error) => Err(error),
        };
        // What the actor answers it counts itself.
        span.in_scope(|| spans::answered(&unheard));
        self.deps.metrics.command(name, &unheard);
        unheard
    }

    pub(crate) async fn open(&self, chat_id: ChatId) -> Result<Opened, SendError> {
        let (reply, answer) = oneshot::channel();
        self.route(chat_id, |permits| ChatMessage::Open { reply, permits })?;
        answer.await.unwrap_or(Err(SendError::Died))
    }

    /// Lets a chat do what it owes; returns when that is done as far as it can be now.
    pub(crate) async fn rouse(&self, chat_id: ChatId) -> Result<(), SendError> {
        let (reply, answer) = oneshot::channel();
        self.route(chat_id, |permits| ChatMessage::Rouse { reply, permits })?;
        answer.await.unwrap_or(Err(SendError::Died))
    }

    /// Lets a chat's actor read on in the log: somebody else has written there. One that rests is woken, since it may owe
    /// something now; if there is no room for it, recovery or the next message sees to it.
    pub(crate) async fn refresh(&self, chat_id: ChatId) {
        let known = self.registry.lock().entries.get(&chat_id).map(|entry| entry.address.clone());
        if let Some(address) = known
            && address.try_send(ChatMessage::Refresh).is_ok()
        {
            return;
        }
        if let Err(error) = self.open(chat_id).await {
            tracing::warn!(chat.id = %chat_id, %error, "A chat could not be woken for what was written to it.");
        }
    }

    pub(crate) fn deps(&self) -> &Arc<Deps> {
        &self.deps
    }

    /// Hands a message to the chat's actor, which is started if need be. Never waits.
    fn route(&self, chat_id: ChatId, message: impl FnOnce(Permits) -> ChatMessage) -> Result<(), SendError> {
        let busy = || SendError::Busy { retry_after_ms: BUSY_RETRY_AFTER_MS };
        let node = Arc::clone(&self.commands).try_acquire_owned().map_err(|_| busy())?;
        let mut registry = self.registry.lock();
        // Looked at under the lock: `shutdown` sets it under the lock too, so no actor is started behind its back.
        if self.stopping.load(Ordering::Acquire) {
            return Err(SendError::Stopping);
        }
        if !registry.entries.get(&chat_id).is_some_and(|entry| entry.address.connected()) {
            if self.given_up(&mut registry, chat_id) {
                return Err(SendError::GivenUp);
            }
            if registry.entries.len() >= self.deps.limits.chats_in_memory_max.max(1) {
                self.rest_idle(&mut registry, 1);
                if registry.entries.len() >= self.deps.limits.chats_in_memory_max.max(1) {
                    return Err(busy());
                }
            }
            self.start_actor(&mut registry, chat_id);
        }
        let Some(entry) = registry.entries.get(&chat_id) else { return Err(busy()) };
        let place = Arc::clone(&entry.mailbox).try_acquire_owned().map_err(|_| busy())?;
        entry.mind.last_used_ms.store(self.deps.clock.now().timestamp_millis(), Ordering::Release);
        // A fresh clone of an address always has a slot: the permits are the bound.
        entry.address.clone().try_send(message((place, node))).map_err(|_| SendError::Died)
    }

    fn start_actor(&self, registry: &mut Registry, chat_id: ChatId) {
        let incarnation = self.incarnations.fetch_add(1, Ordering::Relaxed) + 1;
        let mind = Arc::new(Mind {
            owing: AtomicBool::new(true),
            last_used_ms: AtomicI64::new(self.deps.clock.now().timestamp_millis()),
        });
        let mut hasher = DefaultHasher::new();
        chat_id.hash(&mut hasher);
        let home = usize::try_from(hasher.finish() % self.homes.len() as u64).unwrap_or(0);
        let obituary = Obituary { supervisor: self.this.clone(), chat_id, incarnation };
        let (deps, actor_mind) = (Arc::clone(&self.deps), Arc::clone(&mind));
        let address = ChatActor::start_in_arbiter(&self.homes[home], move |context| {
            ChatActor::new(deps, chat_id, actor_mind, obituary, context.address())
        });
        let mailbox = Arc::new(Semaphore::new(self.deps.limits.mailbox_max.clamp(1, Semaphore::MAX_PERMITS)));
        registry.entries.insert(chat_id, Entry { address, mailbox, mind, incarnation });
    }

    /// An actor died. Its chat may owe something, so a new one is started at once, from the log, within the budget.
    fn died(&self, chat_id: ChatId, incarnation: u64) {
        // Looked at before the lock: a stopped arbiter drops what it is given, perhaps while the lock is held.
        if self.stopping.load(Ordering::Acquire) {
            return;
        }
        let mut registry = self.registry.lock();
        if registry.entries.get(&chat_id).is_some_and(|entry| entry.incarnation == incarnation) {
            registry.entries.remove(&chat_id);
        }
        registry.deaths.entry(chat_id).or_default().push(self.deps.clock.now());
        if self.given_up(&mut registry, chat_id) {
            tracing::error!(chat.id = %chat_id, "The chat failed again and again; it is left alone for a minute.");
            return;
        }
        tracing::error!(chat.id = %chat_id, "The chat's actor died; it is rebuilt from the log.");
        self.restart(&mut registry, chat_id);
    }

    fn restart(&self, registry: &mut Registry, chat_id: ChatId) {
        if registry.entries.contains_key(&chat_id) {
            return;
        }
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.deps.metrics.restart();
        self.start_actor(registry, chat_id);
        if let Some(entry) = registry.entries.get(&chat_id)
            && entry.address.clone().try_send(ChatMessage::Wake).is_err()
        {
            tracing::error!(chat.id = %chat_id, "The chat's new actor does not take messages.");
        }
    }

    /// Whether the chat died too often within the window. Forgets what is older.
    fn given_up(&self, registry: &mut Registry, chat_id: ChatId) -> bool {
        let Some(deaths) = registry.deaths.get_mut(&chat_id) else { return false };
        let now = self.deps.clock.now();
        deaths.retain(|moment| now - *moment < RESTART_WINDOW);
        deaths.len() > self.deps.limits.restarts_max as usize
    }

    /// Looks through the registry: idle chats rest, chats that were given up get another chance.
    fn sweep(&self) {
        let mut registry = self.registry.lock();
        let now_ms = self.deps.clock.now().timestamp_millis();
        let idle_ms = i64::try_from(self.deps.limits.passivate_after_ms).unwrap_or(i64::MAX);
        let idle: Vec<ChatId> = registry
            .entries
            .iter()
            .filter(|(_, entry)| now_ms - entry.mind.last_used_ms.load(Ordering::Acquire) >= idle_ms)
            .map(|(chat_id, _)| *chat_id)
            .collect();
        for chat_id in idle {
            self.rest(&mut registry, chat_id);
        }
        let troubled: Vec<ChatId> = registry.deaths.keys().copied().collect();
        for chat_id in troubled {
            let given_up = self.given_up(&mut registry, chat_id);
            if !given_up {
                self.restart(&mut registry, chat_id);
            }
            if registry.deaths.get(&chat_id).is_some_and(Vec::is_empty) {
                registry.deaths.remove(&chat_id);
            }
        }
    }

    /// Puts the least recently used idle chats to rest, so that `room` others find a place.
    fn rest_idle(&self, registry: &mut Registry, room: usize) {
        let mut by_age: Vec<(i64, ChatId)> = registry
            .entries
            .iter()
            .map(|(chat_id, entry)| (entry.mind.last_used_ms.load(Ordering::Acquire), *chat_id))
            .collect();
        by_age.sort_unstable();
        let mut rested = 0;
        for (_, chat_id) in by_age {
            if self.rest(registry, chat_id) {
                rested += 1;
                if rested == room {
                    return;
                }
            }
        }
    }

    /// Puts a chat to rest if nobody uses it and it owes nothing. It leaves the registry first, so what comes next meets
    /// a new actor; the log's expected version keeps the two apart even so.
    fn rest(&self, registry: &mut Registry, chat_id: ChatId) -> bool {
        let Some(entry) = registry.entries.get(&chat_id) else { return false };
        let unused = entry.mailbox.available_permits() == self.deps.limits.mailbox_max.clamp(1, Semaphore::MAX_PERMITS);
        if !unused || entry.mind.owing.load(Ordering::Acquire) {
            return false;
        }
        if let Some(entry) = registry.entries.remove(&chat_id) {
            let (done, _) = oneshot::channel();
            if entry.address.clone().try_send(ChatMessage::Retire { done }).is_err() {
                tracing::debug!(chat.id = %chat_id, "A resting chat was gone already.");
            }
        }
        true
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            chats_in_memory: self.registry.lock().entries.len(),
            commands_under_way: self
                .deps
                .limits
                .commands_max
                .clamp(1, Semaphore::MAX_PERMITS)
                .saturating_sub(self.commands.available_permits()),
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }

    pub(crate) async fn shutdown(&self) {
        let entries: Vec<Entry> = {
            let mut registry = self.registry.lock();
            self.stopping.store(true, Ordering::Release);
            registry.entries.drain().map(|(_, entry)| entry).collect()
        };
        self.deps.hub.close();
        // What the chats give back now is not given to others.
        self.deps.capacity.stop();
        self.deps.background.stop();
        let mut waits = Vec::with_capacity(entries.len());
        for entry in &entries {
            let (done, rested) = oneshot::channel();
            if entry.address.clone().try_send(ChatMessage::Retire { done }).is_ok() {
                waits.push(rested);
            }
        }
        let all = futures_util::future::join_all(waits);
        tokio::select! {
            _ = all => {}
            () = self.deps.clock.sleep_ms(self.deps.limits.shutdown_ms) => {
                tracing::warn!("Some chats did not come to rest in time; the next start goes on with them.");
            }
        }
        for arbiter in self.arbiters.lock().drain(..) {
            arbiter.stop();
        }
    }
}
