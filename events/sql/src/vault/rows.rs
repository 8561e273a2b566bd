//! The vault's rows. The statements are the same for both databases but for where the tables are; the types of
//! connections differ, so this is a macro.

use uuid::Uuid;

/// An erasure's columns: `chat_id`, `asked_by`, `request`, `remains`.
pub(crate) type ErasureRow = (Uuid, String, Option<String>, Option<String>);

/// Defines what is done with the vault's tables, for a pool of connections and a prefix of their names.
macro_rules! rows {
    ($pool:ty, $prefix:literal) => {
        use uuid::Uuid;

        use crate::seal::{MasterKey, SealError};
        use crate::vault::rows::ErasureRow;
        use crate::vault::words::{chat_key_place, server_key_place};

        /// Which master key wraps everything.
        pub(crate) async fn mark(pool: &$pool) -> Result<Option<String>, sqlx::Error> {
            sqlx::query_scalar(concat!("SELECT mark FROM ", $prefix, "master")).fetch_optional(pool).await
        }

        /// Says which master key wraps everything, if nobody has.
        pub(crate) async fn set_mark(pool: &$pool, mark: &str) -> Result<(), sqlx::Error> {
            let statement =
                concat!("INSERT INTO ", $prefix, "master (id, mark) VALUES (1, $1) ON CONFLICT (id) DO NOTHING");
            sqlx::query(statement).bind(mark).execute(pool).await.map(drop)
        }

        /// Keeps keys of chats to come, all in one commit.
        pub(crate) async fn add_chat_keys(pool: &$pool, rows: &[(Uuid, Vec<u8>)]) -> Result<(), sqlx::Error> {
            let mut transaction = pool.begin().await?;
            for (key_id, wrapped) in rows {
                sqlx::query(concat!("INSERT INTO ", $prefix, "chat_keys (key_id, wrapped) VALUES ($1, $2)"))
                    .bind(*key_id)
                    .bind(&wrapped[..])
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        }

        /// A chat's wrapped key.
        pub(crate) async fn chat_key(pool: &$pool, key_id: Uuid) -> Result<Option<Vec<u8>>, sqlx::Error> {
            sqlx::query_scalar(concat!("SELECT wrapped FROM ", $prefix, "chat_keys WHERE key_id = $1"))
                .bind(key_id)
                .fetch_optional(pool)
                .await
        }

        /// Removes chats' keys.
        pub(crate) async fn remove_chat_keys(pool: &$pool, key_ids: &[Uuid]) -> Result<(), sqlx::Error> {
            let mut transaction = pool.begin().await?;
            for key_id in key_ids {
                sqlx::query(concat!("DELETE FROM ", $prefix, "chat_keys WHERE key_id = $1"))
                    .bind(*key_id)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        }

        /// One of the server's wrapped keys.
        pub(crate) async fn server_key(pool: &$pool, name: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
            sqlx::query_scalar(concat!("SELECT wrapped FROM ", $prefix, "server_keys WHERE name = $1"))
                .bind(name)
                .fetch_optional(pool)
                .await
        }

        /// Keeps one of the server's keys, unless another one has the name.
        pub(crate) async fn add_server_key(pool: &$pool, name: &str, wrapped: &[u8]) -> Result<(), sqlx::Error> {
            let statement = concat!(
                "INSERT INTO ",
                $prefix,
                "server_keys (name, wrapped) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
            );
            sqlx::query(statement).bind(name).bind(wrapped).execute(pool).await?;
            Ok(())
        }

        /// Notes an erasure, unless it is noted already.
        pub(crate) async fn begin_erasure(
            pool: &$pool,
            chat_id: Uuid,
            asked_by: &str,
            request: Option<&str>,
        ) -> Result<(), sqlx::Error> {
            let statement = concat!(
                "INSERT INTO ",
                $prefix,
                "erasures (chat_id, asked_by, request) VALUES ($1, $2, $3) ON CONFLICT (chat_id) DO NOTHING"
            );
            sqlx::query(statement).bind(chat_id).bind(asked_by).bind(request).execute(pool).await?;
            Ok(())
        }

        /// Notes what is to be removed.
        pub(crate) async fn note_remains(pool: &$pool, chat_id: Uuid, remains: &str) -> Result<(), sqlx::Error> {
            sqlx::query(concat!("UPDATE ", $prefix, "erasures SET remains = $2 WHERE chat_id = $1"))
                .bind(chat_id)
                .bind(remains)
                .execute(pool)
                .await?;
            Ok(())
        }

        /// Forgets an erasure.
        pub(crate) async fn end_erasure(pool: &$pool, chat_id: Uuid) -> Result<(), sqlx::Error> {
            sqlx::query(concat!("DELETE FROM ", $prefix, "erasures WHERE chat_id = $1"))
                .bind(chat_id)
                .execute(pool)
                .await?;
            Ok(())
        }

        /// The erasures that are not finished.
        pub(crate) async fn erasures(pool: &$pool) -> Result<Vec<ErasureRow>, sqlx::Error> {
            let statement =
                concat!("SELECT chat_id, asked_by, request, remains FROM ", $prefix, "erasures ORDER BY chat_id");
            sqlx::query_as(statement).fetch_all(pool).await
        }

        /// Wraps every key anew, in one commit; how many there were.
        pub(crate) async fn rewrap(pool: &$pool, old: &MasterKey, new: &MasterKey) -> Result<u64, RewrapError> {
            let mut transaction = pool.begin().await?;
            let chats: Vec<(Uuid, Vec<u8>)> =
                sqlx::query_as(concat!("SELECT key_id, wrapped FROM ", $prefix, "chat_keys"))
                    .fetch_all(&mut *transaction)
                    .await?;
            let servers: Vec<(String, Vec<u8>)> =
                sqlx::query_as(concat!("SELECT name, wrapped FROM ", $prefix, "server_keys"))
                    .fetch_all(&mut *transaction)
                    .await?;
            let count = (chats.len() + servers.len()) as u64;
            for (key_id, wrapped) in chats {
                let place = chat_key_place(key_id);
                let wrapped = new.wrap(&place, &*old.unwrap(&place, &wrapped)?)?;
                sqlx::query(concat!("UPDATE ", $prefix, "chat_keys SET wrapped = $2 WHERE key_id = $1"))
                    .bind(key_id)
                    .bind(wrapped)
                    .execute(&mut *transaction)
                    .await?;
            }
            for (name, wrapped) in servers {
                let place = server_key_place(&name);
                let wrapped = new.wrap(&place, &*old.unwrap(&place, &wrapped)?)?;
                sqlx::query(concat!("UPDATE ", $prefix, "server_keys SET wrapped = $2 WHERE name = $1"))
                    .bind(name)
                    .bind(wrapped)
                    .execute(&mut *transaction)
                    .await?;
            }
            sqlx::query(concat!("UPDATE ", $prefix, "master SET mark = $1"))
                .bind(new.mark())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(count)
        }

        /// Why keys were not wrapped anew. Nothing changed.
        #[derive(Debug)]
        pub(crate) enum RewrapError {
            Database(sqlx::Error),
            Key(SealError),
        }

        impl From<sqlx::Error> for RewrapError {
            fn from(error: sqlx::Error) -> RewrapError {
                RewrapError::Database(error)
            }
        }

        impl From<SealError> for RewrapError {
            fn from(error: SealError) -> RewrapError {
                RewrapError::Key(error)
            }
        }
    };
}
pub(crate) use rows;
