//! What the rows must say: what the chats say.

use verbatim_events::chat::{Chat, Outline, Status};
use verbatim_events::event::Event;
use verbatim_events::log::EventLog;
use verbatim_projections::{ChatFilter, MessageQuery, ReadModels};

use super::world::World;

/// All messages, however they are paged.
pub const ALL_MESSAGES: MessageQuery =
    MessageQuery { before: None, after: Some(0), include_withdrawn: false, include_model_only: true };

/// Every row says what the chats say.
pub async fn assert_agrees(models: &ReadModels, world: &World) {
    assert_eq!(models.applied_position(), world.log.known_head());
    for chat in world.chats.values() {
        assert_chat_agrees(models, world, chat).await;
    }
    let mut owing: Vec<_> =
        world.chats.values().filter(|chat| owes(&chat.outline)).map(|chat| chat.outline.id).collect();
    owing.sort();
    assert_eq!(models.work(None, 1000).await.unwrap(), owing);
    let listed = models.chats(ChatFilter::default(), 1000, None).await.unwrap().items;
    assert_eq!(listed.len(), world.chats.values().filter(|chat| !chat.outline.erased).count());
}

async fn assert_chat_agrees(models: &ReadModels, world: &World, chat: &Chat) {
    let id = chat.outline.id;
    assert_eq!(models.chat(id).await.unwrap().as_ref(), Some(&chat.outline));
    let page = models.messages(id, ALL_MESSAGES, 1000).await.unwrap();
    assert!(!page.more);
    assert!(page.items.iter().all(|row| row.withdrawn_by.is_none()));
    let messages: Vec<_> = page.items.into_iter().map(|row| row.message).collect();
    let history: Vec<_> = chat.history.iter().map(|message| message.as_ref().clone()).collect();
    assert_eq!(messages, history);
    let queue: Vec<_> = chat.queue.iter().map(|queued| queued.as_ref().clone()).collect();
    assert_eq!(models.queue(id).await.unwrap(), queue);

    let events = || world.recorded.iter().filter(|recorded| recorded.chat_id == id);
    let everything = MessageQuery { include_withdrawn: true, ..ALL_MESSAGES };
    let committed: Vec<_> = events()
        .filter(|recorded| !chat.outline.erased && matches!(recorded.event, Event::MessageCommitted(_)))
        .map(|recorded| recorded.version)
        .collect();
    assert_eq!(models.message_ids(id, everything, 1000).await.unwrap(), committed);

    let turns = models.turns(id, 1000, None).await.unwrap().items;
    if chat.outline.erased {
        assert_eq!(turns, [], "of an erased chat");
        return;
    }
    let started: Vec<_> = events()
        .filter(|recorded| matches!(recorded.event, Event::TurnStarted(_)))
        .map(|recorded| recorded.version)
        .collect();
    assert_eq!(turns.iter().rev().map(|turn| turn.turn_id).collect::<Vec<_>>(), started);
    let attempts = events().filter(|recorded| matches!(recorded.event, Event::AttemptRecorded(_))).count();
    assert_eq!(turns.iter().map(|turn| turn.attempts).sum::<u64>(), attempts as u64);
    let retries = events().filter(|recorded| matches!(recorded.event, Event::RetryScheduled(_))).count();
    assert_eq!(turns.iter().map(|turn| turn.retries).sum::<u64>(), retries as u64);
    for recorded in events() {
        if let Event::TurnFinished(finished) = &recorded.event {
            let turn = turns.iter().find(|turn| turn.turn_id == finished.turn_id).unwrap();
            assert_eq!(turn.outcome, Some(finished.outcome));
            assert_eq!(turn.finished_at, Some(recorded.recorded_at));
            assert_eq!(turn.error, finished.error);
            assert_eq!((turn.usage, turn.steps), (finished.usage, u64::from(finished.steps)));
            assert_eq!(turn.duration_ms, Some(finished.duration_ms));
        }
    }
    if let Some(open) = &chat.outline.turn {
        let turn = turns.iter().find(|turn| turn.turn_id == open.id).unwrap();
        assert_eq!((turn.outcome, turn.finished_at), (None, None));
        assert_eq!((turn.usage, turn.steps), (open.usage, u64::from(open.steps)));
    }
}

fn owes(outline: &Outline) -> bool {
    matches!(outline.status, Status::Running | Status::Interrupting | Status::RequiresAction)
}
