//! Processes beside the server under test, and what the system says of a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Clock ticks a second in `/proc`: what Linux shows to programs on every machine it runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// This program in another mode, as a process of its own; killed when it is dropped.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Helper {
    /// Starts a mode and waits until it listens.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Helper> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let line = lines.next_line().await?.unwrap_or_default();
        let address = line.strip_prefix("listening on ").with_context(|| format!("{arguments:?} says {line:?}"))?;
        Ok(Helper { child, address: address.parse()? })
    }

    /// What the system says of it.
    pub fn figures(&self) -> anyhow::Result<ProcessFigures> {
        Ok(ProcessFigures::of(self.child.id().context("it is gone")?))
    }
}

/// A process as `/proc` shows it.
#[derive(Clone, Debug)]
pub struct ProcessFigures(PathBuf);

impl ProcessFigures {
    /// The process of this number.
    pub fn of(process: u32) -> ProcessFigures {
        ProcessFigures(Path::new("/proc").join(process.to_string()))
    }

    /// Processor time so far, in ms.
    pub fn cpu_ms(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(self.0.join("stat"))?;
        // The name in brackets may hold anything; what is counted comes after it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = (ticks(11).context("no user time")?, ticks(12).context("no system time")?);
        Ok((user + system) * 1000.0 / TICKS_PER_SECOND)
    }

    /// Memory in use, in MB.
    pub fn memory_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(self.0.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024.0 / 1e6)
    }
}
