//! Delivery statuses: what the statuses of the bridge's own rows mean for the messages that they show.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use crate::domain::agent_text::receipt;
use crate::domain::{AfilnetRow, ChannelName, Language, MId, StatusValue};
use crate::store::{Receipt, UnreportedSend};
use crate::work::lock::lock;

/// Unknown values that are logged, at most: beyond them it is no list of statuses.
const MOST_UNKNOWN: usize = 32;
/// Characters of a value that are logged.
const MOST_SHOWN: usize = 40;

/// One channel's reading of statuses.
#[derive(Debug, Default)]
pub(in crate::work) struct Receipts {
    /// Row status -> what it means; keys in small letters too. Empty where statuses are not wanted.
    map: BTreeMap<String, StatusValue>,
    wanted: bool,
    /// Values without a meaning, each logged once.
    unknown: Mutex<HashSet<String>>,
}

impl Receipts {
    pub(in crate::work) fn new(wanted: bool, map: &BTreeMap<String, StatusValue>) -> Self {
        let map = if wanted { map.clone() } else { BTreeMap::new() };
        Self { map, wanted, unknown: Mutex::default() }
    }

    /// Returns whether any status has a meaning.
    pub(in crate::work) fn any(&self) -> bool {
        !self.map.is_empty()
    }

    /// Returns what a row's status means.
    fn meaning(&self, channel: &ChannelName, row: &AfilnetRow) -> Option<StatusValue> {
        let status = row.status.as_deref().map(str::trim).filter(|status| self.wanted && !status.is_empty())?;
        // A key from the environment is in small letters.
        let known = self.map.get(status).or_else(|| self.map.get(&status.to_lowercase())).copied();
        if known.is_none() {
            self.say(channel, status);
        }
        known
    }

    fn say(&self, channel: &ChannelName, status: &str) {
        let shown: String = status.chars().take(MOST_SHOWN).collect();
        let mut unknown = lock(&self.unknown);
        if unknown.len() < MOST_UNKNOWN && unknown.insert(shown.clone()) {
            tracing::info!(channel_name = %channel, status = shown, "channel `{channel}`: rows of sent messages show \
                the status `{shown}`; if you know what it means, map it with inbound.status_map");
        }
    }

    /// Returns the statuses of these rows, each with the send it was matched with: failures first, as they end all
    /// else.
    pub(in crate::work) fn of<'r>(
        &self,
        channel: &ChannelName,
        rows: impl Iterator<Item = (&'r AfilnetRow, (MId, u32))>,
        language: Language,
    ) -> Vec<Receipt> {
        let mut receipts: Vec<Receipt> = rows
            .filter_map(|(row, (m_id, part))| {
                let value = self.meaning(channel, row)?;
                Some(Receipt { m_id, part, value, message: receipt(value, language).to_owned() })
            })
            .collect();
        receipts.sort_by_key(|receipt| (receipt.value != StatusValue::Failed, receipt.value));
        receipts
    }
}

/// Returns those of `receipts` that go beyond what was published.
pub(in crate::work) fn unreported(receipts: Vec<Receipt>, unreported_sends: &[UnreportedSend]) -> Vec<Receipt> {
    let unreported_sends: HashMap<&MId, &UnreportedSend> =
        unreported_sends.iter().map(|message| (&message.m_id, message)).collect();
    let goes_on = |receipt: &Receipt| {
        unreported_sends.get(&receipt.m_id).is_some_and(|message| {
            let whole = receipt.value == StatusValue::Failed || receipt.part == message.part;
            message.sent && whole && receipt.value.rank() > message.told
        })
    };
    receipts.into_iter().filter(goes_on).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Direction;
    use crate::domain::matching::testing::row;

    fn shown(receipts: &Receipts, statuses: &[(&str, u32, &str)]) -> Vec<Receipt> {
        let rows: Vec<AfilnetRow> = statuses
            .iter()
            .map(|(_, _, status)| AfilnetRow {
                status: Some((*status).to_owned()),
                ..row("", Direction::Outbound, 1, "t")
            })
            .collect();
        let calls = statuses.iter().map(|(m_id, part, _)| (m_id.parse().unwrap(), *part));
        receipts.of(&"support".parse().unwrap(), rows.iter().zip(calls), Language::En)
    }

    fn values(receipts: &[Receipt]) -> Vec<(&str, StatusValue)> {
        receipts.iter().map(|receipt| (receipt.m_id.as_str(), receipt.value)).collect()
    }

    fn map() -> BTreeMap<String, StatusValue> {
        let of = |(status, value): (&str, StatusValue)| (status.to_owned(), value);
        [("2", StatusValue::Delivered), ("leido", StatusValue::Read), ("4", StatusValue::Failed)].map(of).into()
    }

    #[test]
    fn only_what_is_mapped_means_something_and_failures_come_first() {
        let receipts = Receipts::new(true, &map());
        let told = shown(&receipts, &[("a", 0, "2"), ("b", 0, "Leido"), ("c", 0, "9"), ("d", 0, " 4 "), ("e", 0, "")]);
        let expected = [("d", StatusValue::Failed), ("a", StatusValue::Delivered), ("b", StatusValue::Read)];
        assert_eq!(values(&told), expected);
        assert!(told.iter().all(|receipt| !receipt.message.is_empty()));
        assert_eq!(*lock(&receipts.unknown), HashSet::from(["9".to_owned()]));
        let off = Receipts::new(false, &map());
        assert!(!off.any() && shown(&off, &[("a", 0, "2")]).is_empty());
    }

    #[test]
    fn a_status_is_published_where_it_advances_and_is_that_of_the_last_part() {
        let receipts = Receipts::new(true, &map());
        let unreported_sends =
            |told, sent| UnreportedSend { m_id: "a".parse().unwrap(), part: 1, sent, told, since_ms: 0 };
        let all = || shown(&receipts, &[("a", 0, "2"), ("a", 1, "2"), ("a", 1, "leido"), ("a", 0, "4"), ("x", 0, "2")]);
        let left = |told, sent| {
            values(&unreported(all(), &[unreported_sends(told, sent)]))
                .iter()
                .map(|(_, value)| *value)
                .collect::<Vec<_>>()
        };
        assert_eq!(left(0, true), [StatusValue::Failed, StatusValue::Delivered, StatusValue::Read]);
        assert_eq!(left(1, true), [StatusValue::Failed, StatusValue::Read]);
        assert!(left(2, true).is_empty() && left(0, false).is_empty());
    }
}
