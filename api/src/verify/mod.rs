//! Audits: does the log hold together, can every event have happened, and were the prompts what the log says?

mod chat;
mod log;
#[cfg(test)]
mod tests;

use verbatim_events::ids::{ChatId, Position, Version};

pub use chat::{ChatAudit, PromptCheck, PromptVerdict, Rebuilt, audit_chat, read_chat, rebuild};
pub use log::{LogAudit, audit_log};

/// Events read at once.
const PAGE: usize = 500;

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Where.
    pub position: Position,
    /// In which chat, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<ChatId>,
    /// At which event of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What.
    pub problem: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "position {}", self.position)?;
        if let Some(chat_id) = self.chat_id {
            write!(formatter, ", chat {chat_id}")?;
        }
        if let Some(version) = self.version {
            write!(formatter, ", version {version}")?;
        }
        write!(formatter, ": {}", self.problem)
    }
}
