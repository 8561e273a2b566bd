-- One generation of the read models. Everything here is computed from the log and may be thrown away.
-- Times are microseconds since 1970 in UTC; versions, positions and ids inside a chat are the log's.

-- How far the rows have come, and what they were made by. One row; it moves in the transaction that writes the rows.
CREATE TABLE checkpoint (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    fingerprint TEXT    NOT NULL,
    timeline    BLOB    NOT NULL,
    position    INTEGER NOT NULL,
    recorded_at INTEGER,
    retired     INTEGER NOT NULL
) STRICT;

-- The machine's boot in which the file was last open, and whether it was closed in order: without synchronous writes a
-- power cut may damage the file unnoticed.
CREATE TABLE session (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    boot  TEXT,
    clean INTEGER NOT NULL
) STRICT;

-- A chat's outline, with the columns that lists filter and sort by.
CREATE TABLE chats (
    chat_id   BLOB    PRIMARY KEY,
    owner     TEXT    NOT NULL,
    parent    BLOB,
    root      BLOB    NOT NULL,
    title     TEXT    NOT NULL,
    status    TEXT    NOT NULL,
    archived  INTEGER NOT NULL,
    pinned    INTEGER NOT NULL,
    erased    INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    position  INTEGER NOT NULL,
    workspace TEXT,
    outline   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX chats_by_activity ON chats (pinned DESC, position DESC);
CREATE INDEX chats_by_owner ON chats (owner, pinned DESC, position DESC);
CREATE INDEX chats_by_parent ON chats (parent) WHERE parent IS NOT NULL;
CREATE INDEX chats_by_root ON chats (root);
CREATE INDEX chats_by_workspace ON chats (workspace, chat_id) WHERE workspace IS NOT NULL;

CREATE TABLE labels (
    chat_id BLOB NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (chat_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_by_value ON labels (name, value);

-- Messages, withdrawn ones too. `position` is the committing event's.
CREATE TABLE messages (
    position     INTEGER PRIMARY KEY,
    chat_id      BLOB    NOT NULL,
    id           INTEGER NOT NULL,
    role         TEXT    NOT NULL,
    visibility   TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    turn_id      INTEGER,
    withdrawn_by INTEGER,
    message      TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_by_id ON messages (chat_id, id);

-- The words of messages that users may see; rowid is the message's position. It keeps the words themselves too: only
-- from them can an erased message's entries be found and overwritten in the index, instead of being marked as gone.
CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = 'unicode61');
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);

-- Messages that wait. Lower seats come first.
CREATE TABLE queue (
    chat_id   BLOB    NOT NULL,
    id        INTEGER NOT NULL,
    seat      INTEGER NOT NULL,
    queued_at INTEGER NOT NULL,
    message   TEXT    NOT NULL,
    PRIMARY KEY (chat_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE turns (
    chat_id     BLOB    NOT NULL,
    turn_id     INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    outcome     TEXT,
    error       TEXT,
    usage       TEXT    NOT NULL,
    cost_micros INTEGER,
    steps       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    retries     INTEGER NOT NULL,
    tool_calls  INTEGER NOT NULL,
    duration_ms INTEGER,
    PRIMARY KEY (chat_id, turn_id)
) STRICT, WITHOUT ROWID;

-- Which chats ever showed a file; whether one still does, its outline says.
CREATE TABLE chat_files (
    file_id TEXT NOT NULL,
    chat_id BLOB NOT NULL,
    PRIMARY KEY (file_id, chat_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chat_files_by_chat ON chat_files (chat_id);

-- What owners are notified of. `position` is the event's.
CREATE TABLE inbox (
    position   INTEGER PRIMARY KEY,
    owner      TEXT    NOT NULL,
    chat_id    BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    template   TEXT    NOT NULL,
    turn_id    INTEGER NOT NULL,
    outcome    TEXT,
    error_kind TEXT,
    created_at INTEGER NOT NULL,
    is_read    INTEGER NOT NULL
) STRICT;
CREATE INDEX inbox_by_owner ON inbox (owner, position);
CREATE INDEX inbox_unread ON inbox (owner, position) WHERE NOT is_read;
CREATE UNIQUE INDEX inbox_by_event ON inbox (chat_id, version);

-- What was spent, in sums per day (days since 1970, UTC), owner, model, purpose and chat. Costs are millionths of a US
-- dollar; a step of unknown cost counts in `unpriced_steps` and adds nothing to `cost_micros`. Erased chats keep theirs.
CREATE TABLE usage_days (
    owner              TEXT    NOT NULL,
    day                INTEGER NOT NULL,
    model              TEXT    NOT NULL,
    purpose            TEXT    NOT NULL,
    chat_id            BLOB    NOT NULL,
    root               BLOB    NOT NULL,
    steps              INTEGER NOT NULL,
    unpriced_steps     INTEGER NOT NULL,
    cost_micros        INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    PRIMARY KEY (owner, day, model, purpose, chat_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_days_by_chat ON usage_days (chat_id);
CREATE INDEX usage_days_by_root ON usage_days (root);
CREATE INDEX usage_days_by_day ON usage_days (day);

-- Chats that owe something: after a crash these are looked at.
CREATE TABLE work (
    chat_id BLOB    PRIMARY KEY,
    status  TEXT    NOT NULL,
    since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The state of a long chat after one of its events, so that it need not be folded from its first. One chat has one of them;
-- one of another state schema or another program's reducer is not read. `digest` is SHA-256 over `state`.
CREATE TABLE snapshots (
    chat_id      BLOB    NOT NULL,
    state_schema INTEGER NOT NULL,
    reducer      TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    digest       TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    PRIMARY KEY (chat_id, state_schema, reducer)
) STRICT;

-- Chats whose projection stopped at an event that cannot be applied.
CREATE TABLE dead_letters (
    chat_id     BLOB    PRIMARY KEY,
    position    INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    event_type  TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    problem     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
