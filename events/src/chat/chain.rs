//! The answer that its provider was told to keep, so that the next request can continue it instead of telling the whole
//! conversation again.
//!
//! **Invariant:** it follows from the log alone, so that every request can be made again from there.

use serde::{Deserialize, Serialize};

use crate::error::{ChatError, ErrorKind};
use crate::event::{AttemptAction, AttemptRecorded, MessageCommitted};
use crate::ids::MessageId;
use crate::message::{Origin, Role};

/// An answer that the provider keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptResponse {
    /// The message that holds the answer.
    pub message_id: MessageId,
    /// The provider's id of it.
    pub response_id: String,
    /// The configured provider that keeps it.
    pub provider: String,
    /// The provider's own name of the model that made it.
    pub provider_model: String,
}

/// What is known of the newest answer's keeping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Provider and model of the newest attempt, if the provider was told to keep the answer.
    asked: Option<(String, String)>,
    /// The newest answer, while it is kept as far as anybody knows.
    kept: Option<KeptResponse>,
}

impl Chain {
    /// The newest answer, if its provider keeps it.
    pub fn kept(&self) -> Option<&KeptResponse> {
        self.kept.as_ref()
    }

    /// An attempt begins.
    pub(super) fn ask(&mut self, attempt: &AttemptRecorded) {
        let recipe = attempt.request.as_ref().filter(|recipe| {
            let is_told = attempt.action == AttemptAction::Generate;
            is_told && recipe.store
        });
        self.asked = recipe.map(|recipe| (recipe.provider.clone(), recipe.provider_model.clone()));
    }

    /// A message entered history. Whatever the model said last is the newest answer, kept or not.
    pub(super) fn answer(&mut self, message_id: MessageId, message: &MessageCommitted) {
        if message.role != Role::Assistant {
            return;
        }
        let is_whole = message.origin == Origin::Model && message.attempt_id.is_some();
        let response_id = message.response_id.clone().filter(|id| is_whole && !id.is_empty());
        self.kept = response_id.zip(self.asked.take()).map(|(response_id, (provider, provider_model))| KeptResponse {
            message_id,
            response_id,
            provider,
            provider_model,
        });
    }

    /// An attempt failed: a provider that lost the answer will not find it again.
    pub(super) fn fail(&mut self, error: Option<&ChatError>) {
        if error.is_some_and(|error| error.kind == ErrorKind::ChainBroken) {
            self.kept = None;
        }
    }

    /// Messages left history from this one on.
    pub(super) fn withdraw_from(&mut self, from: MessageId) {
        self.kept = self.kept.take().filter(|kept| kept.message_id < from);
    }
}
