-- Money is integers of nano-USD, rates are pico-USD per token, times are epoch milliseconds (UTC).
-- STRICT refuses text and overflowed numbers that an ordinary table would quietly keep as something else.

CREATE TABLE settings (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE budgets (
    budget_id TEXT PRIMARY KEY NOT NULL,
    name TEXT,
    max_nano INTEGER CHECK (max_nano BETWEEN 0 AND 9000000000000000000), -- NULL: no cap
    duration_s INTEGER CHECK (duration_s > 0), -- NULL: never starts over, unless aligned
    reset_alignment TEXT CHECK (reset_alignment IN ('calendar_day', 'calendar_week', 'calendar_month')),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    CHECK (duration_s IS NULL OR reset_alignment IS NULL)
) STRICT;

CREATE TABLE users (
    user_id TEXT PRIMARY KEY NOT NULL,
    alias TEXT,
    blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    budget_id TEXT REFERENCES budgets (budget_id),
    spend_nano INTEGER NOT NULL DEFAULT 0 CHECK (spend_nano BETWEEN 0 AND 9000000000000000000),
    reserved_nano INTEGER NOT NULL DEFAULT 0 CHECK (reserved_nano BETWEEN 0 AND 9000000000000000000),
    budget_started_at_ms INTEGER,
    next_reset_at_ms INTEGER,
    allowed_models TEXT CHECK (allowed_models LIKE '[%]'), -- NULL: any model
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (metadata LIKE '{%}'),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    deleted_at_ms INTEGER -- the history of a deleted user stays
) STRICT;

CREATE INDEX users_budget ON users (budget_id) WHERE budget_id IS NOT NULL;

CREATE TABLE keys (
    key_id TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32), -- SHA-256 of the token; the token is never stored
    prefix TEXT NOT NULL, -- for people, to tell keys apart
    suffix TEXT NOT NULL DEFAULT '',
    key_name TEXT,
    user_id TEXT NOT NULL REFERENCES users (user_id),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    rejects_user_mismatch INTEGER CHECK (rejects_user_mismatch IN (0, 1)), -- NULL: as configured for all
    exclude_from_budget INTEGER NOT NULL DEFAULT 0 CHECK (exclude_from_budget IN (0, 1)), -- the user's account is spared
    budget_id TEXT REFERENCES budgets (budget_id), -- a cap of its own, beside the user's
    spend_nano INTEGER NOT NULL DEFAULT 0 CHECK (spend_nano BETWEEN 0 AND 9000000000000000000),
    reserved_nano INTEGER NOT NULL DEFAULT 0 CHECK (reserved_nano BETWEEN 0 AND 9000000000000000000),
    budget_started_at_ms INTEGER,
    next_reset_at_ms INTEGER,
    allowed_models TEXT CHECK (allowed_models LIKE '[%]'), -- NULL: any model of the user's
    expires_at_ms INTEGER,
    last_used_at_ms INTEGER,
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (metadata LIKE '{%}'),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX keys_user ON keys (user_id);
CREATE INDEX keys_budget ON keys (budget_id) WHERE budget_id IS NOT NULL;

-- What an account had spent each time its period started over: spend plus these is the sum of all its charges.
CREATE TABLE budget_resets (
    seq INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (user_id),
    key_id TEXT, -- NULL: the user's own account, else that of one of its keys
    budget_id TEXT, -- NULL: the account had no budget any more
    previous_spend_nano INTEGER NOT NULL CHECK (previous_spend_nano >= 0),
    reset_at_ms INTEGER NOT NULL,
    next_reset_at_ms INTEGER
) STRICT;

CREATE INDEX budget_resets_budget ON budget_resets (budget_id);

CREATE TABLE prices (
    model_key TEXT NOT NULL, -- provider:model
    effective_at_ms INTEGER NOT NULL,
    input_pico INTEGER NOT NULL CHECK (input_pico >= 0),
    output_pico INTEGER NOT NULL CHECK (output_pico >= 0),
    cache_read_pico INTEGER CHECK (cache_read_pico >= 0), -- NULL: the input rate
    cache_write_pico INTEGER CHECK (cache_write_pico >= 0),
    cache_write_1h_pico INTEGER CHECK (cache_write_1h_pico >= 0), -- NULL: the cache write rate
    reasoning_pico INTEGER CHECK (reasoning_pico >= 0), -- NULL: the output rate
    request_pico INTEGER NOT NULL DEFAULT 0 CHECK (request_pico >= 0),
    image_pico INTEGER NOT NULL DEFAULT 0 CHECK (image_pico >= 0),
    second_pico INTEGER NOT NULL DEFAULT 0 CHECK (second_pico >= 0),
    character_pico INTEGER NOT NULL DEFAULT 0 CHECK (character_pico >= 0),
    unit TEXT NOT NULL DEFAULT 'token' CHECK (unit IN ('token', 'image', 'request', 'second', 'character')),
    tiers TEXT NOT NULL DEFAULT '[]' CHECK (tiers LIKE '[%]'),
    source TEXT NOT NULL CHECK (source IN ('config', 'api', 'default')),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (model_key, effective_at_ms)
) STRICT;

-- One row per admission, written as 'open' before anything is sent, finished exactly once; and one row 'absorbed' per
-- attempt that gave no answer. Key and price stand here as they were: a key may be deleted, a price may change.
CREATE TABLE usage (
    seq INTEGER PRIMARY KEY, -- the order in which they came
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (user_id),
    key_id TEXT, -- NULL: the master key
    key_name TEXT,
    endpoint TEXT NOT NULL,
    selector TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    stream INTEGER NOT NULL CHECK (stream IN (0, 1)),
    -- Words are compared one by one: for IN with three or more of them, SQLite builds a table in memory at every write.
    state TEXT NOT NULL CHECK (state = 'open' OR state = 'settled' OR state = 'released' OR state = 'recovered'),
    status TEXT CHECK (status = 'success' OR status = 'error' OR status = 'absorbed'),
    http_status INTEGER,
    hold_nano INTEGER NOT NULL CHECK (hold_nano BETWEEN 0 AND 9000000000000000000),
    hold_prompt_nano INTEGER NOT NULL CHECK (hold_prompt_nano BETWEEN 0 AND hold_nano), -- the prompt's part of it
    hold_estimated INTEGER NOT NULL CHECK (hold_estimated IN (0, 1)),
    over_hold INTEGER NOT NULL DEFAULT 0 CHECK (over_hold IN (0, 1)),
    counts_toward_budget INTEGER NOT NULL DEFAULT 1 CHECK (counts_toward_budget IN (0, 1)), -- 0: the user is not charged
    counts_toward_key INTEGER NOT NULL DEFAULT 0 CHECK (counts_toward_key IN (0, 1)), -- 1: the key had a budget of its own
    input_tokens INTEGER CHECK (input_tokens >= 0), -- NULL: nobody knows
    output_tokens INTEGER CHECK (output_tokens >= 0),
    cache_read_tokens INTEGER CHECK (cache_read_tokens >= 0),
    cache_write_tokens INTEGER CHECK (cache_write_tokens >= 0),
    cache_write_1h_tokens INTEGER CHECK (cache_write_1h_tokens >= 0),
    reasoning_tokens INTEGER CHECK (reasoning_tokens >= 0),
    quantity INTEGER CHECK (quantity >= 0), -- images, seconds or characters, as the rates name them
    cost_nano INTEGER CHECK (cost_nano BETWEEN 0 AND 9000000000000000000), -- NULL: unpriced
    rates TEXT CHECK (rates LIKE '{%}'), -- pico-USD by meter, those of the tier that applied; NULL: unpriced
    price_source TEXT NOT NULL,
    usage_source TEXT,
    flags TEXT NOT NULL DEFAULT '', -- words, parted by commas
    error TEXT,
    attempt_position INTEGER NOT NULL DEFAULT 1,
    created_at_ms INTEGER NOT NULL,
    settled_at_ms INTEGER,
    first_byte_ms INTEGER,
    total_ms INTEGER,
    CHECK ((state = 'open') = (settled_at_ms IS NULL)),
    CHECK ((state = 'open') = (status IS NULL)),
    CHECK (state <> 'open' OR cost_nano IS NULL),
    CHECK (settled_at_ms >= created_at_ms)
) STRICT;

CREATE INDEX usage_user ON usage (user_id, created_at_ms);
CREATE INDEX usage_time ON usage (created_at_ms);
CREATE INDEX usage_open ON usage (state) WHERE state = 'open';

-- Requests with an Idempotency-Key, and their answers. Without an answer: under way, refused, cut off or not kept; the
-- row in `usage` tells which.
CREATE TABLE replays (
    scope TEXT NOT NULL, -- whose it is: a key's id, or the user whom the master key named
    token TEXT NOT NULL, -- the Idempotency-Key
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of route and body
    request_id TEXT NOT NULL, -- the request that was carried out; its row in `usage`, once it is admitted
    http_status INTEGER,
    body BLOB,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, token),
    CHECK ((http_status IS NULL) = (body IS NULL))
) STRICT;

CREATE INDEX replays_time ON replays (created_at_ms);
