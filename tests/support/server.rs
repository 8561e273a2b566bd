//! The real server as a process: started on a directory of its own, killed, stopped, started again on the same data.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use verbatim_events_sql::{LogOptions, Sealing, open_read_only};

use crate::histories::{self, Checked, Unsound};
use crate::http::Client;

/// A start may take this long, and so may any other command of the program.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The text of `verbatim.toml`; none is written where it is empty.
    pub config: String,
    /// More arguments of `serve`.
    pub arguments: Vec<String>,
    /// More environment variables; all others are hidden from it.
    pub environment: Vec<(String, String)>,
    /// The log's home; SQLite in the data directory if absent.
    pub database: Option<String>,
    /// Where it listens, at every start; anywhere if absent.
    pub listen: Option<String>,
}

impl ServerOptions {
    /// Nothing set but a `verbatim.toml`.
    pub fn with_config(config: &str) -> ServerOptions {
        ServerOptions { config: config.to_owned(), ..ServerOptions::default() }
    }
}

/// A server of the program under test. Dropping it kills the process and removes its directory; before that the histories of
/// its chats are checked, so that a test also fails if one of them makes a request that some provider refuses.
#[derive(Debug)]
pub struct TestServer {
    program: PathBuf,
    home: TempDir,
    options: ServerOptions,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
    client: Client,
    skips_histories: bool,
}

impl TestServer {
    /// Starts a server without any settings.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(program: &str) -> TestServer {
        TestServer::start_with(program, ServerOptions::default()).await
    }

    /// Starts a server.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(program: &str, options: ServerOptions) -> TestServer {
        let mut server = TestServer::prepare(program, options).expect("a directory for the server");
        server.start_again().await.unwrap_or_else(|error| panic!("{error:?}\n{}", server.log()));
        server
    }

    /// A server that does not run yet.
    pub fn prepare(program: impl Into<PathBuf>, options: ServerOptions) -> anyhow::Result<TestServer> {
        let home = tempfile::Builder::new().prefix("verbatim-server-").tempdir()?;
        if !options.config.is_empty() {
            std::fs::write(home.path().join("verbatim.toml"), &options.config)?;
        }
        Ok(TestServer {
            program: program.into(),
            home,
            options,
            child: None,
            log: Arc::default(),
            client: Client::new("http://127.0.0.1:0", None),
            skips_histories: false,
        })
    }

    /// Starts the server, again if it ran before, on the same data. Returns when it listens; it listens elsewhere then.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the server runs already");
        let listen = self.options.listen.as_deref().unwrap_or("127.0.0.1:0");
        let mut command = self.command(&["serve", "--listen", listen]);
        command.args(&self.options.arguments);
        let mut child = command.spawn().with_context(|| format!("{} cannot be run", self.program.display()))?;
        let errors = child.stderr.take().context("no standard error")?;
        tokio::spawn(collect(errors, Arc::clone(&self.log)));
        let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("the server says nothing")??;
        let Some(url) = first.as_deref().and_then(|line| line.strip_prefix("listening on ")) else {
            let status = child.wait().await?;
            bail!("the server did not start ({status}); it said {first:?}");
        };
        tokio::spawn(collect(lines.into_inner(), Arc::clone(&self.log)));
        let key = std::fs::read_to_string(self.data_dir().join("admin.key")).context("no admin key")?;
        self.client = Client::new(url, Some(key.trim()));
        self.child = Some(child);
        Ok(())
    }

    /// A client with the administrator's key. It knows this start's address alone.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The directory that the server runs in; it is removed in the end.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The histories are not asked for in the end: the test has damaged the log, or has more of them than say more.
    pub fn skip_histories(&mut self) {
        self.skips_histories = true;
    }

    /// Waits until the server has printed this.
    ///
    /// # Panics
    /// When it does not.
    pub async fn until_log(&self, text: &str) {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        let seen = async {
            while !self.log().contains(text) {
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("no {text:?} in:\n{}", self.log()));
    }

    /// What the server has printed so far, over all its starts.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server's process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("the server runs")
    }

    /// Kills the server without any warning and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the server does not run")?;
        child.kill().await.context("the server could not be killed")
    }

    /// Asks the server to stop, and waits until it is gone.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM").await?;
        self.ended().await
    }

    /// Sends the server a signal by name.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await?;
        ensure!(status.success(), "the signal {name} could not be sent");
        Ok(())
    }

    /// Waits until the server is gone by itself.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let child = self.child.as_mut().context("the server does not run")?;
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.context("the server does not end")??;
        self.child = None;
        Ok(status)
    }

    /// Runs another command of the program on the same data.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null());
        tokio::time::timeout(PATIENCE, command.output()).await.context("the command does not end")?.map_err(Into::into)
    }

    /// The program with its data directory, settings and environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NO_COLOR", "1");
        command.envs(self.options.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.home.path()).args(arguments).arg("--data-dir").arg(self.data_dir());
        if let Some(database) = &self.options.database {
            command.arg("--database").arg(database);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Shown by the test runner with the failure that it explains.
            eprintln!("--- the server's log ---\n{}", self.log());
        } else if !self.skips_histories {
            let directory = format!("sqlite:{}/", self.data_dir().display());
            let address = self.options.database.clone().unwrap_or(directory);
            // A server that never came to make a log has no histories.
            if self.options.database.is_some() || self.data_dir().join("events.db").is_file() {
                let master = std::fs::read_to_string(self.data_dir().join("master.key")).ok();
                histories::settle(check_histories(address, master));
            }
        }
    }
}

/// Checks the histories of the log at this address, wherever the caller stands.
fn check_histories(address: String, master: Option<String>) -> Result<Checked, Unsound> {
    let check = move || {
        let unreadable = |error: &dyn std::fmt::Display| Unsound::Unreadable(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| unreadable(&error))?;
        runtime.block_on(async {
            let master = master.as_deref().and_then(|text| text.parse().ok()).map(Arc::new);
            let sealing = master.map(|master| Sealing { master, new_chats: false });
            let options = LogOptions { sealing, ..LogOptions::default() };
            let log = open_read_only(&address, options, runtime.handle().clone()).await;
            histories::check(&*log.map_err(|error| unreadable(&error))?).await
        })
    };
    std::thread::spawn(check).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Keeps what a process prints, to its end.
async fn collect(output: impl AsyncRead + Unpin, log: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = writeln!(log, "{line}");
    }
}
