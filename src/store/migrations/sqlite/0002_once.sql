-- An unknown outcome is looked up: it holds its conversation until it is settled. What looking could not settle is
-- `unconfirmed` (its conversation went on) or `held` (its conversation waits for a person).
CREATE TABLE outbound_new (
    id INTEGER PRIMARY KEY,
    conversation BIGINT NOT NULL,
    m_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'sending', 'unknown', 'held', 'sent', 'failed', 'unconfirmed')),
    kind TEXT NOT NULL,
    content TEXT,                         -- JSON of the content; NULL once wiped
    part BIGINT NOT NULL DEFAULT 0,       -- the next call to make, of those the content is cut into
    attempt BIGINT NOT NULL DEFAULT 0,    -- attempts begun for this part
    epoch BIGINT NOT NULL DEFAULT 0,      -- of the owner that began the last attempt
    due_ms BIGINT NOT NULL,
    accepted_ms BIGINT NOT NULL,
    since_ms BIGINT NOT NULL,             -- its age counts from here: accepted, or sent again by a person
    done_ms BIGINT,                       -- when it reached a state it does not leave by itself
    fault TEXT,                           -- code of the last fault
    same_fault BIGINT NOT NULL DEFAULT 0, -- attempts in a row that ended in it
    request_id TEXT NOT NULL DEFAULT '',
    afilnet_id TEXT,
    began_ms BIGINT NOT NULL DEFAULT 0,   -- when the last attempt began
    anchor TEXT,                          -- identity of the newest row known then; NULL: none
    unknown_ms BIGINT,                    -- since when its outcome is unknown
    look_ms BIGINT,                       -- when to look for it next
    looks BIGINT NOT NULL DEFAULT 0,      -- looks made
    absences BIGINT NOT NULL DEFAULT 0,   -- looks that proved it was not there
    absent_ms BIGINT,                     -- the first of those
    told BIGINT NOT NULL DEFAULT 0,       -- last status told to the agent: 0 none, 1 delivered, 2 read or failed
    answered BIGINT NOT NULL DEFAULT 0    -- its mId reached the caller: 0 not known yet, 1 yes, 2 no
);
INSERT INTO outbound_new (id, conversation, m_id, state, kind, content, part, attempt, epoch, due_ms, accepted_ms, since_ms,
    done_ms, fault, same_fault, request_id, afilnet_id, told, answered)
    SELECT id, conversation, m_id, CASE state WHEN 'unknown' THEN 'unconfirmed' ELSE state END, kind, content, part, attempt,
    epoch, due_ms, accepted_ms, accepted_ms, done_ms, fault, same_fault, request_id, afilnet_id,
    CASE WHEN state IN ('failed', 'unknown') THEN 2 ELSE 0 END, 1
    FROM outbound;
DROP TABLE outbound;
ALTER TABLE outbound_new RENAME TO outbound;
CREATE INDEX outbound_active ON outbound (conversation, id, state) WHERE state IN ('queued', 'sending', 'unknown', 'held');
CREATE INDEX outbound_sending ON outbound (id, conversation) WHERE state = 'sending';
CREATE INDEX outbound_looks ON outbound (look_ms) WHERE state = 'unknown';
CREATE INDEX outbound_trouble ON outbound (id) WHERE state IN ('failed', 'unknown', 'held', 'unconfirmed');
CREATE INDEX outbound_unanswered ON outbound (conversation) WHERE answered <> 1;
CREATE INDEX outbound_spoken ON outbound (conversation, id) WHERE content IS NOT NULL;
CREATE INDEX outbound_text ON outbound (done_ms) WHERE done_ms IS NOT NULL AND content IS NOT NULL;
CREATE INDEX outbound_done ON outbound (done_ms) WHERE done_ms IS NOT NULL AND content IS NULL;

ALTER TABLE conversations ADD COLUMN newest TEXT;     -- identity of the newest row that the last read showed
ALTER TABLE conversations ADD COLUMN page TEXT;       -- JSON of the identities of the newest rows that the last read showed
ALTER TABLE conversations ADD COLUMN event_ms BIGINT NOT NULL DEFAULT 0; -- timestamp of its newest event
ALTER TABLE channels ADD COLUMN shows_texts BIGINT NOT NULL DEFAULT 0;   -- rows of texts that were surely sent were found
ALTER TABLE channels ADD COLUMN shows_files BIGINT NOT NULL DEFAULT 0;   -- the same of files
ALTER TABLE channels ADD COLUMN settle_lag_ms BIGINT NOT NULL DEFAULT 0; -- longest time that a sent row was seen not to show
ALTER TABLE seen ADD COLUMN mark TEXT;                -- what the row says and when, without its id; NULL: not known
CREATE INDEX seen_claim ON seen (conversation, claim, seen_ms) WHERE claim IS NOT NULL;
CREATE INDEX events_dead ON events (id) WHERE state = 'dead';

-- Keys that callers gave to their calls, each with the message that it named first.
CREATE TABLE idempotency (
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,                 -- of the contact and the content
    m_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (channel, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_old ON idempotency (at_ms);
