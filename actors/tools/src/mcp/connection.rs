//! One open connection: how it comes about in either era of the protocol, its list of tools, and calls over it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, JsonObject, MetaObject, ProtocolVersion,
    RequestMetaObject, ServerResult, SubscriptionFilter,
};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, Peer, PeerRequestOptions, RequestHandle,
    RunningService, ServiceError, Subscription,
};
use rmcp::transport::Transport;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use verbatim_events::tool::OutputSink;

use super::catalogue::Catalogue;
use super::client::{Client, Progress, Shared};
use super::config::McpConfig;
use super::http::{self, HttpFault};
use super::listing;
use super::words;

/// The longest that a server's own words about an error may be, in bytes.
const ERROR_MAX_BYTES: usize = 2 * 1024;
/// How often a server's changed list of tools is asked for at most, in ms.
const REFRESH_MS: u64 = 1_000;
/// How long telling a server that a call is cancelled may take, in ms.
const CANCEL_MS: u64 = 5_000;
/// How long an end may take, in ms; then the connection is left to itself.
const CLOSE_MS: u64 = 3_000;

/// Which handshake is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// The stateless one of 2026-07-28, else the older one on the same connection.
    Any,
    /// The older one alone: `initialize`, up to 2025-11-25.
    Older,
}

impl Era {
    fn mode(self) -> ClientLifecycleMode {
        match self {
            Era::Any => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::V_2025_11_25),
            },
            Era::Older => ClientLifecycleMode::Initialize,
        }
    }
}

/// Why there is no connection. In words that quote neither addresses nor headers.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// The handshake failed.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// It wants to know who we are.
    #[error("it refuses us without authorization, or with the one that is configured")]
    Unauthorized,
    /// Its list of tools cannot be had.
    #[error("its tools cannot be listed: {0}")]
    List(String),
}

/// Why a call has no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The server refused it: it did not run.
    Refused(String),
    /// Nobody knows whether it ran.
    Unknown(String),
}

/// An open connection, shared by all chats. Dropping the last one closes it.
pub(super) struct Connection {
    server: String,
    peer: Peer<RoleClient>,
    shared: Arc<Shared>,
    tools: RwLock<Arc<Catalogue>>,
    opened: Instant,
    is_broken: AtomicBool,
    runtime: Handle,
    /// Ends the task that keeps the connection.
    end: CancellationToken,
    _end_on_drop: DropGuard,
}

impl Connection {
    /// Shakes hands, lists the tools, and gives the connection with the work that keeps it, which is to be spawned.
    pub(super) async fn open<T>(
        server: &str,
        config: Arc<McpConfig>,
        transport: T,
        era: Era,
    ) -> Result<(Arc<Connection>, impl Future<Output = ()> + Send + 'static), OpenError>
    where
        T: Transport<RoleClient> + 'static,
    {
        let shared = Arc::new(Shared::default());
        let client = Client(Arc::clone(&shared));
        let running =
            client.serve_with_lifecycle(transport, era.mode()).await.map_err(|error| handshake_error(&error))?;
        let peer = running.peer().clone();
        let listed = listing::list(server, &peer).await.map_err(|error| OpenError::List(words_of(&error)))?;
        let end = CancellationToken::new();
        let connection = Arc::new(Connection {
            server: server.to_owned(),
            peer,
            shared,
            tools: RwLock::new(Arc::new(Catalogue::new(server, &config, listed))),
            opened: Instant::now(),
            is_broken: AtomicBool::new(false),
            runtime: Handle::current(),
            _end_on_drop: end.clone().drop_guard(),
            end: end.clone(),
        });
        tracing::info!(
            server,
            version = connection.version(),
            tools = connection.tools().len(),
            "MCP server connected"
        );
        let keeping = keep(running, Arc::downgrade(&connection), Arc::clone(&connection.shared), config, end);
        Ok((connection, keeping))
    }

    /// The tools as last listed.
    pub(super) fn tools(&self) -> Arc<Catalogue> {
        Arc::clone(&self.tools.read())
    }

    /// When it came about.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether it can still be used, as far as is known.
    pub(super) fn is_alive(&self) -> bool {
        !self.is_broken.load(Ordering::Acquire) && !self.peer.is_transport_closed() && !self.end.is_cancelled()
    }

    /// Ends it: calls under way fail, a program of ours is killed.
    pub(super) fn close(&self) {
        self.is_broken.store(true, Ordering::Release);
        self.end.cancel();
    }

    /// The version of the protocol that is spoken.
    pub(super) fn version(&self) -> String {
        self.peer.peer_info().map(|info| info.protocol_version.to_string()).unwrap_or_default()
    }

    /// Calls a tool by its server's own name. Dropping the future cancels the call and tells the server so.
    pub(super) async fn call(
        &self,
        tool: &str,
        args: JsonObject,
        meta: JsonObject,
        output: OutputSink,
        limit: Duration,
    ) -> Result<CallToolResult, CallError> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(args);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let options = PeerRequestOptions::no_options().with_meta(RequestMetaObject(MetaObject(meta)));
        let progress = Progress::new(output);
        let handle = {
            let mut calls = self.shared.calls.lock().await;
            let handle = self.peer.send_cancellable_request(request, options).await;
            let handle = handle.map_err(|error| self.failed(&error))?;
            calls.retain(|_, call| call.strong_count() > 0);
            calls.insert(handle.progress_token.clone(), Arc::downgrade(&progress));
            handle
        };
        let mut waiting = Waiting { handle: Some(handle), runtime: self.runtime.clone() };
        let answer = match timeout(limit, waiting.answer()).await {
            Ok(answer) => {
                waiting.handle = None;
                answer
            }
            Err(_) => return Err(CallError::Unknown(format!("it did not answer in {} ms", limit.as_millis()))),
        };
        match answer {
            Ok(ServerResult::CallToolResult(answer)) => Ok(answer),
            Ok(ServerResult::InputRequiredResult(_)) => {
                Err(CallError::Refused("it asks for input that cannot be given here".to_owned()))
            }
            Ok(_) => Err(CallError::Unknown("its answer is not one to a tool call".to_owned())),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// What a failed call means, for the caller and for the connection.
    fn failed(&self, error: &ServiceError) -> CallError {
        match error {
            ServiceError::McpError(_) => CallError::Refused(words_of(error)),
            ServiceError::TransportSend(sending) => match http::fault(&*sending.error) {
                Some(HttpFault::Unauthorized) => CallError::Refused(words_of(error)),
                Some(HttpFault::Request(words)) => CallError::Unknown(words),
                Some(HttpFault::Connection(words)) => self.broken(words),
                None => self.broken(words_of(error)),
            },
            ServiceError::TransportClosed => self.broken(words_of(error)),
            _ => CallError::Unknown(words_of(error)),
        }
    }

    fn broken(&self, words: String) -> CallError {
        self.close();
        CallError::Unknown(words)
    }
}

/// A call that waits for its answer. Dropped while it does, it tells the server.
struct Waiting {
    handle: Option<RequestHandle<RoleClient>>,
    runtime: Handle,
}

impl Waiting {
    async fn answer(&mut self) -> Result<ServerResult, ServiceError> {
        match &mut self.handle {
            Some(handle) => (&mut handle.rx).await.unwrap_or(Err(ServiceError::TransportClosed)),
            None => Err(ServiceError::TransportClosed),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            let telling = handle.cancel(Some("the call was stopped".to_owned()));
            self.runtime.spawn(async move { timeout(Duration::from_millis(CANCEL_MS), telling).await });
        }
    }
}

/// Keeps a connection until it breaks or is ended: waits for its end, and asks for the tools when they changed.
async fn keep(
    running: RunningService<RoleClient, Client>,
    connection: Weak<Connection>,
    shared: Arc<Shared>,
    config: Arc<McpConfig>,
    end: CancellationToken,
) {
    let limit = Duration::from_millis(config.connect_ms);
    let stop = running.cancellation_token();
    let mut subscription = tokio::select! {
        () = end.cancelled() => None,
        subscription = subscribe(running.peer(), limit) => subscription,
    };
    let mut waiting = pin!(running.waiting());
    let mut refreshed: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => {
                stop.cancel();
                let _ = timeout(Duration::from_millis(CLOSE_MS), &mut waiting).await;
                return;
            }
            _ = &mut waiting => {
                if let Some(connection) = connection.upgrade() {
                    connection.close();
                    tracing::warn!(server = connection.server, "MCP server is gone");
                }
                return;
            }
            () = shared.changed.notified() => {}
            still_open = next_change(&mut subscription) => {
                if !still_open {
                    subscription = None;
                    continue;
                }
            }
        }
        let refreshing = async {
            if let Some(refreshed) = refreshed {
                tokio::time::sleep_until(refreshed + Duration::from_millis(REFRESH_MS)).await;
            }
            let _ = timeout(limit, refresh(&connection, &config)).await;
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = refreshing => refreshed = Some(Instant::now()),
        }
    }
}

async fn refresh(connection: &Weak<Connection>, config: &McpConfig) {
    let Some(connection) = connection.upgrade() else { return };
    match listing::list(&connection.server, &connection.peer).await {
        Ok(listed) => {
            let tools = Arc::new(Catalogue::new(&connection.server, config, listed));
            tracing::info!(server = connection.server, tools = tools.len(), "MCP server changed its tools");
            *connection.tools.write() = tools;
        }
        Err(error) => {
            let error = words_of(&error);
            tracing::warn!(server = connection.server, error, "an MCP server's changed tools cannot be listed");
        }
    }
}

/// In the newer era changes are told only to those who ask.
async fn subscribe(peer: &Peer<RoleClient>, limit: Duration) -> Option<Subscription> {
    let info = peer.peer_info()?;
    let tells = info.capabilities.tools.as_ref().and_then(|tools| tools.list_changed) == Some(true);
    if !tells || info.protocol_version.has_initialize() {
        return None;
    }
    let filter = SubscriptionFilter::builder().tools_list_changed().build();
    timeout(limit, peer.listen(filter)).await.ok()?.ok()
}

/// Waits for the next change; `false` once there can be none. Never ends without a subscription.
async fn next_change(subscription: &mut Option<Subscription>) -> bool {
    match subscription {
        Some(subscription) => matches!(subscription.next().await, Ok(Some(_))),
        None => std::future::pending().await,
    }
}

fn handshake_error(error: &ClientInitializeError) -> OpenError {
    if error.is_authorization_required() {
        return OpenError::Unauthorized;
    }
    OpenError::Handshake(match error {
        ClientInitializeError::JsonRpcError(error) => said(&error.message),
        ClientInitializeError::TransportError { error, .. } => words_of_transport(&*error.error),
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => match handshake_error(fallback) {
            OpenError::Handshake(words) => words,
            other => other.to_string(),
        },
        ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
            "it speaks no version of the protocol that is spoken here".to_owned()
        }
        ClientInitializeError::ConnectionClosed(_) => "it closed the connection".to_owned(),
        _ => "it does not speak the protocol".to_owned(),
    })
}

fn words_of(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => said(&error.message),
        ServiceError::TransportSend(error) => words_of_transport(&*error.error),
        ServiceError::TransportClosed => "the connection to it broke".to_owned(),
        _ => "it does not keep to the protocol".to_owned(),
    }
}

fn said(message: &str) -> String {
    format!("it said: {}", words::clean(message, ERROR_MAX_BYTES))
}

fn words_of_transport(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    match http::fault(error) {
        Some(HttpFault::Unauthorized) => "it refuses us without authorization".to_owned(),
        Some(HttpFault::Request(words) | HttpFault::Connection(words)) => words,
        None => http::io_cause(error),
    }
}
