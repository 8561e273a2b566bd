//! Which events can happen in which state: a log that says otherwise is wrong, and nothing is built on it.

use chrono::TimeDelta;
use serde_json::json;

use super::support::*;
use crate::chat::{Outline, StateName, Status, evolve};
use crate::command::{Busy, Command};
use crate::envelope::Recorded;
use crate::event::*;
use crate::ids::ChatId;
use crate::message::{Origin, Role, Usage};
use crate::part::Part;

/// `+` can happen, `.` cannot. Running and interrupting chats have an open attempt here.
const TABLE: &str = "
event                 |W|E0|E1|R0|R1|I0|I1|A0|A1|XW|XE0|XE1
ChatCreated           |.|. |. |. |. |. |. |. |. |. |.  |.
user message          |.|. |. |+ |+ |. |. |. |. |. |.  |.
assistant message     |.|. |. |+ |+ |+ |+ |. |. |. |.  |.
tool message          |+|+ |+ |+ |+ |+ |+ |+ |+ |. |.  |.
MessagesWithdrawn     |+|+ |+ |. |. |. |. |. |. |. |.  |.
MessageQueued         |.|. |+ |+ |+ |+ |+ |+ |+ |. |.  |.
QueuedMessageDeleted  |.|. |+ |. |+ |. |+ |. |+ |. |.  |.
promoted to history   |.|. |+ |. |+ |. |. |. |. |. |.  |.
promoted to the head  |.|. |+ |. |+ |. |+ |. |+ |. |.  |.
TurnStarted           |+|+ |+ |. |. |. |. |. |. |. |.  |.
CapacityAwaited       |.|. |. |. |. |. |. |. |. |. |.  |.
AttemptRecorded       |.|. |. |. |. |. |. |. |. |. |.  |.
ToolCallStarted       |.|. |. |+ |+ |. |. |. |. |. |.  |.
ToolCallFinished      |.|. |. |+ |+ |+ |+ |. |. |. |.  |.
RetryScheduled        |.|. |. |+ |+ |. |. |. |. |. |.  |.
AttemptAbandoned      |.|. |. |+ |+ |. |. |. |. |. |.  |.
ActionRequired        |.|. |. |+ |+ |. |. |. |. |. |.  |.
ActionResolved        |.|. |. |. |. |. |. |+ |+ |. |.  |.
ApprovalsDecided      |.|. |. |. |. |. |. |+ |+ |. |.  |.
InterruptRequested    |.|. |. |+ |+ |. |. |. |. |. |.  |.
finished, complete    |.|. |. |+ |+ |. |. |. |. |. |.  |.
finished, interrupted |.|. |. |+ |+ |+ |+ |. |. |. |.  |.
finished, failed      |.|. |. |+ |+ |. |. |. |. |. |.  |.
CompactionRequested   |.|. |. |+ |+ |. |. |. |. |. |.  |.
ContextCompacted      |.|. |. |+ |+ |. |. |. |. |. |.  |.
ContextCleared        |+|+ |. |. |. |. |. |. |. |. |.  |.
SettingsChanged       |+|+ |+ |+ |+ |+ |+ |+ |+ |+ |+  |+
ChatArchived          |+|+ |+ |. |. |. |. |. |. |. |.  |.
ChatUnarchived        |.|. |. |. |. |. |. |. |. |+ |+  |+
ChatErased            |+|+ |+ |. |. |. |. |. |. |+ |+  |+
UsageRecorded         |+|+ |+ |+ |+ |+ |+ |+ |+ |+ |+ |+  |+
ChildSpawned          |+|+ |+ |+ |+ |+ |+ |+ |+ |. |.  |.
";

/// A chat in a state; a message waits where its queue is filled, an attempt is open where it runs.
fn reach(state: StateName) -> Story {
    let mut story = Story::answered();
    if matches!(state, StateName::W | StateName::XW) {
        if state == StateName::XW {
            story.must(Command::Archive);
        }
        return story;
    }
    story.send("And a functor?", Busy::Queue);
    if matches!(state, StateName::E1 | StateName::R1 | StateName::I1 | StateName::A1 | StateName::XE1) {
        story.send("waiting", Busy::Queue);
    }
    match state {
        StateName::A0 | StateName::A1 => {
            story.call(&[("c1", CLIENT_TOOL)]);
            story.must(Command::RequireAction);
        }
        StateName::R0 | StateName::R1 => {
            story.attempt(AttemptAction::Generate);
        }
        StateName::I0 | StateName::I1 => {
            story.attempt(AttemptAction::Generate);
            story.must(Command::Interrupt);
        }
        _ => {
            story.fail();
        }
    }
    if matches!(state, StateName::XE0 | StateName::XE1) {
        story.must(Command::Archive);
    }
    story
}

/// An event that fits the chat as well as it can.
fn event(name: &str, story: &Story) -> Event {
    let outline = story.outline();
    let attempt_id = story.open_attempt();
    let queued_id = outline.queue.first().copied().unwrap_or(777);
    let turn_id = outline.turn.as_ref().map_or(777, |turn| turn.id);
    let message = |role| Event::MessageCommitted(MessageCommitted::new(role, vec![Part::text("x")], Origin::User));
    let finished = |outcome: TurnOutcome| {
        Event::TurnFinished(TurnFinished {
            turn_id,
            outcome,
            error: (outcome == TurnOutcome::Failed).then(overloaded),
            partial: Vec::new(),
            usage: Usage::default(),
            cost_micros: None,
            steps: 0,
            duration_ms: 0,
        })
    };
    match name {
        "ChatCreated" => story.log[0].event.clone(),
        "user message" => message(Role::User),
        "assistant message" => message(Role::Assistant),
        "tool message" => message(Role::Tool),
        "MessagesWithdrawn" => {
            let from = story.message_id("What is a monad?");
            Event::MessagesWithdrawn(MessagesWithdrawn { from, reason: WithdrawalReason::Edited })
        }
        "MessageQueued" => Event::MessageQueued(MessageQueued {
            parts: vec![Part::text("x")],
            author: "ada".to_owned(),
            model: None,
            effort: None,
            steer: false,
        }),
        "QueuedMessageDeleted" => Event::QueuedMessageDeleted(QueuedMessageDeleted { queued_id }),
        "promoted to history" => {
            Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id, to: PromotedTo::History })
        }
        "promoted to the head" => {
            Event::QueuedMessagePromoted(QueuedMessagePromoted { queued_id, to: PromotedTo::Head })
        }
        "TurnStarted" => Event::TurnStarted(TurnStarted { reason: TurnReason::Message }),
        "CapacityAwaited" => Event::CapacityAwaited(CapacityAwaited { scope: CapacityScope::Root }),
        "AttemptRecorded" => Event::AttemptRecorded(AttemptRecorded {
            action: AttemptAction::Generate,
            number: outline.attempts_at_history + 1,
            model: None,
            prompt_digest: None,
            request: None,
            offer: None,
            node: "node-1".to_owned(),
        }),
        "ToolCallStarted" => Event::ToolCallStarted(ToolCallStarted {
            attempt_id,
            call_id: "c1".to_owned(),
            name: SERVER_TOOL.to_owned(),
            effect_class: EffectClass::Idempotent,
        }),
        "ToolCallFinished" => Event::ToolCallFinished(ToolCallFinished {
            attempt_id,
            call_id: "c1".to_owned(),
            name: SERVER_TOOL.to_owned(),
            result: json!(1),
            is_error: false,
            attachments: vec![],
            duration_ms: 1,
        }),
        "RetryScheduled" => Event::RetryScheduled(RetryScheduled {
            attempt_id,
            attempt: 1,
            delay_ms: 1000,
            retry_at: story.now + TimeDelta::seconds(1),
            error: overloaded(),
            partial: Vec::new(),
            files_refused: false,
        }),
        "AttemptAbandoned" => {
            Event::AttemptAbandoned(AttemptAbandoned { attempt_id, cause: AbandonCause::Crash, partial: Vec::new() })
        }
        "ActionRequired" => {
            let needs = CallNeed::Result;
            let call = PendingCall { call_id: "c1".to_owned(), name: CLIENT_TOOL.to_owned(), args: json!({}), needs };
            Event::ActionRequired(ActionRequired { calls: vec![call], deadline: story.now })
        }
        "ActionResolved" => Event::ActionResolved(ActionResolved { resolution: ActionResolution::Expired }),
        "ApprovalsDecided" => Event::ApprovalsDecided(ApprovalsDecided { decisions: Vec::new(), by: "ada".to_owned() }),
        "InterruptRequested" => Event::InterruptRequested(InterruptRequested { cause: InterruptCause::User }),
        "finished, complete" => finished(TurnOutcome::Complete),
        "finished, interrupted" => finished(TurnOutcome::Interrupted),
        "finished, failed" => finished(TurnOutcome::Failed),
        "CompactionRequested" => Event::CompactionRequested(CompactionRequested { source: CompactionSource::Manual }),
        "ContextCompacted" => Event::ContextCompacted(ContextCompacted {
            source: CompactionSource::Manual,
            context_tokens: 1,
            window_tokens: None,
            threshold_percent: 70,
        }),
        "ContextCleared" => Event::ContextCleared(ContextCleared { source: CompactionSource::Manual }),
        "SettingsChanged" => Event::SettingsChanged(SettingsChanged::default()),
        "ChatArchived" => Event::ChatArchived(ChatArchived {}),
        "ChatUnarchived" => Event::ChatUnarchived(ChatUnarchived {}),
        "ChatErased" => Event::ChatErased(ChatErased { by: "ada".to_owned(), reason: None, remains: None }),
        "UsageRecorded" => usage_recorded(),
        "ChildSpawned" => Event::ChildSpawned(ChildSpawned { child: CHAT, kind: ChildKind::User }),
        _ => panic!("the table has an unknown event {name}"),
    }
}

fn following(story: &Story, event: Event) -> Recorded {
    Recorded::decided(CHAT, story.outline().version + 1, story.now, event)
}

#[test]
fn events_happen_only_where_they_can() {
    let mut lines = TABLE.trim().lines();
    let states: Vec<&str> = lines.next().expect("the table has a head").split('|').skip(1).map(str::trim).collect();
    let mut wrong = Vec::new();
    for line in lines {
        let mut row = line.split('|').map(str::trim);
        let name = row.next().expect("a row begins with its event");
        for (state, expected) in states.iter().zip(row) {
            let state = StateName::ALL.into_iter().find(|known| format!("{known:?}") == *state).expect("a state");
            let story = reach(state);
            assert_eq!(story.state(), state);
            let recorded = following(&story, event(name, &story));
            let evolved = evolve(story.chat.clone(), &recorded);
            let folded = Outline::apply(Some(story.outline().clone()), &recorded);
            let actual = if evolved.is_ok() { "+" } else { "." };
            if actual != expected {
                wrong.push(format!("{name} in {state:?}: {actual} ({:?})", evolved.as_ref().err()));
            }
            assert_eq!(folded, evolved.map(|chat| chat.outline), "{name} in {state:?}: the light fold agrees");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn events_follow_one_another_without_gaps_in_one_chat() {
    let story = Story::answered();
    let next = following(&story, Event::SettingsChanged(SettingsChanged::default()));
    let elsewhere = Recorded { chat_id: ChatId(uuid::Uuid::from_u128(8)), ..next.clone() };
    let early = Recorded { version: next.version - 1, ..next.clone() };
    let late = Recorded { version: next.version + 1, ..next.clone() };
    for (wrong, why) in [(elsewhere, "another chat"), (early, "does not follow"), (late, "does not follow")] {
        let illegal = evolve(story.chat.clone(), &wrong).expect_err(why);
        assert!(illegal.problem.contains(why), "{illegal}");
        assert_eq!((illegal.version, illegal.event_type), (wrong.version, "settings_changed"));
    }
    assert!(evolve(story.chat.clone(), &next).is_ok());
}

#[test]
fn a_chat_begins_with_its_creation() {
    let story = Story::empty();
    let created = story.log[0].clone();
    assert!(evolve(None, &created).is_ok());
    assert!(evolve(None, &Recorded { version: 2, ..created.clone() }).is_err());
    let other = Recorded { event: Event::ChatArchived(ChatArchived {}), ..created };
    assert!(evolve(None, &other).is_err());
}

#[test]
fn results_of_attempts_that_are_not_open_cannot_have_happened() {
    let story = reach(StateName::R0);
    let Event::MessageCommitted(committed) = event("assistant message", &story) else {
        panic!("a message");
    };
    let of = |attempt_id| Event::MessageCommitted(MessageCommitted { attempt_id, ..committed.clone() });
    let open = story.open_attempt();
    assert!(evolve(story.chat.clone(), &following(&story, of(Some(open)))).is_ok());
    assert!(evolve(story.chat.clone(), &following(&story, of(Some(open + 1)))).is_err());
}

#[test]
fn attempts_are_numbered_without_gaps() {
    let mut story = Story::asked();
    let recorded = |number| {
        Event::AttemptRecorded(AttemptRecorded {
            action: AttemptAction::Generate,
            number,
            model: None,
            prompt_digest: None,
            request: None,
            offer: None,
            node: "node-1".to_owned(),
        })
    };
    assert!(evolve(story.chat.clone(), &following(&story, recorded(1))).is_ok());
    assert!(evolve(story.chat.clone(), &following(&story, recorded(2))).is_err());
    story.attempt(AttemptAction::Generate);
    assert!(evolve(story.chat.clone(), &following(&story, recorded(2))).is_err(), "another one is open");
}

#[test]
fn a_turn_that_ends_over_a_queue_is_running_until_the_promotion() {
    let story = reach(StateName::R1);
    let ended = evolve(story.chat.clone(), &following(&story, event("finished, complete", &story))).expect("legal");
    assert_eq!((ended.outline.status, &ended.outline.turn), (Status::Running, &None));
    let between = Story { chat: Some(ended), ..story };
    for name in ["user message", "assistant message", "tool message", "MessageQueued", "AttemptRecorded"] {
        let recorded = following(&between, event(name, &between));
        assert!(evolve(between.chat.clone(), &recorded).is_err(), "{name} between turns");
    }
    let promoted = following(&between, event("promoted to history", &between));
    assert!(evolve(between.chat.clone(), &promoted).is_ok());
}

#[test]
fn nothing_happens_to_an_erased_chat() {
    let mut story = reach(StateName::W);
    story.must(Command::Erase { by: "ada".to_owned(), reason: None });
    for line in TABLE.trim().lines().skip(1) {
        let name = line.split('|').next().expect("a row begins with its event").trim();
        if name == "MessagesWithdrawn" {
            continue;
        }
        let recorded = following(&story, event(name, &story));
        assert!(evolve(story.chat.clone(), &recorded).is_err(), "{name}");
    }
}

#[test]
fn only_live_messages_are_withdrawn() {
    let story = Story::answered();
    let withdrawn = |from| Event::MessagesWithdrawn(MessagesWithdrawn { from, reason: WithdrawalReason::Edited });
    let live = story.message_id("What is a monad?");
    assert!(evolve(story.chat.clone(), &following(&story, withdrawn(live))).is_ok());
    for from in [0, 1, 4, 999] {
        assert!(evolve(story.chat.clone(), &following(&story, withdrawn(from))).is_err(), "{from} is no message");
    }
}
