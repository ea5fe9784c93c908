-- Files that users sent; their bytes lie in a folder beside the database, under the same ids.
CREATE TABLE files (
    file_id TEXT PRIMARY KEY NOT NULL, -- ids grow with time: their order is that of lists
    user_id TEXT NOT NULL REFERENCES users (user_id),
    filename TEXT NOT NULL, -- for people; it is never part of a path
    media_type TEXT NOT NULL,
    purpose TEXT NOT NULL,
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    digest BLOB NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the bytes
    -- partial: coming or going, nobody sees it and nothing of it survives a start; lost: its bytes are not there
    state TEXT NOT NULL CHECK (state IN ('partial', 'whole', 'lost')),
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER -- NULL: kept until it is deleted
) STRICT;

CREATE INDEX files_user ON files (user_id, file_id, bytes);
CREATE INDEX files_expiry ON files (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX files_partial ON files (state) WHERE state = 'partial';
