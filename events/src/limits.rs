//! Every number that bounds a chat, in one place, with its default. All of them are settings.

use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr;)+) => {
        /// The bounds in force. Durations are in milliseconds.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($name: $default,)+ }
            }
        }
    };
}

limits! {
    /// How long a chat waits for a client to run its tools, in ms.
    action_deadline_ms: u64 = 5 * 60 * 1000;
    /// How long a chat waits for an approval, in ms.
    approval_deadline_ms: u64 = 24 * 60 * 60 * 1000;
    /// Queued messages per chat; one more is refused.
    queue_max: usize = 20;
    /// Assistant messages since the last user prompt; the turn then ends with `max_steps`.
    steps_max: u32 = 1200;
    /// Attempts per history version; the turn then fails.
    attempts_max: u32 = 25;
    /// Attempts per history version that may be cut short by the server's own end; the turn then fails: work that brings
    /// the server down must not do so for ever.
    abandoned_max: u32 = 100;
    /// Silence of an open model stream after which the attempt is retried, in ms. 0 switches the guard off.
    silence_ms: u64 = 10 * 60 * 1000;
    /// The first backoff, in ms; it doubles with each attempt.
    retry_base_ms: u64 = 1000;
    /// The longest backoff, in ms.
    retry_cap_ms: u64 = 60 * 1000;
    /// A `Retry-After` above this fails the turn instead of waiting, in ms.
    retry_after_max_ms: u64 = 15 * 60 * 1000;
    /// How often flowing parts are written to the part journal, in ms.
    journal_flush_ms: u64 = 100;
    /// Bytes of parts one attempt may produce; beyond it the attempt fails.
    attempt_bytes_max: usize = 16 * 1024 * 1024;
    /// An idle chat's actor is put to rest after this, in ms.
    passivate_after_ms: u64 = 60 * 1000;
    /// Chats held in memory at once; the least recently used idle ones rest first.
    chats_in_memory_max: usize = 10_000;
    /// Commands waiting for one chat; one more is answered 503.
    mailbox_max: usize = 64;
    /// Commands under way on the whole node; one more is answered 503.
    commands_max: usize = 4096;
    /// How often a chat that panicked is rebuilt from the log within a minute before it is given up for that minute.
    restarts_max: u32 = 5;
    /// How long a graceful stop may take, in ms.
    shutdown_ms: u64 = 10 * 1000;
    /// The largest request body, in bytes.
    body_max_bytes: usize = 256 * 1024;
    /// The largest body of submitted tool results, in bytes.
    tool_results_max_bytes: usize = 2 * 1024 * 1024;
    /// Tools of one batch that run at once.
    tools_parallel_max: usize = 16;
    /// Turns of one owner's own chats that are at work at once; more wait, in order. 0 for no bound.
    turns_root_max: usize = 5;
    /// Turns of one owner's chats that belong to another chat (its agents above all) that are at work at once. 0 for no
    /// bound.
    turns_child_max: usize = 10;
    /// Turns at work at once on the whole node, whoever owns them; at the bound owners take turns. 0 for no bound. A turn
    /// costs little but a connection to its provider, so this guards the machine and the providers' patience.
    turns_node_max: usize = 1000;
    /// Families of chats in which nothing has happened for so many days are archived, unless one of them is pinned. 0 for
    /// never.
    auto_archive_days: u32 = 0;
    /// Archived families in which nothing has happened for so many days are erased, unless one of them is pinned. 0 for
    /// never.
    retention_days: u32 = 0;
    /// How many hours a file that no chat shows, not yet or not any more, is kept after it was sent or named last. 0 for ever.
    files_unshown_hours: u32 = 24;
    /// How long receipts of idempotency keys are kept, in days.
    receipts_days: u32 = 7;
    /// The context share, in percent, from which compaction is due. 100 switches it off.
    compaction_percent: u8 = 70;
    /// A read that names a position waits this long for its projection, in ms.
    read_wait_ms: u64 = 2000;
    /// How long a read of the read models may take on PostgreSQL, in ms; then the request is answered 503.
    read_max_ms: u64 = 15 * 1000;
    /// How often an event stream says that it lives, in ms.
    heartbeat_ms: u64 = 15 * 1000;
}

/// The longest title, in characters.
pub const TITLE_MAX_CHARACTERS: usize = 200;
/// The longest title that is made from a message, in characters.
pub const FALLBACK_TITLE_MAX_CHARACTERS: usize = 80;
/// Words of the first message that make a title.
pub const FALLBACK_TITLE_WORDS: usize = 6;
/// Files that a chat shows; of more the ones that were shown the longest ago expire.
pub const CHAT_FILES_MAX: usize = 50;
/// The longest label of a turn, in characters.
pub const STATUS_LABEL_MAX_CHARACTERS: usize = 60;
/// Labels per chat.
pub const LABELS_MAX: usize = 50;
/// The longest label key, in bytes.
pub const LABEL_KEY_MAX_BYTES: usize = 64;
/// The longest label value, in bytes.
pub const LABEL_VALUE_MAX_BYTES: usize = 256;
/// The longest system prompt, in bytes.
pub const SYSTEM_PROMPT_MAX_BYTES: usize = 128 * 1024;
/// Client tools per chat.
pub const CLIENT_TOOLS_MAX: usize = 250;
/// The largest single tool result a client may submit, in bytes of JSON.
pub const TOOL_RESULT_MAX_BYTES: usize = 1024 * 1024;
/// How many arrays and objects may stand in each other in a call's arguments, in a result and in a provider's own fields. What
/// holds them adds a few, and common readers of JSON refuse 128.
pub const VALUE_LEVELS_MAX: usize = 64;
/// Idempotency keys longer than this are refused, in bytes.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 255;
