//! A node: what the actors share, and how they start.

use std::sync::Arc;

use verbatim_events::journal::PartJournal;
use verbatim_events::limits::Limits;
use verbatim_events::log::EventLog;
use verbatim_events::snapshot::Snapshots;
use verbatim_events::tool::ToolBox;
use verbatim_events::vault::Vault;

use crate::background::Background;
use crate::budgets::Budgets;
use crate::capacity::Capacity;
use crate::clock::Clock;
use crate::handle::Handle;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::ports::ModelCatalog;
use crate::supervisor::Supervisor;

/// What a node is made of.
#[derive(Clone)]
pub struct NodeOptions {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The keys that events are sealed with.
    pub vault: Arc<dyn Vault>,
    /// The part journal.
    pub journal: Arc<dyn PartJournal>,
    /// Where long chats start from when they are read.
    pub snapshots: Arc<dyn Snapshots>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The models.
    pub models: Arc<dyn ModelCatalog>,
    /// The server's tools.
    pub tools: Arc<dyn ToolBox>,
    /// What owners may spend.
    pub budgets: Arc<Budgets>,
    /// The bounds.
    pub limits: Arc<Limits>,
    /// The node's name, as the events carry it.
    pub node_name: String,
    /// The shared runtime, where attempts run: providers, tools, databases.
    pub runtime: tokio::runtime::Handle,
    /// Threads that hold actors; at least 1.
    pub arbiters: usize,
}

/// What all chats of a node share.
pub(crate) struct Deps {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) journal: Arc<dyn PartJournal>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) models: Arc<dyn ModelCatalog>,
    pub(crate) tools: Arc<dyn ToolBox>,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) node_name: String,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) hub: Hub,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) background: Background,
    pub(crate) metrics: Metrics,
}

/// Starts nodes.
pub struct Node;

impl Node {
    /// Starts a node's actors. Must be called on a thread that runs an actix `System`; the node lives until
    /// `Handle::shutdown`. A metrics recorder must be installed before, or the node counts for nobody.
    pub fn start(options: NodeOptions) -> Handle {
        let capacity = Capacity::new(&options.limits, Arc::clone(&options.clock));
        let deps = Arc::new(Deps {
            capacity,
            background: Background::new(),
            log: options.log,
            vault: options.vault,
            journal: options.journal,
            snapshots: options.snapshots,
            clock: options.clock,
            models: options.models,
            tools: options.tools,
            budgets: options.budgets,
            limits: options.limits,
            node_name: options.node_name,
            runtime: options.runtime,
            hub: Hub::default(),
            metrics: Metrics::new(),
        });
        Handle { supervisor: Supervisor::start(deps, options.arbiters.max(1)) }
    }
}
