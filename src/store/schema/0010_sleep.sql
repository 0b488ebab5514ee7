-- Deployments that nobody asks for go to sleep. asleep_since: NULL while awake; written by what puts them to sleep and wakes them
-- (control/sleep.h) alone, and no part of an edit.
ALTER TABLE deployments ADD COLUMN idle_timeout_seconds INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN asleep_since INTEGER;
