//! The files of a workspace that is elsewhere, through the deployment's own command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use verbatim_events::ids::Digest;
use verbatim_events::log::BoxFuture;

use super::super::scripted::{MARK, Told, base64_of};
pub(super) use super::scripts::command;
use super::scripts::{Script, base64};
use crate::files::gather::LEFT_OUT_MAX;
use crate::files::lines::WINDOW_MAX_BYTES;
use crate::files::local::window_of;
use crate::files::{
    CHANGE_FILES_MAX, Change, Content, ENTRIES_MAX, Entry, EntryKind, FILE_MAX_BYTES, FileError, Files, Gathered,
    Gathering, LineWindow, PATH_MAX_BYTES, Pattern, Window,
};

/// How long one look into a workspace may take.
const RUN_MAX: Duration = Duration::from_secs(60);
/// The most that a look may bring back, in bytes of base64 and words.
const OUTPUT_MAX_BYTES: usize = 24 * 1024 * 1024;
/// How much of an error is passed on, in characters.
const WORDS_MAX: usize = 300;

/// The way into a workspace.
#[derive(Clone, Debug)]
pub(super) struct Ssh {
    pub program: PathBuf,
    /// How the command line names the workspace.
    pub target: String,
    /// Variables it needs, the token among them.
    pub environment: BTreeMap<String, String>,
}

impl Ssh {
    /// The program and its arguments that run a command line in the workspace. It must not start what was stopped.
    pub fn arguments(&self, line: &str) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        [&program, "ssh", "--disable-autostart", "--wait=no", &self.target, line].map(str::to_owned).to_vec()
    }

    /// Runs a command line with this input, and returns what it prints.
    async fn run(&self, line: &str, input: Vec<u8>) -> Result<String, FileError> {
        let unavailable = |words: String| FileError::Unavailable(format!("the workspace cannot be reached: {words}"));
        let arguments = self.arguments(line);
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&arguments[1..]).env_clear().envs(&self.environment);
        for name in ["PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| unavailable(format!("its program does not start: {error}")))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let talked = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // Whoever does not read to the end says why in what it prints.
                    let _ = stdin.write_all(&input).await;
                    let _ = stdin.shutdown().await;
                }
            };
            let read = async {
                let mut bytes = Vec::new();
                if let Some(stdout) = stdout {
                    let _ = stdout.take(OUTPUT_MAX_BYTES as u64).read_to_end(&mut bytes).await;
                }
                bytes
            };
            let complain = async {
                let mut bytes = Vec::new();
                if let Some(stderr) = stderr {
                    let _ = stderr.take(64 * 1024).read_to_end(&mut bytes).await;
                }
                bytes
            };
            tokio::join!(write, read, complain)
        };
        let in_time = tokio::time::timeout(RUN_MAX, talked).await;
        let ((), output, complaint) = in_time.map_err(|_| unavailable("it does not answer in time".to_owned()))?;
        drop(child);
        let output = String::from_utf8_lossy(&output).into_owned();
        if output.contains(&format!("{MARK} ")) {
            return Ok(output);
        }
        let complaint = String::from_utf8_lossy(&complaint);
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty() && !line.contains("://"));
        Err(unavailable(last.unwrap_or("no answer came").chars().take(WORDS_MAX).collect()))
    }
}

impl Told {
    fn number(&self, index: usize) -> u64 {
        self.words.get(index).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The error that it says; `None` where it says none.
    fn problem(&self, path: &str, wanted: &'static str, max_bytes: usize) -> Option<FileError> {
        let path = path.to_owned();
        Some(match self.words[0].as_str() {
            "outside" => FileError::Outside { path },
            "missing" => FileError::NotFound { path },
            "denied" => FileError::Denied { path },
            "changed" => FileError::Changed { path },
            "directory" => FileError::WrongKind { path, kind: "a directory", wanted },
            "other" => FileError::WrongKind { path, kind: "no plain file", wanted },
            "large" => FileError::TooLarge { path, size_bytes: self.number(1), max_bytes: max_bytes as u64 },
            "failed" => FileError::Unavailable(format!("the workspace says: {}", self.words[1..].join(" "))),
            _ => return None,
        })
    }
}

/// The files of a workspace behind a command line.
#[derive(Clone, Debug)]
pub(super) struct RemoteFiles {
    inner: Arc<(Ssh, String)>,
}

fn checked(path: &str) -> Result<(), FileError> {
    let problem = match path {
        long if long.len() > PATH_MAX_BYTES => "the path is too long",
        odd if odd.contains(['\0', '\n', '\r']) => "the path holds a NUL or a line break",
        _ => return Ok(()),
    };
    Err(FileError::BadPath { path: path.chars().take(80).collect(), problem })
}

impl RemoteFiles {
    /// The files below `root`; below the home directory where it is empty.
    pub fn new(ssh: Ssh, root: String) -> RemoteFiles {
        RemoteFiles { inner: Arc::new((ssh, root)) }
    }

    async fn ask(&self, script: Script, arguments: &[&str], input: Vec<u8>) -> Result<Told, FileError> {
        let (ssh, root) = &*self.inner;
        let arguments: Vec<&str> = std::iter::once(root.as_str()).chain(arguments.iter().copied()).collect();
        let output = ssh.run(&script.command(&arguments), input).await?;
        Told::read(&output).ok_or_else(|| FileError::Unavailable("the workspace's answer is broken off".to_owned()))
    }

    async fn read_now(&self, path: &str, window: Window) -> Result<Content, FileError> {
        checked(path)?;
        let cap = WINDOW_MAX_BYTES * 2;
        let (offset, limit) = (window.offset.to_string(), (window.limit + 1).to_string());
        let told = self.ask(Script::Read, &[path, &offset, &limit, &cap.to_string()], Vec::new()).await?;
        if told.words[0] == "directory" {
            return Ok(listing(&told.data, window));
        }
        if let Some(problem) = told.problem(path, "a file", cap) {
            return Err(problem);
        }
        if told.number(2) > 0 {
            return Err(FileError::Binary { path: path.to_owned(), size_bytes: told.number(1) });
        }
        let mut lines = LineWindow::starting_at(window, window.offset);
        lines.push(&told.data);
        let mut lines = lines.finish(told.data.len() < cap);
        if lines.more || (lines.count == 0 && window.offset > 1) {
            // Where the file ends was not seen.
            lines.total = None;
        }
        Ok(Content::Text(lines))
    }

    async fn load_now(&self, path: &str, max_bytes: usize) -> Result<Vec<u8>, FileError> {
        checked(path)?;
        let told = self.ask(Script::Load, &[path, &max_bytes.to_string()], Vec::new()).await?;
        told.problem(path, "a file", max_bytes).map_or(Ok(told.data), Err)
    }

    async fn gather_now(&self, patterns: &[Pattern]) -> Result<Gathering, FileError> {
        let most = LEFT_OUT_MAX.to_string();
        let numbers: Vec<(String, String)> = patterns
            .iter()
            .map(|pattern| (pattern.head_max_bytes.to_string(), pattern.files_max.to_string()))
            .collect();
        let wanted = patterns.iter().zip(&numbers);
        let wanted = wanted.flat_map(|(pattern, (bytes, count))| [pattern.path, bytes.as_str(), count.as_str()]);
        let arguments: Vec<&str> = std::iter::once(most.as_str()).chain(wanted).collect();
        let told = self.ask(Script::Gather, &arguments, Vec::new()).await?;
        told.problem("", "a file", 0).map_or_else(|| Ok(gathered(&told.data)), Err)
    }

    async fn made_now(&self, key: &str) -> Result<Option<Value>, FileError> {
        let told = self.ask(Script::Made, &[key], Vec::new()).await?;
        if let Some(problem) = told.problem("", "a file", 0) {
            return Err(problem);
        }
        Ok((told.words[0] == "made").then(|| serde_json::from_slice(&told.data).unwrap_or_default()))
    }

    async fn change_now(&self, change: Change) -> Result<(), FileError> {
        let mut input = format!("@answer\n{}", base64(change.answer.to_string().as_bytes()));
        for (index, file) in change.files.iter().enumerate().take(CHANGE_FILES_MAX) {
            checked(&file.path)?;
            if file.after.len() > FILE_MAX_BYTES {
                let (size_bytes, max_bytes) = (file.after.len() as u64, FILE_MAX_BYTES as u64);
                return Err(FileError::TooLarge { path: file.path.clone(), size_bytes, max_bytes });
            }
            let sum = file.before.as_ref().map_or("-".to_owned(), |before| Digest::of(before).to_string());
            let (asked, after) = (base64(file.path.as_bytes()), base64(&file.after));
            input.push_str(&format!("@{index}.asked\n{asked}@{index}.sum\n{sum}\n@{index}.b64\n{after}"));
        }
        input.push_str(".\n");
        let count = change.files.len().to_string();
        let told = self.ask(Script::Change, &[&change.key, &count], input.into_bytes()).await?;
        let index = usize::try_from(told.number(1)).unwrap_or(0);
        let path = change.files.get(index).map_or("", |file| file.path.as_str());
        told.problem(path, "a file", FILE_MAX_BYTES).map_or(Ok(()), Err)
    }
}

/// Files out of lines of four fields, and after those of each pattern a line of one: how many were left out. A file that
/// cannot be read does not fit.
fn gathered(data: &[u8]) -> Gathering {
    let lines = String::from_utf8_lossy(data).into_owned();
    let file = |line: &str| {
        let mut fields = line.split(' ');
        Some(Gathered {
            path: String::from_utf8(base64_of(fields.next()?)?).ok()?,
            size_bytes: fields.next()?.parse().ok()?,
            digest: fields.next()?.parse().ok()?,
            head: base64_of(fields.next()?)?,
        })
    };
    Gathering {
        files: lines.lines().filter_map(file).collect(),
        left_out: lines.lines().filter(|line| !line.contains(' ')).filter_map(|line| line.parse().ok()).collect(),
    }
}

/// A directory's entries out of `kind size name`, each with a NUL at its end.
fn listing(data: &[u8], window: Window) -> Content {
    let mut entries = Vec::new();
    let mut left_out = !data.is_empty() && data.last() != Some(&0);
    for entry in data.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let entry = String::from_utf8_lossy(entry);
        let mut parts = entry.splitn(3, ' ');
        let (Some(kind), Some(size), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if entries.len() == ENTRIES_MAX {
            left_out = true;
            break;
        }
        let kind = match kind {
            "f" => EntryKind::File,
            "d" => EntryKind::Directory,
            "l" => EntryKind::Link,
            _ => EntryKind::Other,
        };
        let size_bytes = size.parse().ok().filter(|_| kind == EntryKind::File);
        entries.push(Entry { name: name.to_owned(), kind, size_bytes });
    }
    window_of(entries, left_out, window)
}

impl Files for RemoteFiles {
    fn read(&self, path: &str, window: Window) -> BoxFuture<'static, Result<Content, FileError>> {
        let (files, path) = (self.clone(), path.to_owned());
        Box::pin(async move { files.read_now(&path, window).await })
    }

    fn load(&self, path: &str, max_bytes: usize) -> BoxFuture<'static, Result<Vec<u8>, FileError>> {
        let (files, path) = (self.clone(), path.to_owned());
        Box::pin(async move { files.load_now(&path, max_bytes).await })
    }

    fn gather(&self, patterns: &'static [Pattern]) -> BoxFuture<'static, Result<Gathering, FileError>> {
        let files = self.clone();
        Box::pin(async move { files.gather_now(patterns).await })
    }

    fn made(&self, key: &str) -> BoxFuture<'static, Result<Option<Value>, FileError>> {
        let (files, key) = (self.clone(), key.to_owned());
        Box::pin(async move { files.made_now(&key).await })
    }

    fn change(&self, change: Change) -> BoxFuture<'static, Result<(), FileError>> {
        let files = self.clone();
        Box::pin(async move { files.change_now(change).await })
    }
}
