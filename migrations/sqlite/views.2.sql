-- An asset whose row speaks of another event than its history: a person has to look, and no row
-- that comes later lets go of it.
ALTER TABLE parked ADD COLUMN contradicted INTEGER NOT NULL DEFAULT 0;

-- Rows are made anew under another generation, and never by forgetting how far one had come.
ALTER TABLE position DROP COLUMN epoch;
