-- One row a channel: its owner's epoch, and when its first run took stock of what was there (NULL: not yet).
CREATE TABLE channels (
    channel TEXT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL DEFAULT 0,
    baseline_ms BIGINT
) WITHOUT ROWID;

-- One row a conversation. The two `*_due_ms` are its lanes: when the head of its queue may go; NULL where the queue is
-- empty or its head is under way. They make "what may go now" a look at an index, however long the queues are.
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    destination TEXT NOT NULL,
    outbound_due_ms BIGINT,
    event_due_ms BIGINT,
    inbound_ms BIGINT NOT NULL DEFAULT 0, -- when the customer's last message was recorded; 0: never
    read_to TEXT,                         -- fingerprint of the getchats row up to which it is recorded
    baseline TEXT,                        -- the same at first run, until its older rows are settled
    unread TEXT,                          -- what Afilnet called unread at first run, until its rows are settled
    choice TEXT,                          -- JSON of the question that its customer may still answer; NULL: none
    choice_ms BIGINT,                     -- when that was asked; NULL: none
    UNIQUE (channel, contact)
);
CREATE INDEX conversations_outbound ON conversations (channel, outbound_due_ms) WHERE outbound_due_ms IS NOT NULL;
CREATE INDEX conversations_live ON conversations (channel, inbound_ms) WHERE outbound_due_ms IS NOT NULL;
CREATE INDEX conversations_events ON conversations (channel, event_due_ms) WHERE event_due_ms IS NOT NULL;
CREATE INDEX conversations_choice ON conversations (choice_ms) WHERE choice_ms IS NOT NULL;

-- In the order of their ids; the first of a conversation that is neither done nor set aside is the head of its queue.
CREATE TABLE outbound (
    id INTEGER PRIMARY KEY,
    conversation BIGINT NOT NULL,
    m_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'unknown')),
    kind TEXT NOT NULL,
    content TEXT,                         -- JSON of the content; NULL once wiped
    part BIGINT NOT NULL DEFAULT 0,       -- the next call to make, of those the content is cut into
    attempt BIGINT NOT NULL DEFAULT 0,    -- attempts begun for this part
    epoch BIGINT NOT NULL DEFAULT 0,      -- of the owner that began the last attempt
    due_ms BIGINT NOT NULL,
    accepted_ms BIGINT NOT NULL,
    done_ms BIGINT,                       -- when it reached a state it does not leave by itself
    fault TEXT,                           -- code of the last fault
    same_fault BIGINT NOT NULL DEFAULT 0, -- attempts in a row that ended in it
    request_id TEXT NOT NULL DEFAULT '',
    afilnet_id TEXT
);
CREATE INDEX outbound_active ON outbound (conversation, id, state) WHERE state IN ('queued', 'sending');
CREATE INDEX outbound_sending ON outbound (id) WHERE state = 'sending';
CREATE INDEX outbound_trouble ON outbound (id) WHERE state IN ('failed', 'unknown');
-- What was said to a conversation and can still be compared with its rows.
CREATE INDEX outbound_spoken ON outbound (conversation, id) WHERE content IS NOT NULL;
-- Done, with its text and without: a row is in one of them.
CREATE INDEX outbound_text ON outbound (done_ms) WHERE done_ms IS NOT NULL AND content IS NOT NULL;
CREATE INDEX outbound_done ON outbound (done_ms) WHERE done_ms IS NOT NULL AND content IS NULL;

-- In the order of their ids, like outbound.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    conversation BIGINT NOT NULL,
    m_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'done', 'dead')),
    event TEXT,                           -- JSON of the event; NULL once wiped
    attempt BIGINT NOT NULL DEFAULT 0,
    due_ms BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    done_ms BIGINT,
    fault TEXT,
    same_fault BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX events_active ON events (conversation, id) WHERE state = 'queued';
CREATE INDEX events_text ON events (done_ms) WHERE done_ms IS NOT NULL AND event IS NOT NULL;
CREATE INDEX events_done ON events (done_ms) WHERE done_ms IS NOT NULL AND event IS NULL;

-- Afilnet rows that are settled: recorded as an event, or known to need none.
CREATE TABLE seen (
    conversation BIGINT NOT NULL,
    identity TEXT NOT NULL,
    seen_ms BIGINT NOT NULL,
    claim TEXT,                           -- the call of ours that the row shows, as `m_id part`; NULL: none
    PRIMARY KEY (conversation, identity)
) WITHOUT ROWID;
