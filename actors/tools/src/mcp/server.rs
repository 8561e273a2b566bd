//! One configured server: its connection, made when it is needed, once for all who wait for it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rmcp::RoleClient;
use rmcp::transport::Transport;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::catalogue::Catalogue;
use super::config::{self, McpConfig, McpTransport, MissingVariable};
use super::connection::{Connection, Era, OpenError};
use super::http::{self, HttpProblem};
use super::slot::Slot;
use super::stdio::{LastLines, Program, StdioTransport};

/// Finds a variable of our own environment.
pub(super) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Variable(#[from] MissingVariable),
    #[error("its program cannot be started: {0}")]
    Spawn(std::io::Error),
    #[error(transparent)]
    Http(#[from] HttpProblem),
    #[error("{error}{}", told(.last))]
    Open { error: OpenError, last: LastLines },
    #[error("it did not answer in {0} ms")]
    Slow(u64),
}

/// What a program said last, if it said something.
fn told(last: &LastLines) -> String {
    let text = last.text();
    if text.is_empty() { text } else { format!("; it wrote: {text}") }
}

/// A configured server.
pub(super) struct Server {
    pub name: String,
    pub config: Arc<McpConfig>,
    lookup: Lookup,
    tasks: TaskTracker,
    runtime: Handle,
    state: Mutex<State>,
    /// Held while a connection is being made.
    connecting: tokio::sync::Mutex<()>,
}

struct State {
    connection: Option<Arc<Connection>>,
    slot: Slot,
    is_closed: bool,
}

impl Server {
    pub(super) fn new(name: String, config: McpConfig, lookup: Lookup, tasks: TaskTracker, runtime: Handle) -> Server {
        let slot = Slot::new(Duration::from_millis(config.skip_ms));
        let state = Mutex::new(State { connection: None, slot, is_closed: false });
        Server {
            name,
            config: Arc::new(config),
            lookup,
            tasks,
            runtime,
            state,
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// The connection, if there is one that can be used.
    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        let mut state = self.state.lock();
        match &state.connection {
            Some(connection) if connection.is_alive() => Some(Arc::clone(connection)),
            Some(_) => {
                if let Some(lost) = state.connection.take() {
                    state.slot.lost(lost.opened(), Instant::now(), lost.tools());
                }
                None
            }
            None => None,
        }
    }

    /// The tools as far as they are known, also while the server is away.
    pub(super) fn known_tools(&self) -> Arc<Catalogue> {
        self.connection().map_or_else(|| Arc::clone(&self.state.lock().slot.tools), |connection| connection.tools())
    }

    /// Why it is not there; `None` while it is, or was never tried.
    pub(super) fn problem(&self) -> Option<String> {
        if self.connection().is_some() { None } else { self.state.lock().slot.problem().map(str::to_owned) }
    }

    /// Whether a connection is missing and may be tried now.
    pub(super) fn is_due(&self) -> bool {
        let connected = self.connection().is_some();
        let state = self.state.lock();
        !connected && !state.is_closed && state.slot.may_try(Instant::now())
    }

    /// The connection, made if it is missing. Takes no longer than the server's own limit; what went wrong is in words.
    /// Going on does not depend on who waits: others may wait for the same.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Arc<Connection>, String> {
        if let Some(connection) = self.connection() {
            return Ok(connection);
        }
        let server = Arc::clone(self);
        let connecting = self.runtime.spawn(async move { server.connect_once().await });
        connecting.await.unwrap_or_else(|_| Err("it cannot be reached now".to_owned()))
    }

    async fn connect_once(self: Arc<Self>) -> Result<Arc<Connection>, String> {
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connection) = self.connection() {
            return Ok(connection);
        }
        if !self.is_due() {
            return Err(self.problem().unwrap_or_else(|| "it is not there".to_owned()));
        }
        let began = Instant::now();
        let era = self.state.lock().slot.era;
        let outcome = self.try_eras(era).await;
        let mut state = self.state.lock();
        match outcome {
            Ok((connection, era)) => {
                if state.is_closed {
                    connection.close();
                    return Err("the server stops".to_owned());
                }
                state.slot.connected(era);
                state.connection = Some(Arc::clone(&connection));
                Ok(connection)
            }
            Err(error) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(server = self.name, took_ms, %error, "MCP server cannot be reached");
                // What its program wrote is for the log alone.
                let words = match error {
                    ConnectError::Open { error, .. } => error.to_string(),
                    other => other.to_string(),
                };
                state.slot.failed(Instant::now(), words.clone());
                Err(words)
            }
        }
    }

    /// Tries both eras' handshakes. Old servers that take offence at the newer one, by closing the connection or by
    /// silence, get a connection of their own with what is left of the time.
    async fn try_eras(&self, era: Era) -> Result<(Arc<Connection>, Era), ConnectError> {
        let limit = Duration::from_millis(self.config.connect_ms);
        let until = Instant::now() + limit;
        if era == Era::Any {
            match timeout(limit / 4 * 3, self.dial(Era::Any)).await {
                Ok(Ok(connection)) => return Ok((connection, Era::Any)),
                Ok(Err(ConnectError::Open { error: OpenError::Handshake(_), .. })) | Err(_) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
        match timeout_at(until, self.dial(Era::Older)).await {
            Ok(connection) => connection.map(|connection| (connection, Era::Older)),
            Err(_) => Err(ConnectError::Slow(self.config.connect_ms)),
        }
    }

    async fn dial(&self, era: Era) -> Result<Arc<Connection>, ConnectError> {
        match &self.config.transport {
            McpTransport::Stdio { command, args, env, cwd } => {
                let env = self.expanded(env.iter())?;
                let program = Program { server: &self.name, command, args, env, cwd: cwd.as_deref() };
                let (transport, last) = StdioTransport::start(program).map_err(ConnectError::Spawn)?;
                self.open(transport, era, last).await
            }
            McpTransport::Http { url, headers } => {
                let url = config::expand(url, &*self.lookup)?;
                let headers = self.expanded(headers.iter())?;
                let limit = Duration::from_millis(self.config.connect_ms);
                self.open(http::transport(&url, &headers, limit)?, era, LastLines::default()).await
            }
        }
    }

    async fn open<T>(&self, transport: T, era: Era, last: LastLines) -> Result<Arc<Connection>, ConnectError>
    where
        T: Transport<RoleClient> + 'static,
    {
        match Connection::open(&self.name, Arc::clone(&self.config), transport, era).await {
            Ok((connection, keeping)) => {
                self.tasks.spawn_on(keeping, &self.runtime);
                Ok(connection)
            }
            Err(error) => Err(ConnectError::Open { error, last }),
        }
    }

    fn expanded<'a>(
        &self,
        values: impl Iterator<Item = (&'a String, &'a String)>,
    ) -> Result<Vec<(String, String)>, MissingVariable> {
        values.map(|(name, value)| Ok((name.clone(), config::expand(value, &*self.lookup)?))).collect()
    }

    /// Ends the connection and makes no other.
    pub(super) fn close(&self) {
        let connection = {
            let mut state = self.state.lock();
            state.is_closed = true;
            state.connection.take()
        };
        if let Some(connection) = connection {
            connection.close();
        }
    }
}
