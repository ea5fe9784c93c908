-- What a translation between dialects could not carry, by name, one per line.
ALTER TABLE usage ADD COLUMN dropped TEXT NOT NULL DEFAULT '';

-- 'strict': requests of this key that can not be translated without loss are refused. NULL: as the provider says.
ALTER TABLE keys ADD COLUMN translation TEXT CHECK (translation IN ('lenient', 'strict'));
