-- Batches of users. Their input lies in a folder beside the files, under the same ids, until they have ended.
CREATE TABLE batches (
    batch_id TEXT PRIMARY KEY NOT NULL, -- ids grow with time: their order is that of lists
    user_id TEXT NOT NULL REFERENCES users (user_id),
    key_id TEXT, -- NULL: the master key
    endpoint TEXT NOT NULL, -- of the lines
    selector TEXT NOT NULL, -- the model of every line; empty: nobody has looked yet
    provider TEXT NOT NULL, -- of the first model that the selector names; empty: nobody has looked yet
    input_file_id TEXT, -- NULL: the requests came with the batch
    completion_window TEXT NOT NULL,
    metadata TEXT NOT NULL CHECK (metadata LIKE '{%}'),
    state TEXT NOT NULL CHECK (state IN (
        'validating', 'in_progress', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', 'cancelled')),
    ending TEXT CHECK (ending IN ('completed', 'failed', 'expired', 'cancelled')), -- what it is to be once its results are written
    total INTEGER NOT NULL DEFAULT 0,
    completed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    cache_read_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    reasoning_tokens INTEGER NOT NULL DEFAULT 0,
    errors TEXT NOT NULL DEFAULT '[]' CHECK (errors LIKE '[%]'), -- why it failed as a whole
    output_file_id TEXT,
    error_file_id TEXT,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    in_progress_at_ms INTEGER,
    finalizing_at_ms INTEGER,
    completed_at_ms INTEGER,
    failed_at_ms INTEGER,
    expired_at_ms INTEGER,
    cancelling_at_ms INTEGER,
    cancelled_at_ms INTEGER,
    -- Of a batch that its provider carries out as one. NULL: we send its lines one by one, or have not begun.
    -- submitting: it may or may not have come to the provider; sent: it is there; collected: all its results are here
    remote_state TEXT CHECK (remote_state IN ('submitting', 'sent', 'collected')),
    remote_id TEXT, -- what the provider calls it; shown to nobody
    CHECK (completed >= 0 AND failed >= 0)
) STRICT;

CREATE INDEX batches_user ON batches (user_id, batch_id);
CREATE INDEX batches_open ON batches (state)
    WHERE state IN ('validating', 'in_progress', 'finalizing', 'cancelling');

-- The answers of a batch that has not ended yet. Each comes in the transaction that settles its request, so that no
-- line is charged without its answer, and none with an answer is asked again.
CREATE TABLE batch_results (
    batch_id TEXT NOT NULL REFERENCES batches (batch_id),
    line INTEGER NOT NULL, -- in the input, from 1 on
    custom_id TEXT NOT NULL,
    request_id TEXT NOT NULL, -- its row in `usage`, if it came so far
    http_status INTEGER NOT NULL, -- 0: it was not carried out
    body BLOB, -- of an answer with that status
    code TEXT, -- of a line that has none
    message TEXT,
    PRIMARY KEY (batch_id, line)
) STRICT;
