-- Usage rolled up by UTC hour: kept in the transaction that adds the records, and there still when those have been deleted.
-- Days are sums of hours, made when asked for.
CREATE TABLE usage_hours (
    hour              INTEGER NOT NULL,
    user_id           TEXT    NOT NULL,
    key_id            TEXT    NOT NULL,
    model             TEXT    NOT NULL,
    instance_id       TEXT    NOT NULL,
    operation         TEXT    NOT NULL,
    requests          INTEGER NOT NULL,
    failed            INTEGER NOT NULL,
    aborted           INTEGER NOT NULL,
    estimated         INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    ttft_ms_sum       INTEGER NOT NULL,
    ttft_count        INTEGER NOT NULL,
    duration_ms_sum   INTEGER NOT NULL,
    PRIMARY KEY (hour, user_id, key_id, model, instance_id, operation)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_hours_by_user ON usage_hours (user_id, hour);

-- The records that are there already. The inner remainder may be negative: a clock may have been before 1970.
INSERT INTO usage_hours
SELECT at - ((at % 3600000) + 3600000) % 3600000, user_id, key_id, model, instance_id, operation,
       count(*), sum(status >= 400 AND aborted = 0), sum(aborted), sum(estimated),
       sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(reasoning_tokens),
       sum(ttft_ms), sum(ttft_ms > 0), sum(duration_ms)
FROM usage_records
GROUP BY 1, 2, 3, 4, 5, 6;
