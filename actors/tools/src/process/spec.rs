//! What a process is to be: written once, before anything runs, and never changed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use verbatim_events::ids::MessageId;

use super::id::{OwnerId, ProcessId};
use super::output::OutputLimits;
use crate::confine::{Confinement, Layers};

/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What of the server's own environment a command may see. A list of what is allowed, not of what is not: a key under a new
/// name stays hidden.
const ENVIRONMENT_PASSED: [&str; 5] = ["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"];

/// Bytes of all secrets of a command.
const SECRETS_BYTES_MAX: usize = 256 * 1024;

/// Between asking a process to end and ending it.
pub const GRACE_MS: u64 = 500;

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// A command line for `/bin/sh -c`.
    Shell(String),
    /// A program, found through `PATH` unless it is a path, and its arguments.
    Arguments(Vec<String>),
}

impl Program {
    /// The program and its arguments.
    pub(crate) fn argv(&self) -> Vec<String> {
        match self {
            Program::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Program::Arguments(all) => all.clone(),
        }
    }

    /// The command as a person would write it, for lists.
    pub fn line(&self) -> String {
        match self {
            Program::Shell(line) => line.clone(),
            Program::Arguments(all) => all.join(" "),
        }
    }
}

/// Variables that are told to a command and written nowhere.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// These variables.
    pub fn new(variables: BTreeMap<String, String>) -> Secrets {
        Secrets(variables)
    }

    pub(crate) fn into_variables(self) -> BTreeMap<String, String> {
        self.0
    }

    /// As one line, for whoever starts the command; an empty line would be nobody's word.
    pub(crate) fn line(&self) -> std::io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        line.push(b'\n');
        Ok(line)
    }

    /// From such a line; what ends before its end is no word at all.
    pub(crate) fn read(from: &mut impl Read) -> std::io::Result<Secrets> {
        let mut line = Vec::new();
        let mut byte = [0; 1];
        // One by one: what follows the line is for somebody else.
        while line.len() < SECRETS_BYTES_MAX {
            from.read_exact(&mut byte)?;
            if byte == [b'\n'] {
                return serde_json::from_slice(&line).map_err(std::io::Error::other);
            }
            line.extend(byte);
        }
        Err(std::io::ErrorKind::FileTooLarge.into())
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// The call that a process was started for; the chat is its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessCall {
    /// The assistant message that holds the call.
    pub message_id: MessageId,
    /// The call, as its provider named it.
    pub call_id: String,
}

/// A process to be started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Whose it is.
    pub owner: OwnerId,
    /// Its name among its owner's. One that exists is not started again.
    pub id: ProcessId,
    /// The call that it was started for; `None` where the server looks at something by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<ProcessCall>,
    /// What runs.
    pub program: Program,
    /// Where it runs: an absolute path, inside the workspace if it is confined.
    pub workdir: PathBuf,
    /// All it sees of variables; see [`environment`].
    pub environment: BTreeMap<String, String>,
    /// More variables, which do not get onto the disk. They are needed again should a start be repeated.
    #[serde(skip)]
    pub secrets: Secrets,
    /// What it is confined to; `None` for a program that the server itself needs outside.
    pub confinement: Option<Confinement>,
    /// When it is ended if it has not by itself, in milliseconds from its start.
    pub time_max_ms: Option<u64>,
    /// Between asking it to end and ending it.
    pub grace_ms: u64,
    /// How much of its output is kept.
    pub output: OutputLimits,
}

impl ProcessSpec {
    /// A shell command with the usual limits, confined, in the workspace's own directory.
    pub fn shell(owner: OwnerId, id: ProcessId, line: &str, confinement: Confinement) -> ProcessSpec {
        ProcessSpec {
            owner,
            id,
            call: None,
            program: Program::Shell(line.to_owned()),
            workdir: confinement.workspace.clone(),
            environment: environment(&confinement.workspace, &confinement.scratch),
            secrets: Secrets::default(),
            confinement: Some(confinement),
            time_max_ms: None,
            grace_ms: GRACE_MS,
            output: OutputLimits::default(),
        }
    }
}

/// The variables of a command: where its home and its temporary files are, where programs are found, and the server's language
/// and time zone. Nothing else of the server's environment.
pub fn environment(home: &Path, temporary: &Path) -> BTreeMap<String, String> {
    environment_of(home, temporary, |name| std::env::var(name).ok())
}

fn environment_of(home: &Path, temporary: &Path, server: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> =
        ENVIRONMENT_PASSED.iter().filter_map(|name| Some(((*name).to_owned(), server(name)?))).collect();
    for (name, value) in [
        ("HOME", home.to_string_lossy().into_owned()),
        ("TMPDIR", temporary.to_string_lossy().into_owned()),
        ("PATH", PATH.to_owned()),
        ("SHELL", "/bin/sh".to_owned()),
        ("TERM", "dumb".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    variables
}

/// What lies on disk as `spec.json`: the process, and with what it is confined on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredSpec {
    #[serde(flatten)]
    pub spec: ProcessSpec,
    pub layers: Layers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_servers_environment_only_language_and_time_zone_reach_a_command() {
        let variables = environment_of(Path::new("/w"), Path::new("/t"), |name| Some(format!("server's {name}")));
        let names: Vec<&str> = variables.keys().map(String::as_str).collect();
        let expected = ["HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "PATH", "SHELL", "TERM", "TMPDIR", "TZ"];
        assert_eq!(names, expected);
        assert_eq!(variables["HOME"], "/w");
        assert_eq!(variables["TMPDIR"], "/t");
        assert_eq!(variables["PATH"], PATH, "the server's own is not passed on");
        assert_eq!(variables["LANG"], "server's LANG");
    }

    #[test]
    fn secrets_are_told_whole_or_not_at_all_and_never_shown() {
        let secrets = Secrets::new([("TOKEN".to_owned(), "new\nline".to_owned())].into());
        assert_eq!(format!("{secrets:?}"), "{\"TOKEN\"}");
        let mut line = secrets.line().expect("it is text");
        assert!(Secrets::read(&mut &line[..line.len() - 1]).is_err(), "cut short");
        assert!(Secrets::read(&mut &b""[..]).is_err());
        line.extend(b"T");
        let mut told = &line[..];
        assert_eq!(Secrets::read(&mut told).expect("it is whole"), secrets);
        assert_eq!(told, b"T", "what follows is for somebody else");
    }
}
