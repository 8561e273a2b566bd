use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, Event};

use super::*;

fn outline(number: u128) -> Arc<Outline> {
    let chat_id = ChatId(Uuid::from_u128(number));
    let created = Event::ChatCreated(ChatCreated::new("ann", chat_id, ""));
    let recorded = Recorded::decided(chat_id, 1, DateTime::UNIX_EPOCH, created);
    Arc::new(Outline::apply(None, &recorded).unwrap())
}

#[test]
fn it_never_holds_more_than_its_capacity_and_keeps_what_is_used() {
    let mut outlines = Outlines::new(8);
    let hot = outline(1);
    outlines.put(Arc::clone(&hot));
    for number in 2..100 {
        outlines.put(outline(number));
        assert!(outlines.get(hot.id).is_some(), "what is used stays");
        assert!(outlines.young.len() + outlines.old.len() <= 8);
    }
    assert!(outlines.get(outline(2).id).is_none());
    outlines.forget(hot.id);
    assert!(outlines.get(hot.id).is_none());
}
