-- The log: what happened, in order. The only truth; everything else can be made again from it.

-- One row: who this log is. The timeline is renewed by a restore; the incarnation counts the openings for writing, so a
-- writer that another process has replaced is refused by its next append.
CREATE TABLE log_meta (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    timeline    BLOB NOT NULL CHECK (length(timeline) = 16),
    incarnation INTEGER NOT NULL,
    created_at  INTEGER NOT NULL              -- microseconds since 1970, UTC
) STRICT;

-- One row per lane: the position of its last event. Advanced in the transaction that adds events, so positions have no
-- gaps.
CREATE TABLE log_head (
    lane     INTEGER PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;

INSERT INTO log_head (lane, position) VALUES (0, 0);

-- One row per chat: its last event's version and hash, compared and set by every append.
CREATE TABLE streams (
    chat_id BLOB PRIMARY KEY CHECK (length(chat_id) = 16),
    version INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    lane    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- SQLite has one writer and so one lane for ever: the position alone is the key, and the table is in its order.
CREATE TABLE events (
    position     INTEGER PRIMARY KEY,
    lane         INTEGER NOT NULL DEFAULT 0 CHECK (lane = 0),
    chat_id      BLOB NOT NULL,
    version      INTEGER NOT NULL,
    event_id     BLOB NOT NULL,
    type         TEXT NOT NULL,
    schema       INTEGER NOT NULL,
    epoch        INTEGER NOT NULL DEFAULT 0,  -- of the writer's ownership of the chat's shard
    recorded_at  INTEGER NOT NULL,            -- microseconds since 1970, UTC; information, never an order
    actor_kind   TEXT NOT NULL,               -- user, node or system
    actor_name   TEXT NOT NULL,
    command_id   BLOB NOT NULL,
    causation_id BLOB,
    trace_id     TEXT,
    encoding     INTEGER NOT NULL,            -- 0 plain JSON, 1 sealed JSON
    data         BLOB NOT NULL,               -- exactly the bytes that were hashed
    hash         BLOB NOT NULL                -- the chat's chain up to and including this event
) STRICT;

CREATE UNIQUE INDEX events_by_chat ON events (chat_id, version);

-- Outcomes of commands that came with an idempotency key, kept for some days.
CREATE TABLE receipts (
    owner        TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    position     INTEGER NOT NULL,
    outcome      BLOB NOT NULL,
    recorded_at  INTEGER NOT NULL,            -- microseconds since 1970, UTC
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX receipts_by_age ON receipts (recorded_at);

-- A seat belt, not evidence: the chain of hashes is the evidence.
CREATE TRIGGER events_never_change BEFORE UPDATE ON events BEGIN SELECT raise(ABORT, 'events never change'); END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events BEGIN SELECT raise(ABORT, 'events are never deleted'); END;
