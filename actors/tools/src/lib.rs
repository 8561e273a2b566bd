//! The server's tools: the registry that answers for all of them, and each family of tools in a module of its own.

pub mod confine;
pub mod conversation;
mod families;
pub mod files;
pub mod mcp;
pub mod process;
mod registry;
mod validators;
pub mod workspace;

pub use families::ToolFamily;
pub use registry::Registry;
