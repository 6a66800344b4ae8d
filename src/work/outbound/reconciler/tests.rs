//! Looks at a contact that Afilnet keeps under several destinations.

use super::*;
use crate::domain::content::Text;
use crate::domain::{ContactId, Content, Direction, EventBody, MId, Wordings};
use crate::store::open::SqliteStore;
use crate::store::{Caller, Erase, NewOutbound, Person, Publication};
use crate::work::channel::ChannelPorts;
use crate::work::limits::call_permit::Account;
use crate::work::testing::{self, Destinations, PlainWebhook};

/// Two spellings under which Afilnet keeps one contact.
const BARE: &str = "34600111222";
const PLUS: &str = "+34600111222";

struct World {
    channel: Arc<Channel>,
    reader: Arc<Reader>,
    reconciler: Reconciler,
    afilnet: Arc<Destinations>,
    contact: ContactId,
    epoch: Epoch,
    _folder: tempfile::TempDir,
}

impl World {
    /// A contact whose conversation was read under these destinations, each with one row.
    async fn read(contact: &str, destinations: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&folder.path().join("bridge.db")).unwrap());
        let afilnet = Arc::new(Destinations::default());
        let ports = ChannelPorts {
            messenger: Arc::<Destinations>::clone(&afilnet),
            webhook: Arc::new(PlainWebhook),
            ..testing::ports(&store)
        };
        let wait = Duration::from_millis(1);
        let settings = ChannelSettings { look_after: vec![wait; 9], ..testing::settings("support") };
        let channel = testing::channel(settings, ports, &Arc::new(Account::new(100, 4)));
        let epoch = store.take_ownership(channel.name()).await.unwrap();
        store.store_initial_snapshot(channel.name(), Vec::new(), 0).await.unwrap();
        let reader = Arc::new(Reader::new(&channel));
        let reconciler = Reconciler::new(&channel, Arc::clone(&reader), epoch);
        let contact: ContactId = contact.parse().unwrap();
        let world = Self { channel, reader, reconciler, afilnet, contact, epoch, _folder: folder };
        let request = |destination: &&str| ReadRequest {
            destination: destination.parse().unwrap(),
            position: unread_position(&world.contact, &destination.parse().unwrap()),
            last: None,
            behind: 0,
            snapshot_ms: 0,
            previous: None,
            looked_for: None,
        };
        for destination in destinations {
            world.afilnet.shows(destination, Direction::Inbound, 1, &format!("hello at {destination}"));
        }
        let requests: Vec<ReadRequest> = destinations.iter().map(request).collect();
        world.reader.read_all(&requests, &CancellationToken::new()).await;
        assert_eq!(world.told().await.len(), destinations.len());
        while now_ms() == world.newest_ms().await {
            tokio::task::yield_now().await; // what was read before an attempt is older than it
        }
        world
    }

    fn store(&self) -> &dyn Store {
        self.channel.ports.store.as_ref()
    }

    async fn newest_ms(&self) -> i64 {
        let seen = self.store().seen(self.channel.name(), &self.contact).await.unwrap();
        seen.rows.iter().map(|row| row.seen_ms).max().unwrap()
    }

    /// Sends to the contact, with an unknown outcome.
    async fn doubts(&self) {
        let message = NewOutbound {
            m_id: MId::fresh(),
            channel: self.channel.name().clone(),
            contact: self.contact.clone(),
            other_spelling: None,
            destination: self.contact.as_str()[1..].parse().unwrap(),
            content: Content::Text { text: Text::new("Su pedido sale hoy").unwrap() },
            request_id: String::new(),
            accepted_ms: now_ms(),
            key: None,
            waits: Duration::ZERO,
            is_drained: false,
            caller: Caller::stays(),
        };
        self.store().accept(message).await.unwrap();
        let begun = self.store().begin(self.channel.name(), self.epoch, now_ms(), 0, 9, &Wordings::default()).await;
        let attempt = begun.unwrap().attempts.remove(0);
        let unknown = Settlement::Unknown { fault: Fault::TimedOut, look_ms: now_ms() };
        self.store().settle(&attempt, unknown, now_ms()).await.unwrap();
    }

    /// One lookup; returns how it ended, how many lookups counted so far, and how many of them proved absence.
    async fn lookups(&self) -> (LookupEnd, u32, u32) {
        let due = async || self.store().due_lookups(self.channel.name(), i64::MAX, 9).await.unwrap().remove(0);
        let ended = self.reconciler.look_up(&due().await, &CancellationToken::new()).await.unwrap();
        let InDoubtSend { lookups, absences, .. } = due().await;
        (ended, lookups, absences)
    }

    /// Events for BonyChat, in order.
    async fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(due) = self.store().due_events(self.channel.name(), i64::MAX, 1).await.unwrap().pop() {
            match &due.event.body {
                EventBody::Message { content: Content::Text { text } } => told.push(text.as_str().to_owned()),
                other => panic!("{other:?}"),
            }
            self.store().published(&due, Publication::Done, now_ms()).await.unwrap();
        }
        told
    }
}

#[tokio::test]
async fn what_a_look_brings_of_several_destinations_is_published_as_it_was_written() {
    let world = World::read(PLUS, &[BARE, PLUS]).await;
    world.doubts().await;
    for (second, (destination, words)) in (10..).zip([(PLUS, "a"), (BARE, "b"), (PLUS, "c"), (BARE, "d")]) {
        world.afilnet.shows(destination, Direction::Inbound, second, words);
    }
    assert_eq!(world.lookups().await, (LookupEnd::Made, 1, 1));
    assert_eq!(world.told().await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn a_guess_at_a_destination_that_cannot_be_read_proves_nothing_and_holds_up_nothing() {
    let (contact, guess) = ("+5491155551234", "541155551234");
    let world = World::read(contact, &[&contact[1..]]).await;
    world.doubts().await;
    world.afilnet.breaks(guess, true);
    assert_eq!(world.lookups().await, (LookupEnd::Made, 1, 0));
    let positions = world.store().positions_of(world.channel.name(), &world.contact).await.unwrap();
    assert_eq!(positions.len(), 1, "it is none of the contact's destinations");
    world.afilnet.breaks(guess, false);
    assert_eq!(world.lookups().await, (LookupEnd::Made, 2, 1));
    // One that is known is another matter: the lookup counts as none.
    world.afilnet.breaks(&contact[1..], true);
    assert_eq!(world.lookups().await, (LookupEnd::Failed, 2, 1));
}

#[tokio::test]
async fn nothing_is_absent_while_a_destination_of_the_contact_is_erased() {
    for (erases, absences) in [(false, 1), (true, 0)] {
        let world = World::read(PLUS, &[BARE, PLUS]).await;
        if erases {
            let person = Person { names: [PLUS.to_owned(), BARE.to_owned()], channel: None };
            assert!(world.store().erase(person, Erase::Waiting, now_ms()).await.unwrap().done);
        }
        world.doubts().await;
        assert_eq!(world.lookups().await, (LookupEnd::Made, 1, absences), "{erases}");
    }
}
