-- What each asset is now. All of it can be thrown away and made again from the journal.
CREATE TABLE assets (
    generation      INTEGER NOT NULL,  -- a replay makes all rows anew under another one
    pk              TEXT    NOT NULL,  -- tenant
    sk              TEXT    NOT NULL,  -- asset id: its order is the order of creation
    version         INTEGER NOT NULL,
    head            TEXT    NOT NULL,
    state           TEXT    NOT NULL,  -- PURGING is stored apart from DELETED
    confirmed       INTEGER NOT NULL,
    created_at      TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    upload          TEXT    NOT NULL,
    filename        TEXT,
    content_type    TEXT,
    declared_size   INTEGER,
    declared_sha256 TEXT,
    tags            TEXT    NOT NULL,  -- a JSON object
    version_id      TEXT,
    size            INTEGER,
    sha256          TEXT,
    etag            TEXT,
    reason          TEXT,
    expires_at      INTEGER,           -- of a purged asset's tombstone, in epoch seconds
    shown           TEXT    NOT NULL
        GENERATED ALWAYS AS (CASE state WHEN 'PURGING' THEN 'DELETED' ELSE state END) VIRTUAL,
    PRIMARY KEY (generation, pk, sk)
) STRICT, WITHOUT ROWID;

-- Lists never step over tombstones, of which a large purge leaves many in a row.
CREATE INDEX assets_listed   ON assets (generation, pk, sk) WHERE state <> 'PURGED';
CREATE INDEX assets_by_state ON assets (generation, pk, shown, sk);
CREATE INDEX assets_expiring ON assets (generation, expires_at) WHERE expires_at IS NOT NULL;

-- Assets that could not be projected and wait for a person.
CREATE TABLE parked (
    pk      TEXT    NOT NULL,
    sk      TEXT    NOT NULL,
    version INTEGER NOT NULL,          -- the version that the asset was said to have reached
    error   TEXT    NOT NULL,
    at      TEXT    NOT NULL,
    PRIMARY KEY (pk, sk)
) STRICT, WITHOUT ROWID;

-- Which generations there are, and how far a replay has come: JSON texts by name.
CREATE TABLE notes (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far the journal has been followed; one row.
CREATE TABLE position (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    epoch    INTEGER NOT NULL,         -- counts the rebuilds
    number   INTEGER NOT NULL,         -- the last arrival whose rows are here
    hash     TEXT    NOT NULL          -- of that event: another one there is another journal
) STRICT;

INSERT INTO position VALUES (1, 1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
