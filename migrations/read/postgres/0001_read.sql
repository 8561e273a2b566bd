-- One generation of the read models, made inside a schema of its own. Everything here is computed from the log and may
-- be thrown away. Times are microseconds since 1970 in UTC; versions, positions and ids inside a chat are the log's.
-- Texts that are compared or sorted use the "C" collation, so that both databases agree.

-- How far the rows have come, and what they were made by. One row; it moves in the transaction that writes the rows.
CREATE TABLE checkpoint (
    one         BIGINT  PRIMARY KEY CHECK (one = 1),
    fingerprint TEXT    NOT NULL,
    timeline    UUID    NOT NULL,
    position    BIGINT  NOT NULL,
    recorded_at BIGINT,
    retired     BOOLEAN NOT NULL
) WITH (fillfactor = 10);

-- A chat's outline, with the columns that lists filter and sort by.
CREATE TABLE chats (
    chat_id   UUID    PRIMARY KEY,
    owner     TEXT    COLLATE "C" NOT NULL,
    parent    UUID,
    root      UUID    NOT NULL,
    title     TEXT    COLLATE "C" NOT NULL,
    status    TEXT    COLLATE "C" NOT NULL,
    archived  BOOLEAN NOT NULL,
    pinned    BOOLEAN NOT NULL,
    erased    BOOLEAN NOT NULL,
    version   BIGINT  NOT NULL,
    position  BIGINT  NOT NULL,
    workspace TEXT    COLLATE "C",
    outline   TEXT    NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX chats_by_activity ON chats (pinned DESC, position DESC);
CREATE INDEX chats_by_owner ON chats (owner, pinned DESC, position DESC);
CREATE INDEX chats_by_parent ON chats (parent) WHERE parent IS NOT NULL;
CREATE INDEX chats_by_root ON chats (root);
CREATE INDEX chats_by_workspace ON chats (workspace, chat_id) WHERE workspace IS NOT NULL;

CREATE TABLE labels (
    chat_id UUID NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    value   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (chat_id, name)
);
CREATE INDEX labels_by_value ON labels (name, value);

-- Messages, withdrawn ones too. `position` is the committing event's.
CREATE TABLE messages (
    position     BIGINT PRIMARY KEY,
    chat_id      UUID   NOT NULL,
    id           BIGINT NOT NULL,
    role         TEXT   COLLATE "C" NOT NULL,
    visibility   TEXT   COLLATE "C" NOT NULL,
    origin       TEXT   COLLATE "C" NOT NULL,
    turn_id      BIGINT,
    withdrawn_by BIGINT,
    message      TEXT   NOT NULL
);
CREATE UNIQUE INDEX messages_by_id ON messages (chat_id, id);

-- The words of messages that users may see.
CREATE TABLE search (
    position BIGINT   PRIMARY KEY,
    words    TSVECTOR NOT NULL
);
CREATE INDEX search_words ON search USING gin (words);

-- Messages that wait. Lower seats come first.
CREATE TABLE queue (
    chat_id   UUID   NOT NULL,
    id        BIGINT NOT NULL,
    seat      BIGINT NOT NULL,
    queued_at BIGINT NOT NULL,
    message   TEXT   NOT NULL,
    PRIMARY KEY (chat_id, id)
);

CREATE TABLE turns (
    chat_id     UUID   NOT NULL,
    turn_id     BIGINT NOT NULL,
    reason      TEXT   COLLATE "C" NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,
    outcome     TEXT   COLLATE "C",
    error       TEXT,
    usage       TEXT   NOT NULL,
    cost_micros BIGINT,
    steps       BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    retries     BIGINT NOT NULL,
    tool_calls  BIGINT NOT NULL,
    duration_ms BIGINT,
    PRIMARY KEY (chat_id, turn_id)
) WITH (fillfactor = 80);

-- Which chats ever showed a file; whether one still does, its outline says.
CREATE TABLE chat_files (
    file_id TEXT COLLATE "C" NOT NULL,
    chat_id UUID NOT NULL,
    PRIMARY KEY (file_id, chat_id)
);
CREATE INDEX chat_files_by_chat ON chat_files (chat_id);

-- What owners are notified of. `position` is the event's.
CREATE TABLE inbox (
    position   BIGINT  PRIMARY KEY,
    owner      TEXT    COLLATE "C" NOT NULL,
    chat_id    UUID    NOT NULL,
    version    BIGINT  NOT NULL,
    template   TEXT    COLLATE "C" NOT NULL,
    turn_id    BIGINT  NOT NULL,
    outcome    TEXT    COLLATE "C",
    error_kind TEXT    COLLATE "C",
    created_at BIGINT  NOT NULL,
    is_read    BOOLEAN NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX inbox_by_owner ON inbox (owner, position);
CREATE INDEX inbox_unread ON inbox (owner, position) WHERE NOT is_read;
CREATE UNIQUE INDEX inbox_by_event ON inbox (chat_id, version);

-- What was spent, in sums per day (days since 1970, UTC), owner, model, purpose and chat. Costs are millionths of a US
-- dollar; a step of unknown cost counts in `unpriced_steps` and adds nothing to `cost_micros`. Erased chats keep theirs.
CREATE TABLE usage_days (
    owner              TEXT   COLLATE "C" NOT NULL,
    day                BIGINT  NOT NULL,
    model              TEXT   COLLATE "C" NOT NULL,
    purpose            TEXT   COLLATE "C" NOT NULL,
    chat_id            UUID    NOT NULL,
    root               UUID    NOT NULL,
    steps              BIGINT  NOT NULL,
    unpriced_steps     BIGINT  NOT NULL,
    cost_micros        BIGINT  NOT NULL,
    input_tokens       BIGINT  NOT NULL,
    output_tokens      BIGINT  NOT NULL,
    cache_read_tokens  BIGINT  NOT NULL,
    cache_write_tokens BIGINT  NOT NULL,
    reasoning_tokens   BIGINT  NOT NULL,
    PRIMARY KEY (owner, day, model, purpose, chat_id)
);
CREATE INDEX usage_days_by_chat ON usage_days (chat_id);
CREATE INDEX usage_days_by_root ON usage_days (root);
CREATE INDEX usage_days_by_day ON usage_days (day);

-- Chats that owe something: after a crash these are looked at.
CREATE TABLE work (
    chat_id UUID   PRIMARY KEY,
    status  TEXT   COLLATE "C" NOT NULL,
    since   BIGINT NOT NULL
);

-- The state of a long chat after one of its events, so that it need not be folded from its first. One chat has one of them;
-- one of another state schema or another program's reducer is not read. `digest` is SHA-256 over `state`.
CREATE TABLE snapshots (
    chat_id      UUID   NOT NULL,
    state_schema BIGINT NOT NULL,
    reducer      TEXT   COLLATE "C" NOT NULL,
    version      BIGINT NOT NULL,
    digest       TEXT   COLLATE "C" NOT NULL,
    state        TEXT   NOT NULL,
    PRIMARY KEY (chat_id, state_schema, reducer)
);

-- Chats whose projection stopped at an event that cannot be applied.
CREATE TABLE dead_letters (
    chat_id     UUID   PRIMARY KEY,
    position    BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    event_type  TEXT   COLLATE "C" NOT NULL,
    recorded_at BIGINT NOT NULL,
    problem     TEXT   NOT NULL
);
