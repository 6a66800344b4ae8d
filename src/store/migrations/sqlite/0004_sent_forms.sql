-- Keyed digests of the words that were sent where placeholders were filled in, parted by spaces; NULL: none, or wiped.
ALTER TABLE outbound ADD COLUMN sent_forms TEXT;
