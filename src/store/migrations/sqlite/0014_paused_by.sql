-- The fault by which a channel's calls to Afilnet are paused, and since when; NULL: none. A read may have met it: no step tells it.
ALTER TABLE channels ADD COLUMN paused_by TEXT;
ALTER TABLE channels ADD COLUMN paused_ms BIGINT;
