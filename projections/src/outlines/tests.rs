use std::collections::BTreeMap;

use chrono::DateTime;
use uuid::Uuid;
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, Event, TitleSource};
use verbatim_events::ids::Digest;

use super::*;

fn outline(number: u128) -> Arc<Outline> {
    let chat_id = ChatId(Uuid::from_u128(number));
    let created = ChatCreated {
        owner: "ann".to_owned(),
        parent: None,
        root: chat_id,
        title: String::new(),
        title_source: TitleSource::Fallback,
        model: None,
        effort: None,
        system_prompt: None,
        tools: Vec::new(),
        server_tools: None,
        mcp_servers: Vec::new(),
        tool_policy: BTreeMap::new(),
        labels: BTreeMap::new(),
        workspace: None,
        plan_mode: false,
        forked_from: None,
    };
    let recorded = Recorded {
        position: 1,
        chat_id,
        version: 1,
        recorded_at: DateTime::UNIX_EPOCH,
        hash: Digest::ZERO,
        event: Event::ChatCreated(created),
    };
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
