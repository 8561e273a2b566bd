//! The files that a chat shows.
//!
//! There is room for so many; whichever was shown the longest ago makes way for a new one and is expired from then on, for
//! models and for users. **Invariant:** that follows from the log alone, so every prompt can be made again from there, and
//! no number of requests at once can show more.

use serde::{Deserialize, Serialize};

use crate::limits::CHAT_FILES_MAX;

/// The files that a chat shows, and whether any is expired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatFiles {
    /// Ids, the one shown the longest ago first.
    shown: Vec<String>,
    /// Some file had to make way.
    any_expired: bool,
    /// A provider refused the last request of this turn, files and all.
    refused: bool,
}

impl ChatFiles {
    /// The ids, the one shown the longest ago first.
    pub fn shown(&self) -> &[String] {
        &self.shown
    }

    /// The chat never showed a file.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Some file of the chat is expired.
    pub fn any_expired(&self) -> bool {
        self.any_expired
    }

    /// A file that a message of this chat names had to make way.
    pub fn is_expired(&self, file_id: &str) -> bool {
        self.any_expired && self.shown.iter().all(|shown| shown != file_id)
    }

    /// A provider refused the last request of the running turn for what was in it: the next one goes without files.
    pub fn are_refused(&self) -> bool {
        self.refused
    }

    pub(super) fn set_refused(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// A message shows a file.
    pub(crate) fn show(&mut self, file_id: &str) {
        self.shown.retain(|shown| shown != file_id);
        self.shown.push(file_id.to_owned());
        if self.shown.len() > CHAT_FILES_MAX {
            self.shown.remove(0);
            self.any_expired = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_shown_the_longest_ago_makes_way() {
        let mut files = ChatFiles::default();
        (0..CHAT_FILES_MAX).for_each(|number| files.show(&number.to_string()));
        assert!(!files.any_expired() && !files.is_expired("never shown"));
        files.show("0");
        files.show("new");
        assert_eq!(files.shown().len(), CHAT_FILES_MAX);
        assert!(files.is_expired("1") && !files.is_expired("0") && !files.is_expired("new"));
        assert_eq!(files.shown().last().map(String::as_str), Some("new"));
        files.show("1");
        assert!(!files.is_expired("1") && files.is_expired("2"), "a file shown again is there again");
    }
}
