-- What each device did, a row a quarter of an hour: means, of as many minutes of it as were measured. NULL: its tool does not tell.
-- In 1/10000 (utilization) and 1/10 degrees Celsius, so that a month of a large cluster stays small. A series names its device once; it
-- goes with its worker, and its rows with it: by a trigger, since a foreign key would be looked at row by row after each unclean stop.
CREATE TABLE device_series (
    id        INTEGER NOT NULL PRIMARY KEY,
    worker_id TEXT    NOT NULL REFERENCES workers (id) ON DELETE CASCADE,
    vendor    TEXT    NOT NULL,
    place     INTEGER NOT NULL,
    UNIQUE (worker_id, vendor, place)
) STRICT;
CREATE TABLE device_history (
    series          INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    minutes         INTEGER NOT NULL,
    memory_used     INTEGER,
    utilization     INTEGER,
    utilization_max INTEGER,
    temperature     INTEGER,
    PRIMARY KEY (series, at)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER device_series_gone AFTER DELETE ON device_series BEGIN
    DELETE FROM device_history WHERE series = OLD.id;
END;
