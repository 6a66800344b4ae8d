-- What the row of a message or an event cannot tell of its past. Nothing is written for one that goes well.
CREATE TABLE steps (
    id INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,                -- o: a message in outbound; e: an event
    subject_id BIGINT NOT NULL,           -- its id there
    at_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,             -- the last time, where the same followed itself
    times BIGINT NOT NULL DEFAULT 1,
    what TEXT NOT NULL,                   -- attempt, part, look, look_failed, post, repeat, decision
    detail TEXT NOT NULL                  -- JSON of the step; never a text of the message
);
CREATE INDEX steps_of ON steps (subject, subject_id, id);

-- The beginning of the far side's response to a step, redacted. Erased with the text of its message.
CREATE TABLE excerpts (
    step BIGINT NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
) WITHOUT ROWID;

-- What persons did. Never updated.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    means TEXT NOT NULL,                  -- cli, api, page
    what TEXT NOT NULL,
    target TEXT NOT NULL,                 -- an mId, a channel, a job; never a contact
    detail TEXT,                          -- JSON
    once TEXT UNIQUE                      -- names a request that is carried out once; NULL: none
);
CREATE INDEX audit_old ON audit (at_ms);
CREATE INDEX audit_target ON audit (target, id);

CREATE INDEX events_m_id ON events (m_id);
