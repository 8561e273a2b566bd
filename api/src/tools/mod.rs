//! The server's tools as configured, put together.

mod access;
mod files;

use std::sync::Arc;

use verbatim_actors::clock::Clock;
use verbatim_actors::ports::ModelCatalog;
use verbatim_events::tool::ToolBox;
use verbatim_projections::ReadModels;
use verbatim_tools::conversation::{Advisor, AdvisorSettings, ConversationTools};
use verbatim_tools::mcp::McpServers;
use verbatim_tools::workspace::{WorkspaceTools, Workspaces};
use verbatim_tools::{Registry, ToolFamily};

pub use access::Access;
use files::ToolFiles;

use crate::compose::WorkspaceHome;
use crate::config::{Environment, Settings};
use crate::error::Problem;
use crate::files::FileHome;

/// What tools work with.
#[derive(Clone, Copy)]
pub struct ToolSources<'a> {
    /// The models, for advice.
    pub models: &'a Arc<dyn ModelCatalog>,
    /// Where chats work.
    pub workspaces: &'a WorkspaceHome,
    /// Where what they attach is kept.
    pub files: &'a FileHome,
    /// The clock.
    pub clock: &'a Arc<dyn Clock>,
}

/// What the server's tools are made of.
pub struct Tools {
    registry: Arc<Registry>,
    workspaces: WorkspaceTools,
    mcp: Arc<McpServers>,
}

impl Tools {
    /// Puts together what is configured. Nothing is connected or started yet.
    pub fn new(
        settings: &Settings,
        environment: &Environment,
        access: &Arc<Access>,
        sources: ToolSources<'_>,
        runtime: tokio::runtime::Handle,
    ) -> Tools {
        let ToolSources { models, workspaces, files, clock } = sources;
        let advisor = settings.advisor.as_ref().map(|configured| {
            let (models, name) = (Arc::clone(models), configured.model.clone());
            let find_model = move || {
                let model = models.resolve(Some(&name)).map_err(|error| error.message)?;
                Ok((model.provider, model.settings))
            };
            Advisor::new(find_model, AdvisorSettings { uses_max: configured.uses_max })
        });
        let conversation = ConversationTools::new(Arc::clone(access) as _, advisor);
        let environment = environment.clone();
        let lookup = move |name: &str| environment.get(name).map(str::to_owned);
        let mcp = Arc::new(McpServers::new(settings.mcp.clone(), lookup, runtime));
        let store = ToolFiles::new(files.clone(), Arc::clone(access) as _, Arc::clone(clock));
        let workspaces =
            WorkspaceTools::new(Arc::clone(&workspaces.spaces), Arc::clone(access) as _).with_store(Arc::new(store));
        let families: Vec<Arc<dyn ToolFamily>> =
            vec![Arc::new(conversation), Arc::new(workspaces.clone()), Arc::clone(&mcp) as _];
        Tools { registry: Arc::new(Registry::new(families)), workspaces, mcp }
    }

    /// For the actors.
    pub fn tool_box(&self) -> Arc<dyn ToolBox> {
        Arc::clone(&self.registry) as _
    }

    /// From now on chats forget what they know of workspaces that are taken away.
    pub fn follow_workspaces(&self, spaces: &Workspaces, reads: &ReadModels, runtime: &tokio::runtime::Handle) {
        let (tools, reads, runtime) = (self.workspaces.clone(), reads.clone(), runtime.clone());
        spaces.when_gone(move |workspace_id| {
            let (tools, reads, workspace_id) = (tools.clone(), reads.clone(), workspace_id.to_owned());
            runtime.spawn(async move {
                // A chat that was bound a moment ago, and is not in the rows yet, finds out when its next turn begins.
                match reads.chats_in_workspace(&workspace_id).await {
                    Ok(chats) => chats.into_iter().filter_map(|chat_id| tools.noticed(chat_id)).for_each(|work| {
                        tokio::spawn(work);
                    }),
                    Err(error) => {
                        tracing::warn!(workspace.id = %workspace_id, %error, "Nobody knows who worked in it.")
                    }
                }
            });
        });
    }

    /// Refuses names of MCP servers that are not configured; `pointer` is where the request names them.
    pub fn check_mcp(&self, pointer: &str, names: &[String]) -> Result<(), Problem> {
        let unknown = names.iter().position(|name| self.mcp.names().all(|known| known != name));
        match unknown {
            None => Ok(()),
            Some(index) => {
                let problem = format!("no MCP server named {:?} is configured", names[index]);
                Err(Problem::field(format!("{pointer}/{index}"), problem))
            }
        }
    }

    /// Ends what the tools keep open: connections and the programs behind them. What outlives the server stays.
    pub async fn close(&self) {
        self.mcp.close().await;
    }
}
