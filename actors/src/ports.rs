//! What the actors need from outside besides the log, the journal, the clock and the tools: models.

use std::sync::Arc;

use verbatim_events::error::ChatError;
use verbatim_events::model::{ModelProvider, ModelSettings};

/// A model ready to be called.
#[derive(Clone)]
pub struct ResolvedModel {
    /// Its settings.
    pub settings: ModelSettings,
    /// Its provider.
    pub provider: Arc<dyn ModelProvider>,
}

/// The models that are configured now. Answers from memory: it is asked before every model call.
pub trait ModelCatalog: Send + Sync {
    /// The model of this name; the default one where no name is given or the named one is gone.
    /// A `config` error where there is none left.
    fn resolve(&self, name: Option<&str>) -> Result<ResolvedModel, ChatError>;

    /// Whether a chat may name this model. One whose provider is switched off is known, and calls to it say so.
    fn is_known(&self, name: &str) -> bool {
        self.resolve(Some(name)).is_ok_and(|model| model.settings.name == name)
    }

    /// The name of the model that chats talk to which name none; none where there is no model at all.
    fn default_name(&self) -> Option<String> {
        self.resolve(None).ok().map(|model| model.settings.name)
    }

    /// The model that writes summaries; the chat's own where there is none.
    fn summariser(&self) -> Option<ResolvedModel> {
        None
    }

    /// The model that gives chats their titles by itself; without one they keep their first words.
    fn title_writer(&self) -> Option<ResolvedModel> {
        None
    }

    /// The model that says in a few words what a turn did; without one nobody does.
    fn label_writer(&self) -> Option<ResolvedModel> {
        None
    }
}
