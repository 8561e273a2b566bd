//! Workspaces: where the shell and the file tools work.
//!
//! A *provisioner* (`port.rs`) makes workspaces from *templates*; the tools work with any of them. A chat's workspace is what its
//! binding in the log says; everything else is asked of the provisioner, each time.

mod answers;
pub mod coder;
mod context;
mod create;
mod definitions;
mod file_tools;
mod forget;
mod git;
mod life;
pub mod local;
mod locks;
pub mod names;
pub mod pause;
pub mod port;
mod probe;
mod scripted;
pub mod settings;
mod shell;
mod shown;
mod skills;
mod survey;
pub mod template;
mod tools;
mod workspaces;

pub use forget::MadeWorkspace;
pub use git::{FileChange, FileStatus, NoRepository, WorkspaceDiff};
pub use shell::Shell;
pub use tools::{FileStore, NewFile, StoreError, WorkspaceTools};
pub use workspaces::{DiffError, WorkspaceListing, Workspaces};

#[cfg(test)]
mod tests;
