//! One of two processes on one PostgreSQL ends at each named point, around every store commit and every call to a
//! platform, in the middle of conversations in both directions; the other takes over its channels, and every message
//! arrives once and in order. Then the ended one is started again, and gets its share back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge::crashpoint::{AFTER_CALL, AFTER_COMMIT, BEFORE_CALL, BEFORE_COMMIT, CALLS, OPERATIONS, SHARED_OPERATIONS};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::cluster::{name_of, owned, said};
use crate::crashpoints::OUT_OF_REACH;
use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::workload::{Running, Workload};
use crate::support::{House, channel_of, contact, until};

const CHANNELS: usize = 4;

/// In addition to [`OUT_OF_REACH`]: points that a process on a shared store does not reach.
const NOT_SHARED: &[(&str, &str)] = &[("take_ownership", "where a store is shared, `acquire` takes its place")];

/// How a process reaches its point.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// It serves its share when both sides begin to write.
    Serves,
    /// It is the first at a new store, or at one that another left in mid-send.
    First,
    /// It joins while both sides write to the other.
    Joins,
    /// It has all channels, and gives some back when the other joins.
    Shares,
    /// It gets a stop signal.
    Leaves,
    /// It accepts a message that the other process gets refused, and has to respond with that.
    Responds,
}

fn ways(name: &str) -> &'static [Way] {
    match name {
        "take_baseline" | "note_unread" | "getunreadmessages" | "interrupted" | "set_paused_by" => &[Way::First],
        "acquire" | "follow_clock" => &[Way::Joins],
        "release" => &[Way::Shares, Way::Leaves],
        "deregister" => &[Way::Leaves],
        "take_verdict" => &[Way::Responds],
        _ => &[Way::Serves],
    }
}

/// Returns at which pass of the point the process ends: late enough that conversations are under way.
fn nth(name: &str, way: Way) -> u32 {
    match (name, way) {
        ("heartbeat", _) => 8,
        ("record_responses", _) => 4,
        ("sendfile", _) => 2,
        ("purge" | "record_lookup" | "resolve" | "getbalance" | "getchatchannels", _) => 1,
        (_, Way::Serves) => 9,
        _ => 1,
    }
}

fn load(name: &str, way: Way) -> Workload {
    let pause = match (name, way) {
        ("purge", _) => 800, // the first comes after five seconds
        (_, Way::Responds) => 400,
        _ => 150,
    };
    // For `Way::Responds`, none of these messages is a file: only the refused one is.
    let each = if way == Way::Responds { 7 } else { 10 };
    Workload { contacts: 8, each, pause: Duration::from_millis(pause), equal_words: false }
}

/// A file that Afilnet refuses repeatedly, until the process that accepts it has ended instead of responding.
struct Refused {
    who: usize,
    channel: String,
    link: String,
    /// How many got 200 instead, since no verdict could be expected in time: the agent gets a status.
    accepted: usize,
}

impl Refused {
    /// Through `doomed`, in a channel of the other.
    async fn by(house: &House, doomed: &Bridge, base: &str) -> Self {
        let named = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["channel_name"].as_str().unwrap().to_owned()
        };
        let log = doomed.log();
        let here: Vec<String> = log.iter().filter(|line| line.contains("is served here")).map(named).collect();
        let elsewhere = (0..CHANNELS).find(|n| !here.contains(&name_of(*n))).unwrap();
        let mut this = Self { who: 920 + elsewhere, channel: String::new(), link: String::new(), accepted: 0 };
        this.channel = channel_of(this.who, CHANNELS);
        loop {
            this.link = format!("https://files.test/refused-{}.pdf", this.accepted);
            match this.call(house, base).await {
                0 => return this,
                200 => this.accepted += 1,
                status => panic!("answered {status}"),
            }
        }
    }

    async fn call(&self, house: &House, base: &str) -> u16 {
        house.afilnet.fault("sendfile:INCORRECT_FILEURL").unwrap();
        house.bonychat.attachment(base, &self.channel, &contact(self.who), "file", &self.link).await.status
    }

    /// The caller got no response and calls again: it gets the refusal. Refusals that it cannot get reach the agent.
    async fn told(&self, house: &House, other: &Bridge, when: &str) {
        let heard = || {
            let events = house.bonychat.events(&contact(self.who));
            assert!(events.iter().all(|event| event.status() == "failed"), "{events:?}");
            events.len()
        };
        let by = Instant::now() + Duration::from_secs(30);
        let mut accepted = self.accepted;
        loop {
            match self.call(house, &other.url()).await {
                400 => break,
                // Sends of its account are tried one at a time after three cut connections in a row.
                200 => accepted += 1,
                status => panic!("answered {status}"),
            }
            assert!(Instant::now() < by, "no caller hears a verdict");
            until("the agent is told what this caller was not", || heard() >= accepted).await;
        }
        let told = accepted + usize::from(when == BEFORE_COMMIT);
        until("the agent is told what no caller was", || heard() >= told).await;
        assert_eq!(heard(), told);
        assert_eq!(house.messages("failed").len(), accepted + 2);
        assert_eq!(house.afilnet.sent(&contact(self.who)[1..]).len(), 0);
    }
}

/// A process that is killed in mid-send, so that the next to take its channels has something to mark.
async fn leave_in_mid_send(house: &House) {
    house.afilnet.fault("sendmessage:hang_stored").unwrap();
    let bridge = house.start_another(0).await;
    assert_eq!(house.agent(&bridge, &contact(904), "under way").await.status, 200);
    until("the call is under way", || house.afilnet.sent_count() == 1).await;
    bridge.kill();
}

/// Each channel's account shows a text and a file of the bridge: before that, such a send in doubt is undecidable.
async fn rows_show(house: &House, bridge: &Bridge) {
    until("it has all channels", || owned(bridge) == CHANNELS).await;
    for who in 908..908 + CHANNELS {
        let (base, channel, to) = (bridge.url(), channel_of(who, CHANNELS), contact(who));
        let text = house.bonychat.text(&base, &channel, &to, "rows show").await;
        let file = house.bonychat.attachment(&base, &channel, &to, "file", "https://files.test/shows.pdf").await;
        assert_eq!((text.status, file.status), (200, 200), "{} {}", text.body, file.body);
    }
    let found = |metrics: &str, n| value(metrics, &format!("bridge_correlated_total{{channel=\"{}\"}}", name_of(n)));
    let all_show = || {
        let metrics = get(&bridge.admin_url(), "/metrics", None).1;
        (0..CHANNELS).all(|n| found(&metrics, n) >= 2.0)
    };
    until("rows show", all_show).await;
}

/// Both write to both processes, and not all goes well.
fn begin(house: &House, name: &str, way: Way, bases: &[String]) -> Running {
    let running = load(name, way).start_on(house, bases.to_vec(), Duration::from_secs(12));
    // Not at a new store, as above. Enough in a row that both processes meet some.
    if way != Way::First {
        for fault in ["sendmessage:reset:40-45", "sendmessage:reset_stored:60-63", "sendmessage:http_502:70"] {
            house.afilnet.fault(fault).unwrap();
        }
    }
    house.bonychat.fault("webhook:http_503:20").unwrap();
    match name {
        "getchatchannels" => house.afilnet.fault("getchats:CHANNEL_NOT_FOUND:20-31").unwrap(),
        "getbalance" => house.afilnet.fault("getchats:MISSING_USER:20-31").unwrap(),
        _ => {}
    }
    running
}

async fn under_way(running: &Running) {
    until("conversations are under way", || running.answers.taken.lock().unwrap().len() >= 12).await;
    assert!(!running.is_over());
}

/// One point: one of two processes ends there, the other goes on, and everything is counted. Returns how long it took
/// until the other had all channels.
async fn survive(name: &str, when: &str, way: Way) -> Option<Duration> {
    let mut house = Workload::settings(House::shared(CHANNELS).await?).set("RETRY__MAX", "200ms");
    house = house.set("OUTBOUND__LOOK_AFTER", "200ms, 1s, 3s");
    for channel in ["SUPPORT", "C1", "C2", "C3"] {
        house = house.set(&format!("CHANNELS__{channel}__POLL_ACTIVE"), "150ms");
        house = house.set(&format!("CHANNELS__{channel}__POLL_IDLE"), "300ms");
    }
    if way == Way::Responds {
        house = house.set("OUTBOUND__ANSWER_WITHIN", "10s"); // longer than a busy machine takes: no verdict is late
    }
    house.customer(&contact(900), "unread before the first run");
    if name == "interrupted" {
        leave_in_mid_send(&house).await;
    }
    let ports = [house.free_port(), house.free_port()];
    let bases = ports.map(|port| house.url_at(port));
    let point = format!("{name}, {when}:{}", nth(name, way));
    let order = [("BRIDGE_CRASHPOINT", point.as_str())];
    let doom = || house.start_another_with(ports[0], &order);
    let mut refused = None;
    let (mut doomed, other, running) = match way {
        Way::First | Way::Shares => {
            if way == Way::Shares {
                let mut before = house.start_another(0).await;
                rows_show(&house, &before).await;
                before.signal("TERM");
                assert!(before.ended().await.success());
            }
            let doomed = doom().await;
            let running = begin(&house, name, way, &bases);
            if way == Way::Shares {
                under_way(&running).await;
            }
            (doomed, house.start_another(ports[1]).await, running)
        }
        Way::Joins => {
            let other = house.start_another(ports[1]).await;
            rows_show(&house, &other).await;
            let running = begin(&house, name, way, &bases);
            under_way(&running).await;
            (doom().await, other, running)
        }
        Way::Serves | Way::Leaves | Way::Responds => {
            let other = house.start_another(ports[1]).await;
            rows_show(&house, &other).await;
            let mut doomed = doom().await;
            let shared = |doomed: &Bridge| owned(doomed) == CHANNELS / 2 && owned(&other) == CHANNELS / 2;
            until("the channels are shared out", || shared(&doomed) || doomed.has_ended()).await;
            let running = begin(&house, name, way, &bases);
            if way != Way::Serves {
                under_way(&running).await;
            }
            match way {
                Way::Leaves => doomed.signal("TERM"),
                Way::Responds => refused = Some(Refused::by(&house, &doomed, &bases[0]).await),
                _ => {}
            }
            (doomed, other, running)
        }
    };
    until("the point is reached", || doomed.has_ended()).await;
    let gone = Instant::now();
    until("it says why it ended", || said(&doomed, "crash point reached") == 1).await;
    if way == Way::First {
        rows_show(&house, &other).await;
    }
    until("the other has all channels", || owned(&other) == CHANNELS).await;
    let took = gone.elapsed();
    let again = house.start_another(ports[0]).await;
    until("the channels are shared out again", || [&again, &other].iter().all(|bridge| owned(bridge) == CHANNELS / 2))
        .await;
    running.conserved(&house, 0).await;
    assert_eq!(house.bonychat.texts(&contact(900)), ["unread before the first run"]);
    if let Some(refused) = refused {
        refused.told(&house, &other, when).await;
    }
    drop((again, other));
    house.check();
    Some(took)
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_crash_point_of_two_processes_nothing_is_lost_doubled_or_out_of_order() {
    if !crate::support::postgres::available() {
        return; // which is said
    }
    let started = Instant::now();
    let operations = OPERATIONS.iter().chain(SHARED_OPERATIONS);
    let commits = operations.flat_map(|name| [BEFORE_COMMIT, AFTER_COMMIT].map(|when| (*name, when)));
    let calls = CALLS.iter().flat_map(|name| [BEFORE_CALL, AFTER_CALL].map(|when| (*name, when)));
    let only = std::env::var("BRIDGE_CRASHPOINT_ONLY").ok();
    let in_reach = |name: &str| OUT_OF_REACH.iter().chain(NOT_SHARED).all(|(other, _)| *other != name);
    let wanted = |name: &str| in_reach(name) && only.as_deref().is_none_or(|only| only == name);
    let points = commits.chain(calls).filter(|(name, _)| wanted(name));
    let room = Arc::new(Semaphore::new(4));
    let start = |(name, when, way)| {
        let room = Arc::clone(&room);
        let task = tokio::spawn(async move {
            let _turn = room.acquire().await.unwrap();
            survive(name, when, way).await.unwrap()
        });
        (format!("{name}, {when} ({way:?})"), task)
    };
    let running: Vec<_> =
        points.flat_map(|(name, when)| ways(name).iter().map(move |way| (name, when, *way))).map(start).collect();
    let tried = running.len();
    let (mut failed, mut longest) = (Vec::new(), Duration::ZERO);
    for (point, task) in running {
        match task.await {
            Ok(took) => longest = longest.max(took),
            Err(_) => failed.push(point),
        }
    }
    println!(
        "{} of {tried} crash points of two processes survived: lost 0, doubled 0, out of order 0; all channels with the \
         other after {longest:.1?} at most; {:.0?}",
        tried - failed.len(),
        started.elapsed()
    );
    assert_eq!(failed, [] as [String; 0]);
}
