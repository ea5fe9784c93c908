-- What is still to be told to the control plane of attempts. A row is there from before its attempt is sent until the
-- report is acknowledged.
CREATE TABLE reports (
    seq INTEGER PRIMARY KEY, -- the order in which they began
    correlation_id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL, -- JSON; while 'open': what a start after a crash is to tell
    state TEXT NOT NULL CHECK (state = 'open' OR state = 'due' OR state = 'refused'), -- refused: kept for the operator, not sent again
    tries INTEGER NOT NULL DEFAULT 0,
    due_at_ms INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX reports_due ON reports (due_at_ms) WHERE state = 'due';
