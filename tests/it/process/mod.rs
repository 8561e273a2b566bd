//! Processes under their supervisors, through the real binary.

mod confinement;
mod crash;
mod life;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::timeout;
use verbatim_tools::confine::{Confinement, Layers, probe};
use verbatim_tools::process::{
    OwnerId, ProcessError, ProcessId, ProcessLimits, ProcessSpec, ProcessStatus, Processes, Start,
};

use crate::PROGRAM;

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A data directory with a workspace in it, and the processes of a server.
struct House {
    home: TempDir,
    processes: Processes,
}

impl House {
    /// With all that this machine confines with.
    async fn new() -> House {
        let home = tempfile::tempdir().expect("a directory");
        let report = probe(Path::new(PROGRAM), &home.path().join("probe")).await.expect("it can be probed");
        House::with(home, report.layers, ProcessLimits::default())
    }

    fn with(home: TempDir, layers: Layers, limits: ProcessLimits) -> House {
        for part in ["workspace", "scratch"] {
            std::fs::create_dir_all(home.path().join(part)).expect("it can be made");
        }
        let processes = Processes::open(home.path().join("processes"), PROGRAM, layers, limits).expect("they open");
        House { home, processes }
    }

    fn workspace(&self) -> PathBuf {
        self.home.path().join("workspace")
    }

    fn confinement(&self) -> Confinement {
        Confinement::new(self.workspace(), self.home.path().join("scratch"))
    }

    fn spec(&self, id: &str, line: &str) -> ProcessSpec {
        ProcessSpec::shell(owner(), self::id(id), line, self.confinement())
    }

    async fn start(&self, id: &str, line: &str) -> Result<Start, ProcessError> {
        self.processes.start(self.spec(id, line)).await
    }

    /// Waits for the end: what became of it, and all that it said.
    async fn end(&self, id: &str) -> (ProcessStatus, String) {
        let id = self::id(id);
        let status = self.processes.wait(&owner(), &id, PATIENCE).await.expect("it is known");
        assert!(status.state.ended(), "{status:?}");
        let said = self.processes.read_output(&owner(), &id, 0, 1 << 20).await.expect("it can be read");
        (status, String::from_utf8_lossy(&said.bytes).into_owned())
    }

    async fn run(&self, id: &str, line: &str) -> (ProcessStatus, String) {
        self.start(id, line).await.expect("it starts");
        self.end(id).await
    }

    /// Waits until a process has said something that ends in `word`.
    async fn hear(&self, id: &str, word: &str) -> String {
        let (id, mut said) = (self::id(id), String::new());
        while !said.trim_end().ends_with(word) {
            let from = said.len() as u64;
            let heard = self.processes.next_output(&owner(), &id, from, 1 << 16, PATIENCE).await;
            let (chunk, status) = heard.expect("it can be read");
            assert!(!chunk.bytes.is_empty(), "{status:?} after {said:?}");
            said.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
        said
    }

    /// The pid of a process's supervisor.
    fn supervisor(&self, id: &str) -> i64 {
        let claim = self.processes.root().join(owner().as_str()).join(id).join("claim.json");
        let claim = std::fs::read(claim).expect("it is claimed");
        let claim: serde_json::Value = serde_json::from_slice(&claim).expect("it is JSON");
        claim["vitals"]["pid"].as_i64().expect("it has a pid")
    }

    /// A pipe in the workspace, held by whatever opens it there (`exec 3>NAME`) and by all that starts.
    fn pipe(&self, name: &str) -> Held {
        let path = self.make_pipe(name);
        Held(pipe::OpenOptions::new().open_receiver(path).expect("it opens"))
    }

    fn make_pipe(&self, name: &str) -> PathBuf {
        let path = self.workspace().join(name);
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo runs");
        assert!(made.success());
        path
    }
}

/// The reading end of a pipe. It ends when nobody holds the other end any more.
struct Held(pipe::Receiver);

impl Held {
    /// Waits until nobody is left who holds the pipe.
    async fn gone(mut self) {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("all of them end").expect("it can be read");
    }
}

fn owner() -> OwnerId {
    OwnerId::new("chat-1").expect("a name")
}

fn id(id: &str) -> ProcessId {
    ProcessId::new(id).expect("a name")
}

fn kill(pid: i64) {
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs");
    assert!(killed.success());
}
