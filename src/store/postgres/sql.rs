//! Statements that differ from those of both engines: rows are locked before they are read to be changed.

use crate::store::sql_pauses::not_paused;

/// One protocol message. Bounds how long a process that is cut off or paused in a transaction holds its locks:
/// otherwise the server notices only by TCP keepalive, after two hours. The bound on a wait for a lock is the shorter one:
/// otherwise the transactions of such a process that wait for each other's locks hold them for five seconds each, one
/// after the other.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '3s'";

/// Without these limits: steps of the schema may take long.
pub(super) const BEGIN_STEPS: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

pub(super) const LOCK_CONVERSATION: &str = "SELECT id FROM conversations WHERE id = $1 FOR UPDATE";

/// Those of these contacts with which a conversation is stored.
pub(super) const KNOWN_CONTACTS: &str = "SELECT contact FROM conversations WHERE channel = $1 AND contact = ANY ($2)";

pub(super) const CONVERSATION_LOCKED: &str =
    "SELECT id FROM conversations WHERE channel = $1 AND contact = $2 FOR UPDATE";

/// If another process creates it at the same time, waits for its row and locks it.
pub(super) const CONVERSATION_MADE: &str = "INSERT INTO conversations (channel, contact, destination) \
     VALUES ($1, $2, $3) ON CONFLICT (channel, contact) DO UPDATE SET channel = EXCLUDED.channel RETURNING id";

/// The server's clock in epoch milliseconds, which all processes of a cluster use.
macro_rules! server_ms {
    () => {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT"
    };
}

pub(super) const SERVER_MS: &str = concat!("SELECT ", server_ms!());

// Leases.

pub(super) const ALIVE: &str = concat!(
    "INSERT INTO processes (process, until_ms) VALUES ($1, ",
    server_ms!(),
    " + $2) ON CONFLICT (process) DO UPDATE SET until_ms = EXCLUDED.until_ms, \
     shares = GREATEST(processes.shares, $3)"
);

pub(super) const RENEW: &str = concat!(
    "UPDATE leases l SET until_ms = ",
    server_ms!(),
    " + $4, prompt = held.prompt FROM unnest($1::TEXT[], $2::BIGINT[]) AS held (channel, prompt) \
     WHERE l.channel = held.channel AND l.process = $3"
);

/// Those that are dead for an hour: their callers do not matter any more.
pub(super) const FORGET_PROCESSES: &str =
    concat!("DELETE FROM processes WHERE until_ms < ", server_ms!(), " - 3600000");

pub(super) const LIVING: &str =
    concat!("SELECT COUNT(*) FROM processes WHERE shares = 1 AND until_ms > ", server_ms!());

/// With the time that each lease has left.
pub(super) const OWNERS: &str = concat!(
    "SELECT channel, process, prompt, until_ms - ",
    server_ms!(),
    " FROM leases WHERE process IS NOT NULL AND until_ms > ",
    server_ms!()
);

/// Former owners of these channels that have not renewed in time.
pub(super) const FORMER_OWNERS: &str = concat!(
    "SELECT DISTINCT process FROM leases WHERE channel = ANY ($1) AND process <> $2 AND until_ms <= ",
    server_ms!()
);

/// Ends the connections of processes that count as dead: one that stands still would hold its locks for as long as its
/// transactions may stay open, one after the other.
pub(super) const END_CONNECTIONS: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() \
     AND split_part(application_name, '/', 2) = ANY ($1)";

pub(super) const MAKE_LEASES: &str =
    "INSERT INTO leases (channel) SELECT unnest($1::TEXT[]) ON CONFLICT (channel) DO NOTHING";

/// For each, whether another process owns it.
pub(super) const LEASES_LOCKED: &str = concat!(
    "SELECT CASE WHEN process <> $2 AND until_ms > ",
    server_ms!(),
    " THEN 1::BIGINT ELSE 0 END FROM leases WHERE channel = ANY ($1) ORDER BY channel FOR UPDATE"
);

pub(super) const TAKE_LEASES: &str =
    concat!("UPDATE leases SET process = $2, prompt = 0, until_ms = ", server_ms!(), " + $3 WHERE channel = ANY ($1)");

pub(super) const RELEASE: &str =
    "UPDATE leases SET process = NULL, until_ms = 0 WHERE channel = ANY ($1) AND process = $2";

/// The process stays alive until its responses are given.
pub(super) const DEREGISTER: &str = "UPDATE processes SET shares = 0 WHERE process = $1";

/// Other processes that are alive.
pub(super) const OTHERS: &str =
    concat!("SELECT COUNT(*) FROM processes WHERE process <> $1 AND until_ms > ", server_ms!());

// Callers that wait at one process for the verdict of another.

/// Adds a message, last of its conversation, which is locked; its lane opens where nothing waits before it. With the
/// process that answers the caller, and for how long the caller waits there for another's verdict. Returns whether
/// others are queued before it. One statement: each further one would cost every accept a round trip.
pub(super) const ADD_OUTBOUND: &str = concat!(
    "WITH before AS (SELECT EXISTS (SELECT 1 FROM outbound \
      WHERE conversation = $1 AND state IN ('queued', 'sending', 'unknown', 'held')) AS waits), \
     added AS (INSERT INTO outbound \
      (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, request_id, taken_by, caller_ms) \
      VALUES ($1, $2, 'queued', $3, $4, $5, $5, $5, $6, $7, CASE WHEN $8 > 0 THEN ",
    server_ms!(),
    " + $8 ELSE 0 END)), \
     opened AS (UPDATE conversations SET outbound_due_ms = $5 FROM before WHERE id = $1 AND NOT before.waits) \
     SELECT waits FROM before"
);

/// Equal messages of which the response is lost or not known to be received: its state, whether this process gives it,
/// and whether the process that gives it is alive.
pub(super) const UNANSWERED: &str = concat!(
    "SELECT o.m_id, o.answered, COALESCE((o.taken_by = $4)::INT, 0)::BIGINT, \
     (SELECT COUNT(*) FROM processes p WHERE p.process = o.taken_by AND p.until_ms > ",
    server_ms!(),
    ") FROM outbound o WHERE o.conversation = $1 AND o.answered <> 1 AND o.state <> 'failed' \
     AND o.accepted_ms >= $2 AND o.content = $3 ORDER BY o.id"
);

/// Equal messages that other processes accepted since then, by their own clocks, which follow the server's.
pub(super) const TAKEN_ELSEWHERE: &str = "SELECT COUNT(*) FROM outbound WHERE conversation = $1 AND accepted_ms >= $2 \
     AND content = $3 AND taken_by <> $4 AND state <> 'failed'";

/// From now on the repeat's response counts, given by this process.
pub(super) const ANSWER_AGAIN: &str = "UPDATE outbound SET answered = 0, taken_by = $2 WHERE m_id = $1 \
     AND (answered = 2 OR (answered = 0 AND taken_by IS DISTINCT FROM $2))";

/// As the statement of both engines, only for the process that gives the response: another may be about to give it
/// again.
pub(super) const ANSWER_LOST: &str = "UPDATE outbound SET answered = 2 WHERE m_id = $1 AND answered IN (0, 3) \
     AND (taken_by = $2 OR taken_by IS NULL)";

/// Locks what may be recorded of these responses, and returns those that another transaction has locked.
pub(super) const LOCK_RESPONSES: &str = "WITH free AS (SELECT id FROM outbound \
      WHERE m_id = ANY ($1) AND answered <> 1 FOR NO KEY UPDATE SKIP LOCKED) \
     SELECT m_id FROM outbound WHERE m_id = ANY ($1) AND answered <> 1 AND id NOT IN (SELECT id FROM free)";

/// For one transaction: its commit is in the server's memory when it returns, and soon on its disk.
pub(super) const IN_MEMORY: &str = "SET LOCAL synchronous_commit = off";

/// Responses were written in full; whether they were received shows later. Skips rows that another transaction is
/// changing.
pub(super) const NOTE_WRITTEN: &str = "UPDATE outbound SET answered = 3 WHERE id IN (SELECT id FROM outbound \
     WHERE m_id = ANY ($1) AND answered = 0 AND taken_by = $2 FOR UPDATE SKIP LOCKED) RETURNING m_id";

/// Responses were lost after all.
pub(super) const NOTE_LOST: &str = "UPDATE outbound SET answered = 2 WHERE id IN (SELECT id FROM outbound \
     WHERE m_id = ANY ($1) AND answered IN (0, 3) AND taken_by = $2 FOR UPDATE SKIP LOCKED) RETURNING m_id";

/// Those of these messages for which a caller waits at another process, and for how much longer.
pub(super) const AWAITED: &str = concat!(
    "SELECT id, caller_ms - ",
    server_ms!(),
    " FROM outbound WHERE id = ANY ($1) AND taken_by <> $2 AND caller_ms > ",
    server_ms!()
);

/// Holds the newest event of a conversation back, so that a caller may take it as its response.
pub(super) const HOLD_EVENT: &str = concat!(
    "UPDATE events SET held_ms = ",
    server_ms!(),
    " + $2, due_ms = due_ms + $2 WHERE id = (SELECT MAX(id) FROM events WHERE conversation = $1)"
);

/// Of these events, those that are held back.
pub(super) const HELD: &str = concat!("SELECT id FROM events WHERE id = ANY ($1) AND held_ms > ", server_ms!());

/// The verdicts on these messages, as far as there are any.
pub(super) const VERDICTS: &str = "SELECT m_id, conversation, state, fault FROM outbound WHERE m_id = ANY ($1) \
     AND NOT (state = 'sending' OR (state = 'queued' AND attempt = 0 AND part = 0))";

/// Takes the agent's notice, to give it to the caller instead: for the process that has the caller now.
pub(super) const TAKE_NOTICE: &str = concat!(
    "DELETE FROM events WHERE conversation = $1 AND m_id = $2 AND state = 'queued' \
     AND EXISTS (SELECT 1 FROM outbound o WHERE o.m_id = $2 AND o.taken_by = $3) AND held_ms > ",
    server_ms!()
);

/// Whether that process took the notice: no other does, and a notice that the agent got is stored as long as the
/// message.
pub(super) const NOTICE_TAKEN: &str = "SELECT (EXISTS (SELECT 1 FROM outbound o WHERE o.m_id = $2 AND o.taken_by = $3) \
     AND NOT EXISTS (SELECT 1 FROM events WHERE conversation = $1 AND m_id = $2))::INT::BIGINT";

/// Those of these channels that have a due message.
pub(super) const DUE_CHANNELS: &str = concat!(
    "SELECT c FROM unnest($1::TEXT[]) AS c WHERE EXISTS (SELECT 1 FROM conversations v \
     WHERE v.channel = c AND v.outbound_due_ms IS NOT NULL AND v.outbound_due_ms <= $2) AND ",
    not_paused!("out", "c")
);

pub(super) const NOTIFY: &str = "SELECT pg_notify($1, said)::TEXT FROM unnest($2::TEXT[]) AS said";

pub(super) const SAVEPOINT: &str = "SAVEPOINT before";

pub(super) const UNDO: &str = "ROLLBACK TO SAVEPOINT before";

/// The channel cannot be taken over before this transaction ends. Its traits may be written meanwhile, by this
/// transaction and by others.
pub(super) const EPOCH_HELD: &str = "SELECT epoch FROM channels WHERE channel = $1 FOR KEY SHARE";

/// Waits for all that hold [`EPOCH_HELD`].
pub(super) const CHANNEL_TAKEN: &str = "SELECT epoch FROM channels WHERE channel = $1 FOR UPDATE";

pub(super) const CHANNEL_LOCKED: &str = "SELECT epoch FROM channels WHERE channel = $1 FOR NO KEY UPDATE";

/// Due lanes of live conversations that no transaction has locked: the others cause a notification when they are
/// released.
pub(super) const LANES_LIVE: &str = concat!(
    "SELECT c.id, c.contact, c.destination FROM conversations c \
     WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.inbound_ms >= $2 AND c.outbound_due_ms <= $3 AND ",
    not_paused!("out", "$1"),
    " ORDER BY c.outbound_due_ms LIMIT $4 FOR UPDATE SKIP LOCKED"
);

/// Further lanes. Those taken already are left out by id: SKIP LOCKED does not skip a transaction's own locks.
pub(super) const LANES_ANY: &str = concat!(
    "SELECT c.id, c.contact, c.destination FROM conversations c \
     WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.outbound_due_ms <= $2 AND c.id <> ALL ($3) AND ",
    not_paused!("out", "$1"),
    " ORDER BY c.outbound_due_ms LIMIT $4 FOR UPDATE SKIP LOCKED"
);

/// The heads of these lanes, read after they are locked: what was read before may have changed.
pub(super) const HEADS: &str = "SELECT lane, (SELECT o.id FROM outbound o WHERE o.conversation = lane \
     AND o.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY o.id LIMIT 1) FROM unnest($1::BIGINT[]) AS lane";

/// Messages that were begun in a commit of which the reply was lost: they were not handed out, so they were not sent.
pub(super) const REQUEUE_BEGUN: &str = "UPDATE outbound SET state = 'queued' \
     WHERE id = ANY ($1) AND state = 'sending' AND epoch = $2";

pub(super) const CONVERSATIONS_OF: &str =
    "SELECT DISTINCT conversation FROM outbound WHERE id = ANY ($1) ORDER BY conversation";

// Retention skips locked rows: a message that an operator requeues must not lose its text meanwhile. An array, and not
// IN: the planner estimates a tenth of a table for an unknown LIMIT, and would walk all of it.

pub(super) const WIPE_OUTBOUND: &str = "UPDATE outbound SET content = NULL, sent_forms = NULL WHERE id = ANY (ARRAY (SELECT id FROM outbound \
     WHERE done_ms IS NOT NULL AND content IS NOT NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id";

pub(super) const DROP_OUTBOUND: &str = "DELETE FROM outbound WHERE id = ANY (ARRAY (SELECT id FROM outbound \
     WHERE done_ms IS NOT NULL AND content IS NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id";

pub(super) const WIPE_CHOICES: &str = "UPDATE conversations SET choice = NULL, choice_ms = NULL WHERE id = ANY (ARRAY \
     (SELECT id FROM conversations WHERE choice_ms IS NOT NULL AND choice_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

pub(super) const WIPE_EVENTS: &str = "UPDATE events SET event = NULL WHERE id = ANY (ARRAY (SELECT id FROM events \
     WHERE done_ms IS NOT NULL AND event IS NOT NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id";

pub(super) const DROP_EVENTS: &str = "DELETE FROM events WHERE id = ANY (ARRAY (SELECT id FROM events \
     WHERE done_ms IS NOT NULL AND event IS NULL AND done_ms < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id";

pub(super) const WIPE_EXCERPTS: &str = "DELETE FROM excerpts WHERE step = ANY (ARRAY (SELECT id FROM steps \
     WHERE subject = $1 AND subject_id = ANY ($2)))";

pub(super) const DELETE_STEPS: &str = "DELETE FROM steps WHERE subject = $1 AND subject_id = ANY ($2)";

/// In milliseconds, to the end of the transaction.
pub(super) const LIMIT_STATEMENTS: &str = "SELECT set_config('statement_timeout', $1, true)";

/// No row on a replica, or on a database that takes no writes now.
pub(super) const WRITABLE: &str = "SELECT 1::BIGINT WHERE current_setting('transaction_read_only') = 'off'";

/// A write that changes nothing.
pub(super) const PROBE: &str = "UPDATE bridge_steps SET done_ms = done_ms";

// The schema.

pub(super) const SERVER: &str = "SELECT current_schema()::TEXT, current_setting('server_encoding'), \
     current_setting('synchronous_commit'), current_setting('fsync')";

/// The server process, which stays the same for one transaction at least.
pub(super) const SERVER_PROCESS: &str = "SELECT pg_backend_pid()::BIGINT";

pub(super) const TABLES: &str = "SELECT relname::TEXT FROM pg_class \
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') ORDER BY relname";

/// One process at a time changes the schema; the lock ends with its transaction, so it works through any pooler.
pub(super) const LOCK_SCHEMA: &str = "SELECT pg_advisory_xact_lock(4774451455210346594)";

pub(super) const MAKE_STEPS: &str = "CREATE TABLE IF NOT EXISTS bridge_steps (step BIGINT PRIMARY KEY, name TEXT NOT NULL, \
     done_ms BIGINT NOT NULL)";

pub(super) const LAST_STEP: &str = "SELECT COALESCE(MAX(step), 0) FROM bridge_steps";

pub(super) const ADD_STEP: &str = "INSERT INTO bridge_steps (step, name, done_ms) VALUES ($1, $2, $3)";

/// Serialises calls with one key; the lock ends with its transaction.
pub(super) const LOCK_KEY: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";

// A copy of another engine's store.

/// Does not wait for another process that creates or copies a store there at the same time.
pub(super) const BEGIN_COPY: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '10s'; \
     SET LOCAL statement_timeout = 0";

/// The commit must survive a power cut, since the source is marked after it.
pub(super) const COMMIT_FOR_GOOD: &str = "SELECT set_config('synchronous_commit', 'on', true) \
     WHERE current_setting('synchronous_commit') = 'off'";

pub(super) const SCHEMA: &str = "SELECT current_schema()::TEXT";

pub(super) const COLUMNS: &str = "SELECT c.relname::TEXT, a.attname::TEXT, format_type(a.atttypid, a.atttypmod) \
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 \
     AND NOT a.attisdropped ORDER BY c.relname, a.attnum";

/// Identity columns.
pub(super) const COUNTERS: &str = "SELECT c.relname::TEXT, a.attname::TEXT FROM pg_class c \
     JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = current_schema()::regnamespace \
     AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> '' ORDER BY c.relname";

/// Of a copy: a digest of all that the source held, and the source's file.
pub(super) const MAKE_COPIES: &str = "CREATE TABLE IF NOT EXISTS bridge_copies (digest TEXT PRIMARY KEY, \
     source TEXT NOT NULL, copied_ms BIGINT NOT NULL)";

pub(super) const FORMER_COPY: &str = "SELECT digest, source, copied_ms FROM bridge_copies ORDER BY copied_ms LIMIT 1";

pub(super) const ADD_COPY: &str = "INSERT INTO bridge_copies (digest, source, copied_ms) VALUES ($1, $2, $3)";
