//! What the rows must say: what the chats say.

use std::collections::BTreeMap;

use verbatim_events::chat::{Chat, Outline, Status};
use verbatim_events::event::Event;
use verbatim_events::ids::ChatId;
use verbatim_events::inbox::{Address, InboxEvent};
use verbatim_events::log::EventLog;
use verbatim_events::notification::{Template, notification};
use verbatim_projections::{ChatFilter, InboxFilter, MessageQuery, ReadModels};

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
    for owner in ["ann", "bob"] {
        assert_inbox_agrees(models, world, owner).await;
    }
}

/// An owner's notifications: address, template, and whether it was read.
pub type Expected = Vec<(Address, Template, bool)>;

/// What an owner's inbox must hold, the newest first, by going through everything that happened.
pub fn expected_inbox(world: &World, owner: &str) -> Expected {
    let mut outlines: BTreeMap<ChatId, Outline> = BTreeMap::new();
    let mut inbox: Expected = Vec::new();
    let mut marks = world.marks.iter().peekable();
    for recorded in &world.recorded {
        while let Some((_, mark)) = marks.next_if(|(position, _)| *position < recorded.position) {
            apply_mark(&mut inbox, mark, owner);
        }
        let before = outlines.remove(&recorded.chat_id);
        let reason = before.as_ref().and_then(|outline| outline.turn.as_ref()).map(|turn| turn.reason);
        let after = Outline::apply(before, recorded).unwrap();
        if after.owner == owner {
            let address = Address { chat_id: recorded.chat_id, version: recorded.version };
            let told = notification(reason, &recorded.event, &after);
            inbox.extend(told.map(|told| (address, told.template, false)));
            if after.erased {
                inbox.retain(|(known, _, _)| known.chat_id != recorded.chat_id);
            }
        }
        outlines.insert(recorded.chat_id, after);
    }
    marks.for_each(|(_, mark)| apply_mark(&mut inbox, mark, owner));
    inbox.reverse();
    inbox
}

fn apply_mark(inbox: &mut Expected, mark: &InboxEvent, owner: &str) {
    if mark.owner() != owner {
        return;
    }
    match mark {
        InboxEvent::Marked(marked) => {
            for (_, _, read) in inbox.iter_mut().filter(|(address, _, _)| marked.notifications.contains(address)) {
                *read = marked.read;
            }
        }
        InboxEvent::AllRead(all) => {
            let found = |through: Address| inbox.iter().position(|(address, _, _)| *address == through);
            let count = all.through.map_or(inbox.len(), |through| found(through).map_or(0, |index| index + 1));
            inbox[..count].iter_mut().for_each(|(_, _, read)| *read = true);
        }
    }
}

async fn assert_inbox_agrees(models: &ReadModels, world: &World, owner: &str) {
    let expected = expected_inbox(world, owner);
    let filter = InboxFilter { owner: owner.to_owned(), ..InboxFilter::default() };
    let listed = models.inbox(filter, 1000, None).await.unwrap().items;
    let rows: Expected = listed.iter().map(|entry| (entry.address, entry.template, entry.read)).collect();
    assert_eq!(rows, expected, "{owner}'s inbox");
    let unread = models.inbox_unread(owner.to_owned()).await.unwrap();
    let count = expected.iter().filter(|(_, _, read)| !read).count();
    assert_eq!((unread.position, unread.count), (models.applied_position(), count as u64));
    for entry in &listed {
        let title = world.chats.get(&entry.address.chat_id).map(|chat| chat.outline.title.clone());
        assert!(title.is_none() || title == entry.title, "{title:?} {entry:?}");
        let recorded = world.recorded.iter().find(|recorded| recorded.position == entry.position).unwrap();
        assert_eq!((recorded.chat_id, recorded.version), (entry.address.chat_id, entry.address.version));
        assert_eq!(recorded.recorded_at, entry.created_at);
    }
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
