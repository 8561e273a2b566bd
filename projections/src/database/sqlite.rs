//! Generations as SQLite files `read-<n>.db` in one directory, and a small file that names the current one.
//!
//! **Invariant:** only the process that holds the data directory opens a generation for writing, and only through its one
//! writing connection.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row as _, SqlitePool};

use crate::database::{Database, Statement};
use crate::error::ReadError;

const SCHEMA: &str = include_str!("../../../migrations/read/sqlite/0001_read.sql");
/// Names the current generation.
const POINTER_FILE: &str = "read-current";
/// Connections that read. Queries are short; more of them would only wait for the same two or four cores.
const READERS_MAX: u32 = 4;
/// Below it, two connections that write or checkpoint at the same moment can damage a database in WAL mode.
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// Where the SQLite generations live.
#[derive(Clone, Debug)]
pub(crate) struct SqliteHome {
    directory: PathBuf,
}

impl SqliteHome {
    /// Uses `directory`. Nothing is made yet.
    pub(crate) fn new(directory: PathBuf) -> SqliteHome {
        SqliteHome { directory }
    }

    /// Makes the directory if it is not there.
    pub(crate) fn prepare(&self) -> Result<(), ReadError> {
        fs::create_dir_all(&self.directory).map_err(file_error(&self.directory))
    }

    /// The current generation's number, once there is one.
    pub(crate) async fn current(&self) -> Result<Option<u64>, ReadError> {
        let path = self.directory.join(POINTER_FILE);
        match fs::read_to_string(&path) {
            // A pointer that cannot be read is no pointer: the rows it named can be made again.
            Ok(text) => Ok(text.trim().parse().ok().filter(|number| self.database_path(*number).exists())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(error) => Err(file_error(&path)(error)),
        }
    }

    /// Makes `number` the current generation, atomically.
    pub(crate) async fn set_current(&self, number: u64) -> Result<(), ReadError> {
        let path = self.directory.join(POINTER_FILE);
        let fresh = self.directory.join(format!("{POINTER_FILE}.{number}"));
        let write = || {
            let mut file = fs::File::create(&fresh)?;
            writeln!(file, "{number}")?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            fs::File::open(&self.directory)?.sync_all()
        };
        write().map_err(file_error(&path))
    }

    /// Makes an empty generation and returns its number. `seed` writes its checkpoint.
    pub(crate) async fn create(&self, seed: Statement) -> Result<(u64, Database), ReadError> {
        let number = self.numbers()?.into_iter().max().unwrap_or(0) + 1;
        let writer = self.writer(number, true).await?;
        check_version(&writer).await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
        transaction.commit().await?;
        open_session(&writer).await?;
        let database = Database::Sqlite { readers: self.readers(number), writer };
        if !database.commit(seed, Vec::new()).await? {
            return Err(ReadError::Damaged("the checkpoint could not be written".to_owned()));
        }
        Ok((number, database))
    }

    /// Opens a generation to read and write. `false` beside it says that the machine went down while it was open.
    pub(crate) async fn open_generation(&self, number: u64) -> Result<(Database, bool), ReadError> {
        let writer = self.writer(number, false).await?;
        check_version(&writer).await?;
        let session = sqlx::query("SELECT boot, clean FROM session").fetch_one(&writer).await?;
        let (boot, clean): (Option<String>, bool) = (session.try_get(0)?, session.try_get(1)?);
        // What a killed process wrote is safe with the operating system; what a dead machine had in memory is not.
        let intact = clean || (boot.is_some() && boot == boot_id());
        if intact {
            open_session(&writer).await?;
        }
        Ok((Database::Sqlite { readers: self.readers(number), writer }, intact))
    }

    /// Opens a generation that another process may be writing.
    pub(crate) fn open_to_read(&self, number: u64) -> Database {
        let readers = self.readers(number);
        Database::Sqlite { writer: readers.clone(), readers }
    }

    /// Removes a generation's files. Nobody may have it open.
    pub(crate) async fn remove(&self, number: u64) -> Result<(), ReadError> {
        let path = self.database_path(number);
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            let file = PathBuf::from(name);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&file)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The numbers of all generations that are there, finished or not.
    pub(crate) fn numbers(&self) -> Result<Vec<u64>, ReadError> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(file_error(&self.directory))? {
            let name = entry.map_err(file_error(&self.directory))?.file_name();
            let number: Option<u64> =
                name.to_str().and_then(|name| name.strip_prefix("read-")?.strip_suffix(".db")?.parse().ok());
            numbers.extend(number);
        }
        Ok(numbers)
    }

    async fn writer(&self, number: u64, create: bool) -> Result<SqlitePool, ReadError> {
        let path = self.database_path(number);
        if create {
            // The words of all chats stand in it, unsealed. What SQLite puts beside it takes its mode.
            let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            made.map_err(file_error(&path))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            // The rows can be made again from the log; waiting for the disk would buy nothing.
            .synchronous(SqliteSynchronous::Off)
            // An erased chat's words must not stay in pages that are merely free.
            .pragma("secure_delete", "ON")
            .busy_timeout(Duration::from_secs(5));
        Ok(SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(options)
            .await?)
    }

    fn readers(&self, number: u64) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.database_path(number))
            .read_only(true)
            .busy_timeout(Duration::from_secs(5));
        SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(options)
    }

    fn database_path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("read-{number}.db"))
    }
}

/// Notes, on the disk, in which run of the machine the file is open.
async fn open_session(writer: &SqlitePool) -> Result<(), ReadError> {
    // The pool has one connection, so the settings hold for the statements between them.
    sqlx::raw_sql("PRAGMA synchronous = FULL").execute(writer).await?;
    sqlx::query(
        "INSERT INTO session (one, boot, clean) VALUES (1, ?, FALSE)
         ON CONFLICT (one) DO UPDATE SET boot = excluded.boot, clean = FALSE",
    )
    .bind(boot_id())
    .execute(writer)
    .await?;
    // Into the file itself: the write-ahead log is soon written over without waiting for the disk.
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = OFF").execute(writer).await?;
    Ok(())
}

/// Writes everything to the disk and notes that the file is whole. Nobody else may have it open.
pub(crate) async fn close_session(writer: &SqlitePool) -> Result<(), ReadError> {
    sqlx::raw_sql("PRAGMA synchronous = FULL").execute(writer).await?;
    let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(writer).await?;
    // Only now: the note must not reach the disk before the rows.
    if busy == 0 {
        sqlx::query("UPDATE session SET clean = TRUE").execute(writer).await?;
    }
    Ok(())
}

/// Names the machine's present run; absent where the system does not tell.
fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

async fn check_version(pool: &SqlitePool) -> Result<(), ReadError> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    let mut numbers = found.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < VERSION_MIN {
        return Err(ReadError::SqliteTooOld { found });
    }
    Ok(())
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> ReadError + '_ {
    move |source| ReadError::File { path: path.to_owned(), source }
}
