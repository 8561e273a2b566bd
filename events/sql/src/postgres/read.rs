//! Reading a PostgreSQL log.

use sqlx::PgPool;
use sqlx::postgres::PgRow;

crate::reads::reads!(PgPool, PgRow);
