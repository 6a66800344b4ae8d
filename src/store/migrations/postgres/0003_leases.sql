-- Several processes share the channels. Times here are the server's: it is the one clock that all of them read.
CREATE TABLE processes (
    process TEXT NOT NULL PRIMARY KEY,
    until_ms BIGINT NOT NULL,             -- alive until then, unless it says so again
    shares BIGINT NOT NULL DEFAULT 1      -- 0: it is about to end and takes no channels
);

-- One row a channel: its owner, and until when. Beside `channels`, so that being renewed often disturbs nobody.
CREATE TABLE leases (
    channel TEXT NOT NULL PRIMARY KEY,
    process TEXT,                         -- NULL: nobody
    until_ms BIGINT NOT NULL DEFAULT 0,
    prompt BIGINT NOT NULL DEFAULT 0      -- whether its owner expects to give verdicts soon
) WITH (fillfactor = 50);

ALTER TABLE outbound ADD COLUMN taken_by TEXT;                       -- the process that answers its caller
ALTER TABLE outbound ADD COLUMN caller_ms BIGINT NOT NULL DEFAULT 0; -- until when its caller waits there for the verdict of another process
ALTER TABLE events ADD COLUMN held_ms BIGINT;                        -- until when a caller may still be given it as its answer
