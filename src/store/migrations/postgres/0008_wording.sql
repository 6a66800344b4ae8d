-- Settings by which it was put into words and cut into parts when its first part was begun; NULL: by an older version, or not begun.
ALTER TABLE outbound ADD COLUMN wording TEXT;
