-- Pinned versions of assets that a look did not find, and when that was first: one an asset.
CREATE TABLE absences (
    asset TEXT PRIMARY KEY, -- <tenant>#<asset>
    version_id TEXT NOT NULL,
    asset_version INTEGER NOT NULL,
    first INTEGER NOT NULL -- microseconds since 1970
) STRICT, WITHOUT ROWID;
