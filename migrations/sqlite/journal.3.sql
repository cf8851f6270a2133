-- The ids that are reserved for idempotency keys, for a week each. They are not events: a key that is
-- forgotten makes a repeated request a new one.
CREATE TABLE reservations (
    tenant      TEXT    NOT NULL,
    key         TEXT    NOT NULL,      -- a digest, as in the command of the event
    asset       TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL,      -- microseconds since 1970
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_expiring ON reservations (expires_at);
