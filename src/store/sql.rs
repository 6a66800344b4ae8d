//! The statements, in words that both engines take: `$n` placeholders (first met in their order, as SQLite numbers
//! them), TEXT and BIGINT only. What truly differs stays with its engine.

pub(super) const CONVERSATION: &str = "SELECT id FROM conversations WHERE channel = $1 AND contact = $2";

pub(super) const ADD_CONVERSATION: &str =
    "INSERT INTO conversations (channel, contact, destination) VALUES ($1, $2, $3) RETURNING id";

pub(super) const ADD_OUTBOUND: &str = "INSERT INTO outbound \
     (conversation, m_id, state, kind, content, due_ms, accepted_ms, since_ms, request_id) \
     VALUES ($1, $2, 'queued', $3, $4, $5, $5, $5, $6) RETURNING id";

/// Whether messages of the conversation wait before this one.
pub(super) const AHEAD: &str = "SELECT EXISTS (SELECT 1 FROM outbound \
     WHERE conversation = $1 AND state IN ('queued', 'sending', 'unknown', 'held') AND id < $2)";

/// A lane follows the head of its queue: open at its due time while it is queued, closed otherwise. Never counted.
pub(super) const SET_OUTBOUND_LANE: &str = "UPDATE conversations SET outbound_due_ms = \
     (SELECT CASE WHEN state = 'queued' THEN due_ms END FROM outbound \
      WHERE conversation = $1 AND state IN ('queued', 'sending', 'unknown', 'held') ORDER BY id LIMIT 1) WHERE id = $1";

pub(super) const EPOCH: &str = "SELECT epoch FROM channels WHERE channel = $1";

pub(super) const OWN: &str = "INSERT INTO channels (channel, epoch) VALUES ($1, 1) \
     ON CONFLICT (channel) DO UPDATE SET epoch = channels.epoch + 1 RETURNING epoch";

/// Live conversations alone. The `+ 0` keeps SQLite from walking every due lane in order of time to find them.
pub(super) const DUE_LIVE: &str = "SELECT c.id, c.contact, c.destination, \
     (SELECT o.id FROM outbound o WHERE o.conversation = c.id AND o.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY o.id LIMIT 1) \
     FROM conversations c WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.inbound_ms >= $2 \
     AND c.outbound_due_ms + 0 <= $3 ORDER BY c.outbound_due_ms + 0 LIMIT $4";

pub(super) const DUE_ANY: &str = "SELECT c.id, c.contact, c.destination, \
     (SELECT o.id FROM outbound o WHERE o.conversation = c.id AND o.state IN ('queued', 'sending', 'unknown', 'held') ORDER BY o.id LIMIT 1) \
     FROM conversations c WHERE c.channel = $1 AND c.outbound_due_ms IS NOT NULL AND c.outbound_due_ms <= $2 \
     ORDER BY c.outbound_due_ms LIMIT $3";

pub(super) const BEGIN: &str = "UPDATE outbound SET state = 'sending', attempt = attempt + 1, epoch = $1 \
     WHERE id = $2 AND state = 'queued' \
     RETURNING m_id, content, part, attempt, accepted_ms, request_id, fault, same_fault";

/// The guard of every settlement: this attempt, under this owner, still under way.
pub(super) const SENT: &str = "UPDATE outbound SET state = 'sent', done_ms = $1, afilnet_id = COALESCE($2, afilnet_id), \
     fault = NULL WHERE id = $3 AND state = 'sending' AND part = $4 AND attempt = $5 AND epoch = $6";

/// The next part keeps the place of the first.
pub(super) const PART_SENT: &str = "UPDATE outbound SET state = 'queued', part = part + 1, attempt = 0, fault = NULL, \
     same_fault = 0 WHERE id = $1 AND state = 'sending' AND part = $2 AND attempt = $3 AND epoch = $4";

pub(super) const REQUEUE: &str = "UPDATE outbound SET state = 'queued', due_ms = COALESCE($1, due_ms), fault = $2, \
     same_fault = CASE WHEN fault = $2 THEN same_fault + 1 ELSE 1 END \
     WHERE id = $3 AND state = 'sending' AND part = $4 AND attempt = $5 AND epoch = $6";

pub(super) const ENDED: &str = "UPDATE outbound SET state = $1, done_ms = $2, fault = $3 \
     WHERE id = $4 AND state = 'sending' AND part = $5 AND attempt = $6 AND epoch = $7";

pub(super) const SET_ASIDE: &str = "UPDATE outbound SET state = 'failed', done_ms = $1, fault = $2 \
     WHERE id = $3 AND state IN ('queued', 'sending') RETURNING m_id";

pub(super) const LEFT_SENDING: &str = "SELECT o.id, o.conversation, o.m_id, c.contact \
     FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE o.state = 'sending' AND c.channel = $1 AND o.epoch < $2";

pub(super) const MARK_UNKNOWN: &str =
    "UPDATE outbound SET state = 'unconfirmed', done_ms = $1, fault = $2 WHERE id = $3 AND state = 'sending'";

pub(super) const NEXT_OUTBOUND_MS: &str =
    "SELECT MIN(outbound_due_ms) FROM conversations WHERE channel = $1 AND outbound_due_ms IS NOT NULL";

/// Messages that wait, by channel.
pub(super) const WAITING: &str = "SELECT c.channel, COUNT(*) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE o.state IN ('queued', 'sending', 'unknown', 'held') GROUP BY c.channel";

/// Channels with events that wait.
pub(super) const WAITING_EVENTS: &str =
    "SELECT channel, COUNT(*) FROM conversations WHERE event_due_ms IS NOT NULL GROUP BY channel";

pub(super) const BASELINE_MS: &str = "SELECT baseline_ms FROM channels WHERE channel = $1";

pub(super) const SET_BASELINE_MS: &str = "UPDATE channels SET baseline_ms = $1 WHERE channel = $2";

pub(super) const ADD_BASELINE: &str = "INSERT INTO conversations (channel, contact, destination, baseline) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (channel, contact) \
     DO UPDATE SET destination = EXCLUDED.destination, baseline = EXCLUDED.baseline";

pub(super) const POSITIONS: &str = "SELECT contact, destination, read_to, baseline, unread FROM conversations \
     WHERE channel = $1 AND (read_to IS NOT NULL OR baseline IS NOT NULL)";

pub(super) const NOTE_UNREAD: &str = "UPDATE conversations SET unread = $1 WHERE channel = $2 AND contact = $3";

pub(super) const SEEN: &str = "SELECT s.identity, s.seen_ms, s.mark, s.claim FROM seen s \
     JOIN conversations c ON c.id = s.conversation WHERE c.channel = $1 AND c.contact = $2";

pub(super) const PAGE: &str = "SELECT page FROM conversations WHERE channel = $1 AND contact = $2";

pub(super) const SET_PAGE: &str = "UPDATE conversations SET page = $1 WHERE id = $2";

pub(super) const ADD_SEEN: &str = "INSERT INTO seen (conversation, identity, seen_ms, claim, mark) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (conversation, identity) DO NOTHING";

/// Messages of which at least one part went out or may have, newest first: `part` is the last such part, or the next
/// one where the message is queued or failed.
pub(super) const SPOKEN: &str = "SELECT o.m_id, o.content, o.part, o.state FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE c.channel = $1 AND c.contact = $2 AND o.content IS NOT NULL \
     AND (o.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed') OR o.part > 0) ORDER BY o.id DESC LIMIT $3";

pub(super) const CLAIMS: &str = "SELECT s.claim FROM seen s JOIN conversations c ON c.id = s.conversation \
     WHERE c.channel = $1 AND c.contact = $2 AND s.claim IS NOT NULL";

/// What is known of a message whose row was found.
pub(super) const CLAIMED: &str =
    "SELECT kind, done_ms FROM outbound WHERE m_id = $1 AND conversation = $2 AND state = 'sent'";

pub(super) const LEARNED: &str = "SELECT shows_texts, shows_files, settle_lag_ms FROM channels WHERE channel = $1";

pub(super) const LEARN_TEXTS: &str = "UPDATE channels SET shows_texts = 1 WHERE channel = $1 AND shows_texts = 0";

pub(super) const LEARN_FILES: &str = "UPDATE channels SET shows_files = 1 WHERE channel = $1 AND shows_files = 0";

pub(super) const LEARN_LAG: &str = "UPDATE channels SET settle_lag_ms = $1 WHERE channel = $2 AND settle_lag_ms < $1";

/// The newest first: those that may still be told of.
pub(super) const UNTOLD: &str = "SELECT o.m_id, o.part, o.state, o.told, COALESCE(o.done_ms, o.since_ms) FROM outbound o \
     JOIN conversations c ON c.id = o.conversation WHERE c.channel = $1 AND c.contact = $2 AND o.content IS NOT NULL \
     AND o.state IN ('sending', 'unknown', 'held', 'sent', 'unconfirmed') AND o.told < 2 ORDER BY o.id DESC LIMIT $3";

/// Forward only; part -1 stands for any.
pub(super) const TELL: &str = "UPDATE outbound SET told = $1 WHERE m_id = $2 AND conversation = $3 AND state = 'sent' \
     AND told < $1 AND $4 IN (-1, part) RETURNING done_ms";

pub(super) const FORGET: &str = "DELETE FROM seen WHERE conversation = $1 AND identity = $2";

/// The conversation as a read shows it; its spelling of the destination is the one to answer to.
pub(super) const MEET: &str = "INSERT INTO conversations (channel, contact, destination) VALUES ($1, $2, $3) \
     ON CONFLICT (channel, contact) DO UPDATE SET destination = EXCLUDED.destination RETURNING id";

pub(super) const SET_READ_TO: &str =
    "UPDATE conversations SET read_to = $1, baseline = NULL, unread = NULL WHERE id = $2";

pub(super) const HEARD: &str = "UPDATE conversations SET inbound_ms = $1 WHERE id = $2";

/// The question that is open from now on, in place of any other.
pub(super) const OPEN_CHOICE: &str = "UPDATE conversations SET choice = $1, choice_ms = $2 WHERE id = $3";

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

pub(super) const DUE_EVENTS: &str = "SELECT c.id, c.contact, \
     (SELECT e.id FROM events e WHERE e.conversation = c.id AND e.state = 'queued' ORDER BY e.id LIMIT 1) \
     FROM conversations c WHERE c.channel = $1 AND c.event_due_ms IS NOT NULL AND c.event_due_ms <= $2 \
     ORDER BY c.event_due_ms LIMIT $3";

pub(super) const EVENT: &str = "SELECT event, attempt, recorded_ms, fault, same_fault FROM events WHERE id = $1";

pub(super) const NEXT_EVENT_MS: &str = "SELECT MIN(event_due_ms) FROM conversations \
     WHERE channel = $1 AND event_due_ms IS NOT NULL AND event_due_ms > $2";

pub(super) const EVENT_ENDED: &str = "UPDATE events SET state = $1, done_ms = $2, fault = $3, attempt = attempt + 1 \
     WHERE id = $4 AND state = 'queued'";

pub(super) const EVENT_AGAIN: &str = "UPDATE events SET due_ms = $1, fault = $2, attempt = attempt + 1, \
     same_fault = CASE WHEN fault = $2 THEN same_fault + 1 ELSE 1 END WHERE id = $3 AND state = 'queued'";

pub(super) const LIST: &str = "SELECT o.m_id, c.channel, c.contact, o.state, o.kind, o.attempt, o.accepted_ms, \
     o.done_ms, o.fault FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE ($1 IS NULL OR o.state = $1) AND ($2 IS NULL OR c.channel = $2) ORDER BY o.id DESC LIMIT $3";

/// As [`LIST`], for the states that are rare and asked for most: through their own index.
pub(super) const LIST_TROUBLE: &str = "SELECT o.m_id, c.channel, c.contact, o.state, o.kind, o.attempt, o.accepted_ms, \
     o.done_ms, o.fault FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE o.state IN ('failed', 'unknown', 'held', 'unconfirmed') AND o.state = $1 AND ($2 IS NULL OR c.channel = $2) ORDER BY o.id DESC LIMIT $3";

pub(super) const LIST_SENDING: &str = "SELECT o.m_id, c.channel, c.contact, o.state, o.kind, o.attempt, o.accepted_ms, \
     o.done_ms, o.fault FROM outbound o JOIN conversations c ON c.id = o.conversation \
     WHERE o.state = 'sending' AND o.state = $1 AND ($2 IS NULL OR c.channel = $2) ORDER BY o.id DESC LIMIT $3";

pub(super) const SHOW: &str = "SELECT o.m_id, c.channel, c.contact, o.state, o.kind, o.attempt, o.accepted_ms, \
     o.done_ms, o.fault FROM outbound o JOIN conversations c ON c.id = o.conversation WHERE o.m_id = $1";

pub(super) const WIPE_OUTBOUND: &str = "UPDATE outbound SET content = NULL WHERE id IN \
     (SELECT id FROM outbound WHERE done_ms IS NOT NULL AND content IS NOT NULL AND done_ms < $1 LIMIT $2)";

pub(super) const DROP_OUTBOUND: &str = "DELETE FROM outbound WHERE id IN \
     (SELECT id FROM outbound WHERE done_ms IS NOT NULL AND content IS NULL AND done_ms < $1 LIMIT $2)";

pub(super) const WIPE_CHOICES: &str = "UPDATE conversations SET choice = NULL, choice_ms = NULL WHERE id IN \
     (SELECT id FROM conversations WHERE choice_ms IS NOT NULL AND choice_ms < $1 LIMIT $2)";

pub(super) const WIPE_EVENTS: &str = "UPDATE events SET event = NULL WHERE id IN \
     (SELECT id FROM events WHERE done_ms IS NOT NULL AND event IS NOT NULL AND done_ms < $1 LIMIT $2)";

pub(super) const DROP_EVENTS: &str = "DELETE FROM events WHERE id IN \
     (SELECT id FROM events WHERE done_ms IS NOT NULL AND event IS NULL AND done_ms < $1 LIMIT $2)";

#[cfg(test)]
mod tests {
    /// SQLite numbers `$n` by first appearance, PostgreSQL by `n`: they agree only where each first appears in order.
    #[test]
    fn placeholders_first_appear_in_their_order() {
        let source = include_str!("sql.rs");
        let statements = source.split("pub(super) const ").skip(1).filter_map(|s| s.split(';').next());
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
