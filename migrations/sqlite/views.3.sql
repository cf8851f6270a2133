-- Whose an asset is: lists of a caller who reaches only its own. Rows from before have none until a
-- replay, and are folded from their events in such a list.
ALTER TABLE assets ADD COLUMN owner TEXT;
CREATE INDEX assets_by_owner ON assets (generation, pk, owner, shown, sk);
