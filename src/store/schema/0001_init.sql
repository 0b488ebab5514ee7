-- The control state. Times are Unix milliseconds; ids and digests are text; options, meta and devices are JSON texts.
-- Lists are paged by (created_at, id): every listed table has that index.
-- "GANT": a file of ours, and not just any SQLite database.
PRAGMA application_id = 1195462228;

CREATE TABLE deployments (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    source     TEXT    NOT NULL,
    backend    TEXT    NOT NULL,
    options    TEXT    NOT NULL,
    replicas   INTEGER NOT NULL,
    stopped    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deployments_by_time ON deployments (created_at, id);
CREATE INDEX deployments_by_source ON deployments (source);

CREATE TABLE workers (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL UNIQUE,
    address        TEXT    NOT NULL,
    gantry_version TEXT    NOT NULL,
    cordoned       INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    state          TEXT    NOT NULL,
    last_report_at INTEGER NOT NULL,
    devices        TEXT    NOT NULL
) STRICT;
CREATE INDEX workers_by_time ON workers (created_at, id);

-- deployment_id has no foreign key on purpose: an instance outlives its deleted deployment until its worker has stopped it.
CREATE TABLE instances (
    id            TEXT    NOT NULL PRIMARY KEY,
    deployment_id TEXT    NOT NULL,
    replica_index INTEGER NOT NULL,
    generation    INTEGER NOT NULL,
    worker_id     TEXT    REFERENCES workers (id),
    stopping      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    state_since   INTEGER NOT NULL,
    progress      REAL    NOT NULL,
    endpoint      TEXT    NOT NULL,
    api_key       TEXT    NOT NULL,
    pid           INTEGER NOT NULL,
    restarts      INTEGER NOT NULL,
    memory_bytes  INTEGER NOT NULL
) STRICT;
CREATE INDEX instances_by_time ON instances (created_at, id);
CREATE INDEX instances_by_deployment ON instances (deployment_id, created_at, id);
CREATE INDEX instances_by_worker ON instances (worker_id);

CREATE TABLE models (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    source     TEXT    NOT NULL UNIQUE,
    path       TEXT    NOT NULL,
    meta       TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX models_by_time ON models (created_at, id);

CREATE TABLE users (
    id                   TEXT    NOT NULL PRIMARY KEY,
    name                 TEXT    NOT NULL UNIQUE,
    role                 TEXT    NOT NULL,
    password_hash        TEXT    NOT NULL,
    must_change_password INTEGER NOT NULL,
    disabled             INTEGER NOT NULL,
    version              INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
) STRICT;
CREATE INDEX users_by_time ON users (created_at, id);

CREATE TABLE keys (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    public_id     TEXT    NOT NULL UNIQUE,
    secret_digest TEXT    NOT NULL,
    expires_at    INTEGER,
    disabled      INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX keys_by_time ON keys (created_at, id);
CREATE INDEX keys_by_user ON keys (user_id, created_at, id);

CREATE TABLE sessions (
    token_digest TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- One row that check_writable() counts up: only a committed write shows that the disk takes writes.
CREATE TABLE write_check (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
