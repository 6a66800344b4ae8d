-- When a person noted a message that may have been delivered and left it so: nobody needs to act on it any more.
ALTER TABLE outbound ADD COLUMN noted_ms BIGINT;

-- What a person does to many messages at once. The set is fixed when the job is made: the ids of one transaction are a row of
-- job_parts, which goes with that transaction, so that no message is decided twice and the rest is known after a restart.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    means TEXT NOT NULL,                  -- cli, api, page
    why TEXT,
    action TEXT NOT NULL,                 -- retry, discard
    subject TEXT NOT NULL,                -- o: messages in outbound; e: dead events
    state TEXT NOT NULL,                  -- queued, failed, dead: what the set was in when the job was made
    filter TEXT NOT NULL,                 -- how the set was described; never a text or a contact
    moved_on BIGINT NOT NULL,             -- 1: also what its conversation has moved on from
    spacing_ms BIGINT NOT NULL,           -- time for one of them, on average; 0: as soon as possible
    total BIGINT NOT NULL,                -- of the set
    done BIGINT NOT NULL DEFAULT 0,       -- decided
    skipped BIGINT NOT NULL DEFAULT 0,    -- left out, since they were no longer as they were when the job was made
    worked_ms BIGINT NOT NULL,            -- its last transaction; when it was made
    next_ms BIGINT NOT NULL,              -- its next transaction is not before
    paused BIGINT NOT NULL DEFAULT 0,     -- 1: it waits, since a channel of its next part is paused by hand
    ended_ms BIGINT,                      -- nothing is left of it
    cancelled_ms BIGINT                   -- it ended before: a person cancelled it, or nobody went on with it
);
CREATE TABLE job_parts (
    job BIGINT NOT NULL,
    nth BIGINT NOT NULL,
    ids TEXT NOT NULL,                    -- mIds of messages, or ids of events, separated by blanks
    PRIMARY KEY (job, nth)
) WITHOUT ROWID;
