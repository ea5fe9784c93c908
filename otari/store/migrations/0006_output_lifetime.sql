-- How long the files that a batch ends with are kept, in seconds from when they are written. NULL: as other files.
ALTER TABLE batches ADD COLUMN output_lifetime_s INTEGER CHECK (output_lifetime_s > 0);
