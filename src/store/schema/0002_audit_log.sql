-- Who changed what. Never edited and never deleted by the server; the actor's name and the object's are those of then, because
-- both may be gone by the time somebody reads this. changes: a JSON text.
CREATE TABLE audit_log (
    id          TEXT    NOT NULL PRIMARY KEY,
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
CREATE INDEX audit_log_by_time ON audit_log (at, id);
