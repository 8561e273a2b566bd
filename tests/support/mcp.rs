//! Public MCP servers, installed once from npm, and what keeps an eye on their processes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

/// The folder that holds the servers' packages. They are installed where they are missing.
pub fn packages() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("mcp/install")).stderr(Stdio::piped()).output()?;
    ensure!(output.status.success(), "tests/mcp/install: {}", String::from_utf8_lossy(&output.stderr));
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// A server's program, to be run by `node`.
pub fn program(package: &str) -> anyhow::Result<String> {
    let path = packages()?.join(package).join("dist/index.js");
    path.into_os_string().into_string().ok().context("the path is text")
}

/// `server-everything` over streamable HTTP; killed when dropped.
pub struct EverythingOverHttp {
    child: Child,
    port: u16,
}

impl EverythingOverHttp {
    /// Starts it, on this port or a free one, and waits until it listens.
    pub async fn start(port: Option<u16>) -> anyhow::Result<EverythingOverHttp> {
        let port = match port {
            Some(port) => port,
            None => TcpListener::bind("127.0.0.1:0")?.local_addr()?.port(),
        };
        let mut child = tokio::process::Command::new("node")
            .args([program("server-everything")?.as_str(), "streamableHttp"])
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("it has a standard error")?).lines();
        while let Some(line) = lines.next_line().await? {
            if line.contains("listening") {
                // What it writes from now on must go somewhere, or it would wait for a reader.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(EverythingOverHttp { child, port });
            }
        }
        anyhow::bail!("server-everything ended before it listened")
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it and waits for its end.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// The living processes whose command line holds a text, by their ids.
pub fn processes_with(text: &str) -> BTreeMap<u32, String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let process = |entry: std::fs::DirEntry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(text).then_some((id, line))
    };
    entries.filter_map(process).collect()
}

/// Sends a signal (`KILL`, `STOP`) to a process.
pub fn signal(id: u32, signal: &str) -> anyhow::Result<()> {
    let status = Command::new("kill").args([format!("-{signal}"), id.to_string()]).status()?;
    ensure!(status.success(), "kill -{signal} {id} failed");
    Ok(())
}
