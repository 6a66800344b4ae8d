-- Rows of which nobody can tell yet whose they are: they wait for the next evidence, for a bounded time.
CREATE TABLE postponed (
    conversation BIGINT NOT NULL,
    identity TEXT NOT NULL,
    seq BIGINT NOT NULL,                  -- its place among the rows of its read
    content TEXT NOT NULL,                -- JSON of the row as it was read
    since_ms BIGINT NOT NULL,             -- when it was read first
    read_before_ms BIGINT,                -- when the last read began that did not show it; NULL: not known
    due_ms BIGINT NOT NULL,               -- when it is decided at the latest
    PRIMARY KEY (conversation, identity)
) WITHOUT ROWID;
CREATE INDEX postponed_since ON postponed (since_ms);

ALTER TABLE seen ADD COLUMN shape TEXT;               -- what stays of the row where its link, time or characters change; NULL: not kept
ALTER TABLE channels ADD COLUMN verbatim BIGINT NOT NULL DEFAULT 0;      -- features of texts that are shown word for word, as bits
ALTER TABLE channels ADD COLUMN rewritten BIGINT NOT NULL DEFAULT 0;     -- the same of those that are shown in other words
ALTER TABLE channels ADD COLUMN late_flags BIGINT NOT NULL DEFAULT 0;    -- 1: a row of the bridge bore the customer's flag at first; -1: none did; 0: not known
ALTER TABLE channels ADD COLUMN new_destinations TEXT NOT NULL DEFAULT ' '; -- numbering areas in which first sends showed where they went
ALTER TABLE outbound ADD COLUMN evidence TEXT;        -- what each look showed, in words, one a line
