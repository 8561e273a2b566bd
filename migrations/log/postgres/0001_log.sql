-- The log: what happened, in order. The only truth; everything else can be made again from it.

-- One row: who this log is. The timeline is renewed by a restore; the incarnation is the restores' number.
CREATE TABLE log_meta (
    id          integer PRIMARY KEY CHECK (id = 1),
    timeline    uuid NOT NULL,
    incarnation bigint NOT NULL,
    created_at  bigint NOT NULL                -- microseconds since 1970, UTC
);

-- One row per lane: the position of its last event. Advanced in the transaction that adds events and locked until that
-- commits, so positions have no gaps and become visible in order. Pages are kept nearly empty for the row's many
-- versions.
CREATE TABLE log_head (
    lane     integer PRIMARY KEY,
    position bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO log_head (lane, position) VALUES (0, 0);

-- One row per chat: its last event's version and hash, compared and set by every append; and the lane it was born in.
CREATE TABLE streams (
    chat_id uuid PRIMARY KEY,
    version bigint NOT NULL,
    hash    bytea NOT NULL,
    lane    integer NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

CREATE TABLE events (
    position     bigint NOT NULL,
    lane         integer NOT NULL DEFAULT 0,
    chat_id      uuid NOT NULL,
    version      bigint NOT NULL,
    event_id     uuid NOT NULL,
    type         text NOT NULL,
    schema       bigint NOT NULL,
    epoch        bigint NOT NULL DEFAULT 0,    -- of the writer's ownership of the chat's shard
    recorded_at  bigint NOT NULL,              -- microseconds since 1970, UTC; information, never an order
    actor_kind   text NOT NULL,                -- user, node or system
    actor_name   text NOT NULL,
    command_id   uuid NOT NULL,
    causation_id uuid,
    trace_id     text,
    encoding     bigint NOT NULL,              -- 0 plain JSON, 1 sealed JSON
    data         bytea NOT NULL,               -- exactly the bytes that were hashed
    hash         bytea NOT NULL,               -- the chat's chain up to and including this event
    PRIMARY KEY (lane, position)
);

CREATE UNIQUE INDEX events_by_chat ON events (chat_id, version);

-- Outcomes of commands that came with an idempotency key, kept for some days.
CREATE TABLE receipts (
    owner        text NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    position     bigint NOT NULL,
    outcome      bytea NOT NULL,
    recorded_at  bigint NOT NULL,              -- microseconds since 1970, UTC
    PRIMARY KEY (owner, key)
);

CREATE INDEX receipts_by_age ON receipts (recorded_at);

-- Parts of open attempts. No part of the log: a crash of the database may empty it.
CREATE UNLOGGED TABLE parts (
    chat_id       uuid NOT NULL,
    attempt_id    bigint NOT NULL,
    n             bigint NOT NULL,
    after_version bigint NOT NULL,
    part          bytea NOT NULL,
    PRIMARY KEY (chat_id, attempt_id, n)
);

-- A seat belt, not evidence: the chain of hashes is the evidence.
CREATE FUNCTION events_never_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events never change and are never deleted';
END $$;

CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_never_change();

-- Appends a batch in one call. Requests are numbered 1, 2, 3 …; within a batch no two touch the same chat or the same
-- key. Each is judged by itself: 0 appended, 1 conflict (`conflict` is the first such chat), 2 duplicate (with the
-- receipt that is known). Rows that another session adds between the judgement and the write raise unique_violation:
-- nothing was written then, and the same call judges anew.
--
-- Locks are taken in one order: streams by chat, the head last. Nobody who holds the head waits for anything, and no
-- lock is held across a round trip.
CREATE FUNCTION log_append(
    p_lane integer, p_epoch bigint, p_now bigint,
    -- per request: how many events it has
    r_events bigint[],
    -- per chat of a request: what is expected of it, and its head afterwards
    s_request integer[], s_chat uuid[], s_version bigint[], s_hash bytea[], s_new_version bigint[], s_new_hash bytea[],
    -- per receipt
    k_request integer[], k_owner text[], k_key text[], k_hash bytea[], k_outcome bytea[],
    -- per event, in order
    e_request integer[], e_chat uuid[], e_version bigint[], e_id uuid[], e_type text[], e_schema bigint[],
    e_recorded_at bigint[], e_actor_kind text[], e_actor_name text[], e_command uuid[], e_causation uuid[],
    e_trace text[], e_encoding bigint[], e_data bytea[], e_hash bytea[])
RETURNS TABLE (request integer, status integer, appended_to bigint, conflict uuid, known_hash bytea,
    known_position bigint, known_outcome bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_zero     CONSTANT bytea := decode(repeat('00', 32), 'hex');
    v_requests CONSTANT integer := cardinality(r_events);
    v_status   integer[] := array_fill(0, ARRAY[v_requests]);
    v_conflict uuid[] := array_fill(NULL::uuid, ARRAY[v_requests]);
    v_added    bigint := 0;
    v_head     bigint;
    v_row      record;
BEGIN
    PERFORM 1 FROM streams WHERE chat_id = ANY (s_chat) ORDER BY chat_id FOR UPDATE;

    FOR v_row IN
        SELECT w.request, w.chat
        FROM unnest(s_request, s_chat, s_version, s_hash) WITH ORDINALITY AS w (request, chat, version, hash, place)
            LEFT JOIN streams s ON s.chat_id = w.chat
        WHERE coalesce(s.version, 0) <> w.version OR coalesce(s.hash, v_zero) <> w.hash
        ORDER BY w.place DESC
    LOOP
        v_status[v_row.request] := 1;
        v_conflict[v_row.request] := v_row.chat;
    END LOOP;

    IF cardinality(k_request) > 0 THEN
        FOR v_row IN
            SELECT k.request FROM unnest(k_request, k_owner, k_key) AS k (request, owner, key)
                JOIN receipts r ON r.owner = k.owner AND r.key = k.key
        LOOP
            v_status[v_row.request] := 2;
        END LOOP;
    END IF;

    FOR i IN 1 .. v_requests LOOP
        IF v_status[i] = 0 THEN
            v_added := v_added + r_events[i];
        END IF;
    END LOOP;

    IF v_added > 0 THEN
        INSERT INTO streams (chat_id, version, hash, lane)
            SELECT w.chat, w.new_version, w.new_hash, p_lane
            FROM unnest(s_request, s_chat, s_version, s_new_version, s_new_hash)
                AS w (request, chat, version, new_version, new_hash)
            WHERE w.version = 0 AND w.new_version > 0 AND v_status[w.request] = 0
            ORDER BY w.chat;
        UPDATE streams s SET version = w.new_version, hash = w.new_hash
            FROM unnest(s_request, s_chat, s_version, s_new_version, s_new_hash)
                AS w (request, chat, version, new_version, new_hash)
            WHERE s.chat_id = w.chat AND w.version > 0 AND w.new_version > w.version AND v_status[w.request] = 0;
    END IF;

    IF v_added > 0 OR cardinality(k_request) > 0 THEN
        UPDATE log_head SET position = position + v_added WHERE lane = p_lane RETURNING position INTO STRICT v_head;
    ELSE
        SELECT position INTO STRICT v_head FROM log_head WHERE lane = p_lane;
    END IF;

    IF v_added > 0 THEN
        INSERT INTO events (position, lane, chat_id, version, event_id, type, schema, epoch, recorded_at, actor_kind,
                actor_name, command_id, causation_id, trace_id, encoding, data, hash)
            SELECT v_head - v_added + row_number() OVER (ORDER BY e.place), p_lane, e.chat, e.version, e.id, e.type,
                e.schema, p_epoch, e.recorded_at, e.actor_kind, e.actor_name, e.command, e.causation, e.trace,
                e.encoding, e.data, e.hash
            FROM unnest(e_request, e_chat, e_version, e_id, e_type, e_schema, e_recorded_at, e_actor_kind, e_actor_name,
                    e_command, e_causation, e_trace, e_encoding, e_data, e_hash) WITH ORDINALITY
                AS e (request, chat, version, id, type, schema, recorded_at, actor_kind, actor_name, command,
                    causation, trace, encoding, data, hash, place)
            WHERE v_status[e.request] = 0;
        PERFORM pg_notify('verbatim_log', format('%s %s %s', m.timeline, p_lane, v_head)) FROM log_meta m;
    END IF;

    RETURN QUERY
        WITH done AS (
            SELECT r.request::integer AS request, v_status[r.request] AS status,
                v_head - v_added + (sum(CASE WHEN v_status[r.request] = 0 THEN r.events ELSE 0 END)
                    OVER (ORDER BY r.request))::bigint AS appended_to
            FROM unnest(r_events) WITH ORDINALITY AS r (events, request)
        ), asked AS (
            SELECT * FROM unnest(k_request, k_owner, k_key, k_hash, k_outcome) AS k (request, owner, key, hash, outcome)
        ), kept AS (
            INSERT INTO receipts (owner, key, request_hash, position, outcome, recorded_at)
                SELECT k.owner, k.key, k.hash, d.appended_to, k.outcome, p_now
                FROM asked k JOIN done d ON d.request = k.request WHERE d.status = 0
        )
        SELECT d.request, d.status, d.appended_to, v_conflict[d.request], known.request_hash, known.position,
            known.outcome
        FROM done d
            LEFT JOIN asked k ON k.request = d.request AND d.status = 2
            LEFT JOIN receipts known ON known.owner = k.owner AND known.key = k.key
        ORDER BY d.request;
END $$;
