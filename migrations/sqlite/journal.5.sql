-- The events of assets in the order in which they arrived, so that a reader of arrivals passes over
-- no event of a named stream: an asset's id has 36 characters, a stream's name at most 32.
CREATE INDEX events_of_assets ON events (arrival) WHERE length(pk) - instr(pk, '#') = 36;

DROP INDEX events_by_tenant;
CREATE INDEX events_by_tenant ON events (substr(pk, 1, instr(pk, '#') - 1), arrival)
WHERE length(pk) - instr(pk, '#') = 36;
