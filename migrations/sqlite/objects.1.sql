-- The local bucket: one row for each version of each key, and the notifications not yet taken.

-- The number of the last change. Every change to the bucket takes the next one: it orders the
-- versions of a key, it is the notification's sequencer, and it is never used again.
CREATE TABLE change (last INTEGER NOT NULL) STRICT;
INSERT INTO change (last) VALUES (0);

-- The version with the highest change number is the current one. A delete marker has no content.
CREATE TABLE versions (
    change INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    version_id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL, -- microseconds since 1970
    size INTEGER,
    sha256 BLOB,
    md5 BLOB,
    headers TEXT,
    CHECK ((size IS NULL) = (sha256 IS NULL)
       AND (size IS NULL) = (md5 IS NULL)
       AND (size IS NULL) = (headers IS NULL))
) STRICT;
CREATE INDEX versions_by_key ON versions (key, change);

-- A row goes when its notification was taken. One that never will be stays, with the reason.
CREATE TABLE outbox (
    change INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    dead TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (not_before, change) WHERE dead IS NULL;
