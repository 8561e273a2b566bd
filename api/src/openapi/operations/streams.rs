//! What happens, as it happens.

use serde_json::json;

use super::super::events::{audit_stream, chat_stream, rebuild_stream, watch_stream};
use super::super::operation::{Operation, page_of, schema_ref};
use super::super::parameters::{header, path, query};
use super::api;
use crate::error::Code;

/// What opening a chat can fail with.
const OPEN: &[Code] = &[
    Code::InvalidRequest,
    Code::ChatNotFound,
    Code::ChatDamaged,
    Code::Busy,
    Code::LogUnavailable,
    Code::ChatUnavailable,
    Code::Stopping,
];

/// What beginning to watch can fail with.
const WATCH: &[Code] = &[Code::InvalidRequest, Code::Busy, Code::LogUnavailable, Code::ChatDamaged];

pub(super) fn all() -> Vec<Operation> {
    vec![
        Operation::new("get", api("/chats/{chat}/stream"), "streamChat", "streams", "Follow a chat")
            .about(
                "Without a place it begins with a `snapshot`, then tells what happens, as it happens, until the reader or \
                 the server goes. With a place it goes on right after it: nothing is skipped, nothing comes twice, on any \
                 node, after any restart. A place that the server does not know gets a `reset` and a new snapshot. Every \
                 15 s there is a `heartbeat`. A reader too slow for its buffer is closed and goes on by its last id. \
                 Query parameters nobody knows are let through here.",
            )
            .takes([path::chat(), header::last_event_id(), query::after_cursor(), query::raw()])
            .streams("The chat's events and live parts in one order.", chat_stream())
            .with_header("Cache-Control", "`no-cache`.", true)
            .fails(OPEN)
            .fails(&[Code::Forbidden]),
        Operation::new("get", api("/chats/{chat}/ws"), "streamChatSocket", "streams", "Follow a chat over a WebSocket")
            .about(
                "The frames of the stream, each as one JSON text `{event, id?, data}`. What the client says counts for \
                 nothing; the key may stand in the query.",
            )
            .takes([path::chat(), header::last_event_id(), query::after_cursor(), query::raw()])
            .answers_nothing(101, "The WebSocket is open.")
            .fails(OPEN)
            .fails(&[Code::Forbidden]),
        Operation::new("get", api("/watch"), "watch", "streams", "Watch all of one's chats")
            .about(
                "Begins with a `heartbeat` whose id is the place to come back to, then tells what happens in which chat. \
                 Users watch their own chats, auditors and administrators all. A place that the server does not know gets \
                 a `reset`: list the chats, watching goes on from there. Query parameters nobody knows are let through here.",
            )
            .takes([header::last_position(), query::after_position()])
            .streams("What happens in which chat, in the log's order.", watch_stream())
            .with_header("Cache-Control", "`no-cache`.", true)
            .fails(WATCH),
        Operation::new("get", api("/watch/ws"), "watchSocket", "streams", "Watch all of one's chats over a WebSocket")
            .about("The frames of the stream, each as one JSON text `{event, id?, data}`.")
            .takes([header::last_position(), query::after_position()])
            .answers_nothing(101, "The WebSocket is open.")
            .fails(WATCH),
        Operation::new("get", api("/chats/{chat}/events"), "listEvents", "streams", "List a chat's events")
            .about(
                "From the log itself. Auditors and administrators get every event with its envelope and hashes, owners as \
                 the stream shows it. `next_cursor` is the next `after`. With `follow=true` the answer does not end: one \
                 JSON text a line, or server-sent events where `Accept` asks for them; `limit` counts for nothing then.",
            )
            .takes([path::chat(), query::after_event(), query::limit(), query::follow(), header::position()])
            .answers(
                200,
                "A page of events; with `follow`, events until the reader goes.",
                json!({"anyOf": [page_of(schema_ref("RawEvent")), page_of(schema_ref("Event"))]}),
            )
            .answers_as(
                200,
                "A page of events; with `follow`, events until the reader goes.",
                "application/x-ndjson",
                json!({"schema": {"type": "string"}, "x-line": {"anyOf": [schema_ref("RawEvent"), schema_ref("Event")]}}),
            )
            .streams("A page of events; with `follow`, events until the reader goes.", chat_stream())
            .fails(OPEN)
            .fails(&[Code::Erased, Code::ReadsUnavailable, Code::ReadsBehind]),
        Operation::new("get", api("/log"), "readLog", "audit", "Read the whole log")
            .about(
                "Every event of every chat with its envelope, in the log's order, one JSON text a line. Without `follow` \
                 the answer ends where the log ends; with it an empty line says now and then that it is alive.",
            )
            .takes([query::after_log(), query::follow()])
            .answers_as(
                200,
                "The events.",
                "application/x-ndjson",
                json!({"schema": {"type": "string"}, "x-line": schema_ref("RawEvent")}),
            )
            .with_header("Cache-Control", "`no-cache`.", true)
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::LogUnavailable]),
        Operation::new("post", api("/audit/verify"), "verifyLog", "audit", "Check the whole log")
            .about("Positions and versions without gaps, every chat's hash chain, every event readable, and none that \
                    cannot have happened. The first bad event is named. An audit stops if its reader goes away.")
            .streams("How it goes, then what it found.", audit_stream())
            .with_header("Cache-Control", "`no-cache`.", true)
            .fails(&[Code::InvalidRequest, Code::Forbidden, Code::AlreadyRunning, Code::LogUnavailable]),
        Operation::new(
            "post",
            api("/projections/{name}/rebuild"),
            "rebuildProjections",
            "projections",
            "Build read models anew",
        )
        .about("Beside the live ones, which are read until the new ones take their place. A reader that goes away stops \
                nothing.")
        .takes([path::projection(), query::verify()])
        .streams("How it goes, then how it went.", rebuild_stream())
        .with_header("Cache-Control", "`no-cache`.", true)
        .fails(&[Code::InvalidRequest, Code::Forbidden, Code::ProjectionNotFound, Code::AlreadyRunning]),
    ]
}
