//! The statements, in words that both engines take: `$n` placeholders (first met in their order, as SQLite numbers
//! them), TEXT and BIGINT only. What truly differs stays with its engine.

/// Next place in the conversation's outbound queue, and Afilnet's own spelling of the destination.
pub(super) const NEXT_OUTBOUND: &str = "INSERT INTO conversations (channel, contact, destination, outbound_seq) \
     VALUES ($1, $2, $3, 1) \
     ON CONFLICT (channel, contact) DO UPDATE SET outbound_seq = conversations.outbound_seq + 1 RETURNING outbound_seq";

pub(super) const ADD_OUTBOUND: &str = "INSERT INTO outbound \
     (m_id, channel, contact, seq, state, kind, content, due_ms, accepted_ms, request_id) \
     VALUES ($1, $2, $3, $4, 'queued', $5, $6, $7, $7, $8)";

/// The state of the head of an outbound queue: its first message that is neither done nor set aside.
pub(super) const OUTBOUND_HEAD: &str = "SELECT m_id, seq, state, due_ms FROM outbound \
     WHERE channel = $1 AND contact = $2 AND state IN ('queued', 'sending') ORDER BY seq LIMIT 1";

pub(super) const SET_OUTBOUND_LANE: &str =
    "UPDATE conversations SET outbound_due_ms = $1 WHERE channel = $2 AND contact = $3";

pub(super) const EPOCH: &str = "SELECT epoch FROM channels WHERE channel = $1";

pub(super) const OWN: &str = "INSERT INTO channels (channel, epoch) VALUES ($1, 1) \
     ON CONFLICT (channel) DO UPDATE SET epoch = channels.epoch + 1 RETURNING epoch";

pub(super) const DUE_LIVE: &str = "SELECT contact, destination FROM conversations \
     WHERE channel = $1 AND outbound_due_ms IS NOT NULL AND inbound_ms >= $2 AND outbound_due_ms <= $3 \
     ORDER BY outbound_due_ms LIMIT $4";

pub(super) const DUE_ANY: &str = "SELECT contact, destination FROM conversations \
     WHERE channel = $1 AND outbound_due_ms IS NOT NULL AND outbound_due_ms <= $2 ORDER BY outbound_due_ms LIMIT $3";

pub(super) const BEGIN: &str = "UPDATE outbound SET state = 'sending', attempt = attempt + 1, epoch = $1 \
     WHERE m_id = $2 AND state = 'queued' RETURNING content, part, attempt, accepted_ms, request_id";

/// The guard of every settlement: this attempt, under this owner, still under way.
pub(super) const SENT: &str = "UPDATE outbound SET state = 'sent', done_ms = $1, afilnet_id = COALESCE($2, afilnet_id), \
     fault = NULL WHERE m_id = $3 AND state = 'sending' AND part = $4 AND attempt = $5 AND epoch = $6";

pub(super) const PART_SENT: &str = "UPDATE outbound SET state = 'queued', part = part + 1, attempt = 0, due_ms = $1, \
     fault = NULL WHERE m_id = $2 AND state = 'sending' AND part = $3 AND attempt = $4 AND epoch = $5";

pub(super) const REQUEUE: &str = "UPDATE outbound SET state = 'queued', due_ms = $1, fault = $2 \
     WHERE m_id = $3 AND state = 'sending' AND part = $4 AND attempt = $5 AND epoch = $6";

pub(super) const ENDED: &str = "UPDATE outbound SET state = $1, done_ms = $2, fault = $3 \
     WHERE m_id = $4 AND state = 'sending' AND part = $5 AND attempt = $6 AND epoch = $7";

pub(super) const LEFT_SENDING: &str =
    "SELECT m_id, contact FROM outbound WHERE channel = $1 AND state = 'sending' AND epoch < $2 ORDER BY contact, seq";

pub(super) const MARK_UNKNOWN: &str =
    "UPDATE outbound SET state = 'unknown', done_ms = $1, fault = $2 WHERE m_id = $3 AND state = 'sending'";

pub(super) const SET_ASIDE: &str =
    "UPDATE outbound SET state = 'failed', done_ms = $1, fault = $2 WHERE m_id = $3 AND state IN ('queued', 'sending')";

pub(super) const NEXT_OUTBOUND_MS: &str =
    "SELECT MIN(outbound_due_ms) FROM conversations WHERE channel = $1 AND outbound_due_ms IS NOT NULL";

pub(super) const WAITING: &str = "SELECT COUNT(*) FROM outbound WHERE channel = $1 AND state = 'queued'";

pub(super) const BASELINE_MS: &str = "SELECT baseline_ms FROM channels WHERE channel = $1";

pub(super) const SET_BASELINE_MS: &str = "UPDATE channels SET baseline_ms = $1 WHERE channel = $2";

pub(super) const ADD_BASELINE: &str = "INSERT INTO conversations (channel, contact, destination, baseline) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (channel, contact) \
     DO UPDATE SET destination = EXCLUDED.destination, baseline = EXCLUDED.baseline";

pub(super) const POSITIONS: &str =
    "SELECT contact, destination, position, baseline FROM conversations WHERE channel = $1";

pub(super) const SEEN: &str = "SELECT identity, seen_ms FROM seen WHERE channel = $1 AND contact = $2";

pub(super) const ADD_SEEN: &str = "INSERT INTO seen (channel, contact, identity, seen_ms) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (channel, contact, identity) DO NOTHING";

pub(super) const FORGET: &str = "DELETE FROM seen WHERE channel = $1 AND contact = $2 AND identity = $3";

/// The conversation as a read shows it; its spelling of the destination is the one to answer to.
pub(super) const MEET: &str = "INSERT INTO conversations (channel, contact, destination) VALUES ($1, $2, $3) \
     ON CONFLICT (channel, contact) DO UPDATE SET destination = EXCLUDED.destination";

pub(super) const SET_POSITION: &str =
    "UPDATE conversations SET position = $1, baseline = NULL WHERE channel = $2 AND contact = $3";

pub(super) const HEARD: &str = "UPDATE conversations SET inbound_ms = $1 WHERE channel = $2 AND contact = $3";

pub(super) const NEXT_EVENT: &str =
    "UPDATE conversations SET event_seq = event_seq + 1 WHERE channel = $1 AND contact = $2 RETURNING event_seq";

pub(super) const ADD_EVENT: &str = "INSERT INTO events \
     (channel, contact, seq, m_id, kind, state, event, due_ms, recorded_ms) \
     VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8)";

pub(super) const EVENT_HEAD: &str = "SELECT due_ms FROM events \
     WHERE channel = $1 AND contact = $2 AND state = 'queued' ORDER BY seq LIMIT 1";

pub(super) const SET_EVENT_LANE: &str =
    "UPDATE conversations SET event_due_ms = $1 WHERE channel = $2 AND contact = $3";

pub(super) const DUE_EVENTS: &str = "SELECT contact FROM conversations \
     WHERE channel = $1 AND event_due_ms IS NOT NULL AND event_due_ms <= $2 ORDER BY event_due_ms LIMIT $3";

pub(super) const EVENT: &str = "SELECT seq, event, attempt, recorded_ms FROM events \
     WHERE channel = $1 AND contact = $2 AND state = 'queued' ORDER BY seq LIMIT 1";

pub(super) const NEXT_EVENT_MS: &str =
    "SELECT MIN(event_due_ms) FROM conversations WHERE channel = $1 AND event_due_ms IS NOT NULL";

pub(super) const EVENT_ENDED: &str = "UPDATE events SET state = $1, done_ms = $2, fault = $3, attempt = attempt + 1 \
     WHERE channel = $4 AND contact = $5 AND seq = $6 AND state = 'queued'";

pub(super) const EVENT_AGAIN: &str = "UPDATE events SET due_ms = $1, fault = $2, attempt = attempt + 1 \
     WHERE channel = $3 AND contact = $4 AND seq = $5 AND state = 'queued'";

pub(super) const LIST: &str = "SELECT m_id, channel, contact, state, kind, attempt, accepted_ms, done_ms, fault \
     FROM outbound WHERE ($1 IS NULL OR state = $1) AND ($2 IS NULL OR channel = $2) AND ($3 IS NULL OR m_id = $3) \
     ORDER BY accepted_ms DESC, m_id DESC LIMIT $4";

pub(super) const WIPE_OUTBOUND: &str = "UPDATE outbound SET content = NULL WHERE m_id IN \
     (SELECT m_id FROM outbound WHERE done_ms IS NOT NULL AND content IS NOT NULL AND done_ms < $1 LIMIT $2)";

pub(super) const DROP_OUTBOUND: &str = "DELETE FROM outbound WHERE m_id IN \
     (SELECT m_id FROM outbound WHERE done_ms IS NOT NULL AND done_ms < $1 LIMIT $2)";

pub(super) const WIPE_EVENTS: &str = "UPDATE events SET event = NULL WHERE (channel, contact, seq) IN \
     (SELECT channel, contact, seq FROM events WHERE done_ms IS NOT NULL AND event IS NOT NULL AND done_ms < $1 LIMIT $2)";

pub(super) const DROP_EVENTS: &str = "DELETE FROM events WHERE (channel, contact, seq) IN \
     (SELECT channel, contact, seq FROM events WHERE done_ms IS NOT NULL AND done_ms < $1 LIMIT $2)";

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
