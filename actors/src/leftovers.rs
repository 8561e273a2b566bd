//! What calls left running: told to end where the log says that no call wants it any more.
//!
//! A turn that is edited away is gone with one append, and its calls are told right after it (`core/tools.rs`). What a crash in
//! between forgot is found here, after a start and now and then: from what runs to its call, and from there to what the log says
//! became of that. So nothing depends on the news, and no chat has to be opened for it.

use verbatim_events::event::Event;
use verbatim_events::part::Part;
use verbatim_events::tool::CallKey;
use verbatim_events::wire;

use crate::handle::SendError;
use crate::node::Deps;

/// Events read at once: a call's end is seldom far behind it.
const PAGE_EVENTS: usize = 100;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is open: somebody waits for it, or will.
    Open,
    /// It has its answer. What runs on after that is meant to.
    Answered,
    /// It was withdrawn, or answered in its place: nobody wants what it does.
    Gone,
}

/// Tells what no call wants any more to end. How many were told; what cannot be judged now is left to the next time.
pub(crate) async fn end(deps: &Deps) -> usize {
    let mut told = 0;
    for (key, name) in deps.tools.left_running().await {
        let chat_id = key.chat_id;
        match fate(deps, &key).await {
            Ok(Fate::Gone) => {
                tracing::info!(chat.id = %chat_id, tool = %name, "What a call left running is wanted no more; it is ended.");
                deps.tools.cancel(key, &name).await;
                told += 1;
            }
            Ok(Fate::Open | Fate::Answered) => {}
            Err(error) => {
                tracing::warn!(chat.id = %chat_id, tool = %name, %error, "Whether a call is still wanted cannot be said.");
            }
        }
    }
    told
}

/// What the log says became of a call, from its message on.
async fn fate(deps: &Deps, key: &CallKey) -> Result<Fate, SendError> {
    let mut after = key.message_id.saturating_sub(1);
    loop {
        let page = deps.log.read_chat(key.chat_id, after, PAGE_EVENTS).await?;
        let is_last = page.len() < PAGE_EVENTS;
        if after < key.message_id && page.first().is_none_or(|stored| stored.event.version != key.message_id) {
            // The log knows nothing of the call: it was brought back to an earlier day.
            return Ok(Fate::Gone);
        }
        for stored in page {
            after = stored.event.version;
            // What is sealed with a key that is gone belongs to a chat that says further on that it was erased.
            if stored.is_erased() {
                continue;
            }
            let recorded = wire::decode(&stored).map_err(|error| SendError::Damaged { problem: error.to_string() })?;
            if let Some(fate) = settled(key, after, &recorded.event) {
                return Ok(fate);
            }
        }
        if is_last {
            return Ok(Fate::Open);
        }
    }
}

/// What an event at this version, one of those from the call's message on, says of the call's fate.
fn settled(key: &CallKey, version: u64, event: &Event) -> Option<Fate> {
    match event {
        Event::MessageCommitted(message) if version == key.message_id => {
            let holds = |part: &Part| matches!(part, Part::ToolCall { call_id, .. } if *call_id == key.call_id);
            (!message.parts.iter().any(holds)).then_some(Fate::Gone)
        }
        Event::ToolCallFinished(finished) => (finished.call_id == key.call_id).then_some(Fate::Answered),
        // Answered without having ended: a result in its place. The results of a batch follow the ends of its calls.
        Event::MessageCommitted(message) => {
            let mut answered = message.parts.iter().filter_map(Part::answered_call_id);
            answered.any(|call_id| call_id == key.call_id).then_some(Fate::Gone)
        }
        Event::MessagesWithdrawn(withdrawn) => (withdrawn.from <= key.message_id).then_some(Fate::Gone),
        Event::ChatErased(_) => Some(Fate::Gone),
        _ => None,
    }
}
