//! A server that is a program of ours: started in a process group of its own, with an environment of its own, and killed
//! with all its children when nobody needs it any more.
//!
//! **Invariant:** the program itself is waited for only after its group was killed. Until then its process id, which is
//! the group's name, cannot be given to anybody else.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::words;

/// What a server's program gets of our environment; everything else it gets by its settings or not at all.
pub const INHERITED_VARIABLES: [&str; 11] =
    ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE"];

/// The largest message, in bytes; a larger one is dropped.
pub(super) const MESSAGE_MAX_BYTES: usize = 8 * 1024 * 1024;
/// How long a program may take to end by itself once its input is closed, in ms; then again once it was told to.
const GRACE_MS: u64 = 500;
/// The longest line of a program's own log that is looked at, in bytes.
const LOG_LINE_MAX_BYTES: usize = 500;
/// How many lines of it go to our log; the rest is dropped.
const LOG_LINES_MAX: usize = 200;
/// How many of its last lines are kept, to say why it could not be started.
const LAST_LINES: usize = 5;

/// What a program is started with.
pub(super) struct Program<'a> {
    pub server: &'a str,
    pub command: &'a str,
    pub args: &'a [String],
    /// Variables beside the inherited ones, ready to be used.
    pub env: Vec<(String, String)>,
    pub cwd: Option<&'a Path>,
}

/// The last lines that a program wrote to its standard error.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    /// The lines, joined; empty if there are none.
    pub(super) fn text(&self) -> String {
        self.0.lock().iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock();
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// The program's standard streams as a transport. Dropping it kills the program.
pub(super) struct StdioTransport {
    messages: AsyncRwTransport<RoleClient, ChildStdout, ChildStdin>,
    process: Process,
    /// The program closed its output.
    is_over: bool,
}

/// How far a program's end has come.
enum End {
    /// It is dead.
    Dead,
    /// Nothing more can be expected of what it left behind.
    Silent,
}

struct Process {
    child: Child,
    group: Option<Pid>,
    /// Says that some child of ours has ended; `None` where that cannot be had.
    children: Option<SignalStream>,
    /// Until when what the program left behind is read, once it has ended.
    ended: Option<Instant>,
    log: Option<JoinHandle<()>>,
}

impl StdioTransport {
    /// Starts the program.
    pub(super) fn start(program: Program<'_>) -> std::io::Result<(StdioTransport, LastLines)> {
        let mut command = Command::new(program.command);
        command
            .args(program.args)
            .env_clear()
            .envs(INHERITED_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(program.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(cwd) = program.cwd {
            command.current_dir(cwd);
        }
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let children = signal(SignalKind::child()).ok();
        let mut process = Process { child, group, children, ended: None, log: None };
        let (Some(input), Some(output), Some(errors)) = streams else {
            return Err(std::io::Error::other("the program has no standard streams"));
        };
        let last = LastLines::default();
        process.log = Some(tokio::spawn(log(program.server.to_owned(), errors, last.clone())));
        let messages = AsyncRwTransport::new_client(output, input).with_max_line_length(MESSAGE_MAX_BYTES);
        Ok((StdioTransport { messages, process, is_over: false }, last))
    }
}

impl Transport<RoleClient> for StdioTransport {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.messages.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        let message = loop {
            tokio::select! {
                biased;
                message = self.messages.receive() => break message,
                end = self.process.end_of_program() => match end {
                    End::Dead => self.process.kill_the_rest(),
                    End::Silent => break None,
                },
            }
        };
        self.is_over |= message.is_none();
        message
    }

    /// Closes the program's input, which tells it to end; tells it once more by a signal; then kills its whole group.
    async fn close(&mut self) -> Result<(), Self::Error> {
        // A writer that is stuck must not keep the program alive.
        let grace = Duration::from_millis(GRACE_MS);
        let _ = tokio::time::timeout(grace, self.messages.close()).await;
        for signal in [None, Some(Signal::TERM)] {
            if let Some(signal) = signal {
                self.process.signal(signal);
            }
            if !self.is_over {
                self.is_over = tokio::time::timeout(grace, self.drain()).await.is_ok();
            }
        }
        self.process.end().await;
        Ok(())
    }
}

impl StdioTransport {
    /// Ends when the program closes its output.
    async fn drain(&mut self) {
        while self.receive().await.is_some() {}
    }
}

impl Process {
    /// Ends when the program has; then once more when what it left behind was read for long enough.
    async fn end_of_program(&mut self) -> End {
        if let Some(ended) = self.ended {
            tokio::time::sleep_until(ended).await;
            return End::Silent;
        }
        loop {
            if self.is_dead() {
                return End::Dead;
            }
            match &mut self.children {
                Some(children) => drop(children.recv().await),
                None => std::future::pending().await,
            }
        }
    }

    /// Whether the program has ended, which is found out without waiting for it.
    fn is_dead(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        self.group.is_some_and(|id| matches!(waitid(WaitId::Pid(id), look), Ok(Some(_))))
    }

    /// The program is dead. Its children may hold its output open, and nobody would ever see an end.
    fn kill_the_rest(&mut self) {
        self.signal(Signal::KILL);
        self.ended = Some(Instant::now() + Duration::from_millis(GRACE_MS));
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails where nobody is left, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills the group, then waits for the program.
    async fn end(&mut self) {
        self.signal(Signal::KILL);
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "an MCP server's process cannot be waited for");
        }
        self.group = None;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(log) = self.log.take() {
            // A grandchild that left the group may hold the stream open for ever.
            log.abort();
        }
    }
}

/// Takes a program's own log until it ends. Its lines may speak of what was said in a chat: they are shown only to those
/// who asked for every detail, and no more than so many of them.
async fn log(server: String, errors: ChildStderr, last: LastLines) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    let mut lines = 0_usize;
    loop {
        line.clear();
        let mut rest = (&mut errors).take(LOG_LINE_MAX_BYTES as u64);
        match rest.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = words::line(&String::from_utf8_lossy(&line), LOG_LINE_MAX_BYTES);
        if text.is_empty() {
            continue;
        }
        lines += 1;
        if lines <= LOG_LINES_MAX {
            tracing::debug!(server, "MCP server: {text}");
        }
        last.push(text);
    }
    if lines > LOG_LINES_MAX {
        tracing::debug!(server, dropped = lines - LOG_LINES_MAX, "an MCP server wrote more than is shown");
    }
}
