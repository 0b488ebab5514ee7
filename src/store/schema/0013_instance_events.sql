-- What each instance went through: a row whenever its state or its count of restarts changes, with the last reason of that state. Triggers
-- write it, in the transaction of the change, so that no writer of `instances` can forget to. Of each instance the newest 200 stay, and go
-- with it.
CREATE TABLE instance_events (
    id          INTEGER NOT NULL PRIMARY KEY,
    instance_id TEXT    NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    restarts    INTEGER NOT NULL
) STRICT;
CREATE INDEX instance_events_by_instance ON instance_events (instance_id, id);
INSERT INTO instance_events (instance_id, at, state, reason, restarts) SELECT id, state_since, state, reason, restarts FROM instances;

CREATE TRIGGER instance_made AFTER INSERT ON instances BEGIN
    INSERT INTO instance_events (instance_id, at, state, reason, restarts) VALUES (NEW.id, NEW.state_since, NEW.state, NEW.reason, NEW.restarts);
END;
CREATE TRIGGER instance_changed AFTER UPDATE ON instances WHEN NEW.state <> OLD.state OR NEW.restarts <> OLD.restarts BEGIN
    INSERT INTO instance_events (instance_id, at, state, reason, restarts) VALUES (NEW.id, NEW.state_since, NEW.state, NEW.reason, NEW.restarts);
    DELETE FROM instance_events WHERE instance_id = NEW.id AND id <= (
        SELECT id FROM instance_events WHERE instance_id = NEW.id ORDER BY id DESC LIMIT 1 OFFSET 200);
END;
CREATE TRIGGER instance_explained AFTER UPDATE ON instances
WHEN NEW.state = OLD.state AND NEW.restarts = OLD.restarts AND NEW.reason <> OLD.reason BEGIN
    UPDATE instance_events SET reason = NEW.reason WHERE id = (SELECT max(id) FROM instance_events WHERE instance_id = NEW.id);
END;
