//! What holds for every chat, whatever is done to it: random commands, sensible and senseless ones, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::compaction::summary;
use super::past::Lean;
use super::support::*;
use crate::chat::{
    Chat, Effect, NextAction, Outline, StateName, Status, decide, evolve, open_calls, pending, sort_open_calls,
};
use crate::command::{Busy, Command, Context, ForkChat, Step, SubmittedResult};
use crate::envelope::{Actor, Cause};
use crate::event::*;
use crate::ids::{ChatId, Digest};
use crate::message::{Role, Usage};
use crate::part::Part;
use crate::price::Cost;
use crate::prompt::assemble;
use crate::rejection::Rejection;
use crate::{snapshot, wire};

/// One thing that is done: which, and two numbers that choose among what is there.
#[derive(Clone, Copy, Debug)]
struct Deed {
    kind: u8,
    which: usize,
    how: usize,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = (0..44u8, 0..6usize, 0..8usize).prop_map(|(kind, which, how)| Deed { kind, which, how });
    prop::collection::vec(deed, 1..60)
}

/// The command of a deed for the chat as it is; often one that the chat must refuse.
fn command(deed: Deed, story: &Story) -> Command {
    let Deed { kind, which, how } = deed;
    let attempt_id = story.open_attempt() + u64::from(how == 7);
    let open_attempt_id = story.chat.as_ref().is_some_and(|chat| chat.outline.attempt.is_some() != (how == 6));
    let open_attempt_id = open_attempt_id.then_some(attempt_id);
    let queued_id = story.chat.as_ref().and_then(|chat| chat.outline.queue.get(which)).copied().unwrap_or(which as u64);
    let call_id = format!("c{}", which % 3);
    match kind {
        0 => Command::CreateChat(Box::new(creation(if how > 3 { "Hello" } else { "" }))),
        1..=4 => {
            let busy = [Busy::Queue, Busy::Interrupt, Busy::Steer, Busy::Reject][which % 4];
            send(&format!("message {how}"), busy)
        }
        5 => {
            let ids: Vec<_> =
                story.chat.iter().flat_map(|chat| chat.history.iter().map(|message| message.id)).collect();
            edit(ids.get(which * 2).copied().unwrap_or(5), "edited")
        }
        6 => Command::RequestCompaction,
        7 => Command::ClearContext,
        8 => Command::DeleteQueued { queued_id },
        9 => Command::PromoteQueued { queued_id },
        10 => Command::Interrupt,
        11 => Command::SubmitToolResults { results: results_for(story, how) },
        12 => Command::DecideApprovals { decisions: decisions_for(story, which, how), by: "ada".to_owned() },
        13 => Command::ExpireAction,
        14..=15 => Command::Archive,
        16 => Command::Unarchive,
        17 => record(
            [AttemptAction::Generate, AttemptAction::RunTools, AttemptAction::Compact, AttemptAction::LoadContext]
                [which % 4],
        ),
        18 => Command::StartToolCall {
            attempt_id,
            call_id,
            name: SERVER_TOOL.to_owned(),
            effect_class: EffectClass::AtMostOnce,
        },
        19 => Command::FinishToolCall {
            attempt_id,
            call_id,
            name: SERVER_TOOL.to_owned(),
            result: serde_json::json!(how),
            is_error: how == 1,
            attachments: vec![],
            duration_ms: 1,
        },
        20 => Command::ScheduleRetry {
            attempt_id,
            error: overloaded(),
            delay_ms: 500,
            partial: Vec::new(),
            files_refused: false,
        },
        21 => Command::AbandonAttempt { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() },
        22 => Command::CommitStep { attempt_id, step: generated(vec![Part::text("out of the blue")], 7) },
        23 if how == 5 => Command::AwaitCapacity { scope: CapacityScope::Node },
        23 => Command::RequireAction,
        24 => {
            let outcome = [TurnOutcome::Complete, TurnOutcome::NoOutput, TurnOutcome::Failed][which % 3];
            Command::FinishTurn { attempt_id: open_attempt_id, outcome }
        }
        25 => Command::FailTurn { attempt_id: open_attempt_id, error: overloaded(), partial: vec![Part::text("half")] },
        26 => Command::FinishInterruption { partial: vec![Part::text("cut"), call("c0", SERVER_TOOL)] },
        27 => {
            let workspace =
                WorkspaceBinding { id: Some(format!("w{which}")), template_id: None, name: None, parameters: None };
            let patch = SettingsChanged { workspace: Some(workspace), ..SettingsChanged::default() };
            Command::ChangeSettings { patch, archived: [None, Some(true), Some(false)][how % 3] }
        }
        28 if which == 1 => record_usage(),
        28 if which == 0 && how == 0 => Command::Erase { by: "ada".to_owned(), reason: None },
        28 => Command::RecordChild { child: ChatId(uuid::Uuid::from_u128(8)), kind: ChildKind::Agent },
        _ => next_command(deed, story),
    }
}

fn results_for(story: &Story, how: usize) -> Vec<SubmittedResult> {
    let waiting = story.chat.iter().flat_map(|chat| &chat.outline.action).flat_map(|action| &action.calls);
    waiting
        .filter(|call| call.needs == CallNeed::Result)
        .skip(usize::from(how == 0))
        .map(|call| SubmittedResult {
            call_id: call.call_id.clone(),
            result: Some(serde_json::json!(how)),
            is_error: false,
        })
        .collect()
}

fn decisions_for(story: &Story, which: usize, how: usize) -> Vec<ApprovalDecision> {
    let waiting = story.chat.iter().flat_map(|chat| &chat.outline.action).flat_map(|action| &action.calls);
    waiting
        .filter(|call| call.needs == CallNeed::Approval)
        .take(which)
        .map(|call| ApprovalDecision { call_id: call.call_id.clone(), approved: how > 3, reason: None })
        .collect()
}

/// What a good server would do next; what the model says is left to the deed.
fn next_command(deed: Deed, story: &Story) -> Command {
    let Some(chat) = &story.chat else {
        return Command::CreateChat(Box::new(creation("Hello")));
    };
    match pending(chat).into_iter().next() {
        None => send("and then?", Busy::Queue),
        Some(Effect::Act | Effect::ActAt(_)) => match story.next_action_within((deed.how == 6).then_some(20)) {
            NextAction::RunTools(_) => record(AttemptAction::RunTools),
            NextAction::RequireAction => Command::RequireAction,
            NextAction::Compact(_) => record(AttemptAction::Compact),
            NextAction::Finish(outcome) => Command::FinishTurn { attempt_id: None, outcome },
            NextAction::Fail(error) => Command::FailTurn { attempt_id: None, error, partial: Vec::new() },
            NextAction::LoadContext => record(AttemptAction::LoadContext),
            NextAction::Generate => record(AttemptAction::Generate),
        },
        Some(Effect::Attend(attempt)) => {
            if attempt.action == AttemptAction::RunTools
                && let Some(command) = ledger_command(deed, story, attempt.id)
            {
                return command;
            }
            let step = match attempt.action {
                AttemptAction::Generate => generated(said(deed), 15),
                AttemptAction::RunTools => Step::ToolResults {
                    results: open_calls(chat)
                        .iter()
                        .filter(|call| sort_open_calls(chat).server.iter().any(|own| own.call_id == call.call_id))
                        .map(|call| result(call.call_id, call.name))
                        .collect(),
                },
                AttemptAction::Compact => summary(CompactionSource::Automatic, "what was said"),
                AttemptAction::LoadContext => Step::ContextLoaded { files: Vec::new(), source: found_in(chat) },
            };
            Command::CommitStep { attempt_id: attempt.id, step }
        }
        Some(Effect::FinishInterruption(_)) => Command::FinishInterruption { partial: said(deed) },
        Some(Effect::ExpireAt(_)) if deed.how < 4 => {
            let results = results_for(story, 1);
            match results.is_empty() {
                false => Command::SubmitToolResults { results },
                true => {
                    Command::DecideApprovals { decisions: decisions_for(story, 9, deed.how * 2), by: "ada".to_owned() }
                }
            }
        }
        Some(Effect::ExpireAt(_)) => Command::ExpireAction,
    }
}

/// Starts or ends one call of the running batch.
fn ledger_command(deed: Deed, story: &Story, attempt_id: u64) -> Option<Command> {
    let calls = sort_open_calls(story.chat()).server;
    let call = calls.get(deed.which).filter(|_| deed.how > 3)?;
    let (call_id, name) = (call.call_id.clone(), call.name.clone());
    Some(match call.record {
        None => Command::StartToolCall { attempt_id, call_id, name, effect_class: EffectClass::Idempotent },
        Some(_) => {
            let result = serde_json::json!("done");
            Command::FinishToolCall {
                attempt_id,
                call_id,
                name,
                result,
                is_error: false,
                attachments: vec![],
                duration_ms: 1,
            }
        }
    })
}

/// An answer: words, calls of all kinds, or both.
fn said(deed: Deed) -> Vec<Part> {
    let tools = [CLIENT_TOOL, ASK_TOOL, SERVER_TOOL, "advisor", "propose_plan", "files__read"];
    match deed.how {
        0..=2 => vec![Part::text("an answer")],
        count => {
            let calls =
                (0..count - 2).map(|index| call(&format!("c{index}"), tools[(deed.which + index) % tools.len()]));
            std::iter::once(Part::text("let me see")).chain(calls).collect()
        }
    }
}

/// What holds between any two commands.
fn check(story: &Story) {
    let state = story.state();
    let Some(chat) = &story.chat else {
        return assert_eq!(state, StateName::N);
    };
    let outline = &chat.outline;
    let rests = matches!(outline.status, Status::Waiting | Status::Error);
    assert_eq!(pending(chat).is_empty(), rests, "a resting chat owes nothing, a busy one owes one thing: {state:?}");
    assert_eq!(outline.turn.is_some(), !rests, "a turn is under way exactly while the chat does not rest");
    assert!(outline.attempt.is_none() || matches!(outline.status, Status::Running | Status::Interrupting));
    assert!(outline.retry.is_none() || (outline.status == Status::Running && outline.attempt.is_none()));
    assert_eq!(outline.action.is_some(), outline.status == Status::RequiresAction);
    assert!(outline.action.iter().all(|action| !action.calls.is_empty()), "what is required is never nothing");
    assert_eq!(outline.interrupt.is_some(), outline.status == Status::Interrupting);
    assert_eq!(outline.last_error.is_some(), outline.status == Status::Error);
    let queue: Vec<_> = chat.queue.iter().map(|queued| queued.id).collect();
    assert_eq!(queue, outline.queue);
    assert!(outline.tries() <= story.limits.attempts_max);
    assert!(outline.abandoned_at_history <= story.limits.abandoned_max);
    check_order_of_words(story);
}

/// No message stands before an unanswered call, and no answer without its call.
fn check_order_of_words(story: &Story) {
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let mut last_id = 0;
    for message in story.chat().history.iter() {
        assert!(message.id > last_id, "messages stand in the order of their ids");
        last_id = message.id;
        match message.role {
            Role::Tool => {
                for call_id in message.answered_call_ids() {
                    assert!(open.remove(call_id), "{call_id} was answered twice or never called");
                }
            }
            Role::User | Role::Assistant | Role::System => {
                assert!(open.is_empty(), "message {} stands before the answers to {open:?}", message.id);
                open.extend(message.open_call_ids());
            }
        }
    }
}

/// What holds for a whole log.
fn check_log(story: &Story) {
    let Some(chat) = &story.chat else {
        return assert!(story.log.is_empty());
    };
    let mut open_turn = None;
    let mut waiting: BTreeSet<u64> = BTreeSet::new();
    let mut promoted = None;
    let mut attempts: BTreeMap<u64, bool> = BTreeMap::new();
    for recorded in &story.log {
        match &recorded.event {
            Event::TurnStarted(_) => assert_eq!(open_turn.replace(recorded.version), None, "one turn at a time"),
            Event::TurnFinished(finished) => {
                assert_eq!(open_turn.take(), Some(finished.turn_id), "every turn is finished once");
            }
            Event::MessageQueued(_) => assert!(waiting.insert(recorded.version)),
            Event::QueuedMessageDeleted(deleted) => assert!(waiting.remove(&deleted.queued_id)),
            Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id, to: PromotedTo::History }) => {
                assert!(waiting.remove(queued_id), "a waiting message enters history once");
                assert_eq!(promoted.replace(*queued_id), None);
            }
            Event::MessageCommitted(committed) if committed.role == Role::User => {
                assert_eq!(promoted.take(), committed.queued_id, "what was promoted is what is said");
            }
            Event::AttemptRecorded(_) => assert_eq!(attempts.insert(recorded.version, false), None),
            _ => {}
        }
        if let Event::MessageCommitted(MessageCommitted { attempt_id: Some(attempt_id), .. }) = &recorded.event {
            let done = attempts.insert(*attempt_id, true);
            assert_eq!(done, Some(false), "an attempt's result is committed once");
        }
    }
    assert_eq!(open_turn, chat.outline.turn.as_ref().map(|turn| turn.id));
    if !chat.outline.erased {
        assert_eq!(waiting, chat.outline.queue.iter().copied().collect(), "what waits was neither lost nor doubled");
    }
    assert_eq!(promoted, None, "what left the queue was said");
}

/// The log alone, read in pages of these sizes with a snapshot between, gives the same chat; the light fold gives the same outline.
fn check_replay(story: &Story, page_sizes: &[usize]) {
    let mut replayed = None;
    let mut rest = story.log.as_slice();
    for size in page_sizes.iter().cycle() {
        let (page, later) = rest.split_at((*size).min(rest.len()));
        let mut state = replayed.clone();
        for recorded in page {
            state = Some(evolve(state, recorded).expect("the log is legal"));
        }
        // And from a snapshot at any of the pages' ends.
        replayed = state.map(|chat| {
            let kept = snapshot::encode(&chat).expect("a small state");
            let read = snapshot::decode(&kept.state, kept.digest);
            assert_eq!(read.as_ref(), Some(&chat), "a snapshot is the state or nothing");
            read.unwrap_or(chat)
        });
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(replayed, story.chat);
    let outline = story
        .log
        .iter()
        .fold(None, |outline, recorded| Some(Outline::apply(outline, recorded).expect("the log is legal")));
    assert_eq!(outline.as_ref(), story.chat.as_ref().map(|chat| &chat.outline));
}

/// What the chat and its turns say was spent is the sum of what single events say, tokens and money alike.
fn check_sums(story: &Story) {
    let (mut usage, mut cost) = (Usage::default(), Cost::default());
    let (mut turn_usage, mut turn_cost) = (Usage::default(), Cost::default());
    let mut in_turn = false;
    for recorded in &story.log {
        if let Some(spending) = recorded.event.spending() {
            usage.add(&spending.usage);
            cost.add_step(spending.cost_micros);
            if in_turn {
                turn_usage.add(&spending.usage);
                turn_cost.add_step(spending.cost_micros);
            }
        }
        match &recorded.event {
            Event::TurnStarted(_) => (in_turn, turn_usage, turn_cost) = (true, Usage::default(), Cost::default()),
            Event::TurnFinished(finished) => {
                in_turn = false;
                assert_eq!((finished.usage, finished.cost_micros), (turn_usage, turn_cost.total_micros()));
            }
            _ => {}
        }
    }
    let Some(chat) = &story.chat else { return };
    let (mut shared_usage, mut shared_cost) = (Usage::default(), Cost::default());
    for share in chat.spent.iter() {
        shared_usage.add(&share.usage);
        shared_cost.add(&share.cost);
    }
    assert_eq!((shared_usage, shared_cost), (usage, cost), "the shares are the whole");
    let (mut known_usage, mut known_cost) = (chat.outline.usage, chat.outline.cost);
    if let Some(turn) = &chat.outline.turn {
        known_usage.add(&turn.usage);
        known_cost.add(&turn.cost);
    }
    assert_eq!((known_usage, known_cost), (usage, cost));
}

/// A fork rests, says what the chat said, and asks its model what the chat would have asked.
fn check_fork(story: &Story) {
    let Some(source) = story.chat.as_ref().filter(|chat| !chat.outline.erased) else { return };
    let id = ChatId(uuid::Uuid::from_u128(0xf0));
    let command = Command::ForkChat(ForkChat { id, source: Arc::new(source.clone()) });
    let context = Context::new(story.now, &story.limits);
    let events = decide(None, &command, context).expect("every chat can be forked");
    let cause = Cause { actor: Actor::System, command_id: uuid::Uuid::nil(), causation_id: None, trace_id: None };
    let sealed = wire::seal(id, 0, Digest::ZERO, events, &cause, story.now, &mut uuid::Uuid::nil);
    let fork = sealed.into_iter().fold(None, |chat, (_, event)| Some(evolve(chat, &event).expect("a legal event")));
    let fork = fork.expect("a fork has events");
    assert_eq!(StateName::of(&fork.outline), Some(StateName::W));
    assert_eq!((&fork.config, &fork.outline.title), (&source.config, &source.outline.title));
    assert_eq!(fork.outline.usage, Default::default(), "what was paid there is not paid again");
    assert_eq!(fork.outline.cost, Cost::default());
    let said = |chat: &Chat| chat.history.iter().map(|message| message.parts.clone()).collect::<Vec<_>>();
    let (there, here) = (said(source), said(&fork));
    let answered = usize::from(!open_calls(source).is_empty());
    assert_eq!(here.len(), there.len() + answered, "open calls are answered");
    assert_eq!(here[..there.len()], there);
    if answered == 0 {
        let asked = |chat: &Chat| {
            let prompt = assemble(chat, &Offer::default());
            prompt.messages.iter().map(|message| (message.role, message.parts.clone())).collect::<Vec<_>>()
        };
        assert_eq!(asked(&fork), asked(source));
    }
}

/// From here on only the server acts, and the model answers without calls: the chat comes to rest and every message that
/// waited was said.
fn check_comes_to_rest(mut story: Story) {
    if story.chat.is_none() {
        return;
    }
    for _ in 0..400 {
        let Some(effect) = pending(story.chat()).into_iter().next() else {
            assert!(story.outline().queue.is_empty() || story.outline().status == Status::Error);
            return;
        };
        if let Effect::ExpireAt(deadline) = effect {
            story.now = story.now.max(deadline);
        }
        let plain = Deed { kind: 40, which: 0, how: if matches!(effect, Effect::ExpireAt(_)) { 5 } else { 0 } };
        let command = next_command(plain, &story);
        if let Err(rejection) = story.run(command.clone()) {
            assert!(matches!(rejection, Rejection::TooManyAttempts { .. }), "{}: {rejection}", command.name());
            story.fail();
        }
        check(&story);
    }
    panic!("the chat never rests: {:?}", story.state());
}

fn live_through(deeds: &[Deed], page_sizes: &[usize]) -> Story {
    let mut story = Story::new();
    story.limits.queue_max = 4;
    story.limits.attempts_max = 4;
    story.limits.abandoned_max = 3;
    story.limits.steps_max = 6;
    let mut lean = Lean::beside(page_sizes[0] % 3, page_sizes.len());
    for deed in deeds {
        if deed.kind == 13 && deed.how > 3 {
            story.pass_ms(90_000_000);
        }
        let command = command(*deed, &story);
        let before = story.chat.clone();
        let context = Context::new(story.now, &story.limits);
        let first = decide(story.chat.as_ref(), &command, context);
        assert_eq!(first, story.try_out(&command), "a decision depends on nothing but its arguments");
        assert_eq!(first, lean.decide(&command, context, &story.log), "what was let go is not missed");
        let decided = story.run(command.clone());
        match decided {
            Ok(events) if events.is_empty() => assert_eq!(story.chat, before),
            Ok(_) => assert_ne!(story.chat, before),
            Err(Rejection::Inconsistent { problem }) => panic!("{}: {problem}", command.name()),
            Err(_) => assert_eq!(story.chat, before),
        }
        lean.live(&story);
        check(&story);
    }
    check_log(&story);
    check_sums(&story);
    check_replay(&story, page_sizes);
    check_fork(&story);
    story
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a property under a seed that a failure names. `VERBATIM_SEED` runs that seed again, `VERBATIM_CASES` runs more.
fn for_all<S: Strategy>(cases: u32, seed: Option<u64>, strategy: &S, property: impl Fn(S::Value)) {
    let seed = seed.or_else(|| setting("VERBATIM_SEED")).unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let cases = setting("VERBATIM_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(cases);
    let config = Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("VERBATIM_SEED={seed} shows it again: {failure}");
    }
}

#[test]
fn no_sequence_of_commands_breaks_a_chat() {
    for_all(400, None, &(deeds(), prop::collection::vec(1..9usize, 1..5)), |(deeds, page_sizes)| {
        live_through(&deeds, &page_sizes);
    });
}

#[test]
fn every_chat_comes_to_rest() {
    for_all(200, None, &deeds(), |deeds| check_comes_to_rest(live_through(&deeds, &[7])));
}

#[test]
fn random_commands_reach_every_state_and_every_event() {
    // A fixed seed: this is about the deeds above, not about the chat.
    let seed = Some(1);
    let states = std::cell::RefCell::new(BTreeSet::new());
    let events = std::cell::RefCell::new(BTreeSet::new());
    for_all(600, seed, &deeds(), |deeds| {
        let story = live_through(&deeds, &[100]);
        let mut chat = None;
        for recorded in &story.log {
            chat = Some(evolve(chat, recorded).expect("the log is legal"));
            states.borrow_mut().extend(chat.as_ref().and_then(|chat| StateName::of(&chat.outline)));
            events.borrow_mut().insert(crate::wire::event_type(&recorded.event));
        }
    });
    let missed: Vec<_> = StateName::ALL.into_iter().skip(1).filter(|state| !states.borrow().contains(state)).collect();
    assert!(missed.is_empty(), "the random commands never reach {missed:?}: these tests see too little");
    assert_eq!(events.borrow().len(), 27, "the random commands yield {:?} only", events.borrow());
}

#[test]
fn a_digest_of_the_head_follows_the_log() {
    let story = Story::answered();
    let last = story.log.last().map(|recorded| recorded.hash);
    assert_eq!(Some(story.chat().head_hash), last);
    assert_ne!(last, Some(Digest::ZERO));
}
