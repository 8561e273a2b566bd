//! Reading a SQLite log.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

crate::reads::reads!(SqlitePool, SqliteRow);
