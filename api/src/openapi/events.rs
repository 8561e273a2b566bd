//! Events: the shape of every type's data, and the frames of the streams.

use serde_json::{Map, Value, json};

use super::operation::{StreamEvent, schema_ref};

/// An object of these fields; a name with a question mark may be absent.
fn object(fields: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, schema) in fields {
        let bare = name.trim_end_matches('?');
        if bare == *name {
            required.push(bare);
        }
        properties.insert(bare.to_owned(), schema.clone());
    }
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn number() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn labels() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// Every type of event: its name, the schema of its data, what happened.
pub fn event_types() -> Vec<StreamEvent> {
    let kind = |name, about, data| StreamEvent { name, data, about };
    let of = |fields: &[(&str, Value)]| object(fields);
    let word = schema_ref;
    vec![
        kind(
            "chat_created",
            "The chat began.",
            of(&[
                ("owner", text()),
                ("parent?", word("ChatId")),
                ("root", word("ChatId")),
                ("title", text()),
                ("model?", text()),
                ("effort?", text()),
                ("labels", labels()),
                ("tools?", array(word("ToolDefinition"))),
                ("plan_mode?", flag()),
                ("workspace?", word("WorkspaceBinding")),
                ("forked_from?", of(&[("chat_id", word("ChatId")), ("version", number())])),
            ]),
        ),
        kind("message_committed", "Something was said.", word("Message")),
        kind(
            "messages_withdrawn",
            "This message and all after it left the history.",
            of(&[("from", number()), ("reason", word("WithdrawalReason"))]),
        ),
        kind("message_queued", "A message waits.", word("QueuedMessage")),
        kind("queued_message_deleted", "A waiting message was taken back.", of(&[("queued_id", number())])),
        kind(
            "queued_message_promoted",
            "A waiting message had its turn.",
            of(&[("queued_id", number()), ("to", word("PromotedTo"))]),
        ),
        kind("turn_started", "A turn began.", of(&[("turn_id", number()), ("reason", word("TurnReason"))])),
        kind(
            "capacity_awaited",
            "The turn waits: as many others are at work as may be at once. The next attempt, or the turn's end, ends it.",
            of(&[("scope", word("CapacityScope"))]),
        ),
        kind("attempt_recorded", "An attempt at a step begins; earlier parts are void.", word("Attempt")),
        kind(
            "tool_call_started",
            "A call runs.",
            of(&[
                ("attempt_id", number()),
                ("call_id", text()),
                ("name", text()),
                ("effect_class", word("EffectClass")),
            ]),
        ),
        kind(
            "tool_call_finished",
            "A call ended.",
            of(&[
                ("attempt_id", number()),
                ("call_id", text()),
                ("name", text()),
                ("result", json!({})),
                ("is_error", flag()),
                ("duration_ms", number()),
            ]),
        ),
        kind(
            "retry_scheduled",
            "An attempt failed and will be made again; its parts are void.",
            of(&[
                ("attempt_id", number()),
                ("attempt", number()),
                ("delay_ms", number()),
                ("retry_at", word("Time")),
                ("error", word("ChatError")),
            ]),
        ),
        kind(
            "attempt_abandoned",
            "An attempt ended without a result.",
            of(&[("attempt_id", number()), ("cause", word("AbandonCause"))]),
        ),
        kind("action_required", "Calls wait for somebody.", word("Action")),
        kind("action_resolved", "The wait is over.", of(&[("resolution", word("ActionResolution"))])),
        kind(
            "approvals_decided",
            "Calls were approved or denied.",
            of(&[("decisions", array(word("Decision"))), ("by", text())]),
        ),
        kind("interrupt_requested", "The turn is to stop.", of(&[("cause", word("InterruptCause"))])),
        kind(
            "turn_finished",
            "A turn ended.",
            of(&[
                ("turn_id", number()),
                ("outcome", word("TurnOutcome")),
                ("error?", word("ChatError")),
                ("usage", word("Usage")),
                ("cost_micros?", number()),
                ("steps", number()),
                ("duration_ms", number()),
            ]),
        ),
        kind("compaction_requested", "A summary was asked for.", of(&[("source", word("CompactionSource"))])),
        kind(
            "context_compacted",
            "The history was summarised for the model.",
            of(&[
                ("source", word("CompactionSource")),
                ("context_tokens", number()),
                ("window_tokens?", number()),
                ("threshold_percent", number()),
            ]),
        ),
        kind("context_cleared", "The model begins anew.", of(&[("source", word("CompactionSource"))])),
        kind("settings_changed", "Settings changed; absent ones stayed.", word("ChangedSettings")),
        kind("chat_archived", "The chat was archived.", of(&[])),
        kind("chat_unarchived", "The chat came back.", of(&[])),
        kind("chat_erased", "The content is gone for good.", of(&[("by", text()), ("reason?", text())])),
        kind(
            "usage_recorded",
            "Tokens were spent on something that is no message: a failed try, advice, a title.",
            of(&[
                ("purpose", word("UsagePurpose")),
                ("model?", text()),
                ("usage", word("Usage")),
                ("cost_micros?", number()),
                ("attempt_id?", number()),
            ]),
        ),
        kind("child_spawned", "The chat has a child.", of(&[("child", word("ChatId")), ("kind", word("ChildKind"))])),
    ]
}

/// The name of the schema of a type's whole event: `turn_started` is `TurnStartedEvent`.
pub fn schema_name(event_type: &str) -> String {
    let mut name = String::new();
    for word in event_type.split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name + "Event"
}

/// The schemas of events: one per type, and `Event`, which is any of them.
pub fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    let mut any = Vec::new();
    for kind in event_types() {
        let name = schema_name(kind.name);
        let mut schema = object(&[
            ("version", number()),
            ("type", json!({"type": "string", "const": kind.name})),
            ("at", schema_ref("Time")),
            ("status", schema_ref("Status")),
            ("withheld?", json!({"type": "boolean", "description": "The reader may not see what it holds."})),
            ("data", kind.data),
        ]);
        schema["description"] = kind.about.into();
        any.push(schema_ref(&name));
        schemas.insert(name, schema);
    }
    let description = "An event with its place in the chat and the chat's status after it.";
    schemas.insert("Event".into(), json!({"description": description, "oneOf": any}));
    schemas
}

/// The frames of a chat's stream.
pub fn chat_stream() -> Vec<StreamEvent> {
    let mut frames = vec![
        StreamEvent {
            name: "snapshot",
            data: schema_ref("Snapshot"),
            about: "The chat as it is, with its last 200 messages. Its id is that of the last event or part in it.",
        },
        StreamEvent {
            name: "reset",
            data: schema_ref("Reset"),
            about: "The reader's place is not known; a snapshot follows. No id.",
        },
        StreamEvent {
            name: "part",
            data: schema_ref("PartFrame"),
            about: "A piece of an attempt's output. Its id is VERSION-ATTEMPT-NUMBER, the version that of the last event \
                    before it.",
        },
        StreamEvent {
            name: "heartbeat",
            data: schema_ref("Heartbeat"),
            about: "The stream is alive. No id: the reader's place stays as it was.",
        },
    ];
    frames.extend(
        event_types().into_iter().map(|kind| StreamEvent { data: schema_ref(&schema_name(kind.name)), ..kind }),
    );
    frames
}

/// The frames of watching all chats.
pub fn watch_stream() -> Vec<StreamEvent> {
    let notice = |name, about| StreamEvent { name, data: schema_ref("Notice"), about };
    let mut frames: Vec<StreamEvent> = NOTICES.iter().map(|(name, about)| notice(name, about)).collect();
    frames.push(StreamEvent {
        name: "notification",
        data: schema_ref("Notification"),
        about: "The caller is notified of something in a chat of their own.",
    });
    frames.push(StreamEvent {
        name: "reset",
        data: schema_ref("Reset"),
        about: "The watcher's place is not known; list the chats, watching goes on from here.",
    });
    frames.push(StreamEvent {
        name: "heartbeat",
        data: schema_ref("Heartbeat"),
        about: "The stream is alive. Its id says that everything up to there was told.",
    });
    frames
}

/// The frames of watching an inbox.
pub fn inbox_stream() -> Vec<StreamEvent> {
    let frame = |name, data, about| StreamEvent { name, data: schema_ref(data), about };
    vec![
        frame("snapshot", "InboxSnapshot", "How the inbox stands. Its id is the place that this is of."),
        frame("notification", "Notification", "There is something new."),
        frame("notifications_marked", "NotificationsMarked", "Some were read, or are unread again."),
        frame("all_notifications_read", "AllNotificationsRead", "All up to there were read."),
        frame("reset", "Reset", "The watcher's place is not known; a snapshot follows."),
        frame("heartbeat", "Heartbeat", "The stream is alive. Its id says that everything up to there was told."),
    ]
}

/// The notices of watching, by name.
const NOTICES: &[(&str, &str)] = &[
    ("chat_created", "There is a new chat."),
    ("status_changed", "It does something else now."),
    ("title_changed", "It has another title."),
    ("settings_changed", "It has other settings."),
    ("diff_status_changed", "The files of its workspace changed."),
    ("action_required", "Calls wait for somebody."),
    ("chat_archived", "It was archived."),
    ("chat_unarchived", "It came back."),
    ("chat_erased", "Its content is gone for good."),
];

/// The frames of an audit.
pub fn audit_stream() -> Vec<StreamEvent> {
    let frame = |name, about, data| StreamEvent { name, data: schema_ref(data), about };
    vec![
        frame("progress", "Where it stands.", "AuditProgress"),
        frame("heartbeat", "Where it stands; nothing changed.", "AuditProgress"),
        frame("done", "The last frame: what it found.", "AuditReport"),
        frame("failed", "The last frame: why it could not be done.", "AuditFailure"),
    ]
}

/// The frames of a rebuild.
pub fn rebuild_stream() -> Vec<StreamEvent> {
    let frame = |name, about, data| StreamEvent { name, data: schema_ref(data), about };
    vec![
        frame("progress", "Where it stands.", "RebuildProgress"),
        frame("heartbeat", "Where it stands; nothing changed.", "RebuildProgress"),
        frame("done", "The last frame: what it came to.", "RebuildReport"),
        frame("failed", "The last frame: why it failed.", "RebuildFailure"),
    ]
}
