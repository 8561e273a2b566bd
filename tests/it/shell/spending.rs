//! What a model call has spent is in the log once, whatever cuts it off.

use support::script::{Line, STOP, ScriptedModel, fail_retryable, say};
use support::shell::{World, rest, run, say_first, text};
use verbatim_actors::handle::{Handle, Meta};
use verbatim_events::command::{Command, EditMessage};
use verbatim_events::event::{Event, UsagePurpose};
use verbatim_events::ids::ChatId;
use verbatim_events::message::Usage;

/// What the provider says while it answers, in whole.
fn report(input_tokens: u64, output_tokens: u64) -> Line {
    Line::Report(Usage { input_tokens, output_tokens, ..Usage::default() })
}

/// Which of the chat's events say that something was spent, with input and output tokens.
async fn spent(world: &World, chat_id: ChatId) -> Vec<(&'static str, u64, u64)> {
    let events = world.events(chat_id).await;
    let spendings = events.iter().filter_map(|event| {
        let spending = event.spending()?;
        assert_eq!(spending.purpose, UsagePurpose::Answer);
        let usage = spending.usage;
        Some((verbatim_events::wire::event_type(event), usage.input_tokens, usage.output_tokens))
    });
    spendings.collect()
}

/// Edits the chat's first message.
async fn edit(handle: &Handle, world: &World, chat_id: ChatId) {
    let names = world.names(chat_id).await;
    let at = names.iter().position(|name| *name == "message_committed").expect("something was said");
    let command = Command::EditMessage(EditMessage {
        message_id: at as u64 + 1,
        parts: text("another"),
        author: "ann".to_owned(),
        model: None,
        effort: None,
    });
    handle.send(chat_id, command, Meta::user("ann")).await.expect("the edit is taken");
}

#[test]
fn an_edit_counts_the_answer_that_it_cuts_off() {
    for (line, wanted) in [(Line::Take, (0, 0)), (report(40, 1), (40, 1))] {
        run(async {
            let world = World::default();
            let model = ScriptedModel::new(vec![vec![line, say("half"), Line::Hang], vec![say("whole"), STOP]]);
            let handle = world.node("n1", &model);
            let (chat_id, mut watcher) = say_first(&handle, "one").await;
            watcher.part().await;
            edit(&handle, &world, chat_id).await;
            rest(&handle, chat_id).await;
            let wanted = [("usage_recorded", wanted.0, wanted.1), ("message_committed", 10, 5)];
            assert_eq!(spent(&world, chat_id).await, wanted);
            handle.shutdown().await;
        });
    }
}

#[test]
fn a_call_that_was_never_sent_costs_nothing() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![say("half"), Line::Hang], vec![say("whole"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "one").await;
        watcher.part().await;
        edit(&handle, &world, chat_id).await;
        rest(&handle, chat_id).await;
        assert_eq!(spent(&world, chat_id).await, [("message_committed", 10, 5)]);
        handle.shutdown().await;
    });
}

#[test]
fn an_interrupted_answer_holds_what_was_reported_of_it() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![report(40, 1), say("half"), Line::Hang]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "one").await;
        watcher.part().await;
        handle.send(chat_id, Command::Interrupt, Meta::user("ann")).await.expect("the interrupt is taken");
        let Event::TurnFinished(turn) = watcher.event("turn_finished").await else { unreachable!() };
        assert_eq!((turn.usage.input_tokens, turn.usage.output_tokens), (40, 1));
        assert_eq!(spent(&world, chat_id).await, [("message_committed", 40, 1)]);
        handle.shutdown().await;
    });
}

#[test]
fn a_try_that_broke_costs_what_was_reported_until_then() {
    run(async {
        let world = World::default();
        let broken = vec![report(40, 0), say("half"), report(40, 3), fail_retryable()];
        let unknown = vec![Line::Take, say("half"), fail_retryable()];
        let refused = vec![fail_retryable()];
        let model = ScriptedModel::new(vec![broken, unknown, refused, vec![say("whole"), STOP]]);
        let handle = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&handle, "one").await;
        for _ in 0..3 {
            let Event::RetryScheduled(retry) = watcher.event("retry_scheduled").await else { unreachable!() };
            world.clock.advance_to(retry.retry_at);
        }
        watcher.event("turn_finished").await;
        let wanted = [("usage_recorded", 40, 3), ("usage_recorded", 0, 0), ("message_committed", 10, 5)];
        assert_eq!(spent(&world, chat_id).await, wanted);
        handle.shutdown().await;
    });
}

#[test]
fn what_a_stop_cut_off_is_paid_all_the_same() {
    run(async {
        let world = World::default();
        let model = ScriptedModel::new(vec![vec![Line::Take, say("half"), Line::Hang], vec![say("whole"), STOP]]);
        let first = world.node("n1", &model);
        let (chat_id, mut watcher) = say_first(&first, "one").await;
        watcher.part().await;
        first.shutdown().await;
        let second = world.node("n2", &model);
        second.wake(chat_id).await.expect("the chat wakes");
        rest(&second, chat_id).await;
        let wanted = [("usage_recorded", 0, 0), ("message_committed", 10, 5)];
        assert_eq!(spent(&world, chat_id).await, wanted);
        let chat = second.open(chat_id).await.expect("the chat opens").chat;
        assert_eq!(chat.spent.iter().map(|share| share.steps).sum::<u64>(), 2);
        second.shutdown().await;
    });
}
