//! The statements that both engines share: `$n` placeholders (each first used in order, as SQLite numbers them), TEXT
//! and BIGINT only. Statements that differ are in the engines.

use super::sql_pauses::{not_paused, paused_ms};

pub(super) const CONVERSATION: &str = "SELECT id FROM conversations WHERE channel = $1 AND contact = $2";

pub(super) const ADD_CONVERSATION: &str =
    "INSERT INTO conversations (channel, contact, destination) VALUES ($1, $2, $3) RETURNING id";

pub(super) const ADD_OUTBOUND: &str = "INSERT INTO outbound \
     (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, request_id) \
     VALUES ($1, $2, 'queued', $3, $4, $5, $5, $5, $6)";

/// The oldest message that an equal call repeats. `answered <> 1` names the partial index.
pub(super) const UNANSWERED: &str = "SELECT m_id FROM outbound WHERE conversation = $1 AND answered <> 1 \
     AND answered = 2 AND state <> 'failed' AND accepted_ms >= $2 AND content = $3 ORDER BY id LIMIT 1";

/// From now on the repeat's response is the one that counts.
pub(super) const ANSWER_AGAIN: &str = "UPDATE outbound SET answered = 0 WHERE m_id = $1 AND answered = 2";

pub(super) const ANSWERED: &str = "UPDATE outbound SET answered = 1 WHERE m_id = $1 AND answered <> 1";

/// Not if another response with the same mId has reached the caller.
pub(super) const ANSWER_LOST: &str = "UPDATE outbound SET answered = 2 WHERE m_id = $1 AND answered = 0";

/// From the response journal, for responses that no commit has recorded.
pub(super) const ANSWER_NOTED: &str = "UPDATE outbound SET answered = $1 WHERE m_id = $2 AND answered = 0";

pub(super) const ANSWERS_LOST: &str = "UPDATE outbound SET answered = 2 WHERE answered <> 1 AND answered = 0 \
     AND (SELECT c.channel FROM conversations c WHERE c.id = outbound.conversation) = $1";

pub(super) const KEY: &str = "SELECT i.digest, i.m_id, o.state FROM idempotency i LEFT JOIN outbound o ON o.m_id = i.m_id \
     WHERE i.channel = $1 AND i.key = $2";

pub(super) const SET_KEY: &str = "INSERT INTO idempotency (channel, key, digest, m_id, at_ms) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (channel, key) DO UPDATE SET m_id = EXCLUDED.m_id, at_ms = EXCLUDED.at_ms";

pub(super) const DROP_KEYS: &str = "DELETE FROM idempotency WHERE (channel, key) IN \
     (SELECT channel, key FROM idempotency WHERE at_ms < $1 LIMIT $2)";

/// Opens the lane of a conversation for a message that is about to be added, unless others wait before it.
pub(super) const OPEN_OUTBOUND_LANE: &str = "UPDATE conversations SET outbound_due_ms = $1 WHERE id = $2 AND NOT EXISTS \
     (SELECT 1 FROM outbound WHERE conversation = $2 AND state IN ('queued', 'sending', 'unknown', 'held'))";

/// A lane follows the head of its conversation's queue: it has the head's due time while the head is queued and nothing
/// else of the conversation is under way, and none otherwise. Derived from the rows, never incremented.
pub(super) const SET_OUTBOUND_LANE: &str = "UPDATE conversations SET outbound_due_ms = \
     (SELECT CASE WHEN state = 'queued' AND NOT EXISTS \
      (SELECT 1 FROM outbound u WHERE u.conversation = $1 AND u.state = 'sending') THEN due_ms END FROM outbound \
      WHERE conversation = $1 AND state IN ('queued', 'sending', 'unknown', 'held') ORDER BY id LIMIT 1) WHERE id = $1";

/// The first row later than `$1`, and the newest time. Times rise with ids: it stops at the first that is not later.
pub(super) const AHEAD_OUTBOUND: &str = "SELECT MIN(id), MAX(accepted_ms) FROM outbound WHERE id > COALESCE \
     ((SELECT id FROM outbound WHERE accepted_ms <= $1 ORDER BY id DESC LIMIT 1), 0)";

pub(super) const AHEAD_EVENTS: &str = "SELECT MIN(id), MAX(recorded_ms) FROM events WHERE id > COALESCE \
     ((SELECT id FROM events WHERE recorded_ms <= $1 ORDER BY id DESC LIMIT 1), 0)";

/// Moves all that waits or is under way back by `$1`.
pub(super) const SHIFT_OUTBOUND: &str = "UPDATE outbound SET due_ms = due_ms - $1, since_ms = since_ms - $1, \
     look_ms = look_ms - $1, began_ms = began_ms - $1, unknown_ms = unknown_ms - $1, absent_ms = absent_ms - $1 \
     WHERE state IN ('queued', 'sending', 'unknown', 'held')";

pub(super) const SHIFT_EVENTS: &str =
    "UPDATE events SET due_ms = due_ms - $1, recorded_ms = recorded_ms - $1 WHERE state = 'queued'";

pub(super) const SHIFT_OUTBOUND_LANES: &str =
    "UPDATE conversations SET outbound_due_ms = outbound_due_ms - $1 WHERE outbound_due_ms IS NOT NULL";

pub(super) const SHIFT_EVENT_LANES: &str =
    "UPDATE conversations SET event_due_ms = event_due_ms - $1 WHERE event_due_ms IS NOT NULL";

/// From this row on, no time is later than now.
pub(super) const NOT_AHEAD_OUTBOUND: &str = "UPDATE outbound SET \
     accepted_ms = CASE WHEN accepted_ms > $1 THEN $1 ELSE accepted_ms END, \
     done_ms = CASE WHEN done_ms > $1 THEN $1 ELSE done_ms END WHERE id >= $2";

pub(super) const NOT_AHEAD_EVENTS: &str = "UPDATE events SET \
     recorded_ms = CASE WHEN recorded_ms > $1 THEN $1 ELSE recorded_ms END, \
     done_ms = CASE WHEN done_ms > $1 THEN $1 ELSE done_ms END WHERE id >= $2";

pub(super) const EPOCH: &str = "SELECT epoch FROM channels WHERE channel = $1";

pub(super) const TAKE_OWNERSHIP: &str = "INSERT INTO channels (channel, epoch) VALUES ($1, 1) \
     ON CONFLICT (channel) DO UPDATE SET epoch = channels.epoch + 1 RETURNING epoch";

/// Live conversations only. The `+ 0` keeps SQLite from walking every due lane in order of time to find them.
pub(super) const DUE_LIVE: &str = concat!(
    "SELECT c.id, c.contact, c.destination, \
     (SELECT o.id FROM outbound o WHERE o.conversation = c.id AND o.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY o.id LIMIT 1) \
     FROM conversations c WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.inbound_ms >= $2 \
     AND c.outbound_due_ms + 0 <= $3 AND ",
    not_paused!("out", "$1"),
    " ORDER BY c.outbound_due_ms + 0 LIMIT $4"
);

pub(super) const DUE_ANY: &str = concat!(
    "SELECT c.id, c.contact, c.destination, \
     (SELECT o.id FROM outbound o WHERE o.conversation = c.id AND o.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY o.id LIMIT 1) \
     FROM conversations c WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.outbound_due_ms <= $2 \
     AND ",
    not_paused!("out", "$1"),
    " ORDER BY c.outbound_due_ms LIMIT $3"
);

/// Of `$3` and `$4`, the settings of now, a message keeps those of its kind until it may have sent something.
pub(super) const BEGIN: &str = concat!(
    "UPDATE outbound SET state = 'sending', attempt = attempt + 1, epoch = $1, began_ms = $2, \
     wording = CASE WHEN wording IS NOT NULL AND (part > 0 OR unknown_ms IS NOT NULL) THEN wording \
     WHEN kind = 'location' THEN $3 ELSE $4 END, \
     anchor = (SELECT newest FROM conversations WHERE id = outbound.conversation), \
     sent_to = (SELECT destination FROM conversations WHERE id = outbound.conversation), look_ms = NULL, \
     looks = 0, absences = 0, absent_ms = NULL, early_lesson = NULL WHERE id = $5 AND state = 'queued' \
     RETURNING m_id, content, part, attempt, accepted_ms, request_id, fault, same_fault, outbound.since_ms + ",
    paused_ms!("out", "outbound.since_ms", "$2", "$6"),
    ", unknown_ms, wording"
);

pub(super) const SENT_FORMS: &str = "SELECT sent_forms FROM outbound WHERE id = $1";

pub(super) const NOTE_SENT_FORMS: &str = "UPDATE outbound SET sent_forms = $1 \
     WHERE id = $2 AND state = 'sending' AND part = $3 AND attempt = $4 AND epoch = $5";

/// The condition of every settlement: this attempt, still in the state that it is settled from (`sending`, or `unknown`
/// after a lookup), under the owner that began it.
pub(super) const SENT: &str = "UPDATE outbound SET state = 'sent', done_ms = $1, afilnet_id = COALESCE($2, afilnet_id), \
     fault = NULL WHERE id = $3 AND state = $4 AND part = $5 AND attempt = $6 AND epoch = $7 RETURNING early_lesson";

/// The next part keeps the place of the message in the queue.
pub(super) const PART_SENT: &str = "UPDATE outbound SET state = 'queued', part = part + 1, attempt = 0, fault = NULL, \
     same_fault = 0, unknown_ms = NULL WHERE id = $1 AND state = $2 AND part = $3 AND attempt = $4 AND epoch = $5 \
     RETURNING early_lesson";

pub(super) const REQUEUE: &str = "UPDATE outbound SET state = 'queued', due_ms = COALESCE($1, due_ms), fault = $2, \
     same_fault = CASE WHEN fault = $2 THEN same_fault + 1 ELSE 1 END \
     WHERE id = $3 AND state = $4 AND part = $5 AND attempt = $6 AND epoch = $7";

/// `told`: 2 if the agent was notified of the failure, by response or by event. What a person noted was an earlier attempt.
pub(super) const ENDED: &str = "UPDATE outbound SET state = $1, done_ms = $2, fault = $3, told = 2, noted_ms = NULL \
     WHERE id = $4 AND state = $5 AND part = $6 AND attempt = $7 AND epoch = $8";

/// ` !`: the forms in front of it may have been sent (`sent_forms`). No form: NULL, which stays NULL.
pub(super) const SET_UNKNOWN: &str = "UPDATE outbound SET state = 'unknown', fault = $1, unknown_ms = $2, look_ms = $3, \
     sent_forms = sent_forms || ' !' \
     WHERE id = $4 AND state = $5 AND part = $6 AND attempt = $7 AND epoch = $8";

pub(super) const MARK_UNREADABLE: &str = "UPDATE outbound SET state = 'failed', done_ms = $1, fault = $2 \
     WHERE id = $3 AND state IN ('queued', 'sending') RETURNING m_id";

pub(super) const LEFT_SENDING: &str = "SELECT o.id, o.conversation, o.m_id, c.contact, o.part, o.attempt \
     FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE o.state = 'sending' AND c.channel = $1 AND o.epoch < $2";

pub(super) const MARK_UNKNOWN: &str = "UPDATE outbound SET state = 'unknown', fault = $1, unknown_ms = $2, look_ms = $3, \
     sent_forms = sent_forms || ' !' \
     WHERE id = $4 AND state = 'sending'";

/// `$1`: now.
pub(super) const DUE_LOOKS: &str = concat!(
    "SELECT o.id, o.conversation, c.contact, COALESCE(o.sent_to, c.destination), o.m_id, o.content, o.part, \
     o.attempt, o.epoch, o.accepted_ms, o.request_id, o.fault, o.same_fault, o.since_ms + ",
    paused_ms!("out", "o.since_ms", "$1", "c.channel"),
    ", o.unknown_ms, o.looks, \
     o.absences, o.absent_ms, o.anchor, CASE WHEN o.kind = 'attachment' THEN h.shows_files ELSE h.shows_texts END, \
     h.settle_lag_ms, o.began_ms, o.wording \
     FROM outbound o JOIN conversations c ON c.id = o.conversation JOIN channels h ON h.channel = c.channel \
     WHERE o.state = 'unknown' AND c.channel = $2 AND o.look_ms <= $1 ORDER BY o.look_ms LIMIT $3"
);

pub(super) const NEXT_LOOK_MS: &str = "SELECT MIN(o.look_ms) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE o.state = 'unknown' AND c.channel = $1";

/// Word for word, or by its likeness.
pub(super) const IS_MATCHED: &str = "SELECT EXISTS (SELECT 1 FROM seen WHERE conversation = $1 AND claim IN ($2, $3))";

/// Whether a row seen since an attempt began may show it in other words.
pub(super) const MAYBE_SHOWN_SINCE: &str = "SELECT EXISTS (SELECT 1 FROM seen WHERE conversation = $1 AND claim = '?' \
     AND seen_ms >= (SELECT began_ms FROM outbound WHERE id = $2))";

/// The last message before this one that Afilnet confirmed as sent.
pub(super) const SENT_BEFORE: &str = "SELECT m_id, part FROM outbound WHERE conversation = $1 AND id < $2 \
     AND content IS NOT NULL AND state = 'sent' AND fault IS NULL ORDER BY id DESC LIMIT 1";

/// Adds what one look showed.
pub(super) const NOTE_EVIDENCE: &str =
    "UPDATE outbound SET evidence = COALESCE(evidence || $1, '') || $2 WHERE id = $3";

pub(super) const EVIDENCE: &str = "SELECT evidence FROM outbound WHERE m_id = $1 AND evidence IS NOT NULL";

/// Where first sends to new destinations were seen to show under the destination that they went to.
pub(super) const NEW_DESTINATIONS: &str = "SELECT new_destinations FROM channels WHERE channel = $1";

pub(super) const LOOKED: &str = "UPDATE outbound SET look_ms = $1, looks = looks + $2, absences = absences + $3, \
     absent_ms = CASE WHEN $3 = 1 THEN COALESCE(absent_ms, $4) ELSE absent_ms END \
     WHERE id = $5 AND state = 'unknown' AND part = $6 AND attempt = $7";

/// A row matches a send that is or was in doubt: its lookup is due at once, and it is not sent again meanwhile. An
/// unconfirmed one is settled as sent.
pub(super) const SHOWN: &str = "UPDATE outbound SET state = CASE state WHEN 'unconfirmed' THEN 'sent' ELSE 'unknown' END, \
     unknown_ms = COALESCE(unknown_ms, $1), look_ms = $1 \
     WHERE m_id = $2 AND part = $3 AND (state IN ('unknown', 'held') \
     OR (state = 'queued' AND unknown_ms IS NOT NULL) OR (state = 'unconfirmed' AND $4 = 1))";

pub(super) const STATE_OF: &str = "SELECT id, conversation, state, told FROM outbound WHERE m_id = $1";

pub(super) const DECIDED: &str = "UPDATE outbound SET state = $1, done_ms = $2, fault = $3, told = $4 WHERE id = $5";

/// One that is held is unconfirmed from now on: its conversation continues.
pub(super) const NOTED: &str = "UPDATE outbound SET state = 'unconfirmed', noted_ms = $1, done_ms = COALESCE(done_ms, $1) \
     WHERE id = $2 AND state IN ('held', 'unconfirmed') AND noted_ms IS NULL";

pub(super) const SENT_AGAIN: &str = "UPDATE outbound SET state = 'queued', done_ms = NULL, due_ms = accepted_ms, since_ms = $1, \
     told = 0, same_fault = 0 WHERE id = $2 AND content IS NOT NULL";

pub(super) const NEXT_OUTBOUND_MS: &str = concat!(
    "SELECT MIN(outbound_due_ms) FROM conversations WHERE channel = $1 AND outbound_due_ms IS NOT NULL AND ",
    not_paused!("out", "$1")
);

/// Messages that wait, by channel.
pub(super) const WAITING: &str = "SELECT c.channel, COUNT(*) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE o.state IN ('queued', 'sending', 'unknown', 'held') GROUP BY c.channel";

/// Channels with events that wait.
pub(super) const WAITING_EVENTS: &str =
    "SELECT channel, COUNT(*) FROM conversations WHERE event_due_ms IS NOT NULL GROUP BY channel";

/// What waits or is under way, by channel, and the oldest of what a person does not hold, nor what waits behind it: that
/// conversation's lane is closed. Ids rise with time.
pub(super) const DEPTH_OUTBOUND: &str = "SELECT c.channel, COUNT(*), \
     MIN(CASE WHEN o.state IN ('sending', 'unknown') OR (o.state = 'queued' AND c.outbound_due_ms IS NOT NULL) THEN o.id END) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE o.state IN ('queued', 'sending', 'unknown', 'held') GROUP BY c.channel";

pub(super) const SINCE_MS: &str = "SELECT since_ms FROM outbound WHERE id = $1";

pub(super) const DEPTH_EVENTS: &str = "SELECT c.channel, COUNT(*) FROM events e \
     JOIN conversations c ON c.id = e.conversation WHERE e.state = 'queued' GROUP BY c.channel";

/// Messages that an operator must settle, by channel, without those that one has noted; uses the partial index of such
/// messages.
pub(super) const DEPTH_UNCONFIRMED: &str = "SELECT c.channel, COUNT(*) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE o.state IN ('failed', 'unknown', 'held', 'unconfirmed') \
     AND o.state IN ('held', 'unconfirmed') AND o.noted_ms IS NULL GROUP BY c.channel";

/// Dead events that can be posted again, by channel; uses the partial index of such events.
pub(super) const DEPTH_DEAD: &str = "SELECT c.channel, COUNT(*) FROM events e \
     JOIN conversations c ON c.id = e.conversation WHERE e.state = 'dead' AND e.event IS NOT NULL GROUP BY c.channel";

pub(super) const SNAPSHOT_MS: &str = "SELECT baseline_ms FROM channels WHERE channel = $1";

pub(super) const SET_SNAPSHOT_MS: &str = "UPDATE channels SET baseline_ms = $1 WHERE channel = $2";

pub(super) const ADD_SNAPSHOT_ROW: &str = "INSERT INTO conversations (channel, contact, destination, baseline) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (channel, contact) DO NOTHING";

pub(super) const SET_SNAPSHOT_ROW: &str = "UPDATE conversations SET baseline = $1 WHERE id = $2";

/// How far the first destination of each conversation is read.
pub(super) const POSITIONS: &str = "SELECT contact, COALESCE(read_from, destination), read_to, baseline, unread \
     FROM conversations WHERE channel = $1 AND (read_to IS NOT NULL OR baseline IS NOT NULL)";

/// The same of further ones. The cross join keeps SQLite from walking all conversations of a channel to find the few.
pub(super) const FURTHER_POSITIONS: &str = "SELECT c.contact, d.destination, d.read_to, d.baseline, d.unread \
     FROM destinations d CROSS JOIN conversations c WHERE c.id = d.conversation AND c.channel = $1";

/// The first destinations of conversations of which a row was read since `$2`, or to which something was sent since
/// then. One whose text is erased counts no more as sent.
pub(super) const ACTIVE: &str = "SELECT c.contact, CASE WHEN c.read_from LIKE 'erased/%' THEN c.destination \
     ELSE COALESCE(c.read_from, c.destination) END FROM conversations c WHERE c.channel = $1 \
     AND (c.inbound_ms >= $2 \
     OR EXISTS (SELECT 1 FROM seen s WHERE s.conversation = c.id AND s.identity = c.newest AND s.seen_ms >= $2) \
     OR EXISTS (SELECT 1 FROM destinations d JOIN seen s ON s.conversation = d.conversation \
     AND s.identity = '@' || d.nth || ' ' || d.newest WHERE d.conversation = c.id AND s.seen_ms >= $2) \
     OR EXISTS (SELECT 1 FROM outbound o WHERE o.conversation = c.id AND o.content IS NOT NULL AND o.accepted_ms >= $2 \
     AND o.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed')))";

/// Here and below: under its contact, or under its hash if erased ([`crate::domain::ContactId::erased`]).
pub(super) const POSITION: &str = "SELECT COALESCE(read_from, destination), read_to, baseline, unread FROM conversations \
     WHERE channel = $1 AND contact IN ($2, $3) \
     AND (read_to IS NOT NULL OR baseline IS NOT NULL OR newest IS NOT NULL)";

pub(super) const FURTHER_POSITION: &str = "SELECT d.destination, d.read_to, d.baseline, d.unread \
     FROM conversations c JOIN destinations d ON d.conversation = c.id \
     WHERE c.channel = $1 AND c.contact IN ($2, $3) ORDER BY d.nth";

/// Of the first destination, by its name or the hash of it.
pub(super) const NOTE_UNREAD: &str = "UPDATE conversations SET unread = $1 WHERE channel = $2 AND contact IN ($3, $4) \
     AND COALESCE(read_from, destination) IN ($5, $6, $4)";

pub(super) const NOTE_UNREAD_AT: &str = "UPDATE destinations SET unread = $1 \
     WHERE conversation = (SELECT id FROM conversations WHERE channel = $2 AND contact IN ($3, $4) LIMIT 1) \
     AND destination IN ($5, $6)";

/// Where a conversation is kept at Afilnet: the first destination, whether anything of it was read, and the further
/// ones.
pub(super) const PLACES: &str = "SELECT c.page, COALESCE(c.read_from, c.destination), \
     CASE WHEN c.read_to IS NULL AND c.baseline IS NULL AND c.newest IS NULL THEN CAST(0 AS BIGINT) ELSE 1 END, \
     d.nth, d.destination, d.page FROM conversations c LEFT JOIN destinations d ON d.conversation = c.id \
     WHERE c.channel = $1 AND c.contact IN ($2, $3)";

/// The number of a further destination, by its name or the hash of it.
pub(super) const FURTHER: &str = "SELECT nth, destination FROM destinations \
     WHERE conversation = $1 AND destination IN ($2, $3)";

pub(super) const ADD_FURTHER: &str = "INSERT INTO destinations (conversation, nth, destination) \
     SELECT CAST($1 AS BIGINT), COALESCE(MAX(nth), 0) + 1, $2 FROM destinations WHERE conversation = $1 RETURNING nth";

/// Names a further destination of an erased conversation again.
pub(super) const NAME_FURTHER: &str = "UPDATE destinations SET destination = $1 WHERE conversation = $2 AND nth = $3";

/// The first destination is another spelling of the one that messages go to: they go there from now on.
pub(super) const SPELLED: &str = "UPDATE conversations SET destination = $1, read_from = NULL WHERE id = $2";

/// The first destination is another one than messages go to.
pub(super) const READ_FROM: &str =
    "UPDATE conversations SET read_from = CASE WHEN destination = $1 THEN NULL ELSE $1 END WHERE id = $2";

pub(super) const SEEN: &str = "SELECT s.identity, s.seen_ms, s.mark, s.claim, s.shape FROM seen s \
     JOIN conversations c ON c.id = s.conversation WHERE c.channel = $1 AND c.contact IN ($2, $3)";

pub(super) const POSTPONED: &str = "SELECT p.identity, p.content, p.since_ms, p.read_before_ms, p.due_ms \
     FROM postponed p JOIN conversations c ON c.id = p.conversation \
     WHERE c.channel = $1 AND c.contact IN ($2, $3) ORDER BY p.since_ms, p.seq";

/// Destinations with rows that wait for a decision. The cross join keeps SQLite from walking all conversations of a
/// channel to find the few.
pub(super) const UNDECIDED: &str = "SELECT DISTINCT c.contact, COALESCE(d.destination, c.read_from, c.destination) \
     FROM postponed p CROSS JOIN conversations c \
     LEFT JOIN destinations d ON d.conversation = p.conversation AND p.identity LIKE '@' || d.nth || ' %' \
     WHERE c.id = p.conversation AND c.channel = $1";

pub(super) const POSTPONE: &str = "INSERT INTO postponed \
     (conversation, identity, seq, content, since_ms, read_before_ms, due_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) \
     ON CONFLICT (conversation, identity) DO NOTHING";

pub(super) const END_POSTPONED: &str = "DELETE FROM postponed WHERE conversation = $1 AND identity = $2";

pub(super) const SHIFT_POSTPONED: &str = "UPDATE postponed SET since_ms = since_ms - $1, due_ms = due_ms - $1, \
     read_before_ms = read_before_ms - $1";

/// What nobody could read again for as long as texts are kept.
pub(super) const DROP_POSTPONED: &str = "DELETE FROM postponed WHERE (conversation, identity) IN \
     (SELECT conversation, identity FROM postponed WHERE since_ms < $1 LIMIT $2)";

/// A row that was postponed is decided, as what it says by now.
pub(super) const DECIDE_SEEN: &str = "UPDATE seen SET claim = $1, mark = $2, shape = $3 \
     WHERE conversation = $4 AND identity = $5";

/// A row without content has content now.
pub(super) const FILL_SEEN: &str = "UPDATE seen SET mark = $1, shape = $2 \
     WHERE conversation = $3 AND identity = $4 AND shape LIKE 'b%'";

pub(super) const SET_PAGE: &str = "UPDATE conversations SET page = $1 WHERE id = $2";

pub(super) const SET_PAGE_AT: &str = "UPDATE destinations SET page = $1 WHERE conversation = $2 AND nth = $3";

pub(super) const ADD_SEEN: &str = "INSERT INTO seen (conversation, identity, seen_ms, claim, mark, shape) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (conversation, identity) DO NOTHING";

/// Messages of which at least one part was sent or may have been, newest first: `part` is the last such part, or the
/// next one if the message is queued or failed. An attempt that began behind one of unknown outcome is no first one, though
/// a person's retry counts from zero.
pub(super) const MAYBE_SENT: &str = "SELECT o.m_id, o.content, o.part, \
     CASE WHEN o.unknown_ms IS NOT NULL THEN 'unknown' ELSE o.state END, o.state, \
     COALESCE(o.done_ms, CASE WHEN o.began_ms > 0 THEN o.began_ms ELSE o.accepted_ms END), \
     o.accepted_ms, o.began_ms, CASE WHEN o.unknown_ms < o.began_ms THEN 2 ELSE o.attempt END, o.sent_forms, o.wording \
     FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE c.channel = $1 AND c.contact = $2 AND o.content IS NOT NULL \
     AND (o.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed') OR o.part > 0 OR o.unknown_ms IS NOT NULL) \
     ORDER BY o.id DESC LIMIT $3";

pub(super) const MATCHES: &str = "SELECT s.claim FROM seen s JOIN conversations c ON c.id = s.conversation \
     WHERE c.channel = $1 AND c.contact = $2 AND s.claim IS NOT NULL";

/// What is known of a message whose row was found, and whether the part `$1` of it was certainly taken; else that part is under way.
pub(super) const MATCHED_SEND: &str = "SELECT o.kind, o.done_ms, CASE WHEN o.anchor IS NULL THEN COALESCE(o.sent_to, c.destination) END, \
     o.state = 'sent' OR o.part > $1 FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE o.m_id = $2 AND o.conversation = $3 AND (o.state IN ('sent', 'sending') OR o.part > $1)";

pub(super) const KEEP_LESSON: &str =
    "UPDATE outbound SET early_lesson = $1 WHERE m_id = $2 AND conversation = $3 AND state = 'sending'";

pub(super) const ACCOUNT_TRAITS: &str = "SELECT shows_texts, shows_files, settle_lag_ms, verbatim, rewritten, late_flags \
     FROM channels WHERE channel = $1";

pub(super) const LEARN_FEATURES: &str = "UPDATE channels SET verbatim = $1, rewritten = $2 WHERE channel = $3";

pub(super) const LEARN_LATE_FLAGS: &str = "UPDATE channels SET late_flags = 1 WHERE channel = $1 AND late_flags <> 1";

pub(super) const LEARN_PROMPT_FLAGS: &str = "UPDATE channels SET late_flags = -1 WHERE channel = $1 AND late_flags = 0";

/// `$1` is a numbering area and a blank, `$3` matches it between two blanks.
pub(super) const LEARN_NEW_DESTINATION: &str = "UPDATE channels SET new_destinations = new_destinations || $1 \
     WHERE channel = $2 AND new_destinations NOT LIKE $3";

pub(super) const SHOWS_TEXTS: &str = "UPDATE channels SET shows_texts = 1 WHERE channel = $1 AND shows_texts = 0";

pub(super) const SHOWS_FILES: &str = "UPDATE channels SET shows_files = 1 WHERE channel = $1 AND shows_files = 0";

pub(super) const SETTLE_LAG: &str = "UPDATE channels SET settle_lag_ms = $1 WHERE channel = $2 AND settle_lag_ms < $1";

/// Newest first.
pub(super) const UNREPORTED: &str = "SELECT o.m_id, o.part, o.state, o.told, COALESCE(o.done_ms, o.since_ms) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE c.channel = $1 AND c.contact = $2 AND o.content IS NOT NULL \
     AND o.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed') AND o.told < 2 ORDER BY o.id DESC LIMIT $3";

/// Forward only; part -1 means any.
pub(super) const SET_STATUS: &str = "UPDATE outbound SET told = $1 WHERE m_id = $2 AND conversation = $3 AND state = 'sent' \
     AND told < $1 AND $4 IN (-1, part) RETURNING done_ms";

pub(super) const FORGET: &str = "DELETE FROM seen WHERE conversation = $1 AND identity = $2";

/// The conversation as a read meets it: where messages go, its first destination, and whether anything of it was read.
pub(super) const MEET: &str = "INSERT INTO conversations (channel, contact, destination) VALUES ($1, $2, $3) \
     ON CONFLICT (channel, contact) DO UPDATE SET channel = EXCLUDED.channel \
     RETURNING id, destination, COALESCE(read_from, destination), \
     CASE WHEN read_to IS NULL AND baseline IS NULL AND newest IS NULL THEN CAST(0 AS BIGINT) ELSE 1 END";

/// The same of one that is known.
pub(super) const MET: &str = "SELECT id, destination, COALESCE(read_from, destination), \
     CASE WHEN read_to IS NULL AND baseline IS NULL AND newest IS NULL THEN CAST(0 AS BIGINT) ELSE 1 END \
     FROM conversations WHERE id = $1";

pub(super) const SET_READ_TO: &str =
    "UPDATE conversations SET read_to = $1, baseline = NULL, unread = NULL WHERE id = $2";

pub(super) const SET_READ_TO_AT: &str =
    "UPDATE destinations SET read_to = $1, baseline = NULL, unread = NULL WHERE conversation = $2 AND nth = $3";

pub(super) const SET_SNAPSHOT_ROW_AT: &str =
    "UPDATE destinations SET baseline = $1 WHERE conversation = $2 AND nth = $3";

pub(super) const SET_NEWEST: &str = "UPDATE conversations SET newest = $1 WHERE id = $2";

pub(super) const SET_NEWEST_AT: &str = "UPDATE destinations SET newest = $1 WHERE conversation = $2 AND nth = $3";

/// The customer wrote under this destination, at this time where it is known: messages go there from now on, unless the row
/// that they follow was written later. Of two of one time, and of one without, the one that is read last counts. What was read
/// is of the destination before. NULL as destination: what was told was read earlier, and says nothing of where the customer
/// writes now.
pub(super) const HEARD: &str = "UPDATE conversations SET inbound_ms = $1, \
     read_from = CASE WHEN $2 IS NULL OR heard_ms > $3 THEN read_from \
     WHEN COALESCE(read_from, destination) = $2 THEN NULL ELSE COALESCE(read_from, destination) END, \
     destination = CASE WHEN heard_ms > $3 THEN destination ELSE COALESCE($2, destination) END, \
     heard_ms = CASE WHEN heard_ms > $3 THEN heard_ms ELSE COALESCE($3, heard_ms) END WHERE id = $4";

/// Whether a conversation with this contact is stored.
pub(super) const IS_KNOWN: &str = "SELECT contact FROM conversations WHERE channel = $1 AND contact = $2";

/// The pending question from now on, in place of any other.
pub(super) const OPEN_QUESTION: &str = "UPDATE conversations SET choice = $1, choice_ms = $2 WHERE id = $3";

pub(super) const CHOICE: &str = "SELECT choice FROM conversations WHERE channel = $1 AND contact = $2";

pub(super) const CHOICE_OF: &str = "SELECT choice FROM conversations WHERE id = $1";

pub(super) const CLOSE_CHOICE: &str =
    "UPDATE conversations SET choice = NULL, choice_ms = NULL WHERE id = $1 AND choice = $2";

/// Timestamp of the conversation's newest event.
pub(super) const EVENT_MS: &str = "SELECT event_ms FROM conversations WHERE id = $1";

pub(super) const SET_EVENT_MS: &str = "UPDATE conversations SET event_ms = $1 WHERE id = $2";

pub(super) const ADD_EVENT: &str = "INSERT INTO events \
     (conversation, m_id, kind, state, event, due_ms, recorded_ms) VALUES ($1, $2, $3, 'queued', $4, $5, $6)";

pub(super) const SET_EVENT_LANE: &str = "UPDATE conversations SET event_due_ms = \
     (SELECT due_ms FROM events WHERE conversation = $1 AND state = 'queued' ORDER BY id LIMIT 1) WHERE id = $1";

pub(super) const DUE_EVENTS: &str = concat!(
    "SELECT c.id, c.contact, \
     (SELECT e.id FROM events e WHERE e.conversation = c.id AND e.state = 'queued' ORDER BY e.id LIMIT 1) \
     FROM conversations c WHERE c.channel = $1 AND c.event_due_ms IS NOT NULL AND c.event_due_ms <= $2 AND ",
    not_paused!("in", "$1"),
    " ORDER BY c.event_due_ms LIMIT $3"
);

/// The next event of a conversation, if it is due: none overtakes one that is not.
pub(super) const EVENT_BEHIND: &str = concat!(
    "SELECT e.id FROM (SELECT id, due_ms FROM events \
     WHERE conversation = $1 AND state = 'queued' AND id > $2 ORDER BY id LIMIT 1) e WHERE e.due_ms <= $3 AND ",
    not_paused!("in", "$4")
);

/// `$1`: now; `$2`: its channel.
pub(super) const EVENT: &str = concat!(
    "SELECT event, attempt, recorded_ms + ",
    paused_ms!("in", "events.recorded_ms", "$1", "$2"),
    ", fault, same_fault FROM events WHERE id = $3"
);

pub(super) const NEXT_EVENT_MS: &str = concat!(
    "SELECT MIN(event_due_ms) FROM conversations WHERE channel = $1 AND event_due_ms IS NOT NULL AND event_due_ms > $2 AND ",
    not_paused!("in", "$1")
);

pub(super) const EVENT_ENDED: &str = "UPDATE events SET state = $1, done_ms = $2, fault = $3, attempt = attempt + 1 \
     WHERE id = $4 AND state = 'queued'";

pub(super) const EVENT_AGAIN: &str = "UPDATE events SET due_ms = $1, fault = $2, attempt = attempt + 1, \
     same_fault = CASE WHEN fault = $2 THEN same_fault + 1 ELSE 1 END WHERE id = $3 AND state = 'queued'";

pub(super) const SHOW: &str = "SELECT o.m_id, c.channel, c.contact, o.state, o.kind, o.attempt, o.accepted_ms, \
     o.done_ms, o.fault, CASE WHEN o.state = 'unconfirmed' THEN o.noted_ms END, o.part, o.began_ms, \
     CASE o.state WHEN 'queued' THEN o.due_ms WHEN 'unknown' THEN o.look_ms END \
     FROM outbound o JOIN conversations c ON c.id = o.conversation WHERE o.m_id = $1";

pub(super) const CHANNEL_NAMES: &str = "SELECT channel FROM channels ORDER BY channel";

/// Dead events since a time that can be posted again.
pub(super) const GIVEN_UP: &str = "SELECT c.channel, COALESCE(e.fault, ''), COUNT(*) \
     FROM events e JOIN conversations c ON c.id = e.conversation WHERE e.state = 'dead' AND e.event IS NOT NULL \
     AND ($1 IS NULL OR c.channel = $1) AND e.done_ms >= $2 GROUP BY c.channel, COALESCE(e.fault, '') \
     ORDER BY c.channel, COALESCE(e.fault, '')";

pub(super) const GIVEN_UP_ROWS: &str = "SELECT e.id, e.conversation \
     FROM events e JOIN conversations c ON c.id = e.conversation WHERE e.state = 'dead' AND e.event IS NOT NULL \
     AND ($1 IS NULL OR c.channel = $1) AND e.done_ms >= $2 ORDER BY e.id LIMIT $3";

/// One that was given up before others of this id.
pub(super) const SHOW_EVENT: &str = "SELECT e.m_id, c.channel, c.contact, e.state, e.kind, e.attempt, e.recorded_ms, \
     e.done_ms, e.fault, CAST(NULL AS BIGINT), CAST(0 AS BIGINT), CAST(0 AS BIGINT), \
     CASE e.state WHEN 'queued' THEN e.due_ms END FROM events e JOIN conversations c ON c.id = e.conversation \
     WHERE e.m_id = $1 ORDER BY CASE WHEN e.state = 'dead' THEN 0 ELSE 1 END, e.id LIMIT 1";

pub(super) const BY_HAND: &str = "SELECT id, conversation, state, part, content IS NOT NULL, told <> 0, unknown_ms IS NOT NULL FROM outbound WHERE m_id = $1";

pub(super) const DEAD_EVENTS: &str =
    "SELECT id, conversation, event IS NOT NULL FROM events WHERE state = 'dead' AND m_id = $1 ORDER BY id";

/// Due at its time of acceptance: its old place, and in the past by every clock. `unknown_ms` stays: what an earlier attempt
/// may have sent still shows, and is neither echoed nor sent again. `told`: -1, the agent was told that it failed, and nothing since.
pub(super) const RETRY_OUTBOUND: &str = "UPDATE outbound SET state = 'queued', attempt = 0, fault = NULL, same_fault = 0, \
     done_ms = NULL, told = -1, due_ms = accepted_ms, since_ms = $1, look_ms = NULL, looks = 0, \
     absences = 0, absent_ms = NULL WHERE id = $2 AND state = 'failed' AND content IS NOT NULL";

pub(super) const RETRY_EVENT: &str = "UPDATE events SET state = 'queued', attempt = 0, fault = NULL, same_fault = 0, \
     done_ms = NULL, due_ms = recorded_ms, recorded_ms = $1 WHERE id = $2 AND state = 'dead' AND event IS NOT NULL";

pub(super) const DISCARD_OUTBOUND: &str = "UPDATE outbound SET state = 'failed', fault = 'discarded', content = NULL, sent_forms = NULL, \
     told = 2, look_ms = NULL, done_ms = COALESCE(done_ms, $1) \
     WHERE id = $2 AND state IN ('queued', 'failed', 'unconfirmed', 'held')";

pub(super) const DISCARD_EVENT: &str =
    "UPDATE events SET fault = 'discarded', event = NULL WHERE id = $1 AND state = 'dead'";

/// Whether a message of the conversation is under way or held.
pub(super) const UNDER_WAY: &str = "SELECT EXISTS (SELECT 1 FROM outbound WHERE conversation = $1 \
     AND state IN ('queued', 'sending', 'unknown', 'held') AND state <> 'queued')";

pub(super) const CLOSE_OUTBOUND_LANE: &str = "UPDATE conversations SET outbound_due_ms = NULL WHERE id = $1";

pub(super) const WIPE_OUTBOUND: &str = "UPDATE outbound SET content = NULL, sent_forms = NULL WHERE id IN \
     (SELECT id FROM outbound WHERE done_ms IS NOT NULL AND content IS NOT NULL AND done_ms < $1 LIMIT $2) RETURNING id";

pub(super) const DROP_OUTBOUND: &str = "DELETE FROM outbound WHERE id IN \
     (SELECT id FROM outbound WHERE done_ms IS NOT NULL AND content IS NULL AND done_ms < $1 LIMIT $2) RETURNING id";

pub(super) const WIPE_CHOICES: &str = "UPDATE conversations SET choice = NULL, choice_ms = NULL WHERE id IN \
     (SELECT id FROM conversations WHERE choice_ms IS NOT NULL AND choice_ms < $1 LIMIT $2)";

pub(super) const WIPE_EVENTS: &str = "UPDATE events SET event = NULL WHERE id IN \
     (SELECT id FROM events WHERE done_ms IS NOT NULL AND event IS NOT NULL AND done_ms < $1 LIMIT $2) RETURNING id";

pub(super) const DROP_EVENTS: &str = "DELETE FROM events WHERE id IN \
     (SELECT id FROM events WHERE done_ms IS NOT NULL AND event IS NULL AND done_ms < $1 LIMIT $2) RETURNING id";

#[cfg(test)]
mod tests {
    /// SQLite numbers `$n` by first appearance, PostgreSQL by `n`: they agree only where each first appears in order.
    #[test]
    fn placeholders_first_appear_in_their_order() {
        let sources = [
            include_str!("sql.rs"),
            include_str!("sql_journey.rs"),
            include_str!("sql_find.rs"),
            include_str!("sql_bulk.rs"),
            include_str!("sql_stale.rs"),
            include_str!("sql_pauses.rs"),
            include_str!("sql_tail.rs"),
            include_str!("sql_operators.rs"),
        ];
        let statements = sources.into_iter().flat_map(|source| source.split("pub(super) const ").skip(1));
        let statements = statements.filter_map(|s| s.split(';').next());
        let mut count = 0;
        for statement in statements {
            let mut highest = 0;
            for after in statement.split('$').skip(1) {
                let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
                let Ok(n) = digits.parse::<u32>() else { continue };
                assert!(n <= highest + 1, "${n} comes too early in {statement}");
                highest = highest.max(n);
            }
            count += 1;
        }
        assert!(count > 30, "only {count} statements were looked at");
    }
}
