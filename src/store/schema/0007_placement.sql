-- Where instances may go and where they are, what a worker is, and what was measured of those that ran.
ALTER TABLE deployments ADD COLUMN placement TEXT NOT NULL DEFAULT '{}';
ALTER TABLE instances ADD COLUMN placement TEXT NOT NULL DEFAULT '{}';
-- Why it went there: the decision as JSON, written with the placement, shown as it is.
ALTER TABLE instances ADD COLUMN decision TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN memory_private_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE instances ADD COLUMN memory_peak_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE workers ADD COLUMN os TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN arch TEXT NOT NULL DEFAULT '';
ALTER TABLE workers ADD COLUMN device_notes TEXT NOT NULL DEFAULT '[]';

-- One row an instance whose memory was estimated, kept after it is gone: estimates are corrected by them.
CREATE TABLE measured_runs (
    instance_id    TEXT    NOT NULL PRIMARY KEY,
    deployment     TEXT    NOT NULL,
    backend        TEXT    NOT NULL,
    architecture   TEXT    NOT NULL,
    source         TEXT    NOT NULL,
    vendor         TEXT    NOT NULL,
    estimate_bytes INTEGER NOT NULL,
    peak_bytes     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX measured_runs_by_time ON measured_runs (updated_at, instance_id);
