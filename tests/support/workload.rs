//! Conversations with all difficult cases, and the count of every message.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bridge::sim::bonychat::BonyChat;
use serde_json::{Value, json};

use super::{House, SOON, channel_of, contact, platform_of};

/// What both sides write.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Conversations.
    pub contacts: usize,
    /// Messages of each agent to its contact, and of each contact to its agent.
    pub each: usize,
    /// Pause of an agent between two messages, and of the customers between two rounds.
    pub pause: Duration,
    /// Agents write the same words again now and then. Not where the process is killed at random: should that happen
    /// between an answer and its note, nobody can tell the same words written anew from a call that is repeated.
    pub equal_words: bool,
}

/// A workload under way.
pub struct Running {
    load: Workload,
    agents: Vec<tokio::task::JoinHandle<()>>,
    customers: tokio::task::JoinHandle<()>,
    /// Calls that got no answer and were made again.
    pub repeated: Arc<AtomicUsize>,
    /// What the calls were answered.
    pub answers: Arc<Responses>,
}

/// The agents' responses.
#[derive(Default)]
pub struct Responses {
    /// When and with which mId, of every 200.
    pub taken: Mutex<Vec<(Instant, String)>>,
    /// How many were 503.
    pub unavailable: AtomicUsize,
}

/// What one agent writes: mostly new texts, sometimes the same text again, a file, or two parts.
fn written(n: usize, equal_words: bool) -> Value {
    match n % 10 {
        3 | 4 if equal_words => json!({"type": "text", "text": "ok"}),
        7 => {
            let url = format!("https://files.test/{n}.pdf");
            json!({"type": "attachment", "attachment": {"type": "file", "url": url}})
        }
        8 => json!({"type": "text", "text": format!("{}\n\n{}", part(n, 'a'), part(n, 'b'))}),
        _ => json!({"type": "text", "text": format!("out {n}")}),
    }
}

/// What Afilnet is to get for it.
fn sent(n: usize, equal_words: bool) -> Vec<String> {
    match n % 10 {
        3 | 4 if equal_words => vec!["ok".into()],
        7 => vec![format!("https://files.test/{n}.pdf")],
        8 => vec![part(n, 'a'), part(n, 'b')],
        _ => vec![format!("out {n}")],
    }
}

/// Half of a text that is longer than the limit which [`Workload::settings`] sets.
fn part(n: usize, letter: char) -> String {
    format!("{n} {}", letter.to_string().repeat(60))
}

/// What a customer writes.
fn heard(n: usize) -> String {
    if n % 5 == 2 { "ok".into() } else { format!("in {n}") }
}

/// Where agents write to: the processes behind one address, and how long a call to one of them may take.
#[derive(Debug, Clone)]
struct Way {
    bases: Vec<String>,
    within: Duration,
}

/// Writes to one contact, one message after the other; repeats a call until it gets a response, as the platform may: at
/// another process, if there are several.
async fn agent(
    bonychat: BonyChat,
    way: Way,
    who: usize,
    channel: String,
    load: Workload,
    repeated: Arc<AtomicUsize>,
    answers: Arc<Responses>,
) {
    let mut turn = who;
    for n in 0..load.each {
        loop {
            let base = &way.bases[turn % way.bases.len()];
            turn += 1;
            let contact = contact(who);
            let call = bonychat.send(base, &channel, &contact, written(n, load.equal_words));
            let Ok(outcome) = tokio::time::timeout(way.within, call).await else {
                repeated.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            match outcome.status {
                200 => {
                    answers.taken.lock().unwrap().push((Instant::now(), outcome.m_id.unwrap()));
                    break;
                }
                0 | 503 => {
                    answers.unavailable.fetch_add(usize::from(outcome.status == 503), Ordering::Relaxed);
                    let refused = outcome.body.to_string().contains("refused");
                    repeated.fetch_add(usize::from(!refused), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await; // the caller's own pace
                }
                status => panic!("answered {status} {}", outcome.body),
            }
        }
        tokio::time::sleep(load.pause).await; // the agent's own pace
    }
}

impl Workload {
    /// Settings under which a message is cut where [`written`] means it to be.
    pub fn settings(house: House) -> House {
        house.set("CHANNELS__SUPPORT__TEXT_LIMIT", "70").set("OUTBOUND__ANSWER_WITHIN", "500ms")
    }

    /// Everybody begins to write.
    pub fn start(self, house: &House, base: &str) -> Running {
        self.start_on(house, vec![base.to_owned()], Duration::from_mins(1))
    }

    /// As [`Self::start`], to any of several processes; one that does not answer `within` is given up for another.
    pub fn start_on(self, house: &House, bases: Vec<String>, within: Duration) -> Running {
        let (repeated, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Responses::default()));
        let (way, channels) = (Way { bases, within }, house.channels());
        let write = |who| {
            let (bonychat, repeated, answers) = (house.bonychat.clone(), Arc::clone(&repeated), Arc::clone(&answers));
            let channel = channel_of(who, channels);
            tokio::spawn(agent(bonychat, way.clone(), who, channel, self, repeated, answers))
        };
        let agents = (0..self.contacts).map(write).collect();
        let afilnet = house.afilnet.clone();
        let customers = tokio::spawn(async move {
            for n in 0..self.each {
                for who in 0..self.contacts {
                    afilnet.receive(&platform_of(who, channels), &contact(who)[1..], &heard(n)).unwrap();
                }
                tokio::time::sleep(self.pause).await; // the customers' own pace
            }
        });
        Running { load: self, agents, customers, repeated, answers }
    }

    /// Messages both ways, in all.
    pub fn total(self) -> usize {
        2 * self.contacts * self.each
    }
}

impl Running {
    /// Whether everybody has written everything.
    pub fn is_over(&self) -> bool {
        self.customers.is_finished() && self.agents.iter().all(tokio::task::JoinHandle::is_finished)
    }

    /// Waits until everything is written and settled, then counts at both ledgers: each message exactly once and in
    /// order, but for those that `may_miss` says are named as unconfirmed. Returns how many these are.
    pub async fn conserved(self, house: &House, may_miss: usize) -> usize {
        for agent in self.agents {
            agent.await.unwrap();
        }
        self.customers.await.unwrap();
        house.settled().await;
        let Workload { contacts, each, equal_words, .. } = self.load;
        let all =
            |world: &bridge::sim::bonychat::World| (0..contacts).all(|who| world.texts(&contact(who)).len() >= each);
        house.bonychat.until(SOON, all).await; // what is missing is named below
        let unconfirmed = house.messages("unconfirmed");
        let whole =
            |m_id: &String| String::from_utf8_lossy(&house.run(&["messages", "show", m_id]).stdout).into_owned();
        let shown = || unconfirmed.iter().map(whole).collect::<Vec<_>>().join("\n");
        assert!(unconfirmed.len() <= may_miss, "{} are unconfirmed:\n{}", unconfirmed.len(), shown());
        let unconfirmed = unconfirmed.len();
        let expected: Vec<String> = (0..each).flat_map(|n| sent(n, equal_words)).collect();
        let heard: Vec<String> = (0..each).map(heard).collect();
        let mut missing = 0;
        for who in 0..contacts {
            let calls = house.afilnet.sent(&contact(who)[1..]);
            let got: Vec<String> = calls.into_iter().map(|call| call.fileurl.unwrap_or(call.message)).collect();
            if got != expected {
                missing += expected.len().saturating_sub(got.len());
                assert!(unconfirmed > 0 && is_part_of(&got, &expected), "to {who}: {got:?}");
            }
            assert_eq!(house.bonychat.texts(&contact(who)), heard, "from {who}");
        }
        assert!(missing <= unconfirmed, "{missing} are missing, {unconfirmed} of them unconfirmed");
        let ours: Vec<String> = (0..contacts).map(contact).collect();
        let told = |world: &bridge::sim::bonychat::World| {
            let events = world.all_events().into_iter().filter(|event| ours.contains(&event.contact_id));
            let failed = events.filter(|event| event.status() == "failed");
            failed.map(|event| event.m_id).collect::<std::collections::HashSet<_>>().len() == unconfirmed
        };
        assert!(house.bonychat.until(SOON, told).await, "each unconfirmed one is told, and no other");
        let echoes = house.bonychat.all_events().iter().filter(|event| event.kind == "message_echo").count();
        assert_eq!(echoes, 0, "nothing of ours came back as an echo");
        unconfirmed
    }
}

/// A number from the environment, for longer runs and for replaying one.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Whether `got` is `all` with some left out, in the same order.
fn is_part_of(got: &[String], all: &[String]) -> bool {
    let mut rest = all.iter();
    got.iter().all(|one| rest.any(|other| other == one))
}
