//! One row of either database, read by column number.

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::error::ReadError;

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Reads a column of one of the types that both databases share.
macro_rules! column {
    ($name:ident, $type:ty) => {
        pub(crate) fn $name(&self, column: usize) -> Result<$type, ReadError> {
            Ok(match self {
                Row::Sqlite(row) => row.try_get(column)?,
                Row::Postgres(row) => row.try_get(column)?,
            })
        }
    };
}

impl Row {
    column!(id, Uuid);
    column!(optional_id, Option<Uuid>);
    column!(integer, i64);
    column!(optional_integer, Option<i64>);
    column!(boolean, bool);
    column!(text, String);
    column!(optional_text, Option<String>);

    /// A version, position or count.
    pub(crate) fn unsigned(&self, column: usize) -> Result<u64, ReadError> {
        unsigned(self.integer(column)?)
    }

    /// A version, position or count that may be absent.
    pub(crate) fn optional_unsigned(&self, column: usize) -> Result<Option<u64>, ReadError> {
        self.optional_integer(column)?.map(unsigned).transpose()
    }

    /// A column of JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, ReadError> {
        from_json(&self.text(column)?)
    }

    /// A column of JSON that may be absent.
    pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<Option<T>, ReadError> {
        self.optional_text(column)?.as_deref().map(from_json).transpose()
    }
}

fn unsigned(number: i64) -> Result<u64, ReadError> {
    u64::try_from(number).map_err(|_| ReadError::Damaged(format!("a count of {number}")))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(|error| ReadError::Damaged(format!("a {}: {error}", std::any::type_name::<T>())))
}
