//! What owners are notified of, and who else is told.

use serde_json::{Value, json};

use super::super::events::inbox_stream;
use super::super::operation::{Operation, page_of, schema_ref};
use super::super::parameters::{header, path, query};
use super::api;
use crate::error::Code;

/// What beginning to watch can fail with; whatever passes ends the stream instead, so that readers come back.
const WATCH: &[Code] = &[Code::InvalidRequest, Code::ChatDamaged];

/// What a mark can fail with.
const MARK: &[Code] = &[Code::NotificationNotFound, Code::ReadsUnavailable, Code::ReadsBehind];

fn inbox() -> Value {
    let mut page = page_of(schema_ref("Notification"));
    page["required"] = json!(["items", "next_cursor", "unread"]);
    page["properties"]["unread"] = json!({
        "type": "integer",
        "minimum": 0,
        "description": "How many of the whole inbox are unread, whatever was asked for.",
    });
    page
}

pub(super) fn all() -> Vec<Operation> {
    vec![
        Operation::new("get", api("/inbox"), "listInbox", "inbox", "List what one was notified of")
            .about(
                "The caller's own, whatever else the key may read: turns that ended, failed, or wait for somebody, the newest \
                 first. No notification is made of what the owner stopped, nor of the ends of a child chat's turns. The \
                 newest 1000 are kept.",
            )
            .takes([query::unread(), query::template(), query::about_chat(), query::limit(), query::cursor()])
            .answers(200, "A page of notifications.", inbox())
            .reads(),
        Operation::new("put", api("/inbox/{notification}/read"), "markNotification", "inbox", "Mark as read or unread")
            .takes([path::notification()])
            .body("MarkNotification", true)
            .answers(200, "The notification.", schema_ref("Notification"))
            .changes()
            .fails(MARK),
        Operation::new("put", api("/inbox/read-all"), "markAllNotifications", "inbox", "Mark all as read")
            .about("All that were there when the request came, or all up to the one that it names.")
            .body("MarkAllNotifications", false)
            .answers_nothing(204, "They are read.")
            .changes()
            .fails(MARK),
        Operation::new("get", api("/inbox/watch"), "watchInbox", "inbox", "Watch one's inbox")
            .about(
                "Begins with a `snapshot` that says how many are unread, then tells of each notification and of each that is \
                 read. Every frame has an id; with the last one as `Last-Event-ID` it goes on right after it, without \
                 loss and double, after any restart. A place that the server does not know gets a `reset` and a new \
                 snapshot. Query parameters nobody knows are let through here.",
            )
            .takes([header::last_position(), query::after_position()])
            .streams("What happens in the inbox, in the log's order.", inbox_stream())
            .with_header("Cache-Control", "`no-cache`.", true)
            .fails(WATCH),
        Operation::new("get", api("/inbox/watch/ws"), "watchInboxSocket", "inbox", "Watch one's inbox over a WebSocket")
            .about("The frames of the stream, each as one JSON text `{event, id?, data}`.")
            .takes([header::last_position(), query::after_position()])
            .answers_nothing(101, "The WebSocket is open.")
            .fails(WATCH)
            .fails(&[Code::Busy, Code::LogUnavailable, Code::ReadsUnavailable]),
        Operation::new("get", api("/webhooks"), "listWebhooks", "webhooks", "List webhooks and how they stand")
            .about("Which there are is said in the server's settings.")
            .answers(200, "All webhooks.", page_of(schema_ref("Webhook")))
            .fails(&[Code::InvalidRequest, Code::Forbidden]),
        Operation::new("post", api("/webhooks/{name}/resume"), "resumeWebhook", "webhooks", "Let a webhook go on")
            .about("It tries again at once. One that stands still goes on where it stopped: nothing is left out.")
            .takes([path::webhook()])
            .body("Nothing", false)
            .answers(200, "The webhook.", schema_ref("Webhook"))
            .fails(&[Code::Forbidden, Code::WebhookNotFound]),
    ]
}
