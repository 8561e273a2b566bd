//! A PostgreSQL server of our own, thrown away with the process that started it.
//!
//! Tests share one server, and each gets a database of its own: with `cargo test` one server per process, with nextest,
//! which gives each test a process, one per run. The cluster is a copy of a template that `initdb` made once and that
//! stays in the target directory. A guardian process waits for our end (a pipe that we hold open is closed) or for that
//! of the whole run: however it comes, the server is stopped and its files are removed.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

const MISSING: &str = "these tests need PostgreSQL's server programs (initdb, pg_ctl, postgres) on the PATH or in \
                       /usr/lib/postgresql/*/bin; install them with: apt-get install postgresql";

/// A running server.
pub struct Postgres {
    programs: Programs,
    home: PathBuf,
    fsync: bool,
    /// The guardian of a server of ours; its standard input is the pipe it waits for.
    _guardian: Option<Child>,
}

/// The installed programs, and the user they must run as: the server refuses root.
#[derive(Clone)]
struct Programs {
    directory: PathBuf,
    user: Option<(u32, u32)>,
}

impl Postgres {
    /// The server of this process or test run; started by the first who asks.
    pub async fn shared() -> anyhow::Result<&'static Postgres> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        let start = || match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => Postgres::of_run(&run),
            Err(_) => Postgres::start(false),
        };
        SHARED.get_or_try_init(|| async { start() }).await
    }

    /// The server of a run of tests in processes of their own, all children of one.
    fn of_run(run: &str) -> anyhow::Result<Postgres> {
        let programs = Programs::find()?;
        let template = programs.template()?;
        let home = std::env::temp_dir().join(format!("verbatim-postgres-{run}"));
        let _one_starts = lock("run")?;
        let server = Postgres { programs, home, fsync: false, _guardian: None };
        let ready = server.home.join("ready");
        if !ready.is_file() {
            fs::create_dir(&server.home)?;
            server.programs.own(&server.home)?;
            // Not to be waited for: it ends after the run.
            drop(server.programs.guard(&server.home, End::OfProcess(std::os::unix::process::parent_id()))?);
            server.fill(&template)?;
            File::create(ready)?;
        }
        Ok(server)
    }

    /// A server for one test alone, which may kill it. `fsync` makes it write as in production.
    pub fn start(fsync: bool) -> anyhow::Result<Postgres> {
        let programs = Programs::find()?;
        let template = programs.template()?;
        let home = tempfile::Builder::new().prefix("verbatim-postgres-").tempdir()?.keep();
        programs.own(&home)?;
        let guardian = programs.guard(&home, End::OfPipe)?;
        let server = Postgres { programs, home, fsync, _guardian: Some(guardian) };
        server.fill(&template)?;
        Ok(server)
    }

    /// Makes the cluster and starts it.
    fn fill(&self, template: &Path) -> anyhow::Result<()> {
        let copy = Command::new("cp").arg("-R").arg(template).arg(self.home.join("data")).status()?;
        ensure!(copy.success(), "the template {} could not be copied", template.display());
        self.programs.own_all(&self.home)?;
        self.resume()
    }

    /// Starts the server again after it was stopped or killed. Returns when it takes connections.
    pub fn resume(&self) -> anyhow::Result<()> {
        // After a crash every file is synchronised, one by one or, which is faster, the file system at once.
        let switches = if self.fsync {
            "-c recovery_init_sync_method=syncfs"
        } else {
            "-c fsync=off -c full_page_writes=off -c synchronous_commit=off"
        };
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200 -c shared_buffers=32MB \
             {switches}",
            self.home.display()
        );
        // A server that was killed leaves children that take a moment to notice; until then a new one refuses to start.
        let mut problem = String::new();
        for _ in 0..100 {
            let output = self
                .programs
                .command("pg_ctl")
                .args(["-w", "-s", "start", "-o", &options])
                .arg("-D")
                .arg(self.home.join("data"))
                .arg("-l")
                .arg(self.home.join("log"))
                .stdin(Stdio::null())
                .output()?;
            if output.status.success() {
                return Ok(());
            }
            problem = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        let log = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        bail!("PostgreSQL does not start: {problem}\n{log}")
    }

    /// Kills the server without any warning.
    pub fn kill(&self) -> anyhow::Result<()> {
        let pid = fs::read_to_string(self.home.join("data/postmaster.pid"))?;
        let pid = pid.lines().next().context("the pid file is empty")?;
        let killed = Command::new("kill").args(["-9", pid]).status()?;
        ensure!(killed.success(), "the server {pid} could not be killed");
        Ok(())
    }

    /// Stops the server: sessions are cut, the rest is in order.
    pub fn stop(&self) -> anyhow::Result<()> {
        let data = self.home.join("data");
        let status =
            self.programs.command("pg_ctl").args(["-w", "-s", "-m", "fast", "stop", "-D"]).arg(data).status()?;
        ensure!(status.success(), "the server did not stop");
        Ok(())
    }

    /// Makes an empty database and returns its address.
    pub async fn database(&self) -> anyhow::Result<String> {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(&self.address("postgres")).await?;
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        connection.close().await?;
        Ok(self.address(&name))
    }

    fn address(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.home.display())
    }
}

impl Programs {
    fn find() -> anyhow::Result<Programs> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut installed: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
        // Names are version numbers: the newest comes first.
        installed.sort_by_key(|path| std::cmp::Reverse(version_of(path)));
        let directory = installed
            .into_iter()
            .chain(std::env::split_paths(&path))
            .find(|directory| ["initdb", "pg_ctl", "postgres"].iter().all(|name| directory.join(name).is_file()))
            .context(MISSING)?;
        let user = if is_root()? { Some(unprivileged_user()?) } else { None };
        Ok(Programs { directory, user })
    }

    fn command(&self, name: &str) -> Command {
        self.as_user(Command::new(self.directory.join(name)))
    }

    fn as_user(&self, mut command: Command) -> Command {
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
        command
    }

    /// Gives a path to the server's user.
    fn own(&self, path: &Path) -> io::Result<()> {
        match self.user {
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// Gives a directory and everything in it to the server's user.
    fn own_all(&self, directory: &Path) -> anyhow::Result<()> {
        if let Some((user, group)) = self.user {
            let status = Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(directory).status()?;
            ensure!(status.success(), "{} could not be given to the server's user", directory.display());
        }
        Ok(())
    }

    /// An initialised cluster that never ran; made by the first who needs it, for all test runs to come.
    fn template(&self) -> anyhow::Result<PathBuf> {
        let version = self.command("postgres").arg("--version").output()?.stdout;
        let version: String = String::from_utf8_lossy(&version).chars().filter(char::is_ascii_alphanumeric).collect();
        let cache = cache_directory()?;
        let template = cache.join(&version);
        let _one_makes_it = lock("template")?;
        if template.is_dir() {
            return Ok(template);
        }
        let made = tempfile::Builder::new().prefix("verbatim-template-").tempdir()?;
        self.own(made.path())?;
        let output = self
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(made.path().join("data"))
            .output()?;
        ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        // Copied under another name first: a template that is there is whole.
        let half = cache.join(format!("{version}.half"));
        if half.exists() {
            fs::remove_dir_all(&half)?;
        }
        let copy = Command::new("cp").arg("-R").arg(made.path().join("data")).arg(&half).status()?;
        ensure!(copy.success(), "the template could not be copied to {}", half.display());
        fs::rename(&half, &template)?;
        Ok(template)
    }

    /// Starts the process that waits for the end, stops the server and removes its files.
    fn guard(&self, home: &Path, end: End) -> anyhow::Result<Child> {
        let wait = match end {
            End::OfPipe => "cat > /dev/null".to_owned(),
            End::OfProcess(process) => format!("while ps -p {process} > /dev/null; do sleep 1; done"),
        };
        let script = format!(r#"{wait}; "$1/pg_ctl" -s -m immediate -D "$2/data" stop; rm -rf "$2""#);
        let mut command = self.as_user(Command::new("sh"));
        command.args(["-c", &script, "guardian"]).arg(&self.directory).arg(home);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.spawn().context("the guardian of the test server does not start")
    }
}

/// What a guardian waits for.
enum End {
    /// The pipe's other end is closed: whoever held it is gone.
    OfPipe,
    /// A process is gone.
    OfProcess(u32),
}

/// A lock among all test processes, until it is dropped.
fn lock(name: &str) -> anyhow::Result<File> {
    let file = File::create(cache_directory()?.join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}

/// The number in `/usr/lib/postgresql/NUMBER/bin`.
fn version_of(path: &Path) -> u32 {
    let name = path.parent().and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().parse().unwrap_or_default()
}

fn is_root() -> anyhow::Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// The user and group ids of somebody who is not root: the database's own user, or nobody.
fn unprivileged_user() -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        let fields: Vec<&str> = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).context("there is no user but root to run PostgreSQL as")
}

/// Where templates and locks are, within the build's target directory: the one above us that cargo has marked.
fn cache_directory() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let marked = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    let cache = marked.map_or_else(std::env::temp_dir, Path::to_path_buf).join("test-postgres");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}
