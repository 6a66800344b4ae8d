-- Rows of a conversation, newest first: those with their texts, as outbound_spoken, and those without. In two, so that a message that
-- is stored costs no more, and so that no lane is looked up in them.
CREATE INDEX outbound_wiped ON outbound (conversation, id) WHERE content IS NULL;
CREATE INDEX events_spoken ON events (conversation, id) WHERE event IS NOT NULL;
CREATE INDEX events_wiped ON events (conversation, id) WHERE event IS NULL;
CREATE INDEX conversations_contact ON conversations (contact, id);

-- The index of words holds no text: for each block of rows, hashed grams and the numbers of the rows that hold them. It is written
-- behind the queue; a block without it is read row by row.
CREATE TABLE text_blocks (
    side TEXT NOT NULL PRIMARY KEY,       -- out: outbound; in: events
    upto BIGINT NOT NULL,                 -- blocks below it were indexed once
    wipes BIGINT NOT NULL                 -- transactions that erased texts: a block that was read before one is read again
) WITHOUT ROWID;
INSERT INTO text_blocks (side, upto, wipes) VALUES ('out', 0, 0), ('in', 0, 0);
CREATE TABLE text_lists (
    side TEXT NOT NULL,
    part BIGINT NOT NULL,                 -- of the lists of a block; -1: marks that the block is indexed
    block BIGINT NOT NULL,                -- ids divided by the rows of a block
    lists TEXT NOT NULL,
    PRIMARY KEY (side, part, block)
) WITHOUT ROWID;
CREATE INDEX text_lists_block ON text_lists (block);
