//! A conversation as Afilnet shows it now, for an operator who decides on a message that may have been delivered. Reads, of each account one a
//! second at most, on top of the calls of the bridge; whichever process delivers the channel.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use crate::afilnet::{self, AccessTokens, AfilnetClient};
use crate::config::{Channel, Config, FirstRun};
use crate::domain::clock::now_ms;
use crate::domain::{AfilnetRow, ContactId, Destination, Direction, Fault, Messenger as _};
use crate::store::{Position, Store, StoreError};

/// Rows that are shown, the newest.
const ROWS: usize = 20;
/// Time of a read, with the wait for its turn.
const WITHIN: Duration = Duration::from_secs(6);
/// Pause before the next read of an account.
const PAUSE: Duration = Duration::from_secs(1);
/// The same after one that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The same after Afilnet refused the account: it locks accounts that go on trying (afilnet.md, errors).
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_mins(5);

/// The end of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// When it was read.
    pub(crate) read_ms: i64,
    /// Oldest first.
    pub(crate) rows: Vec<ShownRow>,
    /// Rows before these, which are not shown.
    pub(crate) earlier: usize,
}

impl Conversation {
    /// Returns a digest that differs from that of an end with another row.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for ShownRow { at_ms, direction, text } in &self.rows {
            digest.update(format!("{at_ms:?} {} {} {text}", direction.letter(), text.len()));
        }
        digest.update(self.earlier.to_le_bytes());
        digest.finalize().iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// One row of the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownRow {
    /// `None` where Afilnet's time cannot be read.
    pub(crate) at_ms: Option<i64>,
    pub(crate) direction: Direction,
    pub(crate) text: String,
}

/// Why a conversation is not shown.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Its channel is not configured.
    NotConfigured,
    /// Its contact has been erased, or is none of this channel's.
    NoContact,
    /// The bridge has not read it yet, and what is unread is to be learned first: another read may clear that mark (afilnet.md U1).
    NotMetYet,
    /// Afilnet did not answer, or there was no turn in time.
    Late,
    /// Afilnet refused, or could not be reached.
    Afilnet(Fault),
    Store(StoreError),
}

/// An account at Afilnet: its address and its user.
type Account = (String, String);

/// Reads of one process; of each account one after another.
pub(crate) struct Conversations {
    /// When the next of each account may be made.
    next: Mutex<HashMap<Account, Arc<AsyncMutex<Instant>>>>,
    tokens: AccessTokens,
}

impl Conversations {
    pub(crate) fn new() -> Self {
        Self { next: Mutex::default(), tokens: AccessTokens::default() }
    }

    /// Returns the end of the conversation of a contact.
    ///
    /// # Errors
    /// Why it is not shown.
    pub(crate) async fn read(
        &self,
        store: &dyn Store,
        config: &Config,
        channel: &str,
        contact: &str,
    ) -> Result<Conversation, Unread> {
        let channel = channel.parse().ok().and_then(|name| config.channels.get(&name)).ok_or(Unread::NotConfigured)?;
        let contact: ContactId = contact.parse().map_err(|_| Unread::NoContact)?;
        let learns_unread = config.inbound.first_run == FirstRun::Unread;
        let destinations = destinations(store, channel, &contact, learns_unread).await?;
        let client = self.client(config, channel)?;
        let next = self.next(channel);
        let asked = tokio::time::timeout(WITHIN, ask(&client, &destinations, &next)).await;
        let mut rows = asked.unwrap_or(Err(Unread::Late))?;
        let read_ms = now_ms();
        let earlier = rows.len().saturating_sub(ROWS);
        rows.drain(..earlier);
        let said = |row: AfilnetRow| ShownRow { at_ms: row.time.epoch_ms, direction: row.direction, text: row.text };
        Ok(Conversation { read_ms, rows: rows.into_iter().map(said).collect(), earlier })
    }

    fn client(&self, config: &Config, channel: &Channel) -> Result<AfilnetClient, Unread> {
        let mut channel = channel.clone();
        channel.afilnet.timeout = channel.afilnet.timeout.min(WITHIN);
        let http = afilnet::client(channel.afilnet.timeout, &channel.afilnet.ca)
            .map_err(|_| Unread::Afilnet(Fault::Unreachable))?;
        Ok(AfilnetClient::new(&channel, &config.outbound, config.language, http, &self.tokens))
    }

    fn next(&self, channel: &Channel) -> Arc<AsyncMutex<Instant>> {
        let account = (channel.afilnet.url.to_string(), channel.afilnet.user.clone());
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(account).or_insert_with(|| Arc::new(AsyncMutex::new(Instant::now()))))
    }
}

/// Waits for the turn, and asks. Of several destinations of one contact, the rows of all, in the order of their times.
async fn ask(
    client: &AfilnetClient,
    of: &[Destination],
    next: &AsyncMutex<Instant>,
) -> Result<Vec<AfilnetRow>, Unread> {
    let mut next = next.lock().await;
    let mut rows = Vec::new();
    for destination in of {
        tokio::time::sleep_until(*next).await;
        // A read that is cut off counts as one that failed.
        *next = Instant::now() + PAUSE_AFTER_FAILURE;
        match client.messages(destination).await {
            Ok(found) => {
                *next = Instant::now() + PAUSE;
                rows.extend(found);
            }
            Err(error) => {
                if matches!(error.fault, Fault::Credentials(_) | Fault::Forbidden) {
                    *next = Instant::now() + PAUSE_AFTER_REFUSAL;
                }
                return Err(Unread::Afilnet(error.fault));
            }
        }
    }
    if of.len() > 1 {
        rows.sort_by_key(|row| row.time.epoch_ms);
    }
    Ok(rows)
}

/// Returns where a contact is at Afilnet: as its conversations are stored, else as its id says. `learns_unread`: only what the
/// bridge has read, or of which it knows what is unread.
async fn destinations(
    store: &dyn Store,
    channel: &Channel,
    contact: &ContactId,
    learns_unread: bool,
) -> Result<Vec<Destination>, Unread> {
    let known = store.positions_of(&channel.name, contact).await.map_err(Unread::Store)?;
    let is_met = |position: &Position| position.read_to.is_some();
    if learns_unread && (known.is_empty() || !known.iter().all(is_met)) {
        return Err(Unread::NotMetYet);
    }
    let mut known: Vec<Destination> = known.into_iter().map(|position| position.destination).collect();
    if known.is_empty() {
        known.push(channel.id_type.destination_of(contact).map_err(|_| Unread::NoContact)?);
    }
    known.truncate(3);
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open::SqliteStore;

    /// Two channels of one account, and one of another, at an address where nothing listens.
    fn config(first_run: &str) -> Config {
        let mut env = HashMap::new();
        let mut set = |key: &str, value: &str| env.insert(format!("BRIDGE__{key}"), value.to_owned());
        set("AFILNET__URL", "http://127.0.0.1:9/");
        set("AFILNET__USER", "user");
        set("AFILNET__PASSWORD", "password");
        set("BONYCHAT__WEBHOOK_URL", "https://bonychat.example/hook");
        set("INBOUND__FIRST_RUN", first_run);
        for (n, name) in ["A", "B", "C"].into_iter().enumerate() {
            set(&format!("CHANNELS__{name}__CHANNEL_ID"), &format!("gfd8g7fd89dgfd{n}"));
            set(&format!("CHANNELS__{name}__API_TOKEN"), &format!("token-0123456789abcdef{n}"));
            set(&format!("CHANNELS__{name}__ID_TYPE"), "phone");
            set(&format!("CHANNELS__{name}__PLATFORM"), "whatsapp");
            set(&format!("CHANNELS__{name}__PLATFORM_ID"), &format!("10{n}"));
        }
        set("CHANNELS__C__AFILNET_USER", "other");
        set("CHANNELS__C__AFILNET_PASSWORD", "password");
        Config::load(None, env).unwrap()
    }

    #[tokio::test]
    async fn what_the_bridge_has_not_read_is_not_read_for_the_page_where_that_could_clear_what_is_unread() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("bridge.db")).unwrap();
        for (first_run, asks) in [("unread", false), ("skip", true)] {
            let read = Conversations::new().read(&store, &config(first_run), "a", "+34600111222").await;
            match read.unwrap_err() {
                Unread::NotMetYet => assert!(!asks, "{first_run}"),
                Unread::Afilnet(Fault::Unreachable) => assert!(asks, "{first_run}"),
                other => panic!("{first_run}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn reads_of_one_account_wait_for_each_other_and_for_no_other_account() {
        let (config, conversations) = (config("skip"), Conversations::new());
        let next = |name: &str| {
            let channel = config.channels.values().find(|channel| channel.name.as_str() == name).unwrap();
            conversations.next(channel)
        };
        assert!(Arc::ptr_eq(&next("a"), &next("b")) && !Arc::ptr_eq(&next("a"), &next("c")));
    }

    #[test]
    fn each_row_more_and_each_letter_changes_the_digest() {
        let said =
            |at_ms, text: &str| ShownRow { at_ms: Some(at_ms), direction: Direction::Outbound, text: text.into() };
        let of = |rows: Vec<ShownRow>, earlier| Conversation { read_ms: 1, rows, earlier }.digest();
        let first = of(vec![said(1, "a")], 0);
        assert_eq!(first, Conversation { read_ms: 2, rows: vec![said(1, "a")], earlier: 0 }.digest(), "read again");
        for (rows, earlier) in [
            (vec![said(1, "a"), said(2, "a")], 0),
            (vec![said(1, "b")], 0),
            (vec![said(2, "a")], 0),
            (vec![said(1, "a")], 1),
        ] {
            assert_ne!(first, of(rows, earlier));
        }
    }
}
