//! Tools of MCP servers, over stdio and streamable HTTP.
//!
//! The administrator configures servers; a chat names those it may use and never brings a command or an address. One
//! connection per server is kept between steps and shared by all chats. What a server says is not trusted: names are
//! made safe, descriptions cut, schemas and answers bounded, and a server that does not answer costs a chat its tools
//! and nothing else.
//!
//! **Invariant:** the types of the protocol's library stay inside this module. **Invariant:** a server's process gets
//! nothing of our environment but what [`INHERITED_VARIABLES`] names and its own settings say.

mod answer;
mod catalogue;
mod client;
mod config;
mod connection;
mod http;
mod keyed;
mod listing;
mod names;
pub(crate) mod schema;
mod server;
mod servers;
mod slot;
mod stdio;
#[cfg(test)]
mod tests;
mod words;

pub use config::{CALL_MS, CONNECT_MS, ConfigProblem, McpConfig, McpTransport, SKIP_MS, concealed};
pub use servers::{McpServers, McpState};
pub use stdio::INHERITED_VARIABLES;
