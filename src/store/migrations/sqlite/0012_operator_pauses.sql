-- Pauses by hand, each of one channel. Those that have ended are kept as long as rows: the ages of messages do not count them.
CREATE TABLE operator_pauses (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    what TEXT NOT NULL,                   -- out: nothing is sent; in: nothing is posted; drain: nothing is accepted
    since_ms BIGINT NOT NULL,
    ended_ms BIGINT,                      -- NULL: it lasts
    who TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX operator_pauses_of ON operator_pauses (channel, what, since_ms);
CREATE UNIQUE INDEX operator_pauses_lasting ON operator_pauses (channel, what) WHERE ended_ms IS NULL;
CREATE INDEX operator_pauses_ended ON operator_pauses (ended_ms) WHERE ended_ms IS NOT NULL;
