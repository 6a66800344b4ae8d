-- A job takes its set in transactions of a bounded size, and nothing of it is decided before all of it is in.
ALTER TABLE jobs ADD COLUMN filled BIGINT NOT NULL DEFAULT 1;   -- 0: not all of its parts are in yet
ALTER TABLE jobs ADD COLUMN stopped TEXT;                       -- why it waits for a person: its next part failed again and again
