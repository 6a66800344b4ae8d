-- One row a channel: its owner's epoch, and when its first run took stock of what was there (NULL: not yet).
CREATE TABLE channels (
    channel TEXT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL DEFAULT 0,
    baseline_ms BIGINT
);

-- One row a conversation. The two `*_due_ms` are its lanes: when the head of its queue may go; NULL where the queue is
-- empty or its head is under way. They make "what may go now" a look at an index, however long the queues are.
CREATE TABLE conversations (
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    destination TEXT NOT NULL,
    outbound_seq BIGINT NOT NULL DEFAULT 0,
    event_seq BIGINT NOT NULL DEFAULT 0,
    outbound_due_ms BIGINT,
    event_due_ms BIGINT,
    inbound_ms BIGINT NOT NULL DEFAULT 0, -- when the customer's last message was recorded; 0: never
    position TEXT,                        -- fingerprint of the getchats row up to which it is recorded
    baseline TEXT,                        -- the same at first run, until its older rows are settled
    PRIMARY KEY (channel, contact)
) WITHOUT ROWID;
CREATE INDEX conversations_outbound ON conversations (channel, outbound_due_ms) WHERE outbound_due_ms IS NOT NULL;
CREATE INDEX conversations_live ON conversations (channel, inbound_ms) WHERE outbound_due_ms IS NOT NULL;
CREATE INDEX conversations_events ON conversations (channel, event_due_ms) WHERE event_due_ms IS NOT NULL;

CREATE TABLE outbound (
    m_id TEXT NOT NULL PRIMARY KEY,
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    seq BIGINT NOT NULL,
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
    request_id TEXT NOT NULL DEFAULT '',
    afilnet_id TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX outbound_order ON outbound (channel, contact, seq);
CREATE INDEX outbound_active ON outbound (channel, contact, seq) WHERE state IN ('queued', 'sending');
CREATE INDEX outbound_sending ON outbound (channel) WHERE state = 'sending';
CREATE INDEX outbound_trouble ON outbound (accepted_ms) WHERE state IN ('failed', 'unknown');
CREATE INDEX outbound_done ON outbound (done_ms) WHERE done_ms IS NOT NULL;
CREATE INDEX outbound_text ON outbound (done_ms) WHERE done_ms IS NOT NULL AND content IS NOT NULL;

CREATE TABLE events (
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    seq BIGINT NOT NULL,
    m_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'done', 'dead')),
    event TEXT,                           -- JSON of the event; NULL once wiped
    attempt BIGINT NOT NULL DEFAULT 0,
    due_ms BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    done_ms BIGINT,
    fault TEXT,
    PRIMARY KEY (channel, contact, seq)
) WITHOUT ROWID;
CREATE INDEX events_active ON events (channel, contact, seq) WHERE state = 'queued';
CREATE INDEX events_done ON events (done_ms) WHERE done_ms IS NOT NULL;
CREATE INDEX events_text ON events (done_ms) WHERE done_ms IS NOT NULL AND event IS NOT NULL;

-- Afilnet rows that are settled: recorded as an event, or known to need none.
CREATE TABLE seen (
    channel TEXT NOT NULL,
    contact TEXT NOT NULL,
    identity TEXT NOT NULL,
    seen_ms BIGINT NOT NULL,
    PRIMARY KEY (channel, contact, identity)
) WITHOUT ROWID;
