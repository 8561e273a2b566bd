//! Puts a server together and takes it apart again, each in the right order.
//!
//! Threads: the HTTP workers and the actors have threads of their own; databases and providers share one runtime, which
//! the caller brings. The caller's thread must run an actix system.

mod budgets;
mod recovery;
mod workspaces;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use verbatim_actors::budgets::Budgets;
use verbatim_actors::clock::{Clock, SystemClock};
use verbatim_actors::handle::Handle;
use verbatim_actors::node::{Node, NodeOptions};
use verbatim_actors::ports::ModelCatalog;
use verbatim_events::error::ChatError;
use verbatim_events::vault::{NoVault, Vault};
use verbatim_events_sql::{LogOptions, OpenError, Sealing, Storage, master_key_mark};
use verbatim_projections::{ReadError, ReadLocation, ReadModels, ReadSettings};

pub use workspaces::WorkspaceHome;

use crate::app;
use crate::auth::{KeyRing, Keys, KeysError, Rates};
use crate::config::{Database, Environment, Settings};
use crate::erasure::{Eraser, Reach};
use crate::files::{FileHome, FileSweep};
use crate::housekeeping::Housekeeper;
use crate::inbox::Inboxes;
use crate::locate::{AdminKey, DataDir, LocateError, MASTER_VARIABLE, MasterKeyHome, Serving};
use crate::models::{Catalog, OpenSettingsError, ProviderKeys, Roles, SettingsStore, StoreOptions, base_of};
use crate::state::{AUDITS_MAX, AppState, Owners};
use crate::telemetry::metrics;
use crate::tools::{Access, ToolSources, Tools};
use crate::watch::follower::{Sources, follower};
use crate::webhooks::{self, WebhookError, Webhooks};

/// What a start may add to the settings.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// The admin key; without one the stored one is used, or made.
    pub admin_key: Option<String>,
    /// Where to listen instead of where the settings say.
    pub listen: Option<String>,
}

/// Why a server did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] LocateError),
    /// The log cannot be opened.
    #[error("the log {database}: {source}")]
    Log {
        /// Which, without its password.
        database: String,
        /// Why.
        source: OpenError,
    },
    /// The read models cannot be opened.
    #[error("the read models: {0}")]
    Reads(#[from] ReadError),
    /// The keys cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A provider cannot be used as configured.
    #[error("the settings of a provider: {0}")]
    Models(ChatError),
    /// What was set of models and providers cannot be read.
    #[error("{0}; `verbatim audit verify` says more")]
    Settings(#[from] OpenSettingsError),
    /// Workspaces cannot be had.
    #[error("the workspaces: {0}")]
    Workspaces(String),
    /// A webhook cannot be used as configured.
    #[error(transparent)]
    Webhooks(#[from] WebhookError),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}; another one is chosen by --listen, port 0 takes any free one")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP server could not start.
    #[error("the HTTP server: {0}")]
    Http(std::io::Error),
}

struct Http {
    handle: actix_web::dev::ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

/// A server that runs.
pub struct Server {
    url: String,
    admin_key: AdminKey,
    workspaces: WorkspaceHome,
    storage: Storage,
    reads: ReadModels,
    handle: Handle,
    tools: Arc<Tools>,
    limit: Duration,
    /// Ends streams.
    streams: CancellationToken,
    /// Ends recovery and projections.
    background: CancellationToken,
    projections: JoinHandle<()>,
    recovery: JoinHandle<()>,
    webhooks: Vec<JoinHandle<()>>,
    /// `None` only while it starts.
    http: Option<Http>,
    /// `None` only while it starts.
    serving: Option<Serving>,
}

impl Server {
    /// Starts everything. When this returns the server answers; read models may still be catching up.
    pub async fn start(
        settings: Settings,
        environment: &Environment,
        options: StartOptions,
        runtime: Runtime,
    ) -> Result<Server, StartError> {
        // What is opened before it counts for nobody.
        metrics::install();
        let data_dir = DataDir::at(&settings.data_dir);
        data_dir.prepare()?;
        let mut serving = data_dir.serve()?;
        let admin_key = data_dir.admin_key(options.admin_key.as_deref())?;
        let files = FileHome::at(settings.data_dir.join("files"), runtime.clone());
        let (base, provider_keys) = (base_of(&settings), ProviderKeys::new(environment.clone(), None));
        let roles = Roles {
            compaction_model: settings.compaction_model.clone(),
            title_model: settings.titles.model.clone(),
            status_labels: settings.titles.status_labels,
            files: Some(Arc::new(files.clone())),
        };
        let catalog = Arc::new(Catalog::new(&base, provider_keys.clone(), roles).map_err(StartError::Models)?);
        let models: Arc<dyn ModelCatalog> = Arc::<Catalog>::clone(&catalog);
        warn_of_missing_keys(&settings, environment);
        // Bound before anything is opened: a taken address is the most common mistake.
        let listener = listen(options.listen.as_deref().unwrap_or(&settings.listen))?;
        let address = listener.local_addr().map_err(StartError::Http)?;
        let workspaces = WorkspaceHome::open(&settings, environment).await?;

        let master = master_key(&data_dir, &settings, environment, runtime.clone()).await?;
        let storage = open_storage(&settings, &master, runtime.clone()).await?;
        if let Some(secrets) = storage.vault().and_then(|vault| vault.secrets()) {
            provider_keys.unlock(secrets);
        }
        let keys = Keys::new(KeyRing::with_admin(&admin_key.secret), storage.keys());
        if let Err(error) = keys.refresh().await {
            storage.close().await;
            return Err(error.into());
        }
        let read_max = Duration::from_millis(settings.limits.read_max_ms);
        let read_settings = ReadSettings { read_max, ..ReadSettings::default() };
        let opened = ReadModels::open(read_location(&settings), storage.log(), runtime.clone(), read_settings);
        let reads = match opened.await {
            Ok(reads) => reads,
            Err(error) => {
                storage.close().await;
                return Err(error.into());
            }
        };

        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let budgets = Arc::new(Budgets::default());
        let opened = SettingsStore::open(StoreOptions {
            log: storage.log(),
            clock: Arc::clone(&clock),
            base,
            keys: provider_keys,
            catalog,
            budgets: Arc::clone(&budgets),
            default_budget: settings.default_budget,
            workspaces: workspaces.clone(),
            runtime: runtime.clone(),
        });
        let model_settings = match opened.await {
            Ok(model_settings) => model_settings,
            Err(error) => {
                storage.close().await;
                return Err(error.into());
            }
        };
        let limits = Arc::new(settings.limits.clone());
        let access = Access::new(settings.node_name.clone());
        let sources = ToolSources { models: &models, workspaces: &workspaces, files: &files, clock: &clock };
        let tools = Arc::new(Tools::new(&settings, environment, &access, sources, runtime.clone()));
        let handle = Node::start(NodeOptions {
            log: storage.log(),
            vault: storage.vault().map_or_else(|| Arc::new(NoVault) as Arc<dyn Vault>, |vault| Arc::new(vault)),
            journal: storage.journal(),
            snapshots: Arc::new(reads.clone()),
            clock: Arc::clone(&clock),
            models: Arc::clone(&models),
            tools: tools.tool_box(),
            budgets: Arc::clone(&budgets),
            limits: Arc::clone(&limits),
            node_name: settings.node_name.clone(),
            runtime: runtime.clone(),
            arbiters: std::thread::available_parallelism().map_or(2, usize::from),
        });
        handle.await_recovery();
        access.connect(handle.clone());
        let (streams, background) = (CancellationToken::new(), CancellationToken::new());
        let projections = runtime.spawn({
            let (reads, stop) = (reads.clone(), background.clone());
            async move { reads.run(stop.cancelled_owned()).await }
        });
        let recovery = runtime.spawn({
            let (stop, recover) = (background.clone(), recovery::recover(storage.log(), reads.clone(), handle.clone()));
            async move {
                stop.run_until_cancelled(recover).await;
            }
        });
        let leftovers = handle.clone();
        let ending = async move { leftovers.end_leftovers().await };
        runtime.spawn(background.clone().run_until_cancelled_owned(ending));
        let seeding = budgets::seed(Arc::clone(&budgets), storage.log(), reads.clone(), Arc::clone(&clock));
        runtime.spawn(background.clone().run_until_cancelled_owned(seeding));
        runtime.spawn(background.clone().run_until_cancelled_owned(metrics::upkeep()));
        tools.follow_workspaces(&workspaces.spaces, &reads, &runtime);
        let eraser = Eraser::new(Reach {
            handle: handle.clone(),
            log: storage.log(),
            vault: storage.vault(),
            journal: storage.journal(),
            sweeper: Some(storage.sweeper()),
            reads: reads.clone(),
            files: files.clone(),
            workspaces: Arc::clone(&workspaces.spaces),
            clock: Arc::clone(&clock),
            runtime: runtime.clone(),
        });
        runtime.spawn(background.clone().run_until_cancelled_owned(eraser.clone().run()));
        let housekeeper = Housekeeper::new(
            handle.clone(),
            reads.clone(),
            Arc::clone(&clock),
            workspaces.clone(),
            eraser.clone(),
            FileSweep::new(files.clone(), reads.clone(), storage.log(), Arc::clone(&clock), limits.files_unshown_hours),
            &limits,
        );
        runtime.spawn(background.clone().run_until_cancelled_owned(housekeeper.run()));
        let (watchers, follow) = follower(Sources {
            log: storage.log(),
            reads: reads.clone(),
            models: Arc::clone(&models),
            clock: Arc::clone(&clock),
        });
        runtime.spawn({
            let stop = background.clone();
            async move { stop.run_until_cancelled(follow).await }
        });
        runtime.spawn({
            let (follow, stop) = (model_settings.clone().follow(), background.clone());
            async move { stop.run_until_cancelled(follow).await }
        });
        runtime.spawn({
            let (keys, stop) = (keys.clone(), background.clone());
            async move { stop.run_until_cancelled(keys.follow()).await }
        });
        let default_model = models.default_name();
        let told = webhooks::Sources { log: storage.log(), reads: reads.clone(), clock: Arc::clone(&clock) };
        let opened = Webhooks::open(&settings.webhooks, environment, &settings.data_dir, &told, &background).await;
        let (webhooks, followers) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                background.cancel();
                handle.shutdown().await;
                storage.close().await;
                return Err(error.into());
            }
        };
        let webhook_tasks = followers.into_iter().map(|follower| runtime.spawn(follower)).collect();
        let state = AppState {
            eraser,
            webhooks,
            handle: handle.clone(),
            log: storage.log(),
            reads: reads.clone(),
            models,
            settings: model_settings,
            budgets,
            tools: Arc::clone(&tools),
            keys,
            rates: Rates::new(&settings.http),
            http: Arc::new(settings.http.clone()),
            inboxes: Inboxes::new(storage.log(), Arc::clone(&clock)),
            watchers,
            limits,
            clock,
            workspaces: workspaces.clone(),
            files,
            owners: Owners::default(),
            runtime: runtime.clone(),
            audits: Arc::new(Semaphore::new(AUDITS_MAX)),
            metrics_open: settings.metrics_open,
            stopping: streams.clone(),
        };
        let mut server = Server {
            url: url_of(address),
            admin_key,
            workspaces,
            storage,
            reads,
            handle,
            tools,
            limit: stop_limit(settings.limits.shutdown_ms),
            streams,
            background,
            projections,
            recovery,
            webhooks: webhook_tasks,
            http: None,
            serving: None,
        };
        match app::serve(listener, state) {
            Ok(http) => server.http = Some(Http { handle: http.handle(), task: actix_rt::spawn(http) }),
            Err(error) => {
                server.stop().await;
                return Err(StartError::Http(error));
            }
        }
        if let Err(error) = serving.publish(&reachable(address)) {
            server.stop().await;
            return Err(error.into());
        }
        server.serving = Some(serving);
        tracing::info!(
            database = %settings.database,
            default_model = default_model.as_deref().unwrap_or("none"),
            node = %settings.node_name,
            "ready to serve"
        );
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The admin key and where it lies.
    pub fn admin_key(&self) -> &AdminKey {
        &self.admin_key
    }

    /// Where chats work.
    pub fn workspaces(&self) -> &WorkspaceHome {
        &self.workspaces
    }

    /// Waits until the server can serve no longer: the HTTP server ended by itself, or another server has taken the log
    /// over while its database was away.
    pub async fn failed(&mut self) -> std::io::Error {
        let Some(http) = &mut self.http else { return std::future::pending().await };
        tokio::select! {
            () = self.storage.taken_over() => std::io::Error::other("another server has taken the log over"),
            ended = &mut http.task => match ended {
                Ok(Ok(())) => std::io::Error::other("it ended"),
                Ok(Err(error)) => error,
                Err(error) => std::io::Error::other(error),
            },
        }
    }

    /// Stops in order: no more connections, streams end, chats are given back, the read models stand still, the log is
    /// closed. Takes `Limits::shutdown_ms` at most; what is not done by then is left to the next start, which loses
    /// nothing.
    pub async fn stop(self) {
        let limit = self.limit;
        if tokio::time::timeout(limit, self.stop_in_order()).await.is_err() {
            tracing::warn!(limit_ms = limit.as_millis() as u64, "the stop took too long and was cut short");
        }
    }

    async fn stop_in_order(self) {
        self.streams.cancel();
        if let Some(http) = self.http {
            // Requests under way are answered; a stream would keep this waiting, hence they go first.
            http.handle.stop(true).await;
        }
        self.handle.shutdown().await;
        self.tools.close().await;
        self.background.cancel();
        let tasks = [(self.recovery, "recovery"), (self.projections, "the read models")];
        for (task, name) in tasks.into_iter().chain(self.webhooks.into_iter().map(|task| (task, "a webhook"))) {
            if let Err(error) = task.await {
                tracing::error!(%error, "{name} ended badly");
            }
        }
        if let Err(error) = self.reads.close().await {
            tracing::warn!(%error, "the read models were not closed in order; they are checked at the next start");
        }
        self.storage.close().await;
        drop(self.serving);
    }
}

/// What a stop may take: nearly all of the bound, the rest is for the threads that end after it.
fn stop_limit(shutdown_ms: u64) -> Duration {
    Duration::from_millis(shutdown_ms - (shutdown_ms / 10).min(1000))
}

/// Providers that will refuse every call.
fn warn_of_missing_keys(settings: &Settings, environment: &Environment) {
    for (name, provider) in &settings.providers {
        if let Some(variable) = provider.api_key_env.as_deref().filter(|variable| environment.get(variable).is_none()) {
            tracing::warn!(provider = %name, "calls to this provider fail: {variable} is not set");
        }
    }
}

/// The master key. A new one is made only where nothing is wrapped yet: beside the keys of a log it would look like the one
/// that is missed.
pub(crate) async fn master_key(
    data_dir: &DataDir,
    settings: &Settings,
    environment: &Environment,
    runtime: Runtime,
) -> Result<MasterKeyHome, StartError> {
    let (given, file) = (environment.get(MASTER_VARIABLE), settings.sealing.master_key_file.as_deref());
    if let Some(stored) = data_dir.stored_master_key(given, file)? {
        return Ok(stored);
    }
    let refused = |source| StartError::Log { database: settings.database.to_string(), source };
    match master_key_mark(&settings.database.url(), runtime).await.map_err(refused)? {
        Some(expected) if file.is_none() => Err(refused(OpenError::NoMasterKey { expected })),
        _ => Ok(data_dir.master_key(given, file)?),
    }
}

async fn open_storage(settings: &Settings, master: &MasterKeyHome, runtime: Runtime) -> Result<Storage, StartError> {
    let sealing = Sealing { master: Arc::clone(&master.key), new_chats: settings.sealing.enabled };
    let receipts_days = settings.limits.receipts_days;
    let options = LogOptions { receipts_days, sealing: Some(sealing), ..LogOptions::default() };
    let opened = Storage::open(&settings.database.url(), options, runtime).await;
    opened.map_err(|source| StartError::Log { database: settings.database.to_string(), source })
}

/// Where the read models live: beside the server's own files, or in the log's database if that is a server.
pub fn read_location(settings: &Settings) -> ReadLocation {
    match &settings.database {
        Database::Sqlite(_) => ReadLocation::Sqlite { directory: settings.data_dir.clone() },
        Database::Postgres(url) => ReadLocation::Postgres { url: url.clone() },
    }
}

fn listen(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address: address.to_owned(), source })
}

fn url_of(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// The address for programs on this machine: one that listens everywhere is reached here.
fn reachable(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    url_of(address)
}

#[cfg(test)]
mod tests;
