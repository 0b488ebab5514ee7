-- A record's place is its time: what comes in goes to the end of two trees, where the table and its indexes by request and by time had
-- it in four, one of them at random. A batch of the journal that comes twice has the same times.
CREATE TABLE usage_records_by_time (
    request_id        TEXT    NOT NULL,
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
    duration_ms       INTEGER NOT NULL,
    PRIMARY KEY (at, request_id)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_records_by_time SELECT * FROM usage_records ORDER BY at, request_id;
DROP TABLE usage_records;
ALTER TABLE usage_records_by_time RENAME TO usage_records;
CREATE INDEX usage_by_user ON usage_records (user_id, at, request_id);
