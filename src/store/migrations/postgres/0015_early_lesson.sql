-- What a row that was seen while its send was under way teaches of the account once that send is certainly taken, as JSON; NULL: nothing.
ALTER TABLE outbound ADD COLUMN early_lesson TEXT;
