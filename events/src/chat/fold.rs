//! The light fold: what every event does to a chat's outline, and which events cannot happen in it.
//!
//! **Invariant:** it keeps no message, so read models can run it over the log alone and agree with every actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chat::outline::{CapacityWait, OpenAttempt, OpenTurn, Outline, PendingAction, PendingRetry, Status};
use crate::chat::state::StateName;
use crate::chat::{IllegalEvent, evolve::illegal};
use crate::envelope::Recorded;
use crate::event::{
    AttemptRecorded, ChatCreated, ChatErased, ChildKind, ContextFreshness, Event, InterruptRequested, MessageCommitted,
    PromotedTo, QueuedMessagePromoted, Remains, RetryScheduled, SettingsChanged, TitleSource, TurnFinished,
    TurnOutcome, TurnReason,
};
use crate::ids::{AttemptId, ChatId, QueuedId, Version};
use crate::message::{Origin, Role, Usage};
use crate::part::Part;
use crate::price::Cost;
use crate::spending::Spending;

/// What an event did, or why it is illegal.
type Folded = Result<(), String>;

fn require(holds: bool, problem: &str) -> Folded {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

impl Outline {
    /// Tries at the next step since the history last changed; those that the server's own end cut short do not count.
    pub fn tries(&self) -> u32 {
        self.attempts_at_history.saturating_sub(self.abandoned_at_history)
    }

    /// Applies an event. `outline` is `None` for a chat that does not exist yet.
    ///
    /// Fails where the event cannot have happened: another chat's, out of order, or not possible in this state.
    ///
    /// A `ChatErased` that says what remains may come after events that cannot be read any more, to a chat that looks as
    /// if it did not exist yet or had stood still: whoever reads passes over what was erased.
    pub fn apply(outline: Option<Outline>, recorded: &Recorded) -> Result<Outline, IllegalEvent> {
        if let Some(remains) = comes_after_erased_events(outline.as_ref(), recorded) {
            return Ok(Outline::remaining(remains, recorded));
        }
        match outline {
            None => Outline::begin(recorded),
            Some(mut outline) => {
                outline.advance(recorded)?;
                Ok(outline)
            }
        }
    }

    /// The outline of a chat whose first event this is.
    pub(super) fn begin(recorded: &Recorded) -> Result<Outline, IllegalEvent> {
        let Event::ChatCreated(created) = &recorded.event else {
            return Err(illegal(recorded, "the chat does not exist".to_owned()));
        };
        if recorded.version != 1 {
            return Err(illegal(recorded, "a chat begins with version 1".to_owned()));
        }
        let ChatCreated {
            owner, parent, root, title, title_source, model, effort, labels, workspace, plan_mode, ..
        } = created;
        Ok(Outline {
            title: title.clone(),
            title_source: *title_source,
            model: model.clone(),
            effort: effort.clone(),
            labels: labels.clone(),
            workspace: workspace.clone(),
            plan_mode: *plan_mode,
            ..Outline::empty(recorded, owner, *parent, *root)
        })
    }

    /// Applies a later event in place. After an error the outline is not to be used any more.
    pub(super) fn advance(&mut self, recorded: &Recorded) -> Result<(), IllegalEvent> {
        self.fold(recorded).map_err(|problem| illegal(recorded, problem))
    }

    fn fold(&mut self, recorded: &Recorded) -> Folded {
        let version = recorded.version;
        require(recorded.chat_id == self.id, "it belongs to another chat")?;
        if version != self.version + 1 {
            return Err(format!("it does not follow version {}", self.version));
        }
        require(!self.erased, "the chat was erased")?;
        match &recorded.event {
            Event::ChatCreated(_) => return Err("the chat exists already".to_owned()),
            Event::MessageCommitted(committed) => {
                self.message_committed(version, committed, recorded.event.spending())?;
            }
            Event::MessagesWithdrawn(_) => {
                require(self.rests() && !self.archived, "messages are withdrawn only while the chat rests")?;
                self.history_moved(version);
            }
            Event::MessageQueued(_) => {
                let waits_behind = self.status == Status::Error && !self.queue.is_empty() && !self.archived;
                require(self.turn.is_some() || waits_behind, "a message queues only behind something")?;
                self.queue.push(version);
            }
            Event::QueuedMessageDeleted(deleted) => {
                require(!self.archived, "the chat is archived")?;
                self.dequeue(deleted.queued_id)?;
            }
            Event::QueuedMessagePromoted(promoted) => self.queued_message_promoted(promoted)?,
            Event::TurnStarted(started) => self.turn_started(recorded, started.reason)?,
            Event::CapacityAwaited(awaited) => {
                require(self.status == Status::Running && self.turn.is_some(), "no turn is running")?;
                require(self.attempt.is_none(), "an attempt is open: the turn has its place")?;
                require(self.capacity.is_none(), "it waits already")?;
                self.capacity = Some(CapacityWait { scope: awaited.scope, since: recorded.recorded_at });
            }
            Event::AttemptRecorded(attempt) => self.attempt_recorded(version, attempt)?,
            Event::ToolCallStarted(started) => {
                require(self.status == Status::Running, "tools start only while the chat runs")?;
                self.require_attempt(started.attempt_id)?;
            }
            Event::ToolCallFinished(finished) => self.require_attempt(finished.attempt_id)?,
            Event::RetryScheduled(retry) => self.retry_scheduled(retry)?,
            Event::AttemptAbandoned(abandoned) => {
                require(self.status == Status::Running, "attempts are abandoned only while the chat runs")?;
                self.require_attempt(abandoned.attempt_id)?;
                self.attempt = None;
                self.abandoned_at_history += 1;
            }
            Event::ActionRequired(required) => {
                require(self.status == Status::Running && self.turn.is_some(), "no turn is running")?;
                require(!required.calls.is_empty(), "no call waits")?;
                self.status = Status::RequiresAction;
                self.attempt = None;
                self.retry = None;
                self.capacity = None;
                self.action = Some(PendingAction { calls: required.calls.clone(), deadline: required.deadline });
            }
            Event::ActionResolved(_) => {
                require(self.status == Status::RequiresAction, "no action is required")?;
                self.status = Status::Running;
                self.action = None;
            }
            Event::ApprovalsDecided(decided) => {
                let Some(action) = &mut self.action else {
                    return Err("no action is required".to_owned());
                };
                action.calls.retain(|call| decided.decisions.iter().all(|decision| decision.call_id != call.call_id));
            }
            Event::InterruptRequested(InterruptRequested { cause }) => {
                require(self.status == Status::Running && self.turn.is_some(), "no turn is running")?;
                self.status = Status::Interrupting;
                self.interrupt = Some(*cause);
                self.retry = None;
                self.capacity = None;
            }
            Event::TurnFinished(finished) => self.turn_finished(finished)?,
            Event::CompactionRequested(_) => {
                require(self.status == Status::Running && self.turn.is_some(), "no turn is running")?;
                self.history_moved(version);
            }
            Event::ContextCompacted(_) => {
                require(self.status == Status::Running && self.attempt.is_some(), "no attempt is open")?;
                self.history_moved(version);
            }
            Event::ContextCleared(_) => {
                require(self.rests() && !self.archived, "the context is cleared only while the chat rests")?;
                require(self.queue.is_empty(), "messages wait")?;
                self.status = Status::Waiting;
                self.last_error = None;
                self.history_moved(version);
            }
            Event::SettingsChanged(patch) => self.settings_changed(patch),
            Event::ChatArchived(_) => {
                require(self.rests() && !self.archived, "only a resting chat is archived")?;
                self.archived = true;
            }
            Event::ChatUnarchived(_) => {
                require(self.archived, "the chat is not archived")?;
                self.archived = false;
            }
            Event::ChatErased(erased) => self.chat_erased(recorded, erased)?,
            Event::ChildSpawned(spawned) => {
                require(!self.archived, "the chat is archived")?;
                self.children.push(spawned.child);
                if spawned.kind == ChildKind::Agent {
                    self.agents.push(spawned.child);
                }
            }
            Event::UsageRecorded(spent) => {
                match &mut self.turn {
                    Some(turn) => turn.usage.add(&spent.usage),
                    None => self.usage.add(&spent.usage),
                }
                self.spent(spent.cost_micros);
            }
        }
        if StateName::of(self).is_none() {
            return Err(format!("it leads to {} with {} queued", self.status.name(), self.queue.len()));
        }
        self.version = version;
        self.updated_at = recorded.recorded_at;
        Ok(())
    }

    /// The chat rests: no turn is under way and none is about to follow in the same append.
    fn rests(&self) -> bool {
        matches!(self.status, Status::Waiting | Status::Error)
    }

    fn history_moved(&mut self, version: Version) {
        self.history_version = version;
        self.attempts_at_history = 0;
        self.abandoned_at_history = 0;
    }

    fn require_attempt(&self, attempt_id: AttemptId) -> Folded {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.id == attempt_id) {
            return Ok(());
        }
        Err(format!("attempt {attempt_id} is not open"))
    }

    fn dequeue(&mut self, queued_id: QueuedId) -> Folded {
        let Some(index) = self.queue.iter().position(|queued| *queued == queued_id) else {
            return Err(format!("no message {queued_id} waits"));
        };
        self.queue.remove(index);
        Ok(())
    }

    fn message_committed(
        &mut self,
        version: Version,
        committed: &MessageCommitted,
        spending: Option<Spending<'_>>,
    ) -> Folded {
        require(!self.archived, "the chat is archived")?;
        let in_turn = self.turn.is_some();
        match committed.role {
            Role::User | Role::System => {
                require(self.status == Status::Running && in_turn, "a user speaks only in a running turn")?;
            }
            Role::Assistant => require(
                in_turn && matches!(self.status, Status::Running | Status::Interrupting),
                "the model speaks only in a turn",
            )?,
            // A resting chat's open calls are answered just before a new turn begins.
            Role::Tool => require(in_turn || self.rests(), "tools answer in a turn, or before one")?,
        }
        if let Some(queued_id) = committed.queued_id {
            require(!self.queue.contains(&queued_id), "the message still waits in the queue")?;
        }
        if let Some(attempt_id) = committed.attempt_id {
            self.require_attempt(attempt_id)?;
            self.attempt = None;
            self.retry = None;
        }
        if let Some(turn) = &mut self.turn {
            if committed.attempt_id.is_some() && committed.origin != Origin::Context {
                turn.steps += 1;
            }
            if let Some(usage) = &committed.usage {
                turn.usage.add(usage);
            }
        }
        if committed.origin == Origin::Context {
            self.context_freshness = ContextFreshness::Current;
        }
        if let Some(spending) = spending {
            self.spent(spending.cost_micros);
        }
        if let Some(action) = &mut self.action {
            let answered: Vec<&str> = committed.parts.iter().filter_map(|part| part.answered_call_id()).collect();
            action.calls.retain(|call| !answered.contains(&call.call_id.as_str()));
        }
        self.show_files(committed);
        self.history_moved(version);
        Ok(())
    }

    /// A model call cost this: the open turn, if there is one, and else the chat alone.
    fn spent(&mut self, cost_micros: Option<u64>) {
        match &mut self.turn {
            Some(turn) => turn.cost.add_step(cost_micros),
            None => self.cost.add_step(cost_micros),
        }
    }

    fn show_files(&mut self, committed: &MessageCommitted) {
        for part in &committed.parts {
            if let Part::File { file_id, .. } = part {
                Arc::make_mut(&mut self.files).show(file_id);
            }
        }
    }

    fn queued_message_promoted(&mut self, promoted: &QueuedMessagePromoted) -> Folded {
        require(!self.archived, "the chat is archived")?;
        match promoted.to {
            PromotedTo::History => {
                require(
                    matches!(self.status, Status::Running | Status::Error),
                    "a waiting message enters history only while the chat runs, or after a failure",
                )?;
                self.dequeue(promoted.queued_id)
            }
            PromotedTo::Head => {
                self.dequeue(promoted.queued_id)?;
                self.queue.insert(0, promoted.queued_id);
                Ok(())
            }
        }
    }

    fn turn_started(&mut self, recorded: &Recorded, reason: TurnReason) -> Folded {
        require(!self.archived, "the chat is archived")?;
        require(self.turn.is_none(), "a turn is under way")?;
        self.status = Status::Running;
        self.last_error = None;
        self.status_label = None;
        if self.files.are_refused() {
            Arc::make_mut(&mut self.files).set_refused(false);
        }
        self.turn = Some(OpenTurn {
            id: recorded.version,
            reason,
            started_at: recorded.recorded_at,
            steps: 0,
            usage: Usage::default(),
            cost: Cost::default(),
        });
        Ok(())
    }

    fn attempt_recorded(&mut self, version: Version, recorded: &AttemptRecorded) -> Folded {
        require(self.status == Status::Running && self.turn.is_some(), "no turn is running")?;
        require(self.attempt.is_none(), "another attempt is open")?;
        require(recorded.number == self.attempts_at_history + 1, "its number does not follow")?;
        self.attempts_at_history = recorded.number;
        self.retry = None;
        self.capacity = None;
        self.attempt = Some(OpenAttempt {
            id: version,
            number: recorded.number,
            action: recorded.action,
            model: recorded.model.clone(),
            history_version: self.history_version,
        });
        Ok(())
    }

    fn retry_scheduled(&mut self, retry: &RetryScheduled) -> Folded {
        require(self.status == Status::Running, "retries are scheduled only while the chat runs")?;
        self.require_attempt(retry.attempt_id)?;
        if retry.files_refused && !self.files.is_empty() {
            Arc::make_mut(&mut self.files).set_refused(true);
        }
        self.attempt = None;
        self.retry = Some(PendingRetry {
            attempt_id: retry.attempt_id,
            attempt: retry.attempt,
            delay_ms: retry.delay_ms,
            retry_at: retry.retry_at,
            error: retry.error.clone(),
        });
        Ok(())
    }

    fn turn_finished(&mut self, finished: &TurnFinished) -> Folded {
        require(
            matches!(self.status, Status::Running | Status::Interrupting),
            "a turn ends only while it runs or is being stopped",
        )?;
        require(self.turn.as_ref().is_some_and(|turn| turn.id == finished.turn_id), "another turn is under way")?;
        let failed = finished.outcome == TurnOutcome::Failed;
        require(failed == finished.error.is_some(), "a turn has an error exactly if it failed")?;
        if self.status == Status::Interrupting {
            require(finished.outcome == TurnOutcome::Interrupted, "an interrupted turn ends as interrupted")?;
        }
        if let Some(turn) = self.turn.take() {
            self.cost.add(&turn.cost);
        }
        self.attempt = None;
        self.retry = None;
        self.capacity = None;
        self.interrupt = None;
        self.usage.add(&finished.usage);
        self.last_error.clone_from(&finished.error);
        // With a queue the chat stays running, between turns: the head's promotion follows in the same append.
        self.status = match (failed, self.queue.is_empty()) {
            (true, _) => Status::Error,
            (false, true) => Status::Waiting,
            (false, false) => Status::Running,
        };
        Ok(())
    }

    fn settings_changed(&mut self, patch: &SettingsChanged) {
        let SettingsChanged {
            title,
            labels,
            pinned,
            model,
            effort,
            plan_mode,
            workspace,
            diff_status,
            context,
            status_label,
        } = patch;
        if let Some(change) = title {
            self.title.clone_from(&change.title);
            self.title_source = change.source;
        }
        if let Some(labels) = labels {
            self.labels.clone_from(labels);
        }
        if let Some(pinned) = pinned {
            self.pinned = *pinned;
        }
        if let Some(plan_mode) = plan_mode {
            self.plan_mode = *plan_mode;
        }
        let set = |target: &mut Option<String>, value: &Option<String>| {
            if value.is_some() {
                target.clone_from(value);
            }
        };
        set(&mut self.model, model);
        set(&mut self.effort, effort);
        if let Some(workspace) = workspace {
            if self.workspace.as_ref().and_then(|bound| bound.id.as_ref()) != workspace.id.as_ref() {
                // What was known of another workspace says nothing about this one.
                self.diff_status = None;
                self.context_freshness = ContextFreshness::Current;
            }
            self.workspace = Some(workspace.clone());
        }
        if let Some(diff_status) = diff_status {
            self.diff_status.clone_from(diff_status);
        }
        if let Some(mark) = context {
            self.context_freshness = mark.freshness;
        }
        set(&mut self.status_label, status_label);
    }

    /// Forgets everything that a user or a model wrote. What stays is what the event says, so that who could read the
    /// events before it and who cannot see the same chat.
    fn chat_erased(&mut self, recorded: &Recorded, erased: &ChatErased) -> Folded {
        require(self.turn.is_none(), "a turn is under way")?;
        let remains = erased.remains.clone().unwrap_or_else(|| self.remains());
        *self = Outline::remaining(&remains, recorded);
        Ok(())
    }

    /// What stays known of the chat when its content is erased, as far as the outline knows it.
    pub fn remains(&self) -> Remains {
        Remains {
            owner: self.owner.clone(),
            parent: self.parent,
            root: self.root,
            created_at: self.created_at,
            archived: self.archived,
            usage: self.usage,
            cost: self.cost,
            spending: Vec::new(),
        }
    }

    /// What an erased chat is.
    fn remaining(remains: &Remains, recorded: &Recorded) -> Outline {
        Outline {
            erased: true,
            archived: remains.archived,
            usage: remains.usage,
            cost: remains.cost,
            created_at: remains.created_at,
            updated_at: recorded.recorded_at,
            ..Outline::empty(recorded, &remains.owner, remains.parent, remains.root)
        }
    }

    /// A chat of which nothing is known but where it stands.
    fn empty(recorded: &Recorded, owner: &str, parent: Option<ChatId>, root: ChatId) -> Outline {
        Outline {
            id: recorded.chat_id,
            owner: owner.to_owned(),
            parent,
            root,
            children: Vec::new(),
            agents: Vec::new(),
            title: String::new(),
            title_source: TitleSource::Fallback,
            model: None,
            effort: None,
            labels: BTreeMap::new(),
            pinned: false,
            plan_mode: false,
            workspace: None,
            diff_status: None,
            context_freshness: ContextFreshness::Current,
            status_label: None,
            files: Arc::default(),
            status: Status::Waiting,
            archived: false,
            erased: false,
            version: recorded.version,
            history_version: recorded.version,
            queue: Vec::new(),
            last_error: None,
            turn: None,
            attempt: None,
            attempts_at_history: 0,
            abandoned_at_history: 0,
            retry: None,
            capacity: None,
            action: None,
            interrupt: None,
            usage: Usage::default(),
            cost: Cost::default(),
            created_at: recorded.recorded_at,
            updated_at: recorded.recorded_at,
        }
    }
}

/// What remains of a chat whose erasure this is, if events before it were passed over.
pub(super) fn comes_after_erased_events<'a>(before: Option<&Outline>, recorded: &'a Recorded) -> Option<&'a Remains> {
    let Event::ChatErased(ChatErased { remains: Some(remains), .. }) = &recorded.event else { return None };
    let passed_over = match before {
        None => recorded.version > 1,
        Some(outline) => outline.id == recorded.chat_id && !outline.erased && recorded.version > outline.version + 1,
    };
    passed_over.then_some(remains)
}
