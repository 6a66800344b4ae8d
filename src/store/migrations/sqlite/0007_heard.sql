-- Messages go to the destination that the customer wrote from last: by the time of that row, whenever it was read.
ALTER TABLE conversations ADD COLUMN heard_ms BIGINT;  -- time of the customer's row that `destination` follows; NULL: not known
