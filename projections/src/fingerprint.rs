//! Which program the rows were made by. Rows of another program are not trusted: they are built anew.

use std::fmt;

use verbatim_events::ids::Position;

/// The fingerprint of this program's projections: of the tables, the projections and the core's events and fold, as the
/// build script found their sources.
pub fn fingerprint() -> &'static str {
    env!("VERBATIM_READ_FINGERPRINT")
}

/// The fingerprint of what makes a chat's state: of the core alone.
pub(crate) fn reducer_fingerprint() -> &'static str {
    env!("VERBATIM_REDUCER_FINGERPRINT")
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
