-- Benchmarks and what came of them. settings, targets, progress, runs, result: JSON; targets holds the sealed keys of outside ones
-- while they may be needed. result is bounded by whoever writes it, the number of rows by whoever inserts.
CREATE TABLE benchmarks (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    user_name   TEXT    NOT NULL,
    key_id      TEXT    NOT NULL,
    settings    TEXT    NOT NULL,
    targets     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    progress    TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    runs        TEXT    NOT NULL,
    result      TEXT    NOT NULL
) STRICT;
CREATE INDEX benchmarks_by_time ON benchmarks (created_at, id);
