//! Filling a log in a PostgreSQL database: in a schema of its own, and then in one transaction.

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Executor as _};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use uuid::Uuid;
use verbatim_events::envelope::NewEvent;
use verbatim_events::ids::Position;

use super::StagingError;
use crate::error::OpenError;
use crate::options::LogOptions;
use crate::postgres::{Claim, PostgresLog, filling};
use crate::raw::{actor_columns, event_columns, signed};
use crate::task::run_on;

/// The schema beside the log's.
const SCHEMA: &str = "verbatim_import";

const DROP: &str = "DROP SCHEMA IF EXISTS verbatim_import CASCADE";

/// Adds events after a position, in order.
const ADD: &str = concat!(
    "WITH added AS (INSERT INTO verbatim_import.events (",
    event_columns!(),
    ") SELECT $1 + e.place, e.chat, e.version, e.id, e.type, e.schema, e.recorded_at, e.actor_kind, e.actor_name, \
     e.command, e.causation, e.trace, e.encoding, e.data, e.hash \
     FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[], $7::bigint[], $8::text[], $9::text[], \
     $10::uuid[], $11::uuid[], $12::text[], $13::bigint[], $14::bytea[], $15::bytea[]) WITH ORDINALITY \
     AS e (chat, version, id, type, schema, recorded_at, actor_kind, actor_name, command, causation, trace, encoding, data, \
     hash, place)) \
     UPDATE verbatim_import.log_head SET position = $1 + cardinality($2) WHERE lane = 0"
);

const HEAD: &str = "SELECT position FROM log_head WHERE lane = 0 FOR UPDATE";

const MOVE_EVENTS: &str = concat!(
    "INSERT INTO events (",
    event_columns!(),
    ") SELECT ",
    event_columns!(),
    " FROM verbatim_import.events WHERE lane = 0 ORDER BY position"
);

const MOVE_STREAMS: &str = "INSERT INTO streams (chat_id, version, hash) SELECT DISTINCT ON (chat_id) chat_id, version, \
                            hash FROM verbatim_import.events ORDER BY chat_id, version DESC";

const MOVE_HEAD: &str = "UPDATE log_head SET position = \
                         (SELECT position FROM verbatim_import.log_head WHERE lane = 0) WHERE lane = 0";

/// A schema beside a log's.
pub(super) struct PostgresStaging {
    address: PgConnectOptions,
    connection: Arc<Mutex<PgConnection>>,
    readers: Arc<PostgresLog>,
    claim: Claim,
}

fn failed(error: sqlx::Error) -> StagingError {
    StagingError::Write(error.to_string())
}

impl PostgresStaging {
    /// Makes the schema, and opens it for reading.
    pub(super) async fn begin(
        url: String,
        options: LogOptions,
        runtime: &Handle,
    ) -> Result<(PostgresStaging, Arc<PostgresLog>), StagingError> {
        let handle = runtime.clone();
        run_on(runtime, async move {
            let claim = Claim::take(&url).await?;
            let (address, mut connection, head) = filling::take(&url, &options).await?;
            if head > 0 {
                return Err(StagingError::NotEmpty { head });
            }
            for statement in [DROP, "CREATE SCHEMA verbatim_import"] {
                connection.execute(statement).await.map_err(failed)?;
            }
            // What is written here is copied before it counts.
            connection.execute("SET synchronous_commit = off").await.map_err(failed)?;
            let readers = Arc::new(filling::open_schema(&url, SCHEMA, options, handle).await?);
            let connection = Arc::new(Mutex::new(connection));
            let stage = PostgresStaging { address, connection, readers: Arc::clone(&readers), claim };
            Ok((stage, readers))
        })
        .await?
    }

    /// Adds events after `head`.
    pub(super) async fn add(
        &mut self,
        head: Position,
        events: Vec<NewEvent>,
        runtime: &Handle,
    ) -> Result<(), StagingError> {
        let (connection, columns) = (Arc::clone(&self.connection), Columns::new(events));
        let added = run_on(runtime, async move { columns.add(&mut *connection.lock().await, head).await }).await?;
        added.map_err(failed)
    }

    /// Moves everything into the log, in one transaction.
    pub(super) async fn publish(self, timeline: Uuid, runtime: &Handle) -> Result<(), StagingError> {
        let PostgresStaging { address, connection, readers, claim } = self;
        readers.close().await;
        run_on(runtime, async move {
            let _held = claim;
            drop(connection);
            let mut connection = filling::patient(&address).await.map_err(failed)?;
            let mut transaction = connection.begin().await.map_err(failed)?;
            let head: i64 = sqlx::query_scalar(HEAD).fetch_one(&mut *transaction).await.map_err(failed)?;
            if head != 0 {
                return Err(StagingError::NotEmpty { head: head.unsigned_abs() });
            }
            for statement in [MOVE_EVENTS, MOVE_STREAMS, MOVE_HEAD, DROP] {
                transaction.execute(statement).await.map_err(failed)?;
            }
            let renewal = sqlx::query("UPDATE log_meta SET timeline = $1, incarnation = incarnation + 1");
            renewal.bind(timeline).execute(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(|error| StagingError::Unknown(error.to_string()))?;
            connection.close().await.map_err(failed)
        })
        .await?
    }

    /// Removes the schema.
    pub(super) async fn discard(self, runtime: &Handle) -> Result<(), StagingError> {
        let PostgresStaging { connection, readers, claim, .. } = self;
        readers.close().await;
        run_on(runtime, async move {
            let _held = claim;
            connection.lock().await.execute(DROP).await.map(drop).map_err(failed)
        })
        .await?
    }
}

/// Refuses a log beside which a filling was cut short.
pub(crate) async fn refuse_half(url: &str) -> Result<(), OpenError> {
    if filling::has_schema(url, SCHEMA).await? {
        let place = format!("the schema {SCHEMA} of the log's database");
        return Err(OpenError::HalfFilled { place });
    }
    Ok(())
}

/// Events, column by column.
#[derive(Default)]
struct Columns {
    chats: Vec<Uuid>,
    versions: Vec<i64>,
    ids: Vec<Uuid>,
    types: Vec<String>,
    schemas: Vec<i64>,
    times: Vec<i64>,
    actor_kinds: Vec<&'static str>,
    actor_names: Vec<String>,
    commands: Vec<Uuid>,
    causations: Vec<Option<Uuid>>,
    traces: Vec<Option<String>>,
    encodings: Vec<i64>,
    data: Vec<Vec<u8>>,
    hashes: Vec<Vec<u8>>,
}

impl Columns {
    fn new(events: Vec<NewEvent>) -> Columns {
        let mut columns = Columns::default();
        for event in events {
            let (actor_kind, actor_name) = actor_columns(event.actor);
            columns.chats.push(event.chat_id.0);
            columns.versions.push(signed(event.version));
            columns.ids.push(event.event_id);
            columns.types.push(event.event_type);
            columns.schemas.push(i64::from(event.schema));
            columns.times.push(event.recorded_at.timestamp_micros());
            columns.actor_kinds.push(actor_kind);
            columns.actor_names.push(actor_name);
            columns.commands.push(event.command_id);
            columns.causations.push(event.causation_id);
            columns.traces.push(event.trace_id);
            columns.encodings.push(i64::from(event.encoding.code()));
            columns.data.push(event.data);
            columns.hashes.push(event.hash.0.to_vec());
        }
        columns
    }

    async fn add(self, connection: &mut PgConnection, head: Position) -> Result<(), sqlx::Error> {
        sqlx::query(ADD)
            .bind(signed(head))
            .bind(self.chats)
            .bind(self.versions)
            .bind(self.ids)
            .bind(self.types)
            .bind(self.schemas)
            .bind(self.times)
            .bind(self.actor_kinds)
            .bind(self.actor_names)
            .bind(self.commands)
            .bind(self.causations)
            .bind(self.traces)
            .bind(self.encodings)
            .bind(self.data)
            .bind(self.hashes)
            .execute(connection)
            .await
            .map(drop)
    }
}
