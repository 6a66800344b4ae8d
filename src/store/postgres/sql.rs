//! What differs from the statements that both engines take: rows are locked before they are read to be changed.

/// One message. A process that is cut off or paused in mid-transaction holds its rows no longer than this: without it
/// the server learns only by its TCP keepalive, after two hours, that nobody is there.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Steps of the schema may take their time.
pub(super) const BEGIN_STEPS: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

pub(super) const LOCK_CONVERSATION: &str = "SELECT id FROM conversations WHERE id = $1 FOR UPDATE";

pub(super) const CONVERSATION_LOCKED: &str =
    "SELECT id FROM conversations WHERE channel = $1 AND contact = $2 FOR UPDATE";

/// Where another process makes it at the same time, its row is waited for and locked.
pub(super) const CONVERSATION_MADE: &str = "INSERT INTO conversations (channel, contact, destination) \
     VALUES ($1, $2, $3) ON CONFLICT (channel, contact) DO UPDATE SET channel = EXCLUDED.channel RETURNING id";

/// Nobody takes the channel over before this transaction ends.
pub(super) const EPOCH_HELD: &str = "SELECT epoch FROM channels WHERE channel = $1 FOR SHARE";

pub(super) const CHANNEL_LOCKED: &str = "SELECT epoch FROM channels WHERE channel = $1 FOR UPDATE";

/// Due lanes of live conversations that nobody works on: those are rung for when that is done.
pub(super) const LANES_LIVE: &str = "SELECT c.id, c.contact, c.destination FROM conversations c \
     WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.inbound_ms >= $2 AND c.outbound_due_ms <= $3 \
     ORDER BY c.outbound_due_ms LIMIT $4 FOR UPDATE SKIP LOCKED";

/// Further lanes. Those taken already are left out by name: what one has locked oneself is not skipped.
pub(super) const LANES_ANY: &str = "SELECT c.id, c.contact, c.destination FROM conversations c \
     WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.outbound_due_ms <= $2 AND c.id <> ALL ($3) \
     ORDER BY c.outbound_due_ms LIMIT $4 FOR UPDATE SKIP LOCKED";

/// The heads of these lanes, read after they are locked: what was read before may have changed.
pub(super) const HEADS: &str = "SELECT lane, (SELECT o.id FROM outbound o WHERE o.conversation = lane \
     AND o.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY o.id LIMIT 1) FROM unnest($1::BIGINT[]) AS lane";

/// Messages that were begun in a commit whose answer was lost: nobody was told, so nobody sent them.
pub(super) const PUT_BACK: &str = "UPDATE outbound SET state = 'queued' \
     WHERE id = ANY ($1) AND state = 'sending' AND epoch = $2";

pub(super) const CONVERSATIONS_OF: &str =
    "SELECT DISTINCT conversation FROM outbound WHERE id = ANY ($1) ORDER BY conversation";

// Housekeeping passes over rows that somebody works on: what a person sends again must not lose its text meanwhile. An
// array, and not IN: the planner takes a tenth of a table for what an unknown LIMIT leaves, and would walk it all.

pub(super) const WIPE_OUTBOUND: &str = "UPDATE outbound SET content = NULL WHERE id = ANY (ARRAY (SELECT id FROM outbound \
     WHERE done_ms IS NOT NULL AND content IS NOT NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

pub(super) const DROP_OUTBOUND: &str = "DELETE FROM outbound WHERE id = ANY (ARRAY (SELECT id FROM outbound \
     WHERE done_ms IS NOT NULL AND content IS NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

pub(super) const WIPE_CHOICES: &str = "UPDATE conversations SET choice = NULL, choice_ms = NULL WHERE id = ANY (ARRAY \
     (SELECT id FROM conversations WHERE choice_ms IS NOT NULL AND choice_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

pub(super) const WIPE_EVENTS: &str = "UPDATE events SET event = NULL WHERE id = ANY (ARRAY (SELECT id FROM events \
     WHERE done_ms IS NOT NULL AND event IS NOT NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

pub(super) const DROP_EVENTS: &str = "DELETE FROM events WHERE id = ANY (ARRAY (SELECT id FROM events \
     WHERE done_ms IS NOT NULL AND event IS NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

/// A reader of a copy, or of a database that takes no writes now, has no row here.
pub(super) const WRITABLE: &str = "SELECT 1::BIGINT WHERE current_setting('transaction_read_only') = 'off'";

/// Writes something that changes nothing.
pub(super) const PROBE: &str = "UPDATE bridge_steps SET done_ms = done_ms";

// The schema.

pub(super) const SERVER: &str = "SELECT current_schema()::TEXT, current_setting('server_encoding'), \
     current_setting('synchronous_commit'), current_setting('fsync')";

/// Which server this is, for one transaction at least.
pub(super) const SERVER_PROCESS: &str = "SELECT pg_backend_pid()::BIGINT";

pub(super) const TABLES: &str = "SELECT relname::TEXT FROM pg_class \
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') ORDER BY relname";

/// One process at a time changes the schema; the lock ends with its transaction, so it works through any pooler.
pub(super) const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(4774451455210346594)";

pub(super) const MAKE_STEPS: &str = "CREATE TABLE IF NOT EXISTS bridge_steps (step BIGINT PRIMARY KEY, name TEXT NOT NULL, \
     done_ms BIGINT NOT NULL)";

pub(super) const LAST_STEP: &str = "SELECT COALESCE(MAX(step), 0) FROM bridge_steps";

pub(super) const ADD_STEP: &str = "INSERT INTO bridge_steps (step, name, done_ms) VALUES ($1, $2, $3)";

/// Calls with one key come one after another; the lock ends with its transaction.
pub(super) const LOCK_KEY: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

/// Rows come with rising times, so the look ends where the past begins.
pub(super) const AHEAD_OUTBOUND: &str = "SELECT MIN(id), MAX(accepted_ms) FROM outbound WHERE id > COALESCE \
     ((SELECT id FROM outbound WHERE accepted_ms <= $1 ORDER BY id DESC LIMIT 1), 0)";

pub(super) const AHEAD_EVENTS: &str = "SELECT MIN(id), MAX(recorded_ms) FROM events WHERE id > COALESCE \
     ((SELECT id FROM events WHERE recorded_ms <= $1 ORDER BY id DESC LIMIT 1), 0)";

// A copy of another engine's store.

/// Whoever makes or copies a store there at the same time is not waited for.
pub(super) const BEGIN_COPY: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '10s'; \
     SET LOCAL statement_timeout = 0";

/// What marks the source must not be forgotten in a power cut.
pub(super) const COMMIT_FOR_GOOD: &str = "SELECT set_config('synchronous_commit', 'on', true) \
     WHERE current_setting('synchronous_commit') = 'off'";

pub(super) const SCHEMA: &str = "SELECT current_schema()::TEXT";

pub(super) const COLUMNS: &str = "SELECT c.relname::TEXT, a.attname::TEXT, format_type(a.atttypid, a.atttypmod) \
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 \
     AND NOT a.attisdropped ORDER BY c.relname, a.attnum";

/// Columns whose ids the server counts.
pub(super) const COUNTERS: &str = "SELECT c.relname::TEXT, a.attname::TEXT FROM pg_class c \
     JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = current_schema()::regnamespace \
     AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> '' ORDER BY c.relname";

/// Of a copy: a digest of all that the source held, and the source's file.
pub(super) const MAKE_COPIES: &str = "CREATE TABLE IF NOT EXISTS bridge_copies (digest TEXT PRIMARY KEY, \
     source TEXT NOT NULL, copied_ms BIGINT NOT NULL)";

pub(super) const FORMER_COPY: &str = "SELECT digest, source, copied_ms FROM bridge_copies ORDER BY copied_ms LIMIT 1";

pub(super) const ADD_COPY: &str = "INSERT INTO bridge_copies (digest, source, copied_ms) VALUES ($1, $2, $3)";
