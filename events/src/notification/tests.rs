//! Who is told what, as a table.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::chat::Outline;
use crate::envelope::Recorded;
use crate::event::{ActionRequired, ChatCreated, TurnReason, TurnStarted};
use crate::ids::ChatId;
use crate::message::Usage;

/// A chat in its first turn.
fn chat(parent: Option<ChatId>) -> Outline {
    let id = ChatId(Uuid::from_u128(1));
    let created = ChatCreated { parent, ..ChatCreated::new("ann", id, "Engines") };
    let events = [Event::ChatCreated(created), Event::TurnStarted(TurnStarted { reason: TurnReason::Message })];
    let mut outline = None;
    for (index, event) in events.into_iter().enumerate() {
        let recorded = Recorded::decided(id, index as u64 + 1, DateTime::<Utc>::UNIX_EPOCH, event);
        outline = Some(Outline::apply(outline, &recorded).expect("a chat may begin like this"));
    }
    outline.expect("there were events")
}

fn finished(outcome: TurnOutcome, error: Option<ChatError>) -> Event {
    Event::TurnFinished(TurnFinished {
        turn_id: 2,
        outcome,
        error,
        partial: Vec::new(),
        usage: Usage::default(),
        cost_micros: None,
        steps: 1,
        duration_ms: 5,
    })
}

#[test]
fn every_end_of_a_turn_but_a_stop_is_told_once_to_the_owner_of_a_root() {
    let limit = ChatError::terminal(ErrorKind::UsageLimit, "The budget of this month is used up.");
    let quota = ChatError { provider: Some("openai".to_owned()), status_code: Some(429), ..limit.clone() };
    let broken = ChatError::terminal(ErrorKind::Config, "There is no such model.");
    let table = [
        (TurnOutcome::Complete, None, Some(Template::TurnFinished)),
        (TurnOutcome::StopAfterTool, None, Some(Template::TurnFinished)),
        (TurnOutcome::MaxSteps, None, Some(Template::TurnFinished)),
        (TurnOutcome::NoOutput, None, Some(Template::TurnFinished)),
        (TurnOutcome::Interrupted, None, None),
        (TurnOutcome::Failed, Some(broken), Some(Template::TurnFailed)),
        (TurnOutcome::Failed, Some(quota), Some(Template::TurnFailed)),
        (TurnOutcome::Failed, Some(limit), Some(Template::BudgetReached)),
    ];
    let (root, child) = (chat(None), chat(Some(ChatId(Uuid::from_u128(2)))));
    for (outcome, error, template) in table {
        let event = finished(outcome, error.clone());
        let told = notification(Some(TurnReason::Message), &event, &root);
        assert_eq!(told.map(|told| told.template), template, "{outcome:?} {error:?}");
        if let Some(told) = told {
            let kind = error.map(|error| error.kind);
            assert_eq!((told.turn_id, told.outcome, told.error_kind), (2, Some(outcome), kind));
        }
        assert_eq!(notification(Some(TurnReason::Message), &event, &child), None, "a child's {outcome:?}");
        assert_eq!(notification(Some(TurnReason::Fork), &event, &root), None, "a fork's {outcome:?}");
    }
}

#[test]
fn a_wait_for_somebody_is_told_of_children_too() {
    let required = ActionRequired { calls: Vec::new(), deadline: DateTime::<Utc>::UNIX_EPOCH };
    for parent in [None, Some(ChatId(Uuid::from_u128(2)))] {
        let told = notification(Some(TurnReason::Message), &Event::ActionRequired(required.clone()), &chat(parent));
        let expected = Notification { template: Template::ActionRequired, turn_id: 2, outcome: None, error_kind: None };
        assert_eq!(told, Some(expected));
    }
    let begun = Event::TurnStarted(TurnStarted { reason: TurnReason::Edit });
    assert_eq!(notification(None, &begun, &chat(None)), None);
}

#[test]
fn templates_are_read_by_their_names() {
    for template in Template::ALL {
        assert_eq!(Template::parse(template.name()), Some(template));
        assert_eq!(serde_json::to_value(template).expect("a name"), json!(template.name()));
    }
    assert_eq!(Template::parse("turn_started"), None);
}
