//! All configured servers, as the registry of tools sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use verbatim_events::chat::Chat;
use verbatim_events::event::{EffectClass, ToolDefinition};
use verbatim_events::log::BoxFuture;
use verbatim_events::tool::{OutputSink, ToolAnswer, ToolInvocation};

use super::answer;
use super::catalogue::Catalogue;
use super::config::McpConfig;
use super::connection::CallError;
use super::keyed::META_CALL;
use super::names;
use super::server::{Lookup, Server};

/// How long all connections together may take to end, in ms.
const CLOSE_MS: u64 = 4_000;

/// The keys under which a call says whose it is, beside [`META_CALL`]. The call's id is its one address, the same after a crash,
/// by which a server can tell a call that comes again from another; the attempt's tells how often it was tried.
const META_CHAT: &str = "io.verbatim/chat-id";
const META_ATTEMPT: &str = "io.verbatim/attempt-id";

/// How a server is at the moment, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpState {
    /// Its configured name.
    pub name: String,
    /// The version of the protocol that is spoken with it; `None` while it is not connected.
    pub connected: Option<String>,
    /// How many of its tools may be used, as far as is known.
    pub tools: usize,
    /// Why it could not be reached, where it could not.
    pub problem: Option<String>,
}

/// The configured MCP servers. A server is connected to when a chat that names it needs its tools, and the connection is
/// kept for all chats.
pub struct McpServers {
    servers: BTreeMap<String, Arc<Server>>,
    tasks: TaskTracker,
}

impl McpServers {
    /// Takes the servers by name; opens nothing. `lookup` gives the variables that settings name as `${NAME}`.
    /// Connections live on `runtime`.
    pub fn new(
        configured: BTreeMap<String, McpConfig>,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        runtime: Handle,
    ) -> McpServers {
        let lookup: Lookup = Arc::new(lookup);
        let tasks = TaskTracker::new();
        let servers = configured.into_iter().map(|(name, config)| {
            let server = Server::new(name.clone(), config, Arc::clone(&lookup), tasks.clone(), runtime.clone());
            (name, Arc::new(server))
        });
        McpServers { servers: servers.collect(), tasks }
    }

    /// The servers' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    /// How each server is at the moment.
    pub fn states(&self) -> Vec<McpState> {
        let state = |server: &Arc<Server>| McpState {
            name: server.name.clone(),
            connected: server.connection().map(|connection| connection.version()),
            tools: server.known_tools().len(),
            problem: server.problem(),
        };
        self.servers.values().map(state).collect()
    }

    /// Whether a tool of this name would be one of these servers'.
    pub fn owns(&self, tool: &str) -> bool {
        names::server_of(tool).is_some_and(|server| self.servers.contains_key(server))
    }

    /// The tools of the servers that the chat names and that are connected, from memory.
    pub fn definitions(&self, chat: &Chat) -> Vec<Arc<ToolDefinition>> {
        let connected = self.of(chat).filter_map(|server| server.connection());
        connected.flat_map(|connection| connection.tools().definitions().cloned().collect::<Vec<_>>()).collect()
    }

    /// Connects to the servers that the chat names and that are missing; `None` where none is, or where those that are
    /// missing failed lately. Takes no longer than the slowest server's `connect_ms`.
    pub fn prepare(&self, chat: &Chat) -> Option<BoxFuture<'static, ()>> {
        let due: Vec<Arc<Server>> = self.of(chat).filter(|server| server.is_due()).cloned().collect();
        if due.is_empty() {
            return None;
        }
        Some(Box::pin(async move {
            join_all(due.iter().map(Server::connect)).await;
        }))
    }

    /// The effect class of a tool, by its name, as its server last said; `None` where the chat has no such tool.
    pub fn effect_class(&self, chat: &Chat, name: &str) -> Option<EffectClass> {
        let (_, tools) = self.tools_behind(chat, name)?;
        tools.get(name).map(|tool| tool.effect_class)
    }

    /// Why a tool of a server that the chat names is not there: the server cannot be reached, and is left alone for a while.
    pub fn absence(&self, chat: &Chat, name: &str) -> Option<String> {
        let (server, _) = self.tools_behind(chat, name)?;
        let problem = server.problem()?;
        Some(format!(
            "the MCP server {:?} cannot be reached at the moment: {problem}; the call was not run",
            server.name
        ))
    }

    /// Why arguments do not fit a tool's schema, in words that name the place; `None` where they fit or the chat has no
    /// such tool.
    pub fn violation(&self, chat: &Chat, name: &str, args: &Value) -> Option<String> {
        let (_, tools) = self.tools_behind(chat, name)?;
        tools.get(name)?.violation(args)
    }

    /// Calls a tool; a server that is away is tried first. Progress goes to `output`. Dropping the future stops the call
    /// and tells the server so.
    pub fn run(&self, invocation: ToolInvocation, output: OutputSink) -> BoxFuture<'static, ToolAnswer> {
        let server = self.tools_behind(&invocation.chat, &invocation.name).map(|(server, _)| Arc::clone(server));
        Box::pin(async move {
            match server {
                Some(server) => call(&server, invocation, output).await,
                None => ToolAnswer::error(format!("there is no tool named {:?}", invocation.name)),
            }
        })
    }

    /// Ends all connections and kills the servers' processes. Makes no others after that. Takes a few seconds at most.
    pub async fn close(&self) {
        for server in self.servers.values() {
            server.close();
        }
        self.tasks.close();
        if tokio::time::timeout(Duration::from_millis(CLOSE_MS), self.tasks.wait()).await.is_err() {
            tracing::warn!("MCP servers do not end; they are left to themselves");
        }
    }

    /// The servers that a chat names, in its order, each once; a name that is not configured (any more) is nobody's.
    fn of<'a>(&'a self, chat: &'a Chat) -> impl Iterator<Item = &'a Arc<Server>> {
        let named = &chat.config.mcp_servers;
        let first = |(index, name): &(usize, &String)| !named[..*index].contains(*name);
        named.iter().enumerate().filter(first).filter_map(|(_, name)| self.servers.get(name))
    }

    fn tools_behind(&self, chat: &Chat, name: &str) -> Option<(&Arc<Server>, Arc<Catalogue>)> {
        let server = self.servers.get(names::server_of(name)?)?;
        let is_named = chat.config.mcp_servers.contains(&server.name);
        is_named.then(|| (server, server.known_tools()))
    }
}

async fn call(server: &Arc<Server>, invocation: ToolInvocation, output: OutputSink) -> ToolAnswer {
    let ToolInvocation { key, attempt_id, name, args, .. } = invocation;
    let connection = match server.connect().await {
        Ok(connection) => connection,
        Err(problem) => {
            let text = format!("the MCP server {:?} cannot be reached: {problem}; the call did not run", server.name);
            return ToolAnswer::error(text);
        }
    };
    let tools = connection.tools();
    let Some(tool) = tools.get(&name) else {
        return ToolAnswer::error(format!("there is no tool named {name:?}"));
    };
    let args = match args {
        Value::Object(args) => args,
        Value::Null => Map::new(),
        _ => return ToolAnswer::error("the arguments are no object"),
    };
    let meta =
        json!({ META_CHAT: key.chat_id.to_string(), META_CALL: key.uuid().to_string(), META_ATTEMPT: attempt_id });
    let Value::Object(meta) = meta else { unreachable!("it is an object") };
    let limit = Duration::from_millis(server.config.call_ms);
    match connection.call(&tool.raw, args, meta, output, limit).await {
        Ok(answer) => answer::convert(answer),
        Err(CallError::Refused(problem)) => {
            ToolAnswer::error(format!("the MCP server {:?} refused the call: {problem}", server.name))
        }
        Err(CallError::Unknown(problem)) => {
            let outcome = match tool.effect_class {
                EffectClass::Idempotent => "the call may be made again",
                EffectClass::AtMostOnce | EffectClass::Resumable => "outcome unknown: the call may or may not have run",
            };
            ToolAnswer::error(format!("the MCP server {:?} gave no answer: {problem}; {outcome}", server.name))
        }
    }
}
