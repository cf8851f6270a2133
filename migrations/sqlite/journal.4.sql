-- The day on which each key was last used, in UTC. They are not events: they are for administrators.
CREATE TABLE key_uses (
    tenant TEXT NOT NULL,
    key    TEXT NOT NULL,
    day    TEXT NOT NULL,              -- such as 2026-11-23
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
