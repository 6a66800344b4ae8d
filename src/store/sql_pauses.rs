//! The statements of pauses by hand, and the conditions that they add to others; for both engines, see `sql.rs`.

/// Whether no pause by hand of this kind lasts for the channel.
macro_rules! not_paused {
    ($what:literal, $channel:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM operator_pauses p WHERE p.channel = ",
            $channel,
            " AND p.what = '",
            $what,
            "' AND p.ended_ms IS NULL)"
        )
    };
}
pub(super) use not_paused;

/// How many milliseconds between `$since` and `$now` the channel was paused by hand: pauses of a kind follow each other.
macro_rules! paused_ms {
    ($what:literal, $since:literal, $now:literal, $channel:literal) => {
        concat!(
            "CAST(COALESCE((SELECT SUM(COALESCE(p.ended_ms, ",
            $now,
            ") - CASE WHEN p.since_ms > ",
            $since,
            " THEN p.since_ms ELSE ",
            $since,
            " END) FROM operator_pauses p WHERE p.channel = ",
            $channel,
            " AND p.what = '",
            $what,
            "' AND (p.ended_ms IS NULL OR p.ended_ms > ",
            $since,
            ")), 0) AS BIGINT)"
        )
    };
}
pub(super) use paused_ms;

/// Adds none where one lasts already.
pub(super) const ADD_PAUSE: &str = "INSERT INTO operator_pauses (channel, what, since_ms, who, why) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (channel, what) WHERE ended_ms IS NULL DO NOTHING";

pub(super) const LASTING_PAUSE: &str = "SELECT channel, what, since_ms, who, why FROM operator_pauses \
     WHERE channel = $1 AND what = $2 AND ended_ms IS NULL";

pub(super) const LASTING_PAUSES: &str =
    "SELECT channel, what, since_ms, who, why FROM operator_pauses WHERE ended_ms IS NULL ORDER BY channel, what";

/// Not before it began, whatever was done to the clock.
pub(super) const END_PAUSE: &str = "UPDATE operator_pauses SET ended_ms = CASE WHEN since_ms > $1 THEN since_ms ELSE $1 END \
     WHERE channel = $2 AND what = $3 AND ended_ms IS NULL";

/// Ends what pauses a channel by itself, but for the fault `$3`; not before it began, whatever was done to the clock.
pub(super) const END_FAULT: &str = "UPDATE channel_pauses SET ended_ms = CASE WHEN since_ms > $1 THEN since_ms ELSE $1 END \
     WHERE channel = $2 AND ended_ms IS NULL AND fault <> COALESCE($3, '')";

/// Goes on with the newest pause, where that is by the same fault and lasts, or ended not before `$3`: a breaker opens again after each probe.
pub(super) const FAULT_AGAIN: &str = "UPDATE channel_pauses SET ended_ms = NULL WHERE id = \
     (SELECT id FROM channel_pauses WHERE channel = $1 ORDER BY since_ms DESC, id DESC LIMIT 1) \
     AND fault = $2 AND (ended_ms IS NULL OR ended_ms >= $3)";

pub(super) const ADD_FAULT: &str = "INSERT INTO channel_pauses (channel, fault, since_ms) VALUES ($1, $2, $3)";

/// The last 20 pauses of sends, by a person or by a fault, that had not ended at `$2` and began before `$3`; the newest first.
pub(super) const PAUSES_WITHIN: &str = "SELECT since_ms, ended_ms, who, why, NULL AS fault FROM operator_pauses \
     WHERE channel = $1 AND what = 'out' AND (ended_ms IS NULL OR ended_ms > $2) AND since_ms < $3 UNION ALL \
     SELECT since_ms, ended_ms, NULL, NULL, fault FROM channel_pauses \
     WHERE channel = $1 AND (ended_ms IS NULL OR ended_ms > $2) AND since_ms < $3 ORDER BY since_ms DESC LIMIT 20";

pub(super) const SHIFT_FAULTS: &str = "UPDATE channel_pauses SET since_ms = since_ms - $1, ended_ms = ended_ms - $1";

pub(super) const DROP_FAULTS: &str = "DELETE FROM channel_pauses WHERE id IN \
     (SELECT id FROM channel_pauses WHERE ended_ms IS NOT NULL AND ended_ms < $1 ORDER BY ended_ms LIMIT $2)";

/// As far back as the times of what waits are moved.
pub(super) const SHIFT_PAUSES: &str = "UPDATE operator_pauses SET since_ms = since_ms - $1, ended_ms = ended_ms - $1";

pub(super) const DROP_PAUSES: &str = "DELETE FROM operator_pauses WHERE id IN \
     (SELECT id FROM operator_pauses WHERE ended_ms IS NOT NULL AND ended_ms < $1 ORDER BY ended_ms LIMIT $2)";
