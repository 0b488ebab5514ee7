-- Outside providers of models. models: a JSON list of their names there; here they are named NAME/MODEL, and no deployment or route is
-- named so (checked by whoever inserts, in the same transaction). sealed_key: encrypted with a key that is not in the database.
CREATE TABLE providers (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    base_url   TEXT    NOT NULL,
    sealed_key TEXT    NOT NULL,
    models     TEXT    NOT NULL,
    disabled   INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX providers_by_time ON providers (created_at, id);
