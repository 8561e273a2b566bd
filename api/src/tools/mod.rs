//! The server's tools as configured, put together.

mod access;

use std::sync::Arc;

use verbatim_actors::ports::ModelCatalog;
use verbatim_tools::conversation::{Advisor, AdvisorSettings, ConversationTools};
use verbatim_tools::workspace::WorkspaceTools;
use verbatim_tools::{Registry, ToolFamily};

pub use access::Access;

use crate::compose::WorkspaceHome;
use crate::config::Settings;

/// The registry of all tools that this server has.
pub fn registry(
    settings: &Settings,
    access: &Arc<Access>,
    models: &Arc<dyn ModelCatalog>,
    workspaces: &WorkspaceHome,
) -> Registry {
    let advisor = settings.advisor.as_ref().map(|configured| {
        let (models, name) = (Arc::clone(models), configured.model.clone());
        let find_model = move || {
            let model = models.resolve(Some(&name)).map_err(|error| error.message)?;
            Ok((model.provider, model.settings))
        };
        Advisor::new(find_model, AdvisorSettings { uses_max: configured.uses_max })
    });
    let conversation = ConversationTools::new(Arc::clone(access) as _, advisor);
    let workspaces = WorkspaceTools::new(Arc::clone(&workspaces.spaces), Arc::clone(access) as _);
    let families: Vec<Arc<dyn ToolFamily>> = vec![Arc::new(conversation), Arc::new(workspaces)];
    Registry::new(families)
}
