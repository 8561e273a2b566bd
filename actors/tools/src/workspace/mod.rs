//! Workspaces: where the shell and the file tools work.
//!
//! A *provisioner* (`port.rs`) makes workspaces from *templates*; the tools work with any of them. A chat's workspace is what its
//! binding in the log says; everything else is asked of the provisioner, each time.

mod answers;
pub mod coder;
mod create;
mod definitions;
mod file_tools;
mod life;
pub mod local;
mod locks;
pub mod names;
pub mod pause;
pub mod port;
pub mod settings;
mod shell;
mod skills;
pub mod template;
mod tools;
mod workspaces;

pub use shell::Shell;
pub use tools::{FileStore, NewFile, StoreError, WorkspaceTools};
pub use workspaces::{WorkspaceListing, Workspaces};

#[cfg(test)]
mod tests;
