-- The keys that chats' events are sealed with, apart from the log: destroying a row destroys what it sealed.

-- One row: which master key wraps everything here.
CREATE TABLE master (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    mark TEXT NOT NULL
) STRICT;

-- The keys of chats, wrapped by the master key. A sealed event names its key. A key is made before its chat is, so one
-- that no event names was never used.
CREATE TABLE chat_keys (
    key_id  BLOB PRIMARY KEY CHECK (length(key_id) = 16),
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The server's own keys, by what they are for, wrapped by the master key.
CREATE TABLE server_keys (
    name    TEXT PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Erasures that are not finished: begun before the log says so, removed when nothing is left of the chat.
CREATE TABLE erasures (
    chat_id  BLOB PRIMARY KEY CHECK (length(chat_id) = 16),
    asked_by TEXT NOT NULL,
    remains  TEXT                             -- what is still to be removed, as JSON, once it is known
) STRICT, WITHOUT ROWID;
