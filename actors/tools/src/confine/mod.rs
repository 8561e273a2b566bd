//! Confinement: what a command can reach. Each command runs with as many layers as the machine offers; which those are is
//! probed once, at start, and a layer that was found then and fails later stops the command instead of weakening it.
//!
//! - **Namespaces** (user, pid, mount, ipc, host name, network): a root of the command's own, with the system's programs read-only,
//!   the workspace, a temporary directory, and nothing else; its own process numbers, so that all of it ends together.
//! - **Landlock**: the same again by rules of the kernel that need no privileges: files, TCP ports, signals, abstract sockets.
//! - **Always**: no capabilities, no new privileges, resource limits, no descriptors but the three, the environment it was given.

mod execute;
mod namespaces;
mod network;
mod probe;
mod resources;
mod root;
mod rules;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use execute::Execution;
pub use execute::run as execute;
pub(crate) use namespaces::{enter, settle};
pub use probe::{ConfinementReport, own_landlock_version, probe, try_layers};
pub use resources::Resources;

/// What of the system every command may read and run.
const SYSTEM: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What of `/etc` every command may read: what programs need to start, to find a host and to trust it. Nothing
/// that holds keys.
const SYSTEM_SETTINGS: [&str; 17] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
];

/// Devices that are no devices.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// The first version of Landlock that knows TCP ports.
const LANDLOCK_WITH_PORTS: u8 = 4;

/// What a command is confined to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confinement {
    /// The directory that it works in; it may do there what it likes. Absolute.
    pub workspace: PathBuf,
    /// A directory for temporary files, its `/tmp` where it has a root of its own. Outside of the workspace, or inside. Absolute.
    pub scratch: PathBuf,
    /// What it may read and run besides the system's programs: toolchains in unusual places.
    pub readable: Vec<PathBuf>,
    /// What it must not see in any case: a readable directory that holds one of these is left out whole.
    pub hidden: Vec<PathBuf>,
    /// Whether it may use the network.
    pub network: bool,
    /// How much it may use.
    pub resources: Resources,
}

impl Confinement {
    /// Confined to a workspace, without network, with the usual limits.
    pub fn new(workspace: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Confinement {
        Confinement {
            workspace: workspace.into(),
            scratch: scratch.into(),
            readable: Vec::new(),
            hidden: Vec::new(),
            network: false,
            resources: Resources::default(),
        }
    }

    /// What may be read and run and exists: the system's directories and those of the settings.
    fn readable_directories(&self) -> Vec<PathBuf> {
        let all = SYSTEM.iter().map(PathBuf::from).chain(self.readable.iter().cloned());
        all.filter(|path| path.exists() && !self.exposes(path)).collect()
    }

    /// Whether something hidden lies in this directory, or is it.
    fn exposes(&self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        self.hidden.iter().any(|hidden| {
            let hidden = hidden.canonicalize().unwrap_or_else(|_| hidden.clone());
            hidden.starts_with(&real) || real.starts_with(&hidden)
        })
    }
}

/// Which layers this machine offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// Namespaces of user, pid, mount, ipc and host name, with a root of the command's own.
    pub namespaces: bool,
    /// A network namespace, in which there is no network but the command's own.
    pub network: bool,
    /// The number of processes is bounded by the pid namespace.
    pub process_numbers: bool,
    /// The version of Landlock's interface; 0 where there is none.
    pub landlock: u8,
}

impl Layers {
    /// Whether a command's reach over files is bounded at all. Without that a shell is the server's own.
    pub fn confine_files(self) -> bool {
        self.namespaces || self.landlock > 0
    }

    /// Whether the network can be taken away from a command, connections at least.
    pub fn cut_network(self) -> bool {
        self.network || self.landlock >= LANDLOCK_WITH_PORTS
    }
}

/// A layer could not be put in force. The command has not run.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel refused.
    #[error("{what}: {source}")]
    Refused {
        /// What was being done.
        what: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Landlock refused.
    #[error("landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// Landlock is weaker than it was when it was probed.
    #[error("landlock is not in force")]
    NotInForce,
}

/// Says what was being done when the kernel refused.
trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ConfineError>;
}

impl<T, E: Into<std::io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, ConfineError> {
        self.map_err(|error| ConfineError::Refused { what: what(), source: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readable_directory_that_holds_something_hidden_is_left_out() {
        let home = tempfile::tempdir().expect("a directory");
        let (tools, data) = (home.path().join("tools"), home.path().join("tools/server/data"));
        std::fs::create_dir_all(&data).expect("it can be made");
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&tools, &link).expect("it can be made");
        let mut confinement = Confinement::new("/w", "/t");
        confinement.readable = vec![tools.clone(), link.clone(), data.join("admin.key"), home.path().join("missing")];
        assert!(confinement.readable_directories().contains(&tools));
        confinement.hidden = vec![data];
        let readable = confinement.readable_directories();
        assert!(!readable.contains(&tools) && !readable.contains(&link), "{readable:?}");
        assert!(readable.contains(&PathBuf::from("/usr")));
    }
}
