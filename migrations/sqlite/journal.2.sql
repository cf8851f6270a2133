-- The events of one tenant in the order in which they arrived, for its feed.
CREATE INDEX events_by_tenant ON events (substr(pk, 1, instr(pk, '#') - 1), arrival);
