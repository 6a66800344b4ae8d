-- What has paused calls to Afilnet by itself (credit, password, breaker, limit), one row each time; those that have ended are kept as
-- long as rows, so that the journey of a message that waited can name them.
CREATE TABLE channel_pauses (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    fault TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    ended_ms BIGINT                       -- NULL: it lasts
);
CREATE INDEX channel_pauses_of ON channel_pauses (channel, since_ms);
CREATE UNIQUE INDEX channel_pauses_lasting ON channel_pauses (channel) WHERE ended_ms IS NULL;
CREATE INDEX channel_pauses_ended ON channel_pauses (ended_ms) WHERE ended_ms IS NOT NULL;
INSERT INTO channel_pauses (channel, fault, since_ms)
    SELECT channel, paused_by, paused_ms FROM channels WHERE paused_by IS NOT NULL AND paused_ms IS NOT NULL;
