-- Keys to the server: whom each speaks for and what it may do. Of the key itself only its SHA-256 is kept. Rows are added
-- and revoked once, never changed otherwise and never removed, so how many there are of each says whether anything is new.
CREATE TABLE keys (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    owner      text NOT NULL,
    roles      text NOT NULL,              -- names, parted by spaces
    digest     bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_at bigint NOT NULL,            -- microseconds since 1970, UTC
    revoked_at bigint                      -- microseconds since 1970, UTC; absent while the key is valid
);
