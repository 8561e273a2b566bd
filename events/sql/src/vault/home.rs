//! Where the keys are: a file of their own beside a SQLite log, a schema of their own on PostgreSQL.

use std::path::{Path, PathBuf};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;
use verbatim_events::ids::ChatId;
use verbatim_events::log::LogError;
use zeroize::Zeroizing;

use super::Erasure;
use super::rows::ErasureRow;
use super::words::server_key_place;
use crate::error::OpenError;
use crate::migrate::{KEYS_POSTGRES, KEYS_SQLITE, KEYS_TABLE, migrator_of};
use crate::postgres::vault_pool;
use crate::seal::{KEY_BYTES, MasterKey, new_key_bytes};
use crate::sqlite::KEYS_FILE;

/// Makes the schema of the keys. Nodes that start at once wait for each other.
const SCHEMA: &str = "SELECT pg_advisory_xact_lock(8532475138947703); CREATE SCHEMA IF NOT EXISTS chat_vault";

mod sqlite_rows {
    super::super::rows::rows!(sqlx::SqlitePool, "");
}

mod postgres_rows {
    super::super::rows::rows!(sqlx::PgPool, "chat_vault.");
}

/// The vault's database.
pub(crate) enum Home {
    Sqlite(PathBuf, SqlitePool),
    Postgres(String, PgPool),
}

/// The same on both databases.
macro_rules! on_both {
    ($home:expr, $function:ident($($argument:expr),*)) => {
        match $home {
            Home::Sqlite(_, pool) => sqlite_rows::$function(pool, $($argument),*).await,
            Home::Postgres(_, pool) => postgres_rows::$function(pool, $($argument),*).await,
        }
    };
}

fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(format!("the keys of chats: {error}"))
}

impl Home {
    /// The keys beside the log in the file `log`. Connections are made when they are needed.
    pub(crate) fn sqlite(log: &Path, writes: bool) -> Home {
        let path = log.with_file_name(KEYS_FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(writes)
            .read_only(!writes)
            // Without a second file that keeps what was overwritten: when a commit is done, old pages are gone.
            .journal_mode(SqliteJournalMode::Truncate)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY")
            .busy_timeout(super::super::sqlite::BUSY_TIMEOUT);
        let options = if writes { options } else { SqliteConnectOptions::new().filename(&path).read_only(true) };
        let pool = SqlitePoolOptions::new()
            // One: readers and writers of such a file wait for each other anyway.
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(options);
        Home::Sqlite(path, pool)
    }

    /// The keys in the database at `url`.
    pub(crate) fn postgres(url: &str) -> Result<Home, OpenError> {
        let (place, pool) = vault_pool(url)?;
        Ok(Home::Postgres(place, pool))
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Home::Sqlite(path, _) => path.display().to_string(),
            Home::Postgres(place, _) => format!("schema chat_vault of {place}"),
        }
    }

    /// Makes the tables if need be.
    pub(crate) async fn prepare(&self) -> Result<(), OpenError> {
        match self {
            Home::Sqlite(path, pool) => {
                let mut connection = pool.acquire().await?;
                migrator_of(KEYS_SQLITE, KEYS_TABLE).run_direct(None, &mut *connection, false).await?;
                make_private(path)?;
            }
            Home::Postgres(_, pool) => {
                let mut connection = pool.acquire().await?;
                make_schema(&mut connection).await?;
                migrator_of(KEYS_POSTGRES, KEYS_TABLE).run_direct(None, &mut *connection, false).await?;
            }
        }
        Ok(())
    }

    /// Says that the master key of this mark wraps everything, if nobody has said of another one that it does.
    pub(crate) async fn take_mark(&self, mark: &str) -> Result<(), OpenError> {
        on_both!(self, set_mark(mark))?;
        match on_both!(self, mark())? {
            Some(expected) if expected != mark => Err(OpenError::WrongMasterKey { expected, given: mark.to_owned() }),
            _ => Ok(()),
        }
    }

    /// The mark of the master key that wraps the keys; `None` where there is no vault.
    pub(crate) async fn mark(&self) -> Result<Option<String>, OpenError> {
        let exists = match self {
            Home::Sqlite(path, _) => path.exists(),
            Home::Postgres(_, pool) => {
                sqlx::query_scalar("SELECT to_regclass('chat_vault.master') IS NOT NULL").fetch_one(pool).await?
            }
        };
        if !exists {
            return Ok(None);
        }
        Ok(on_both!(self, mark())?)
    }

    /// One of the server's own keys, made if need be.
    pub(crate) async fn server_key(
        &self,
        name: &str,
        master: &MasterKey,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, OpenError> {
        let (place, damaged) =
            (server_key_place(name), |error| OpenError::Damaged(format!("the key {name:?}: {error}")));
        if on_both!(self, server_key(name))?.is_none() {
            let bytes = new_key_bytes().map_err(damaged)?;
            let wrapped = master.wrap(&place, &bytes).map_err(damaged)?;
            on_both!(self, add_server_key(name, &wrapped))?;
        }
        // Read back in any case: another node may have been first.
        let wrapped = on_both!(self, server_key(name))?.unwrap_or_default();
        master.unwrap(&place, &wrapped).map_err(damaged)
    }

    pub(crate) async fn add_chat_keys(&self, rows: &[(Uuid, Vec<u8>)]) -> Result<(), LogError> {
        on_both!(self, add_chat_keys(rows)).map_err(unavailable)
    }

    /// The wrapped keys of these ids, as far as they are there.
    pub(crate) async fn chat_keys(&self, key_ids: &[Uuid]) -> Result<Vec<(Uuid, Vec<u8>)>, LogError> {
        let mut found = Vec::with_capacity(key_ids.len());
        for key_id in key_ids {
            if let Some(wrapped) = on_both!(self, chat_key(*key_id)).map_err(unavailable)? {
                found.push((*key_id, wrapped));
            }
        }
        Ok(found)
    }

    /// Removes keys that sealed nothing.
    pub(crate) async fn give_up(&self, key_ids: &[Uuid]) -> Result<(), LogError> {
        if key_ids.is_empty() {
            return Ok(());
        }
        on_both!(self, remove_chat_keys(key_ids)).map_err(unavailable)
    }

    /// Removes keys, and what is left of them in the database.
    pub(crate) async fn destroy(&self, key_ids: &[Uuid]) -> Result<(), LogError> {
        self.give_up(key_ids).await?;
        // A deleted row may lie on in its page, or in one that was split, until that is written anew. The keys are small.
        match self {
            _ if key_ids.is_empty() => Ok(()),
            Home::Sqlite(_, pool) => pool.execute("VACUUM").await.map(drop).map_err(unavailable),
            Home::Postgres(_, pool) => {
                pool.execute("VACUUM FULL chat_vault.chat_keys").await.map(drop).map_err(unavailable)
            }
        }
    }

    pub(crate) async fn begin_erasure(
        &self,
        chat_id: ChatId,
        asked_by: &str,
        request: Option<&str>,
    ) -> Result<(), LogError> {
        on_both!(self, begin_erasure(chat_id.0, asked_by, request)).map_err(unavailable)
    }

    pub(crate) async fn note_remains(&self, chat_id: ChatId, remains: &str) -> Result<(), LogError> {
        on_both!(self, note_remains(chat_id.0, remains)).map_err(unavailable)
    }

    pub(crate) async fn end_erasure(&self, chat_id: ChatId) -> Result<(), LogError> {
        on_both!(self, end_erasure(chat_id.0)).map_err(unavailable)
    }

    pub(crate) async fn erasures(&self) -> Result<Vec<Erasure>, LogError> {
        let rows = on_both!(self, erasures()).map_err(unavailable)?;
        let erasure = |(chat_id, asked_by, request, remains): ErasureRow| {
            let chat_id = ChatId(chat_id);
            Erasure { chat_id, asked_by, request, remains }
        };
        Ok(rows.into_iter().map(erasure).collect())
    }

    /// Wraps every key with another master key, in one commit; how many there are.
    pub(crate) async fn rewrap(&self, old: &MasterKey, new: &MasterKey) -> Result<u64, OpenError> {
        match self {
            Home::Sqlite(_, pool) => sqlite_rows::rewrap(pool, old, new).await.map_err(|error| match error {
                sqlite_rows::RewrapError::Database(error) => error.into(),
                sqlite_rows::RewrapError::Key(error) => OpenError::Damaged(error.to_string()),
            }),
            Home::Postgres(_, pool) => postgres_rows::rewrap(pool, old, new).await.map_err(|error| match error {
                postgres_rows::RewrapError::Database(error) => error.into(),
                postgres_rows::RewrapError::Key(error) => OpenError::Damaged(error.to_string()),
            }),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Home::Sqlite(_, pool) => pool.close().await,
            Home::Postgres(_, pool) => pool.close().await,
        }
    }
}

async fn make_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Closes the file to everybody but its owner.
fn make_private(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::PermissionsExt as _;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}
