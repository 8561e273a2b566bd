//! The connection against a peer that is written out message by message, and servers that are programs or listen.

mod connection;
mod elsewhere;
mod peer;
mod programs;

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use parking_lot::Mutex;
use uuid::Uuid;
use verbatim_events::chat::{Chat, evolve};
use verbatim_events::envelope::Recorded;
use verbatim_events::event::{ChatCreated, Event};
use verbatim_events::ids::ChatId;
use verbatim_events::tool::{CallKey, OutputSink, ToolInvocation};

/// A wait that only a fault makes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A chat that names these servers.
fn chat(servers: &[&str]) -> Chat {
    let id = ChatId(Uuid::from_u128(7));
    let servers = servers.iter().map(|name| (*name).to_owned()).collect();
    let created = ChatCreated { mcp_servers: servers, ..ChatCreated::new("ada", id, "Tools") };
    let recorded = Recorded::decided(id, 1, DateTime::UNIX_EPOCH, Event::ChatCreated(created));
    evolve(None, &recorded).expect("a chat can be created")
}

fn invocation(chat: &Chat, name: &str, args: serde_json::Value) -> ToolInvocation {
    ToolInvocation {
        chat: Arc::new(chat.clone()),
        key: CallKey { chat_id: ChatId(Uuid::from_u128(7)), message_id: 4, call_id: "call-1".to_owned() },
        attempt_id: 5,
        name: name.to_owned(),
        args,
        reattach: false,
        trace_id: None,
    }
}

/// A sink, and what went into it.
fn output() -> (OutputSink, Arc<Mutex<String>>) {
    let seen = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&seen);
    (Box::new(move |text| into.lock().push_str(&text)), seen)
}

/// Waits until something is so.
async fn until(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it never came to be so");
}
