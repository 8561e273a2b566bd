//! The parameters of paths, queries and headers.

use serde_json::{Value, json};

/// A parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    place: &'static str,
    name: &'static str,
    required: bool,
    about: &'static str,
    schema: Value,
}

impl Parameter {
    /// The parameter as the document has it.
    pub fn to_json(&self) -> Value {
        json!({
            "in": self.place,
            "name": self.name,
            "required": self.required,
            "description": self.about,
            "schema": self.schema,
        })
    }
}

/// Parts of a path.
pub mod path {
    use serde_json::json;

    use super::Parameter;

    fn part(name: &'static str, about: &'static str, schema: serde_json::Value) -> Parameter {
        Parameter { place: "path", name, required: true, about, schema }
    }

    fn number(name: &'static str, about: &'static str) -> Parameter {
        part(name, about, json!({"type": "integer", "minimum": 1}))
    }

    /// A chat.
    pub fn chat() -> Parameter {
        part("chat", "The chat's id.", super::super::operation::schema_ref("ChatId"))
    }

    /// A message.
    pub fn message() -> Parameter {
        number("message", "The message's id.")
    }

    /// An attempt.
    pub fn attempt() -> Parameter {
        number("attempt", "The attempt's id.")
    }

    /// A message that waits.
    pub fn queued() -> Parameter {
        number("queued", "The queued message's id.")
    }

    /// A notification.
    pub fn notification() -> Parameter {
        part("notification", "The notification's id.", json!({"type": "string", "minLength": 1}))
    }

    /// A webhook.
    pub fn webhook() -> Parameter {
        part("name", "The webhook's name.", json!({"type": "string", "minLength": 1}))
    }

    /// A key.
    pub fn key() -> Parameter {
        part("key", "The key's id.", json!({"type": "string", "format": "uuid"}))
    }

    /// A file.
    pub fn file() -> Parameter {
        part("file", "The file's id.", json!({"type": "string", "format": "uuid"}))
    }

    /// An owner.
    pub fn owner() -> Parameter {
        part("owner", "The owner's name.", json!({"type": "string", "minLength": 1}))
    }

    /// A template.
    pub fn template() -> Parameter {
        part("template", "The template's id.", json!({"type": "string", "minLength": 1}))
    }

    /// A workspace.
    pub fn workspace() -> Parameter {
        part("workspace", "The workspace's id.", json!({"type": "string", "minLength": 1}))
    }

    /// A provider.
    pub fn provider() -> Parameter {
        part("provider", "The provider's name.", json!({"type": "string", "minLength": 1}))
    }

    /// A model.
    pub fn model() -> Parameter {
        part("model", "The model's name; a slash in it is sent as `%2F`.", json!({"type": "string", "minLength": 1}))
    }

    /// A read model.
    pub fn projection() -> Parameter {
        part("name", "The projection's name, or `all`.", json!({"type": "string", "minLength": 1}))
    }
}

/// Parameters of a query.
pub mod query {
    use serde_json::{Value, json};

    use super::Parameter;
    use crate::openapi::operation::schema_ref;
    use crate::wire::page::{LIMIT_DEFAULT, LIMIT_MAX, LIMIT_MIN};

    fn query(name: &'static str, about: &'static str, schema: Value) -> Parameter {
        Parameter { place: "query", name, required: false, about, schema }
    }

    fn version(name: &'static str, about: &'static str) -> Parameter {
        query(name, about, json!({"type": "integer", "minimum": 0}))
    }

    fn flag(name: &'static str, about: &'static str) -> Parameter {
        query(name, about, json!({"type": "boolean"}))
    }

    /// How many items.
    pub fn limit() -> Parameter {
        let schema = json!({"type": "integer", "minimum": LIMIT_MIN, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT});
        query("limit", "How many items at most.", schema)
    }

    /// Where a page begins.
    pub fn cursor() -> Parameter {
        query("cursor", "The `next_cursor` of the page before.", json!({"type": "string"}))
    }

    /// A file's name.
    pub fn name() -> Parameter {
        query("name", "The file's name; directories in it are left out.", json!({"type": "string", "minLength": 1}))
    }

    /// Words to search.
    pub fn words() -> Parameter {
        query(
            "q",
            "Words that all stand in the chat, each in its title or in any of its messages; 16 of them count.",
            json!({"type": "string"}),
        )
    }

    /// What templates are searched for.
    pub fn template_words() -> Parameter {
        query("q", "What stands in the template's id or description, in whatever case.", json!({"type": "string"}))
    }

    /// What sums are told apart by.
    pub fn group() -> Parameter {
        let words = crate::routes::usage::GROUPS.map(|(name, _)| name).join("|");
        let schema =
            json!({"type": "string", "pattern": format!("^({words})(,({words}))*$"), "default": "owner,day,model"});
        query("group", "What sums are told apart by: each word once, with commas between.", schema)
    }

    /// An owner.
    pub fn owner() -> Parameter {
        query("owner", "What this owner's chats spent.", json!({"type": "string"}))
    }

    /// A model.
    pub fn model() -> Parameter {
        query("model", "What this model spent, by its configured name.", json!({"type": "string"}))
    }

    /// A chat.
    pub fn of_chat() -> Parameter {
        query("chat", "What this chat itself spent, without its children.", schema_ref("ChatId"))
    }

    /// A family of chats.
    pub fn family() -> Parameter {
        query(
            "family",
            "What the chat with this id and all its descendants spent; it is their root.",
            schema_ref("ChatId"),
        )
    }

    /// A first day.
    pub fn from() -> Parameter {
        query("from", "From this day (UTC) on.", json!({"type": "string", "format": "date"}))
    }

    /// A last day.
    pub fn to() -> Parameter {
        query("to", "Up to and including this day (UTC).", json!({"type": "string", "format": "date"}))
    }

    /// A status.
    pub fn status() -> Parameter {
        query("status", "Chats that do this.", schema_ref("Status"))
    }

    /// Archived or not.
    pub fn archived() -> Parameter {
        flag("archived", "Archived chats alone, or none of them; without it, both.")
    }

    /// Labels.
    pub fn labels() -> Parameter {
        let schema = json!({"type": "array", "items": {"type": "string", "pattern": "^[^:]*:"}});
        query("label", "`KEY:VALUE`; may stand there several times, all must fit.", schema)
    }

    /// A parent.
    pub fn parent() -> Parameter {
        query("parent", "Children of this chat.", schema_ref("ChatId"))
    }

    /// Unread ones.
    pub fn unread() -> Parameter {
        flag("unread", "Those that are unread alone.")
    }

    /// Templates.
    pub fn template() -> Parameter {
        let schema = json!({"type": "array", "items": schema_ref("NotificationTemplate"), "maxItems": 100});
        query("template", "Of these templates; several times, or with commas. `templates` is the same.", schema)
    }

    /// Chats.
    pub fn about_chat() -> Parameter {
        let schema = json!({"type": "array", "items": schema_ref("ChatId"), "maxItems": 100});
        query("chat", "About these chats; several times, or with commas. `targets` is the same.", schema)
    }

    /// A version of the past.
    pub fn at() -> Parameter {
        version("at", "The chat as it was after the event of this version.")
    }

    /// Messages before.
    pub fn before() -> Parameter {
        version("before", "Messages before this one.")
    }

    /// Messages after.
    pub fn after_message() -> Parameter {
        version("after", "Messages after this one, the oldest first.")
    }

    /// Withdrawn messages, too.
    pub fn withdrawn() -> Parameter {
        flag("withdrawn", "With the messages that an edit took out of history.")
    }

    /// Leave stored events.
    pub fn keep_events() -> Parameter {
        flag(
            "keep_events",
            "Also erase a chat that began before chats were sealed: its events stay in the log as they are.",
        )
    }

    /// Events after.
    pub fn after_event() -> Parameter {
        version("after", "Events after this version.")
    }

    /// Events of the log after.
    pub fn after_log() -> Parameter {
        query(
            "after",
            "The `position` of an event; those after it are told. `0`, or none, for all.",
            json!({"type": "string"}),
        )
    }

    /// Endless.
    pub fn follow() -> Parameter {
        flag("follow", "Do not end: tell what happens as it happens.")
    }

    /// Where a reader stopped.
    pub fn after_cursor() -> Parameter {
        query("after", "The same as `Last-Event-ID`, which wins.", json!({"type": "string"}))
    }

    /// Where a watcher stopped.
    pub fn after_position() -> Parameter {
        query("after", "The same as `Last-Event-ID`, which wins.", json!({"type": "string"}))
    }

    /// The stored form.
    pub fn raw() -> Parameter {
        flag("raw", "Every event with its envelope and hashes; for auditors and administrators.")
    }

    /// Compares.
    pub fn verify() -> Parameter {
        flag("verify", "Compare every row with the live one before it takes its place.")
    }
}

/// Headers of requests.
pub mod header {
    use serde_json::json;
    use verbatim_events::limits::IDEMPOTENCY_KEY_MAX_BYTES;

    use super::Parameter;

    fn header(name: &'static str, about: &'static str, schema: serde_json::Value) -> Parameter {
        Parameter { place: "header", name, required: false, about, schema }
    }

    /// The key of a request that is done once.
    pub fn idempotency_key() -> Parameter {
        let schema = json!({"type": "string", "maxLength": IDEMPOTENCY_KEY_MAX_BYTES, "pattern": "^[!-~]+$"});
        header("Idempotency-Key", "The same key with the same request is done once, however often it is sent.", schema)
    }

    /// What a file is called.
    pub fn content_disposition() -> Parameter {
        header("Content-Disposition", "Says the file's name in `filename`.", json!({"type": "string"}))
    }

    /// What the caller has.
    pub fn if_none_match() -> Parameter {
        header("If-None-Match", "The `ETag` of what the caller has.", json!({"type": "string"}))
    }

    /// A position to wait for.
    pub fn position() -> Parameter {
        let about = "What a change's answer said in this header: the read waits until it sees that change.";
        header("Verbatim-Position", about, json!({"type": "string"}))
    }

    /// Where a reader of a stream stopped.
    pub fn last_event_id() -> Parameter {
        let about = "The id of the last event or part that was read: `VERSION` or `VERSION-ATTEMPT-NUMBER`; `0` replays \
                     the chat from its first event.";
        header("Last-Event-ID", about, json!({"type": "string"}))
    }

    /// Where a watcher stopped.
    pub fn last_position() -> Parameter {
        header("Last-Event-ID", "The id of the last frame that was read; opaque.", json!({"type": "string"}))
    }

    /// The caller's trace.
    pub fn traceparent() -> Parameter {
        header(
            "traceparent",
            "The W3C trace that the change belongs to; one that is malformed counts as none.",
            json!({
                "type": "string",
            }),
        )
    }
}
