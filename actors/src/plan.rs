//! What one append holds: the events of a command and of everything that follows from it at once, up to the record of
//! the attempt that does the next thing. So a step costs one append, and its end and the next attempt's begin share it.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use verbatim_events::budget::Spent;
use verbatim_events::chat::{
    CallToRun, Chat, Effect, ModelFacts, NextAction, admits_provider_tool, context_tokens, decide, next_action,
    pending, stricter_window, threshold_percent,
};
use verbatim_events::command::{Command, Context, RecordAttempt};
use verbatim_events::envelope::{Actor, Cause, NewEvent};
use verbatim_events::error::{ChatError, ErrorKind};
use verbatim_events::event::{AttemptAction, CompactionSource, Event, Offer};
use verbatim_events::ids::{AttemptId, Digest};
use verbatim_events::limits::Limits;
use verbatim_events::log::BoxFuture;
use verbatim_events::message::Origin;
use verbatim_events::model::{EncodedRequest, Meter};
use verbatim_events::outcome::Outcome;
use verbatim_events::rejection::Rejection;
use verbatim_events::spending::CallSpent;
use verbatim_events::vault::Sealer;
use verbatim_events::{prompt, wire};

use crate::budgets::Verdict;
use crate::capacity::{Gate, Seat};
use crate::clock::retry_is_due;
use crate::handle::{Meta, SendError};
use crate::hydrate::{Witnessed, witness};
use crate::metrics::Stage;
use crate::node::Deps;
use crate::ports::ResolvedModel;

/// Follow-ups in one append: a turn's end, its promotion, the next attempt, with room for a queue of failing turns.
const FOLLOW_UPS_MAX: usize = 64;

/// What an attempt needs, made before it is recorded.
pub(crate) enum Work {
    /// Calls the model.
    Generate(Box<ModelCall>),
    /// Summarises the history.
    Compact(Box<SummaryCall>),
    /// Answers calls.
    RunTools(Vec<CallToRun>),
    /// Reads the workspace's own files.
    LoadContext,
}

impl Work {
    /// What the attempt does, as its record says.
    pub(crate) fn action(&self) -> AttemptAction {
        match self {
            Work::Generate(_) => AttemptAction::Generate,
            Work::Compact(_) => AttemptAction::Compact,
            Work::RunTools(_) => AttemptAction::RunTools,
            Work::LoadContext => AttemptAction::LoadContext,
        }
    }

    /// The call to the model, if it is one.
    pub(crate) fn model_call(&self) -> Option<&ModelCall> {
        match self {
            Work::Generate(call) => Some(call),
            Work::Compact(summary) => Some(&summary.call),
            Work::RunTools(_) | Work::LoadContext => None,
        }
    }
}

/// A model call in the exact bytes that will be sent.
pub(crate) struct ModelCall {
    pub(crate) model: ResolvedModel,
    pub(crate) request: EncodedRequest,
    /// Shows what it has spent.
    pub(crate) meter: Meter,
}

/// A model call that asks for a summary, and what the log will say of it.
pub(crate) struct SummaryCall {
    pub(crate) call: ModelCall,
    pub(crate) source: CompactionSource,
    /// The model was told of tools.
    pub(crate) has_tools: bool,
    pub(crate) context_tokens: u64,
    pub(crate) window_tokens: Option<u64>,
    pub(crate) threshold_percent: u8,
}

/// An attempt that starts once its record is durable.
pub(crate) struct Prepared {
    pub(crate) attempt_id: AttemptId,
    /// Tries at the step up to and including this one; those that a crash cut short do not count.
    pub(crate) tries: u32,
    pub(crate) work: Work,
}

/// An append, decided and not yet done.
pub(crate) struct Plan {
    pub(crate) events: Vec<NewEvent>,
    pub(crate) witnessed: Vec<Witnessed>,
    pub(crate) after: Option<Arc<Chat>>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) attempt: Option<Prepared>,
    /// What must be done before the model can be called; the next plan comes after it.
    pub(crate) preparation: Option<BoxFuture<'static, ()>>,
}

/// What an append and the next step need besides the chat's state.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    /// Seals the chat's content, where it is sealed.
    pub(crate) sealer: Option<&'a dyn Sealer>,
    /// The tools have had their time to get ready.
    pub(crate) is_prepared: bool,
    /// Where the turn asks for its place.
    pub(crate) seat: &'a Seat,
    /// What the model call of the open attempt has spent.
    pub(crate) call: CallSpent,
}

struct Draft<'a> {
    deps: &'a Deps,
    sealer: Option<&'a dyn Sealer>,
    now: DateTime<Utc>,
    call: CallSpent,
    chat: Option<Chat>,
    events: Vec<NewEvent>,
    witnessed: Vec<Witnessed>,
}

impl Draft<'_> {
    fn add(
        &mut self,
        chat_id: verbatim_events::ids::ChatId,
        events: Vec<Event>,
        cause: &Cause,
    ) -> Result<(), SendError> {
        let (version, hash) =
            self.chat.as_ref().map_or((0, Digest::ZERO), |chat| (chat.outline.version, chat.head_hash));
        let sealed = wire::seal_with(self.sealer, chat_id, version, hash, events, cause, self.now, &mut Uuid::now_v7)?;
        for (new, recorded) in sealed {
            let (chat, witnessed) = witness(self.chat.take(), recorded, new.data.len())?;
            self.chat = Some(chat);
            self.witnessed.push(witnessed);
            self.events.push(new);
        }
        Ok(())
    }

    /// What the events so far say was spent: nobody has been told of it yet.
    fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        for witnessed in &self.witnessed {
            if let Some(spending) = witnessed.recorded.event.spending() {
                spent.spend(&spending);
            }
        }
        spent
    }

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        // The model is looked up where it matters: what it is too small for is cut.
        let context_window = match (command, &self.chat) {
            (Command::SubmitToolResults { .. }, Some(chat)) => answering_window(self.deps, chat),
            _ => None,
        };
        let context = Context { context_window, call: self.call, ..Context::new(self.now, &self.deps.limits) };
        decide(self.chat.as_ref(), command, context)
    }
}

/// Plans the append of a command, or, without one, of what the chat owes by itself. Where the tools need preparing and
/// `means` do not say that they have had their time, the plan ends before the model's call; where its seat finds no
/// place for the turn, it ends with the word that the turn waits.
pub(crate) fn plan(
    deps: &Deps,
    chat_id: verbatim_events::ids::ChatId,
    before: Option<&Arc<Chat>>,
    command: Option<&Command>,
    meta: &Meta,
    now: DateTime<Utc>,
    means: Means<'_>,
) -> Result<Plan, SendError> {
    let state = before.map(|chat| chat.as_ref().clone());
    let Means { sealer, call, .. } = means;
    let mut draft = Draft { deps, sealer, now, call, chat: state, events: Vec::new(), witnessed: Vec::new() };
    let cause = Cause {
        actor: meta.actor.clone(),
        command_id: meta.command_id,
        causation_id: None,
        trace_id: meta.trace_id.clone(),
    };
    let mut outcome = None;
    if let Some(command) = command {
        let events = draft.decide(command)?;
        draft.add(chat_id, events, &cause)?;
        let recorded: Vec<_> = draft.witnessed.iter().map(|witnessed| witnessed.recorded.clone()).collect();
        outcome = draft.chat.as_ref().map(|after| Outcome::of(before.map(Arc::as_ref), &recorded, after));
    }
    let follow = |draft: &Draft<'_>| Cause {
        actor: Actor::Node(deps.node_name.clone()),
        causation_id: draft.events.last().map(|event| event.event_id).or(cause.causation_id),
        ..cause.clone()
    };
    let (mut attempt, mut preparation) = (None, None);
    for _ in 0..FOLLOW_UPS_MAX {
        let next = draft.chat.as_ref().map(|chat| follow_up(deps, chat, now, means, draft.spent()));
        let (command, work) = match next {
            None | Some(FollowUp::Nothing) => break,
            Some(FollowUp::Prepare(work)) => {
                preparation = Some(work);
                break;
            }
            Some(FollowUp::Command(command, work)) => (*command, work),
        };
        let events = match draft.decide(&command) {
            Ok(events) => events,
            Err(rejection) => draft.decide(&Command::FailTurn {
                attempt_id: None,
                error: ChatError::terminal(ErrorKind::Generic, format!("The turn was stopped: {rejection}.")),
                partial: Vec::new(),
            })?,
        };
        let next = follow(&draft);
        draft.add(chat_id, events, &next)?;
        let outline = draft.chat.as_ref().map(|chat| &chat.outline);
        if let (Some(work), Some(outline)) = (work, outline)
            && let Some(open) = &outline.attempt
        {
            attempt = Some(Prepared { attempt_id: open.id, tries: outline.tries(), work });
            break;
        }
    }
    let Draft { events, witnessed, mut chat, .. } = draft;
    let moves_prompts = |event: &Event| {
        matches!(event, Event::ContextCompacted(_) | Event::ContextCleared(_) | Event::MessagesWithdrawn(_))
    };
    if let Some(chat) = &mut chat
        && witnessed.iter().any(|witnessed| moves_prompts(&witnessed.recorded.event))
    {
        chat.let_past_go();
    }
    Ok(Plan { events, witnessed, after: chat.map(Arc::new), outcome, attempt, preparation })
}

/// What a chat does by itself now.
enum FollowUp {
    /// Nothing.
    Nothing,
    /// It waits until the tools are ready.
    Prepare(BoxFuture<'static, ()>),
    /// It gives itself a command, with the work of the attempt that the command records.
    Command(Box<Command>, Option<Work>),
}

/// A turn that has called no model yet, and has not tried to.
fn is_at_its_start(chat: &Chat) -> bool {
    let outline = &chat.outline;
    outline.attempts_at_history == 0 && outline.turn.as_ref().is_some_and(|turn| turn.steps == 0)
}

/// `uncommitted`: what the append says so far was spent.
fn follow_up(deps: &Deps, chat: &Chat, now: DateTime<Utc>, means: Means<'_>, uncommitted: Spent) -> FollowUp {
    let Means { is_prepared, seat, .. } = means;
    let due = pending(chat).into_iter().any(|effect| match effect {
        Effect::Act => true,
        Effect::ActAt(moment) => retry_is_due(chat, moment, now),
        Effect::Attend(_) | Effect::FinishInterruption(_) | Effect::ExpireAt(_) => false,
    });
    if !due {
        return FollowUp::Nothing;
    }
    let fail = |error| (Command::FailTurn { attempt_id: None, error, partial: Vec::new() }, None);
    let models = Models::of(deps, chat);
    let action = next_action(chat, &models.facts(&deps.limits), &deps.limits);
    if matches!(action, NextAction::Generate | NextAction::Compact(_) | NextAction::LoadContext)
        && is_at_its_start(chat)
    {
        match deps.budgets.judge(&chat.outline.owner, uncommitted, now, is_prepared) {
            Verdict::Begins => {}
            Verdict::NotKnownYet(known) => return FollowUp::Prepare(known),
            Verdict::UsedUp(error) => {
                let (command, work) = fail(error);
                return FollowUp::Command(Box::new(command), work);
            }
        }
    }
    let is_a_step = matches!(
        action,
        NextAction::Generate | NextAction::RunTools(_) | NextAction::Compact(_) | NextAction::LoadContext
    );
    if is_a_step {
        match seat.ask(&chat.outline, now) {
            Gate::Open => {}
            Gate::Full(scope) if chat.outline.capacity.is_none() => {
                return FollowUp::Command(Box::new(Command::AwaitCapacity { scope }), None);
            }
            Gate::Full(_) | Gate::Closed => return FollowUp::Nothing,
        }
    }
    if matches!(action, NextAction::Generate | NextAction::RunTools(_) | NextAction::Compact(_))
        && !is_prepared
        && let Some(work) = deps.tools.prepare(chat)
    {
        return FollowUp::Prepare(work);
    }
    let (command, work) = match action {
        NextAction::Generate => match prepare_generate(deps, chat, models) {
            Ok((record, work)) => (Command::RecordAttempt(record), Some(work)),
            Err(error) => fail(error),
        },
        NextAction::Compact(source) => match prepare_compact(deps, chat, models, source) {
            Ok((record, work)) => (Command::RecordAttempt(record), Some(work)),
            Err(error) => fail(error),
        },
        NextAction::RunTools(calls) => {
            (Command::RecordAttempt(record(deps, AttemptAction::RunTools)), Some(Work::RunTools(calls)))
        }
        NextAction::LoadContext => {
            (Command::RecordAttempt(record(deps, AttemptAction::LoadContext)), Some(Work::LoadContext))
        }
        NextAction::RequireAction => (Command::RequireAction, None),
        NextAction::Finish(outcome) => (Command::FinishTurn { attempt_id: None, outcome }, None),
        NextAction::Fail(error) => fail(error),
    };
    FollowUp::Command(Box::new(command), work)
}

fn record(deps: &Deps, action: AttemptAction) -> RecordAttempt {
    RecordAttempt { action, model: None, prompt_digest: None, request: None, offer: None, node: deps.node_name.clone() }
}

/// The models that a chat's next step may call.
struct Models {
    /// The one that answers.
    answering: Result<ResolvedModel, ChatError>,
    /// With this effort.
    effort: Option<String>,
    /// The one that writes summaries, if it is another one.
    summarising: Option<ResolvedModel>,
}

impl Models {
    fn of(deps: &Deps, chat: &Chat) -> Models {
        let asked = chat.history.iter().rev().find(|message| message.origin == Origin::User);
        let name = asked.and_then(|message| message.model.as_deref()).or(chat.outline.model.as_deref());
        let effort = asked.and_then(|message| message.effort.as_deref()).or(chat.outline.effort.as_deref());
        Models {
            answering: deps.models.resolve(name),
            effort: effort.map(str::to_owned),
            summarising: deps.models.summariser(),
        }
    }

    fn facts(&self, limits: &Limits) -> ModelFacts {
        let answering = self.answering.as_ref().ok().and_then(|model| model.settings.context_window);
        let summarising = self.summarising.as_ref().and_then(|model| model.settings.context_window);
        ModelFacts { context_window: stricter_window(answering, summarising, limits) }
    }
}

/// The window of the model that answers next, in tokens, if it is known.
pub(crate) fn answering_window(deps: &Deps, chat: &Chat) -> Option<u64> {
    Models::of(deps, chat).answering.ok()?.settings.context_window
}

/// The model call that comes next, in the exact bytes that will be sent.
fn prepare_generate(deps: &Deps, chat: &Chat, models: Models) -> Result<(RecordAttempt, Work), ChatError> {
    let mut model = models.answering?;
    leave_out(chat, &mut model);
    let began = Instant::now();
    let offer = deps.tools.offer(chat);
    let prompt = prompt::assemble(chat, &offer);
    let request = model.provider.encode(&prompt, &model.settings, models.effort.as_deref())?;
    deps.metrics.stage(Stage::Prepare, began);
    deps.metrics.prompt(request.body.len(), prompt.messages.len());
    let record = record_call(deps, AttemptAction::Generate, chat, &model, &request, &offer);
    Ok((record, Work::Generate(Box::new(ModelCall { model, request, meter: Meter::default() }))))
}

/// Leaves out what the model could do and must not: its provider's own tools that the chat's policy does not admit; and a
/// provider that refused a request for its files is not shown them again in this turn.
fn leave_out(chat: &Chat, model: &mut ResolvedModel) {
    let policies = &chat.config.tool_policy;
    model.settings.provider_tools.retain(|definition| admits_provider_tool(policies, definition));
    if chat.outline.files.are_refused() {
        model.settings.files = Some(Vec::new());
    }
}

/// The call that asks for a summary, in the exact bytes that will be sent.
fn prepare_compact(
    deps: &Deps,
    chat: &Chat,
    models: Models,
    source: CompactionSource,
) -> Result<(RecordAttempt, Work), ChatError> {
    let window_tokens = models.facts(&deps.limits).context_window;
    let (mut model, effort) = match models.summarising {
        // An effort is chosen for the model that answers.
        Some(model) => (model, None),
        None => (models.answering?, models.effort),
    };
    if prompt::summary_goes_without_tools(chat) {
        model.settings.provider_tools.clear();
    }
    leave_out(chat, &mut model);
    let began = Instant::now();
    let offer = deps.tools.offer(chat);
    let prompt = prompt::summary(chat, &offer);
    let request = model.provider.encode(&prompt, &model.settings, effort.as_deref())?;
    deps.metrics.stage(Stage::Prepare, began);
    deps.metrics.prompt(request.body.len(), prompt.messages.len());
    let record = record_call(deps, AttemptAction::Compact, chat, &model, &request, &offer);
    let threshold = window_tokens.and_then(|window| threshold_percent(window, &deps.limits));
    let work = SummaryCall {
        source,
        has_tools: !prompt.tools.is_empty() || !model.settings.provider_tools.is_empty(),
        context_tokens: context_tokens(chat).unwrap_or(0),
        window_tokens,
        threshold_percent: threshold.unwrap_or(deps.limits.compaction_percent),
        call: ModelCall { model, request, meter: Meter::default() },
    };
    Ok((record, Work::Compact(Box::new(work))))
}

/// The record of a model call. An offer is told only where it is not what the chat was offered last.
fn record_call(
    deps: &Deps,
    action: AttemptAction,
    chat: &Chat,
    model: &ResolvedModel,
    request: &EncodedRequest,
    offer: &Arc<Offer>,
) -> RecordAttempt {
    RecordAttempt {
        model: Some(model.settings.name.clone()),
        prompt_digest: Some(request.digest),
        request: Some(request.recipe.clone()),
        offer: (*offer != chat.offer).then(|| offer.as_ref().clone()),
        ..record(deps, action)
    }
}
