-- What a deployment ran and may run again. good_at: when all its replicas served it last; NULL: never. The newest good one is what a
-- failed update goes back to. newest_generation: the highest number given out, so that none is given out twice.
ALTER TABLE deployments ADD COLUMN rollout TEXT NOT NULL DEFAULT '{}';
ALTER TABLE deployments ADD COLUMN newest_generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE deployments ADD COLUMN notice TEXT NOT NULL DEFAULT '';
UPDATE deployments SET newest_generation = generation;

CREATE TABLE revisions (
    deployment_id TEXT    NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    generation    INTEGER NOT NULL,
    source        TEXT    NOT NULL,
    backend       TEXT    NOT NULL,
    options       TEXT    NOT NULL,
    placement     TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    good_at       INTEGER,
    PRIMARY KEY (deployment_id, generation)
) STRICT;
INSERT INTO revisions
    SELECT id, generation, source, backend, options, placement, updated_at, NULL FROM deployments;
