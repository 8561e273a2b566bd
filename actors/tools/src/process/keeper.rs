//! The keeper: between the supervisor and the command. It stands inside the command's confinement, collects whatever the command
//! leaves behind, and ends all of it when the command ends, when the supervisor says so, and when the supervisor is gone.
//!
//! It holds one end of a socket as its standard input. It is told the command's secrets in a line and everything else in single
//! bytes, and reports in lines of JSON.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, set_child_subreaper, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::directory::ProcessDirectory;
use super::family;
use super::spec::{Secrets, StoredSpec};
use crate::confine::{self, Execution};

/// This program, whatever has become of its file since it started.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";

/// Told to the keeper: ask all processes to end.
pub(crate) const TERMINATE: u8 = b'T';

/// Told to the keeper: end all processes.
pub(crate) const KILL: u8 = b'K';

/// How often processes are counted where the kernel does not bound their number.
const COUNTING: Duration = Duration::from_millis(100);

/// What the keeper reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub(crate) enum Report {
    /// The command runs.
    Started,
    /// The command does not run, and never did.
    Failed { message: String },
    /// The command has ended.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
        /// Processes it left, which end now.
        left_running: u32,
        /// It was ended because there were too many of it.
        crowded: bool,
    },
}

/// Keeps the process of a directory. `inside` is whether its namespaces have been entered.
pub fn keep(directory: &Path, inside: bool) -> io::Result<()> {
    let channel = UnixStream::from(rustix::io::dup(rustix::stdio::stdin())?);
    rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC)?;
    let directory = ProcessDirectory::at(directory);
    let stored = directory.spec()?.ok_or(io::ErrorKind::NotFound)?;
    let confinement = stored.spec.confinement.as_ref().filter(|_| stored.layers.namespaces);
    if confinement.is_some() {
        // In namespaces the kernel ends all that is kept when this ends. Without them that is the keeper's own work: it must live
        // to do it, and learns from the socket that the supervisor is gone.
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    if let (Some(confinement), false) = (confinement, inside) {
        if let Err(error) = confine::enter(confinement, stored.layers) {
            return report(&channel, &Report::Failed { message: error.to_string() });
        }
        // The first process born in the new namespaces: when it ends, the kernel ends all others in them.
        let mut first = Command::new(OWN_PROGRAM)
            .args(["confine", "keep", "--inside"])
            .arg(directory.path())
            .env_clear()
            .spawn()?;
        return first.wait().map(drop);
    }
    if let Some(confinement) = confinement
        && let Err(error) = confine::settle(confinement, stored.layers, &directory.root())
    {
        return report(&channel, &Report::Failed { message: error.to_string() });
    }
    if !inside {
        set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    let secrets = Secrets::read(&mut &channel)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let last = runtime.block_on(watch(&channel, &stored, secrets));
    if !inside {
        family::end(own_pid())?;
    }
    report(&channel, &last?)
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

fn report(mut channel: &UnixStream, report: &Report) -> io::Result<()> {
    // A channel in use by the runtime does not block; a report is far smaller than what it takes at once.
    let mut line = serde_json::to_vec(report).map_err(io::Error::other)?;
    line.push(b'\n');
    channel.write_all(&line)
}

/// Starts the command, and waits for its end or for the word to end it.
async fn watch(channel: &UnixStream, stored: &StoredSpec, secrets: Secrets) -> io::Result<Report> {
    let mut children = signal(SignalKind::child())?;
    let command = match start(stored, secrets)? {
        Ok(command) => command,
        Err(message) => return Ok(Report::Failed { message }),
    };
    report(channel, &Report::Started)?;
    let told = channel.try_clone()?;
    told.set_nonblocking(true)?;
    let mut told = tokio::net::UnixStream::from_std(told)?;
    let processes_max = match &stored.spec.confinement {
        Some(confinement) if !stored.layers.process_numbers => Some(confinement.resources.processes_max),
        _ => None,
    };
    let mut counting = interval(COUNTING);
    counting.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut crowded, mut told_open) = (false, true);
    let mut byte = [0; 1];
    loop {
        // Before the wait: the signal of a child that ended at once may have come before anybody waited for it.
        if let Some(status) = collect(command)? {
            let left = family::descendants(own_pid())?.len();
            return Ok(Report::Ended {
                code: status.exit_status(),
                signal: status.terminating_signal(),
                left_running: u32::try_from(left).unwrap_or(u32::MAX),
                crowded,
            });
        }
        tokio::select! {
            _ = children.recv() => {}
            read = told.read(&mut byte), if told_open => match (read, byte[0]) {
                (Ok(1), TERMINATE) => family::signal(&family::descendants(own_pid())?, Signal::TERM),
                (read, _) => {
                    // Nothing read: the supervisor is gone.
                    told_open = matches!(read, Ok(1));
                    // What else there is goes when this process does.
                    family::signal(&[command.as_raw_nonzero().get()], Signal::KILL);
                }
            },
            _ = counting.tick(), if processes_max.is_some() => {
                let count = family::descendants(own_pid())?.len() as u64;
                if processes_max.is_some_and(|most| count > most) {
                    crowded = true;
                    family::signal(&[command.as_raw_nonzero().get()], Signal::KILL);
                }
            }
        }
    }
}

/// Starts the command; in words why it did not start.
fn start(stored: &StoredSpec, secrets: Secrets) -> io::Result<Result<Pid, String>> {
    let spec = &stored.spec;
    let mut environment = spec.environment.clone();
    environment.extend(secrets.into_variables());
    let execution = Execution {
        argv: spec.program.argv(),
        workdir: spec.workdir.clone(),
        environment,
        confinement: spec.confinement.clone(),
        layers: stored.layers,
    };
    let (mut ours, theirs) = UnixStream::pair()?;
    let child = Command::new(OWN_PROGRAM)
        .args(["confine", "execute"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .env_clear()
        .spawn()?;
    serde_json::to_writer(&mut ours, &execution)?;
    ours.shutdown(Shutdown::Write)?;
    let mut message = String::new();
    ours.read_to_string(&mut message)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    match pid {
        Some(pid) if message.is_empty() => Ok(Ok(pid)),
        Some(_) => Ok(Err(message)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Collects all children that have ended; the command's status if it is among them.
fn collect(command: Pid) -> io::Result<Option<WaitStatus>> {
    let mut found = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => found = Some(status),
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(found),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
