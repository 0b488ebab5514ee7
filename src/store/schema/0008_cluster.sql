-- Machines that join over the network. secret_digest: hex SHA-256 of the token's secret, which is kept nowhere.
ALTER TABLE workers ADD COLUMN drain_by INTEGER;

CREATE TABLE join_tokens (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    secret_digest TEXT    NOT NULL,
    uses          INTEGER NOT NULL,
    uses_left     INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX join_tokens_by_time ON join_tokens (created_at, id);

-- One row a worker that joined; the server's own worker has none. key_digest: hex SHA-256 of its public key; epoch: of its lease.
CREATE TABLE memberships (
    worker_id  TEXT    NOT NULL PRIMARY KEY REFERENCES workers (id) ON DELETE CASCADE,
    token_id   TEXT    NOT NULL,
    key_digest TEXT    NOT NULL UNIQUE,
    machine_id TEXT    NOT NULL,
    address    TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    joined_at  INTEGER NOT NULL
) STRICT;
