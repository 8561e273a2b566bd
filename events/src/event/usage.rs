//! Tokens that were spent on something that is no message.

use serde::{Deserialize, Serialize};

use crate::ids::AttemptId;
use crate::message::Usage;

/// What tokens were spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsagePurpose {
    /// An answer. As an event of its own: one that could not be used, and was made again or given up.
    Answer,
    /// A summary of the history. As an event of its own: one that could not be used.
    Summary,
    /// The advisor.
    Advice,
    /// A title.
    Title,
    /// A label of the last turn.
    Label,
}

impl UsagePurpose {
    /// The purpose's stable name, as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            UsagePurpose::Answer => "answer",
            UsagePurpose::Summary => "summary",
            UsagePurpose::Advice => "advice",
            UsagePurpose::Title => "title",
            UsagePurpose::Label => "label",
        }
    }
}

/// A model call spent tokens and left no message that says so. Counts towards the turn it happened in, if one was open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRecorded {
    /// What for.
    pub purpose: UsagePurpose,
    /// The model, by its configured name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The tokens, as far as the provider said before the call ended; all zero where it said nothing.
    pub usage: Usage,
    /// What they cost, in millionths of a US dollar, at the price of the call; absent where no price was known, or no
    /// tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// The attempt that made the call, if one did. An answer's or a summary's is closed by what follows in the same append;
    /// older programs recorded it apart, and it may be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<AttemptId>,
}
