//! A batch as columns, the call that appends it, and what the database answers.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, Row};
use uuid::Uuid;
use verbatim_events::ids::{ChatId, Position};
use verbatim_events::log::{Append, AppendError, Appended, LogError};

use crate::queue::Answer;
use crate::raw::{self, actor_columns, read_error};

const APPEND: &str = "SELECT status, appended_to, conflict, known_hash, known_position, known_outcome FROM log_append(\
                      $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
                      $22, $23, $24, $25, $26, $27, $28, $29, $30)";

/// The lane everything is in.
const LANE: i32 = 0;
/// The epoch of events that no lease fences.
const EPOCH: i64 = 0;

macro_rules! columns {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty,)+) => {
        /// A batch, column by column. Requests are numbered from 1.
        #[derive(Default)]
        pub(crate) struct Columns {
            $($(#[doc = $doc])* $name: Vec<$type>,)+
        }

        impl Columns {
            /// The call's query with all columns bound.
            fn query(&self, now_micros: i64) -> sqlx::query::Query<'_, Postgres, sqlx::postgres::PgArguments> {
                sqlx::query(APPEND).bind(LANE).bind(EPOCH).bind(now_micros)$(.bind(&self.$name[..]))+
            }
        }
    };
}

// The order is that of the function's parameters.
columns! {
    /// Per request: how many events it has.
    request_events: i64,
    /// Per chat of a request.
    stream_request: i32,
    stream_chat: Uuid,
    stream_version: i64,
    stream_hash: Vec<u8>,
    stream_new_version: i64,
    stream_new_hash: Vec<u8>,
    /// Per receipt.
    receipt_request: i32,
    receipt_owner: String,
    receipt_key: String,
    receipt_hash: Vec<u8>,
    receipt_outcome: Vec<u8>,
    /// Per event, in order.
    event_request: i32,
    event_chat: Uuid,
    event_version: i64,
    event_id: Uuid,
    event_type: String,
    event_schema: i64,
    event_recorded_at: i64,
    event_actor_kind: &'static str,
    event_actor_name: String,
    event_command: Uuid,
    event_causation: Option<Uuid>,
    event_trace: Option<String>,
    event_encoding: i64,
    event_data: Vec<u8>,
    event_hash: Vec<u8>,
}

impl Columns {
    /// Takes the appends apart.
    pub(crate) fn new(appends: Vec<Append>) -> Columns {
        let mut columns = Columns::default();
        for (request, append) in (1..).zip(appends) {
            columns.add(request, append);
        }
        columns
    }

    fn add(&mut self, request: i32, append: Append) {
        let events = append.streams.iter().map(|stream| stream.events.len() as i64).sum();
        self.request_events.push(events);
        for stream in append.streams {
            let last = stream.events.last();
            let new_hash = last.map_or(stream.expected_hash, |event| event.hash);
            self.stream_request.push(request);
            self.stream_chat.push(stream.chat_id.0);
            self.stream_version.push(raw::signed(stream.expected_version));
            self.stream_hash.push(stream.expected_hash.0.to_vec());
            self.stream_new_version.push(raw::signed(last.map_or(stream.expected_version, |event| event.version)));
            self.stream_new_hash.push(new_hash.0.to_vec());
            for event in stream.events {
                let (actor_kind, actor_name) = actor_columns(event.actor);
                self.event_request.push(request);
                self.event_chat.push(event.chat_id.0);
                self.event_version.push(raw::signed(event.version));
                self.event_id.push(event.event_id);
                self.event_type.push(event.event_type);
                self.event_schema.push(i64::from(event.schema));
                self.event_recorded_at.push(event.recorded_at.timestamp_micros());
                self.event_actor_kind.push(actor_kind);
                self.event_actor_name.push(actor_name);
                self.event_command.push(event.command_id);
                self.event_causation.push(event.causation_id);
                self.event_trace.push(event.trace_id);
                self.event_encoding.push(i64::from(event.encoding.code()));
                self.event_data.push(event.data);
                self.event_hash.push(event.hash.0.to_vec());
            }
        }
        if let Some(receipt) = append.receipt {
            self.receipt_request.push(request);
            self.receipt_owner.push(receipt.owner);
            self.receipt_key.push(receipt.key);
            self.receipt_hash.push(receipt.request_hash.0.to_vec());
            self.receipt_outcome.push(receipt.outcome);
        }
    }

    /// How many requests there are.
    pub(crate) fn len(&self) -> usize {
        self.request_events.len()
    }

    /// Appends the batch: one statement, and a transaction of its own unless one is open.
    pub(crate) async fn append(
        &self,
        connection: &mut PgConnection,
        now_micros: i64,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        self.query(now_micros).fetch_all(connection).await
    }
}

/// What a batch's callers are told, and the newest position of it.
pub(crate) struct Verdict {
    pub(crate) answers: Vec<Answer>,
    pub(crate) head: Position,
}

/// Reads the database's answer to a batch.
pub(crate) fn verdict(rows: &[PgRow]) -> Result<Verdict, LogError> {
    let mut verdict = Verdict { answers: Vec::with_capacity(rows.len()), head: 0 };
    for row in rows {
        let error = |error| read_error(error, 0);
        let position = raw::unsigned(row.try_get(1).map_err(error)?, 0, "a position")?;
        let answer = match row.try_get::<i32, _>(0).map_err(error)? {
            0 => Ok(Appended { position }),
            1 => Err(AppendError::Conflict { chat_id: ChatId(row.try_get(2).map_err(error)?) }),
            _ => {
                let hash: Vec<u8> = row.try_get(3).map_err(error)?;
                let (position, outcome) = (row.try_get(4).map_err(error)?, row.try_get(5).map_err(error)?);
                Err(AppendError::Duplicate(Box::new(raw::receipt(&hash, position, outcome)?)))
            }
        };
        verdict.head = verdict.head.max(position);
        verdict.answers.push(answer);
    }
    Ok(verdict)
}
