//! Which program the rows were made by. Rows of another program are not trusted: they are built anew.

use std::fmt;
use std::sync::LazyLock;

use verbatim_events::ids::{Digest, Position};

/// Everything that decides what stands in a row. The sources stand for the code made of them: a changed comment costs an
/// unneeded rebuild, a forgotten version number would cost wrong rows.
const SOURCES: &[&str] = &[
    include_str!("../../migrations/read/sqlite/0001_read.sql"),
    include_str!("../../migrations/read/postgres/0001_read.sql"),
    include_str!("batch.rs"),
    include_str!("models/mod.rs"),
    include_str!("models/chats.rs"),
    include_str!("models/messages.rs"),
    include_str!("models/queue.rs"),
    include_str!("models/search.rs"),
    include_str!("models/turns.rs"),
    include_str!("models/work.rs"),
    include_str!("../../events/src/chat/fold.rs"),
    include_str!("../../events/src/chat/outline.rs"),
    include_str!("../../events/src/chat/state.rs"),
    include_str!("../../events/src/event.rs"),
    include_str!("../../events/src/message.rs"),
    include_str!("../../events/src/part.rs"),
    include_str!("../../events/src/upcast.rs"),
    include_str!("../../events/src/wire.rs"),
];

/// The fingerprint of this program's projections, in hexadecimal.
pub fn fingerprint() -> &'static str {
    static FINGERPRINT: LazyLock<String> = LazyLock::new(|| {
        let mut digests = Vec::with_capacity(SOURCES.len() * 32);
        for source in SOURCES {
            digests.extend_from_slice(&Digest::of(source.as_bytes()).0);
        }
        Digest::of(&digests).to_string()
    });
    &FINGERPRINT
}

/// Why a generation's rows cannot be carried on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Another version of the program made them.
    OtherProgram,
    /// They were made from another log, or from a log that was restored since.
    OtherTimeline,
    /// They are ahead of the log, which lost its newest events.
    AheadOfLog {
        /// Where the rows are.
        applied: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The machine went down while they were being written.
    PowerCut,
    /// A row or the file itself cannot be read.
    Damaged(String),
}

impl fmt::Display for Stale {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stale::OtherProgram => formatter.write_str("another version of the program made them"),
            Stale::OtherTimeline => formatter.write_str("they belong to another log, or the log was restored"),
            Stale::AheadOfLog { applied, head } => write!(formatter, "they are at {applied}, the log ends at {head}"),
            Stale::PowerCut => formatter.write_str("the machine went down while they were being written"),
            Stale::Damaged(problem) => write!(formatter, "they are damaged: {problem}"),
        }
    }
}
