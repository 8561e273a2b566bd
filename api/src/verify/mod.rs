//! Audits: does the log hold together, can every event have happened, and were the prompts what the log says?

mod chat;
mod log;
#[cfg(test)]
mod tests;

use verbatim_events::chat::Chat;
use verbatim_events::envelope::Stored;
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

/// Whether a chat ended with its erasure.
fn is_erased(chat: Option<&Chat>) -> bool {
    chat.is_some_and(|chat| chat.outline.erased)
}

/// An event says nothing, though no erasure is in the log.
fn key_is_gone(stored: &Stored) -> Finding {
    Finding {
        position: stored.position,
        chat_id: Some(stored.event.chat_id),
        version: Some(stored.event.version),
        problem: "the key to it is gone, but nobody erased the chat".to_owned(),
    }
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
