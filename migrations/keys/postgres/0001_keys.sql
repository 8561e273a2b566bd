-- The keys that chats' events are sealed with, apart from the log: destroying a row destroys what it sealed.

-- One row: which master key wraps everything here.
CREATE TABLE chat_vault.master (
    id   bigint PRIMARY KEY CHECK (id = 1),
    mark text NOT NULL
);

-- The keys of chats, wrapped by the master key. A sealed event names its key. A key is made before its chat is, so one
-- that no event names was never used.
CREATE TABLE chat_vault.chat_keys (
    key_id  uuid PRIMARY KEY,
    wrapped bytea NOT NULL
);

-- The server's own keys, by what they are for, wrapped by the master key.
CREATE TABLE chat_vault.server_keys (
    name    text PRIMARY KEY,
    wrapped bytea NOT NULL
);

-- Erasures that are not finished: begun before the log says so, removed when nothing is left of the chat.
CREATE TABLE chat_vault.erasures (
    chat_id  uuid PRIMARY KEY,
    asked_by text NOT NULL,
    remains  text                             -- what is still to be removed, as JSON, once it is known
);
