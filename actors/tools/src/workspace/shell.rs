//! execute, process_output, process_list, process_signal: commands in workspaces, each a process that outlives the server.
//!
//! A command's process is named by its call, so a call that is run again finds the process that it started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use verbatim_events::ids::ChatId;
use verbatim_events::tool::{CallKey, OutputSink, ToolAnswer};

use super::pause::Pause;
use super::port::CommandPlan;
use super::settings::WorkspaceSettings;
use super::shown::{SHOWN_MAX_BYTES, TAIL_MAX_BYTES, shown};
use crate::confine::Confinement;
use crate::files::beneath::Beneath;
use crate::process::{
    Ending, GRACE_MS, OutputLimits, OwnerId, ProcessCall, ProcessError, ProcessId, ProcessSpec, ProcessState,
    ProcessStatus, Processes, Program, Secrets, environment,
};

/// How long a command is waited for if nobody says, in ms.
const WAIT_MS: u64 = 10_000;
/// The longest wait, in ms.
const WAIT_MAX_MS: u64 = 4 * 60 * 60 * 1_000;
/// How long the end of a process that was told to end is waited for, in ms.
const END_WAIT_MS: u64 = 2_000;
/// Output that is shown to watchers as it comes, in bytes.
const STREAMED_MAX_BYTES: u64 = 1024 * 1024;
/// Output that is read at once, in bytes.
const CHUNK_BYTES: usize = 32 * 1024;
/// The longest command line, in bytes: a single argument cannot be much longer.
const COMMAND_MAX_BYTES: usize = 100 * 1024;
/// What a program that reaches into workspaces is found and works with.
const PASSED: [&str; 4] = ["PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteArguments {
    pub command: String,
    pub wait_ms: Option<u64>,
    #[serde(default)]
    pub background: bool,
    pub workdir: Option<String>,
}

impl ExecuteArguments {
    /// A command line that puts itself into the background is one that runs in the background: its output is kept so.
    pub fn settled(mut self) -> ExecuteArguments {
        let line = self.command.trim_end();
        if let Some(line) = line.strip_suffix('&')
            && !line.ends_with(['&', '|', '>', '\\'])
        {
            (self.command, self.background) = (line.trim_end().to_owned(), true);
        }
        self
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputArguments {
    process_id: String,
    wait_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignalArguments {
    process_id: String,
    signal: EndSignal,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndSignal {
    Terminate,
    Kill,
}

/// Commands in workspaces.
pub struct Shell {
    processes: Processes,
    settings: WorkspaceSettings,
    hidden: Vec<PathBuf>,
}

fn refused(error: &ProcessError) -> ToolAnswer {
    ToolAnswer::error(error.to_string())
}

fn owner_of(chat_id: ChatId) -> Result<OwnerId, ToolAnswer> {
    OwnerId::new(&chat_id.to_string()).map_err(|error| ToolAnswer::error(error.to_string()))
}

/// The process of a call.
fn id_of(call: &CallKey) -> Result<ProcessId, ToolAnswer> {
    let name = format!("p-{}", &call.uuid().simple().to_string()[..16]);
    ProcessId::new(&name).map_err(|error| ToolAnswer::error(error.to_string()))
}

impl Shell {
    /// Commands run as these processes; `hidden` is what none of them may see.
    pub fn new(processes: Processes, settings: WorkspaceSettings, hidden: Vec<PathBuf>) -> Shell {
        Shell { processes, settings, hidden }
    }

    /// Whether commands of workspaces on this machine may run: they can be confined, or need not be.
    pub fn is_on(&self) -> bool {
        self.can_confine() || self.settings.allow_unconfined
    }

    fn can_confine(&self) -> bool {
        let layers = self.processes.layers();
        layers.confine_files() && (self.settings.network || layers.cut_network())
    }

    /// Ends what runs in a directory, and removes what is known of it.
    pub async fn clear(&self, root: &Path) -> Result<(), String> {
        self.processes.remove_in(root).await.map_err(|error| error.to_string())
    }

    /// Ends a chat's processes, and removes what is known of them.
    pub async fn clear_chat(&self, chat_id: ChatId) -> Result<(), String> {
        let owner = OwnerId::new(&chat_id.to_string()).map_err(|error| error.to_string())?;
        self.processes.remove_all(&owner).await.map_err(|error| error.to_string())
    }

    /// The user stopped the turn that a command runs in.
    pub(super) async fn cancel(&self, call: &CallKey) {
        if let (Ok(owner), Ok(id)) = (owner_of(call.chat_id), id_of(call))
            && let Err(error) = self.processes.signal(&owner, &id, Ending::Terminate).await
            && !matches!(error, ProcessError::NotFound { .. })
        {
            tracing::warn!(%error, "a command that was interrupted could not be ended");
        }
    }

    /// The calls whose processes run.
    pub(super) async fn running_calls(&self) -> Vec<CallKey> {
        let running = self.processes.running_calls().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "it cannot be said whose commands run");
            Vec::new()
        });
        let key = |(owner, call): (OwnerId, ProcessCall)| {
            let ProcessCall { message_id, call_id } = call;
            Some(CallKey { chat_id: owner.as_str().parse().ok()?, message_id, call_id })
        };
        running.into_iter().filter_map(key).collect()
    }

    pub(super) async fn execute(
        &self,
        call: &CallKey,
        plan: CommandPlan,
        arguments: ExecuteArguments,
        pause: &dyn Pause,
        output: OutputSink,
    ) -> Result<ToolAnswer, ToolAnswer> {
        if arguments.command.len() > COMMAND_MAX_BYTES || arguments.command.contains('\0') {
            let words =
                format!("the command has more than {COMMAND_MAX_BYTES} bytes, or a NUL; write a script to a file");
            return Err(ToolAnswer::error(words));
        }
        let (owner, id) = (owner_of(call.chat_id)?, id_of(call)?);
        let mut spec = self.spec(owner.clone(), id.clone(), plan, &arguments)?;
        spec.call = Some(ProcessCall { message_id: call.message_id, call_id: call.call_id.clone() });
        self.processes.start(spec).await.map_err(|error| refused(&error))?;
        let wait_ms = if arguments.background { 0 } else { arguments.wait_ms.unwrap_or(WAIT_MS).min(WAIT_MAX_MS) };
        let status = self.follow(&owner, &id, wait_ms, pause, output).await.map_err(|error| refused(&error))?;
        self.tell(&owner, &id, status).await
    }

    /// The processes that commands run as.
    /// Removes what is left of commands that ended long before `now`. How many went.
    pub async fn prune(&self, now: DateTime<Utc>) -> Result<usize, ProcessError> {
        self.processes.prune(now).await
    }

    pub(super) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// Waits until a chat's process has ended, in bounded time.
    pub(super) async fn ended(&self, chat_id: ChatId, process_id: &str) {
        if let (Ok(owner), Ok(id)) = (owner_of(chat_id), ProcessId::new(process_id)) {
            let _ = self.processes.wait(&owner, &id, Duration::from_millis(WAIT_MAX_MS)).await;
        }
    }

    pub(super) fn spec(
        &self,
        owner: OwnerId,
        id: ProcessId,
        plan: CommandPlan,
        arguments: &ExecuteArguments,
    ) -> Result<ProcessSpec, ToolAnswer> {
        match plan {
            CommandPlan::Confined { root, scratch } => {
                let failed = |problem: String| ToolAnswer::error(problem);
                let beneath = Beneath::open(&root).map_err(|error| failed(error.to_string()))?;
                let workdir = beneath
                    .directory_path(arguments.workdir.as_deref().unwrap_or("."))
                    .map_err(|error| failed(error.to_string()))?;
                let mut confinement = Confinement::new(&root, &scratch);
                confinement.network = self.settings.network;
                confinement.readable.clone_from(&self.settings.readable);
                confinement.hidden.clone_from(&self.hidden);
                let mut spec = ProcessSpec::shell(owner, id, &arguments.command, confinement);
                spec.workdir = workdir;
                if !self.can_confine() && self.settings.allow_unconfined {
                    spec.confinement = None;
                }
                Ok(spec)
            }
            CommandPlan::Through { arguments, environment: needed } => {
                let mut variables = environment(Path::new("/"), &std::env::temp_dir());
                let own = PASSED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
                variables.extend(own);
                Ok(ProcessSpec {
                    owner,
                    id,
                    call: None,
                    program: Program::Arguments(arguments),
                    workdir: PathBuf::from("/"),
                    environment: variables,
                    secrets: Secrets::new(needed),
                    // It is the server's own way into a workspace that is elsewhere; the command itself runs there.
                    confinement: None,
                    time_max_ms: None,
                    grace_ms: GRACE_MS,
                    output: OutputLimits::default(),
                })
            }
        }
    }

    /// Shows output as it comes until the process ends or the wait is over.
    async fn follow(
        &self,
        owner: &OwnerId,
        id: &ProcessId,
        wait_ms: u64,
        pause: &dyn Pause,
        mut output: OutputSink,
    ) -> Result<ProcessStatus, ProcessError> {
        let deadline_ms = pause.elapsed_ms() + wait_ms;
        let mut text = Utf8::default();
        let mut next_byte = 0;
        loop {
            let left = Duration::from_millis(deadline_ms.saturating_sub(pause.elapsed_ms()));
            if next_byte >= STREAMED_MAX_BYTES {
                return self.processes.wait(owner, id, left).await;
            }
            let (chunk, status) = self.processes.next_output(owner, id, next_byte, CHUNK_BYTES, left).await?;
            if chunk.bytes.is_empty() && (status.state.ended() || pause.elapsed_ms() >= deadline_ms) {
                return Ok(status);
            }
            next_byte = chunk.next_byte();
            let piece = text.push(&chunk.bytes);
            if !piece.is_empty() {
                output(piece);
            }
            if pause.elapsed_ms() >= deadline_ms {
                return self.processes.status(owner, id).await;
            }
        }
    }

    /// What a process has come to, with the output that the model sees.
    async fn tell(&self, owner: &OwnerId, id: &ProcessId, status: ProcessStatus) -> Result<ToolAnswer, ToolAnswer> {
        let read = |from_byte, most| self.processes.read_output(owner, id, from_byte, most);
        let head = read(0, SHOWN_MAX_BYTES).await.map_err(|error| refused(&error))?;
        let total_bytes = head.total_bytes;
        let tail = if total_bytes > SHOWN_MAX_BYTES as u64 {
            let tail = read(total_bytes - TAIL_MAX_BYTES as u64, TAIL_MAX_BYTES).await;
            tail.map_err(|error| refused(&error))?.bytes
        } else {
            Vec::new()
        };
        let shown = shown(&head.bytes, &tail, total_bytes);
        let mut result = summary(id, &status);
        result["output"] = json!(shown);
        let is_error = match &status.state {
            ProcessState::Lost { .. } => {
                result["error"] = json!("outcome unknown: what ran it was ended from outside");
                true
            }
            ProcessState::Failed { .. } | ProcessState::Withdrawn => true,
            ProcessState::Claimed | ProcessState::Running => {
                let hint = "it runs on; process_output shows what it does, process_signal ends it";
                result["hint"] = json!(hint);
                false
            }
            ProcessState::Exited { .. } | ProcessState::Signaled { .. } => false,
        };
        Ok(ToolAnswer { result, is_error, ..ToolAnswer::default() })
    }

    pub(super) async fn output(
        &self,
        chat_id: ChatId,
        arguments: OutputArguments,
        pause: &dyn Pause,
        output: OutputSink,
    ) -> Result<ToolAnswer, ToolAnswer> {
        let (owner, id) = (owner_of(chat_id)?, given(&arguments.process_id)?);
        let wait_ms = arguments.wait_ms.unwrap_or(WAIT_MS).min(WAIT_MAX_MS);
        let status = self.follow(&owner, &id, wait_ms, pause, output).await.map_err(|error| refused(&error))?;
        self.tell(&owner, &id, status).await
    }

    pub(super) async fn list(&self, chat_id: ChatId) -> Result<ToolAnswer, ToolAnswer> {
        let listed = self.processes.list(&owner_of(chat_id)?).await.map_err(|error| refused(&error))?;
        let processes: Vec<Value> = listed
            .iter()
            .map(|(id, status)| {
                let mut process = summary(id, status);
                process["command"] = json!(status.command.chars().take(200).collect::<String>());
                process["started_at"] = json!(status.started_at);
                process
            })
            .collect();
        Ok(ToolAnswer::ok(json!({"processes": processes})))
    }

    pub(super) async fn signal(&self, chat_id: ChatId, arguments: SignalArguments) -> Result<ToolAnswer, ToolAnswer> {
        let (owner, id) = (owner_of(chat_id)?, given(&arguments.process_id)?);
        let ending = match arguments.signal {
            EndSignal::Terminate => Ending::Terminate,
            EndSignal::Kill => Ending::Kill,
        };
        let signalled = self.processes.signal(&owner, &id, ending).await;
        signalled.map_err(|error| refused(&error))?;
        let patience = Duration::from_millis(END_WAIT_MS);
        let status = self.processes.wait(&owner, &id, patience).await.map_err(|error| refused(&error))?;
        Ok(ToolAnswer::ok(summary(&id, &status)))
    }
}

fn given(id: &str) -> Result<ProcessId, ToolAnswer> {
    ProcessId::new(id).map_err(|_| ToolAnswer::error(format!("there is no process {id:?}; process_list lists them")))
}

/// A process without its output.
fn summary(id: &ProcessId, status: &ProcessStatus) -> Value {
    let (state, more) = match &status.state {
        ProcessState::Claimed | ProcessState::Running => ("running", None),
        ProcessState::Exited { code } => ("exited", Some(("exit_code", json!(code)))),
        ProcessState::Signaled { signal } => ("killed", Some(("signal", json!(signal)))),
        ProcessState::Failed { message } => ("failed", Some(("error", json!(message)))),
        ProcessState::Lost { .. } => ("unknown", None),
        ProcessState::Withdrawn => ("never_started", None),
    };
    let mut told = json!({"process_id": id.as_str(), "state": state, "output_bytes": status.output_bytes});
    if let Some((name, value)) = more {
        told[name] = value;
    }
    if status.left_running > 0 {
        told["ended_with_it"] = json!(status.left_running);
    }
    told
}

/// Text out of bytes that come in pieces: a letter that is cut is kept for the next piece.
#[derive(Debug, Default)]
struct Utf8 {
    rest: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(_) => self.rest.len(),
            // A letter has four bytes at most: what is longer is no letter that is cut, and is shown as it is.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.rest.len(),
        };
        let text = String::from_utf8_lossy(&self.rest[..whole]).into_owned();
        self.rest.drain(..whole);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_are_cut_are_put_together() {
        let text = "aä漢🎈z";
        for cut in 0..=text.len() {
            let mut pieces = Utf8::default();
            let both = pieces.push(&text.as_bytes()[..cut]) + &pieces.push(&text.as_bytes()[cut..]);
            assert_eq!(both, text, "cut at {cut}");
        }
        assert_eq!(Utf8::default().push(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn a_line_that_goes_into_the_background_is_said_so() {
        for (line, command, background) in [
            ("sleep 9 &", "sleep 9", true),
            ("sleep 9&\n", "sleep 9", true),
            ("true && false", "true && false", false),
            ("true &&", "true &&", false),
            ("x >&", "x >&", false),
            ("echo \\&", "echo \\&", false),
        ] {
            let given = ExecuteArguments { command: line.to_owned(), wait_ms: None, background: false, workdir: None };
            let settled = given.settled();
            assert_eq!((settled.command.as_str(), settled.background), (command, background), "{line:?}");
        }
    }
}
