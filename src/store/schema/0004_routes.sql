-- Public names for several models. targets: a JSON list of {model (a public name), weight}. No foreign keys: a model may go and come
-- back. A name means one thing: it is a deployment's or a route's, never both (checked by whoever inserts, in the same transaction).
CREATE TABLE routes (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    targets    TEXT    NOT NULL,
    fallback   TEXT    NOT NULL,
    disabled   INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX routes_by_time ON routes (created_at, id);
