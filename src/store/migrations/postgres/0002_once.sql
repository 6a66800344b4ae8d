-- An unknown outcome is looked up: it holds its conversation until it is settled. What looking could not settle is
-- `unconfirmed` (its conversation went on) or `held` (its conversation waits for a person).
ALTER TABLE outbound DROP CONSTRAINT outbound_state_check;
ALTER TABLE outbound ADD COLUMN since_ms BIGINT;                         -- its age counts from here: accepted, or sent again by a person
ALTER TABLE outbound ADD COLUMN began_ms BIGINT NOT NULL DEFAULT 0;      -- when the last attempt began
ALTER TABLE outbound ADD COLUMN anchor TEXT;                             -- identity of the newest row known then; NULL: none
ALTER TABLE outbound ADD COLUMN unknown_ms BIGINT;                       -- since when its outcome is unknown
ALTER TABLE outbound ADD COLUMN look_ms BIGINT;                          -- when to look for it next
ALTER TABLE outbound ADD COLUMN looks BIGINT NOT NULL DEFAULT 0;         -- looks made
ALTER TABLE outbound ADD COLUMN absences BIGINT NOT NULL DEFAULT 0;      -- looks that proved it was not there
ALTER TABLE outbound ADD COLUMN absent_ms BIGINT;                        -- the first of those
ALTER TABLE outbound ADD COLUMN told BIGINT NOT NULL DEFAULT 0;          -- last status told to the agent: 0 none, 1 delivered, 2 read or failed
ALTER TABLE outbound ADD COLUMN answered BIGINT NOT NULL DEFAULT 0;      -- its mId reached the caller: 0 not known yet, 1 yes, 2 no
UPDATE outbound SET state = CASE state WHEN 'unknown' THEN 'unconfirmed' ELSE state END, since_ms = accepted_ms,
    told = CASE WHEN state IN ('failed', 'unknown') THEN 2 ELSE 0 END, answered = 1;
ALTER TABLE outbound ALTER COLUMN since_ms SET NOT NULL;
ALTER TABLE outbound ADD CONSTRAINT outbound_state_check
    CHECK (state IN ('queued', 'sending', 'unknown', 'held', 'sent', 'failed', 'unconfirmed'));
DROP INDEX outbound_active;
DROP INDEX outbound_sending;
DROP INDEX outbound_trouble;
CREATE INDEX outbound_active ON outbound (conversation, id, state) WHERE state IN ('queued', 'sending', 'unknown', 'held');
CREATE INDEX outbound_sending ON outbound (id, conversation) WHERE state = 'sending';
CREATE INDEX outbound_looks ON outbound (look_ms) WHERE state = 'unknown';
CREATE INDEX outbound_trouble ON outbound (id) WHERE state IN ('failed', 'unknown', 'held', 'unconfirmed');
CREATE INDEX outbound_unanswered ON outbound (conversation) WHERE answered <> 1;

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
);
CREATE INDEX idempotency_old ON idempotency (at_ms);
