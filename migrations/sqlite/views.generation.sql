-- The rows of generation {n}, made with the announcement of the replay that fills them, and dropped
-- with the generation.
CREATE TABLE assets_{n} (
    generation      INTEGER GENERATED ALWAYS AS ({n}) VIRTUAL,  -- as in `assets`
    pk              TEXT    NOT NULL,
    sk              TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    head            TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    confirmed       INTEGER NOT NULL,
    created_at      TEXT    NOT NULL,
    updated_at      TEXT    NOT NULL,
    upload          TEXT    NOT NULL,
    filename        TEXT,
    content_type    TEXT,
    declared_size   INTEGER,
    declared_sha256 TEXT,
    tags            TEXT    NOT NULL,
    version_id      TEXT,
    size            INTEGER,
    sha256          TEXT,
    etag            TEXT,
    reason          TEXT,
    expires_at      INTEGER,
    shown           TEXT    NOT NULL
        GENERATED ALWAYS AS (CASE state WHEN 'PURGING' THEN 'DELETED' ELSE state END) VIRTUAL,
    owner           TEXT,
    PRIMARY KEY (pk, sk)
) STRICT, WITHOUT ROWID;

CREATE INDEX assets_listed_{n}   ON assets_{n} (pk, sk) WHERE state <> 'PURGED';
CREATE INDEX assets_by_state_{n} ON assets_{n} (pk, shown, sk);
CREATE INDEX assets_expiring_{n} ON assets_{n} (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX assets_by_owner_{n} ON assets_{n} (pk, owner, shown, sk);
