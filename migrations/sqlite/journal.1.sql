-- The journal: one row an event, written once.
CREATE TABLE events (
    arrival INTEGER PRIMARY KEY,   -- the order in which this file took them
    pk      TEXT    NOT NULL,      -- <tenant>#<asset>
    sk      INTEGER NOT NULL,      -- version, from 1
    body    TEXT    NOT NULL,      -- one line of JSON; its SHA-256 is the event's id
    UNIQUE (pk, sk)
) STRICT;

-- What the resource policy is on AWS: a guard against accidents. `verify` finds what gets past it.
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- REPLACE deletes without asking the trigger above. A version that is taken is passed over, which
-- is also how the journal's own INSERT … ON CONFLICT DO NOTHING reads it.
CREATE TRIGGER events_are_never_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE pk = NEW.pk AND sk = NEW.sk)
    OR EXISTS (SELECT 1 FROM events WHERE arrival = NEW.arrival)
BEGIN SELECT RAISE(IGNORE); END;
