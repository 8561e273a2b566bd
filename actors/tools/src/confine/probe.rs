//! What this machine offers to confine commands with, found out by confining one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Confinement, Layers, rules};
use crate::process::{
    OutputLimits, OwnerId, ProcessDirectory, ProcessId, ProcessSpec, Program, Report, Secrets, StoredSpec, environment,
    make_private,
};

/// A try takes no longer, or it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What confines commands on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfinementReport {
    /// The layers in force.
    #[serde(flatten)]
    pub layers: Layers,
    /// What the layers in force leave open, in words for an administrator.
    pub open: Vec<String>,
}

impl ConfinementReport {
    /// What follows from the layers.
    pub fn of(layers: Layers) -> ConfinementReport {
        let mut open = Vec::new();
        let mut note = |noted: bool, words: &str| {
            if noted {
                open.push(words.to_owned());
            }
        };
        note(!layers.confine_files(), "commands can reach every file that the server can");
        note(!layers.namespaces && layers.landlock > 0, "commands can see the names of files and processes outside");
        note(!layers.namespaces && (1..9).contains(&layers.landlock), "commands can connect to Unix sockets outside");
        note(!layers.namespaces && layers.landlock < 6, "commands can send signals to processes outside");
        note(!layers.cut_network(), "the network cannot be taken away");
        note(
            layers.cut_network() && !layers.network,
            "with the network taken away, commands can still send datagrams (UDP)",
        );
        note(!layers.process_numbers, "the number of a command's processes is watched, not bounded by the kernel");
        ConfinementReport { layers, open }
    }

    /// The layers in force, on one line.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        if self.layers.namespaces {
            parts.push("namespaces".to_owned());
        }
        if self.layers.network {
            parts.push("network of their own".to_owned());
        }
        if self.layers.process_numbers {
            parts.push("bounded processes".to_owned());
        }
        if self.layers.landlock > 0 {
            parts.push(format!("Landlock {}", self.layers.landlock));
        }
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }
}

/// Finds out which layers work here. `program` is the binary with the subcommand `confine`, `place` a directory for what is tried,
/// which is made and removed again.
pub async fn probe(program: &Path, place: &Path) -> io::Result<ConfinementReport> {
    let landlock = landlock_version(program).await?;
    let with = |namespaces, network, process_numbers| Layers { namespaces, network, process_numbers, landlock };
    for layers in [
        with(true, true, true),
        with(true, true, false),
        with(true, false, true),
        with(true, false, false),
        with(false, false, false),
    ] {
        if layers.confine_files() && try_layers(program, place, layers).await?.is_ok() {
            return Ok(ConfinementReport::of(layers));
        }
    }
    Ok(ConfinementReport::of(Layers::default()))
}

/// Confines a command that does nothing, in all the layers given; in words why that failed.
pub async fn try_layers(program: &Path, place: &Path, layers: Layers) -> io::Result<Result<(), String>> {
    let here = place.join(format!("probe-{}", Uuid::new_v4().simple()));
    let (workspace, scratch) = (here.join("workspace"), here.join("scratch"));
    make_private(&workspace)?;
    make_private(&scratch)?;
    let tried = try_in(program, &here, Confinement::new(workspace, scratch), layers).await;
    tokio::fs::remove_dir_all(&here).await?;
    tried
}

async fn try_in(
    program: &Path,
    here: &Path,
    confinement: Confinement,
    layers: Layers,
) -> io::Result<Result<(), String>> {
    let spec = ProcessSpec {
        owner: OwnerId::new("probe").map_err(io::Error::other)?,
        id: ProcessId::new("probe").map_err(io::Error::other)?,
        call: None,
        program: Program::Arguments(vec!["true".to_owned()]),
        workdir: confinement.workspace.clone(),
        environment: environment(&confinement.workspace, &confinement.scratch),
        secrets: Secrets::default(),
        confinement: Some(confinement),
        time_max_ms: None,
        grace_ms: 0,
        output: OutputLimits::default(),
    };
    let secrets = spec.secrets.line()?;
    let directory = ProcessDirectory::at(here.join("process"));
    directory.make(&StoredSpec { spec, layers })?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut keeper = Command::new(program)
        .args(["confine", "keep"])
        .arg(directory.path())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = String::new();
    let mut ours = UnixStream::from_std(ours)?;
    ours.write_all(&secrets).await?;
    let ended = timeout(PATIENCE, async {
        ours.read_to_string(&mut said).await?;
        keeper.wait().await
    })
    .await;
    match ended {
        Ok(ended) => ended?,
        Err(_) => return Ok(Err("it takes too long".to_owned())),
    };
    let last = said.lines().filter_map(|line| serde_json::from_str(line).ok()).next_back();
    Ok(match last {
        Some(Report::Ended { code: Some(0), .. }) => Ok(()),
        Some(Report::Failed { message }) => Err(message),
        Some(other) => Err(format!("{other:?}")),
        None => Err("it ended without a word".to_owned()),
    })
}

/// The version of Landlock that a process of `program` gets.
async fn landlock_version(program: &Path) -> io::Result<u8> {
    let asked = Command::new(program).args(["confine", "version"]).env_clear().stdin(Stdio::null()).output();
    let output = timeout(PATIENCE, asked).await.map_err(io::Error::other)??;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_default())
}

/// The version of Landlock that this process gets, 0 for none. It is confined by that: only for a process that does nothing else.
pub fn own_landlock_version() -> u8 {
    rules::version()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_follows_from_the_layers() {
        let all = Layers { namespaces: true, network: true, process_numbers: true, landlock: 9 };
        assert_eq!(ConfinementReport::of(all).open, Vec::<String>::new());
        assert_eq!(
            ConfinementReport::of(all).summary(),
            "namespaces, network of their own, bounded processes, Landlock 9"
        );
        let none = ConfinementReport::of(Layers::default());
        assert_eq!(none.summary(), "none");
        assert!(none.open.iter().any(|line| line.contains("every file")), "{:?}", none.open);
        let rules = ConfinementReport::of(Layers { landlock: 4, ..Layers::default() });
        assert!(rules.open.iter().any(|line| line.contains("UDP")), "{:?}", rules.open);
        assert!(!rules.open.iter().any(|line| line.contains("every file")), "{:?}", rules.open);
    }
}
