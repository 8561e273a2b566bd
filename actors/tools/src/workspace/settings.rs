//! `[coder]` and `[workspaces]` in the settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A Coder deployment that makes workspaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoderConfig {
    /// Where it is.
    pub url: String,
    /// The variable that holds the token of the user who owns the workspaces.
    #[serde(default = "token_env")]
    pub token_env: String,
    /// Its command line, which reaches into workspaces.
    #[serde(default = "program")]
    pub program: PathBuf,
}

fn token_env() -> String {
    "CODER_SESSION_TOKEN".to_owned()
}

fn program() -> PathBuf {
    PathBuf::from("coder")
}

/// What commands may do in workspaces on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkspaceSettings {
    /// Commands may use the network.
    pub network: bool,
    /// What commands may read and run besides the system's programs: toolchains in unusual places.
    pub readable: Vec<PathBuf>,
    /// Commands run even where this machine cannot confine them. They can then do what the server can.
    pub allow_unconfined: bool,
}
