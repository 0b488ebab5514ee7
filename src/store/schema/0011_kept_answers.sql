-- What changes answered, for clients that ask again with the same Idempotency-Key. key, request: digests; answer: sealed, because it
-- may hold a secret that is shown once.
CREATE TABLE kept_answers (
    key     TEXT    NOT NULL PRIMARY KEY,
    request TEXT    NOT NULL,
    answer  TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX kept_answers_by_time ON kept_answers (at);
