-- Usage in a file of its own, so that its size and its fsyncs never touch the control state. "GANU".
PRAGMA application_id = 1195462229;

CREATE TABLE usage_records (
    request_id        TEXT    NOT NULL PRIMARY KEY,
    at                INTEGER NOT NULL,
    user_id           TEXT    NOT NULL,
    key_id            TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    instance_id       TEXT    NOT NULL,
    operation         TEXT    NOT NULL,
    status            INTEGER NOT NULL,
    aborted           INTEGER NOT NULL,
    estimated         INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    ttft_ms           INTEGER NOT NULL,
    duration_ms       INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_by_time ON usage_records (at, request_id);
CREATE INDEX usage_by_user ON usage_records (user_id, at, request_id);
