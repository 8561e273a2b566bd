//! Bringing a log's tables to this version.

use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Where a log remembers which migrations it has had; apart from those of the read models.
const TABLE: &str = "log_migrations";

/// The migrations of a log on SQLite, in order.
pub(crate) const SQLITE: &[(i64, &str, &str)] = &[
    (1, "log", include_str!("../../../migrations/log/sqlite/0001_log.sql")),
    (2, "keys", include_str!("../../../migrations/log/sqlite/0002_keys.sql")),
    (3, "receipts", include_str!("../../../migrations/log/sqlite/0003_receipts.sql")),
];

/// The migrations of a log on PostgreSQL, in order. Each has a partner of the same name on SQLite.
pub(crate) const POSTGRES: &[(i64, &str, &str)] = &[
    (1, "log", include_str!("../../../migrations/log/postgres/0001_log.sql")),
    (2, "keys", include_str!("../../../migrations/log/postgres/0002_keys.sql")),
    (3, "receipts", include_str!("../../../migrations/log/postgres/0003_receipts.sql")),
];

/// Where a vault remembers which migrations it has had.
pub(crate) const KEYS_TABLE: &str = "vault_migrations";

/// The migrations of a vault on SQLite, in order.
pub(crate) const KEYS_SQLITE: &[(i64, &str, &str)] = &[
    (1, "keys", include_str!("../../../migrations/keys/sqlite/0001_keys.sql")),
    (2, "request", include_str!("../../../migrations/keys/sqlite/0002_request.sql")),
];

/// The migrations of a vault on PostgreSQL, in order.
pub(crate) const KEYS_POSTGRES: &[(i64, &str, &str)] = &[
    (1, "keys", include_str!("../../../migrations/keys/postgres/0001_keys.sql")),
    (2, "request", include_str!("../../../migrations/keys/postgres/0002_request.sql")),
];

/// A migrator that runs `migrations` of a log, each in a transaction of its own.
pub(crate) fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    migrator_of(migrations, TABLE)
}

/// A migrator that runs `migrations` and remembers them in `table`.
pub(crate) fn migrator_of(migrations: &[(i64, &'static str, &'static str)], table: &'static str) -> Migrator {
    let migrations = migrations.iter().map(|(number, name, text)| {
        Migration::new(*number, (*name).into(), MigrationType::Simple, SqlStr::from_static(text), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(table);
    migrator
}

#[cfg(test)]
mod tests;
