-- Further destinations under which Afilnet keeps the conversation of one contact. The first is in `conversations`:
-- `read_from`, or `destination` where that is NULL. Identities of rows of a further one begin with `@nth ` in `seen` and
-- `postponed`, so that rows of two destinations are never taken for one another.
CREATE TABLE destinations (
    conversation BIGINT NOT NULL,
    nth BIGINT NOT NULL,                  -- from 1
    destination TEXT NOT NULL,            -- a hash once erased
    read_to TEXT,                         -- these columns as in conversations
    baseline TEXT,
    unread TEXT,
    newest TEXT,
    page TEXT,
    PRIMARY KEY (conversation, nth)
);
CREATE UNIQUE INDEX destinations_named ON destinations (conversation, destination);

ALTER TABLE conversations ADD COLUMN read_from TEXT;  -- destination that read_to, baseline, unread, newest and page are of; NULL: `destination`, where messages go
ALTER TABLE outbound ADD COLUMN sent_to TEXT;         -- destination of the last attempt; NULL: begun by an older version
