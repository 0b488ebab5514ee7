-- Audit events of one millisecond are listed as they were written: seq says which was first, where the id is random. The rows so far keep
-- the order in which SQLite's own row ids say that they came.
CREATE TABLE audit_log_numbered (
    seq         INTEGER NOT NULL PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    at          INTEGER NOT NULL,
    actor_id    TEXT    NOT NULL,
    actor_name  TEXT    NOT NULL,
    via         TEXT    NOT NULL,
    peer        TEXT    NOT NULL,
    method      TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    object_kind TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    object_name TEXT    NOT NULL,
    changes     TEXT    NOT NULL,
    request_id  TEXT    NOT NULL,
    status      INTEGER NOT NULL
) STRICT;
INSERT INTO audit_log_numbered
    SELECT rowid, id, at, actor_id, actor_name, via, peer, method, action, object_kind, object_id, object_name, changes, request_id, status
    FROM audit_log ORDER BY rowid;
DROP TABLE audit_log;
ALTER TABLE audit_log_numbered RENAME TO audit_log;
CREATE INDEX audit_log_by_time ON audit_log (at, seq);
