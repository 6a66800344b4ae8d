//! Several processes on one PostgreSQL: any accepts a message, one delivers, and when one ends in any way, the others
//! continue its work.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::metrics::{get, value};
use crate::support::postgres::Server;
use crate::support::process::Bridge;
use crate::support::workload::{Workload, number};
use crate::support::{House, SOON, channel_of, contact, platform_of, until};

/// Returns the number of lines of a bridge's log that contain `words`.
pub(crate) fn said(bridge: &Bridge, words: &str) -> usize {
    bridge.log().iter().filter(|line| line.contains(words)).count()
}

/// Channels that a process delivers now.
pub(crate) fn owned(bridge: &Bridge) -> usize {
    let given_up = said(bridge, "has passed to another process") + said(bridge, "was handed over");
    said(bridge, "is served here").saturating_sub(given_up)
}

/// Name of a channel of a house with several.
pub(crate) fn name_of(channel: usize) -> String {
    if channel == 0 { "support".to_owned() } else { format!("c{channel}") }
}

/// Calls to Afilnet so far.
fn all_calls(house: &House) -> u64 {
    house.afilnet.counters().calls.values().sum()
}

/// Several processes on one store.
pub(crate) struct Cluster {
    pub(crate) house: House,
    pub(crate) bridges: Vec<Bridge>,
}

impl Cluster {
    /// `None` without PostgreSQL, which is logged.
    pub(crate) async fn of(processes: usize, channels: usize, settings: impl FnOnce(House) -> House) -> Option<Self> {
        let house = settings(House::shared(channels).await?);
        let mut bridges = Vec::new();
        for _ in 0..processes {
            bridges.push(house.start_another(0).await);
        }
        let cluster = Self { house, bridges };
        cluster.shared_out(channels).await;
        Some(cluster)
    }

    /// Waits until every channel has its one owner and every process its share.
    pub(crate) async fn shared_out(&self, channels: usize) {
        let fair = channels.div_ceil(self.bridges.len());
        until("the channels are shared out", || {
            let owned: Vec<usize> = self.bridges.iter().map(owned).collect();
            owned.iter().sum::<usize>() == channels && owned.iter().all(|owned| *owned <= fair)
        })
        .await;
    }

    pub(crate) fn bases(&self) -> Vec<String> {
        self.bridges.iter().map(Bridge::url).collect()
    }

    /// Ends one process by `how` and starts another at its address.
    pub(crate) async fn replace(&mut self, which: usize, how: impl AsyncFnOnce(Bridge)) {
        let port = self.bridges[which].port().unwrap();
        how(self.bridges.remove(which)).await;
        let next = self.house.start_another(port).await;
        self.bridges.insert(which, next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_shared_out_and_any_process_takes_and_answers_for_all() {
    takes_and_answers(|house| house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_listened_to_any_process_takes_and_answers_for_all_too() {
    takes_and_answers(|house| {
        let url = format!("{}&pgbouncer=true", house.setting("STORE__URL"));
        house.set("STORE__URL", &url)
    })
    .await;
}

/// As usually configured, and not named in the URL: it is detected.
#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_any_process_takes_and_answers_for_all_and_killed_ones_lose_nothing() {
    let Some(mut server) = Server::start().await else { return };
    let Some(url) = server.pooled().await else { return };
    takes_and_answers(|house| house.set("STORE__URL", &url)).await;
    let Some(mut server) = Server::start().await else { return };
    let Some(url) = server.pooled().await else { return };
    killed("killed behind PgBouncer", 2, |house| house.set("STORE__URL", &url)).await;
}

async fn takes_and_answers(settings: impl FnOnce(House) -> House) {
    let Some(cluster) = Cluster::of(2, 4, settings).await else { return };
    let house = &cluster.house;
    for bridge in &cluster.bridges {
        assert_eq!(owned(bridge), 2);
    }
    for who in 0..8 {
        let (base, channel) = (cluster.bridges[who % 2].url(), channel_of(who / 2, 4));
        let outcome = house.bonychat.text(&base, &channel, &contact(who / 2), &format!("by {}", who % 2)).await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 8).await);
    // A refusal is the response of the process that was called, and causes no status.
    let mut told = Vec::new();
    for who in 0..8 {
        house.afilnet.fault("sendmessage:INCORRECT_FILEURL").unwrap();
        let (base, channel) = (cluster.bridges[who % 2].url(), channel_of(who / 2, 4));
        let outcome = house.bonychat.text(&base, &channel, &contact(who / 2), "refused").await;
        assert_eq!(outcome.status, 400, "{}", outcome.body);
        told.push(outcome.elapsed);
    }
    println!("refused after {told:.0?}");
    for who in 0..4 {
        house.afilnet.receive(&platform_of(who, 4), &contact(who)[1..], "still heard").unwrap();
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 4).await);
    assert_eq!(house.bonychat.all_events().iter().filter(|event| event.kind == "message_status").count(), 0);
    assert_eq!(house.messages("failed").len(), 8);
    house.check();
}

/// Ends processes repeatedly while both sides write, and counts every message.
async fn campaign(
    name: &str,
    rounds: usize,
    load: Workload,
    settings: impl FnOnce(House) -> House,
    mut round: impl AsyncFnMut(&mut Cluster, usize),
) -> usize {
    let settings = |house| Workload::settings(settings(house)).set("RETRY__MAX", "200ms");
    let Some(mut cluster) = Cluster::of(2, 4, settings).await else { return 0 };
    let started = Instant::now();
    let running = load.start_on(&cluster.house, cluster.bases(), Duration::from_secs(12));
    // Where no row of the bridge's has ever shown, nobody could tell of one that was under way at an end that it does not.
    let shown = |bridge: &Bridge, n| {
        let series = format!("bridge_correlated_total{{channel=\"{}\"}}", name_of(n));
        value(&get(&bridge.admin_url(), "/metrics", None).1, &series)
    };
    let all_show = || (0..4).all(|n| cluster.bridges.iter().map(|bridge| shown(bridge, n)).sum::<f64>() >= 1.0);
    until("rows of each channel show", all_show).await;
    let mut took = Vec::new();
    for n in 0..rounds {
        tokio::time::sleep(Duration::from_millis(rand::random_range(500..1500))).await; // the moment of the end
        assert!(!running.is_over(), "the workload was over before round {n}: make it longer");
        let began = Instant::now();
        round(&mut cluster, n).await;
        took.push(began.elapsed());
    }
    let repeated = std::sync::Arc::clone(&running.repeated);
    let unconfirmed = running.conserved(&cluster.house, 0).await;
    took.sort();
    println!(
        "{rounds} times {name} one of two processes, {} messages both ways over {} contacts of 4 channels: lost 0, doubled \
         0, out of order 0, unconfirmed {unconfirmed}; its channels were with the other after p50 {:.1?}, longest {:.1?}; \
         {} calls repeated; {:.0?}",
        load.total(),
        load.contacts,
        took[took.len() / 2],
        took[took.len() - 1],
        repeated.load(Ordering::Relaxed),
        started.elapsed()
    );
    cluster.house.check();
    unconfirmed
}

fn load(rounds: usize, seconds: u64) -> Workload {
    // A pause for each message of an agent: long enough for all rounds.
    let each = 20;
    let pause = Duration::from_millis(seconds * 1000 * u64::try_from(rounds).unwrap() / each);
    Workload { contacts: 40, each: usize::try_from(each).unwrap(), pause, equal_words: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_lose_double_and_disorder_nothing() {
    killed("killed", usize::try_from(number("BRIDGE_CLUSTER_ROUNDS", 4)).unwrap(), |house| house).await;
}

async fn killed(name: &str, rounds: usize, settings: impl FnOnce(House) -> House) {
    campaign(name, rounds, load(rounds + 1, 7), settings, async |cluster, n| {
        let which = n % 2;
        let other = 1 - which;
        let began = Instant::now();
        let port = cluster.bridges[which].port().unwrap();
        cluster.bridges.remove(which).kill();
        let survivor = &cluster.bridges[0];
        until("the other has all channels", || owned(survivor) == 4).await;
        println!("taken over {:.1?} after the kill of process {which}, by {other}", began.elapsed());
        let next = cluster.house.start_another(port).await;
        cluster.bridges.insert(which, next);
        cluster.shared_out(4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_and_wakes_up_late_doubles_nothing() {
    let rounds = usize::try_from(number("BRIDGE_CLUSTER_ROUNDS", 2)).unwrap();
    campaign(
        "stopped for a while",
        rounds,
        load(rounds, 14),
        |house| house,
        async |cluster, n| {
            let (which, other) = (n % 2, 1 - n % 2);
            cluster.bridges[which].signal("STOP");
            let began = Instant::now();
            until("the other has all channels", || owned(&cluster.bridges[other]) == 4).await;
            println!("taken over {:.1?} after the stop of process {which}", began.elapsed());
            tokio::time::sleep(Duration::from_secs(6)).await; // it stands still
            cluster.bridges[which].signal("CONT");
            cluster.shared_out(4).await;
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_hands_over_at_once_and_leaves_nothing_unknown() {
    let rounds = usize::try_from(number("BRIDGE_CLUSTER_ROUNDS", 4)).unwrap();
    // No lease expires meanwhile: channels pass on by being given back.
    let long = |house: House| house.set("STORE__LEASE", "5m");
    let unconfirmed = campaign("restarted", rounds, load(rounds, 5), long, async |cluster, n| {
        let which = n % 2;
        cluster
            .replace(which, async |mut bridge: Bridge| {
                bridge.signal("TERM");
                assert!(bridge.ended().await.success());
                assert_eq!(said(&bridge, "may have been delivered"), 0, "nothing was left under way");
            })
            .await;
        cluster.shared_out(4).await;
        for bridge in &cluster.bridges {
            assert_eq!(said(bridge, "was being sent when the process ended"), 0);
        }
    })
    .await;
    assert_eq!(unconfirmed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_reads_its_configuration_again_loses_doubles_and_disorders_nothing() {
    let rounds = usize::try_from(number("BRIDGE_CLUSTER_ROUNDS", 4)).unwrap();
    let long = |house: House| house.set("STORE__LEASE", "5m");
    let unconfirmed = campaign("reloaded", rounds, load(rounds, 5), long, async |cluster, n| {
        let bridge = &cluster.bridges[n % 2];
        let before = said(bridge, "\"message\":\"reloaded\"");
        bridge.signal("HUP");
        until("it is reloaded", || said(bridge, "\"message\":\"reloaded\"") > before).await;
        cluster.shared_out(4).await;
    })
    .await;
    assert_eq!(unconfirmed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accounts_rate_holds_over_a_hand_over() {
    const RATE: usize = 20;
    // Less than the second that is limited, as calls that start together do not arrive together.
    const WINDOW_MS: i64 = 700;
    let slow = |house: House| {
        house
            .set("AFILNET__REQUESTS_PER_SECOND", "20")
            .set("AFILNET__MAX_IN_FLIGHT", "16")
            .set("OUTBOUND__ANSWER_WITHIN", "0s")
    };
    let settings =
        |house| slow(house).set("CHANNELS__SUPPORT__POLL_ACTIVE", "5s").set("CHANNELS__SUPPORT__POLL_IDLE", "5s");
    let Some(mut cluster) = Cluster::of(2, 1, settings).await else { return };
    let owner = usize::from(owned(&cluster.bridges[1]) == 1);
    let base = cluster.bridges[1 - owner].url();
    for n in 0..80 {
        let outcome = cluster.house.bonychat.text(&base, &channel_of(0, 1), &contact(n), "steady").await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
    }
    assert!(cluster.house.afilnet.until(SOON, |world| world.sent_count() >= 30).await);
    let mut leaving = cluster.bridges.remove(owner);
    leaving.signal("TERM");
    assert!(leaving.ended().await.success());
    let left = cluster.house.afilnet.sent_count();
    assert!(left < 80, "it ended in the middle");
    assert!(cluster.house.afilnet.until(SOON, |world| world.sent_count() == 80).await);
    let mut at: Vec<_> = cluster.house.afilnet.all_sent().iter().map(|call| call.at_ms).collect();
    at.sort_unstable();
    let busiest =
        at.iter().map(|from| at.iter().filter(|at| (*from..from + WINDOW_MS).contains(*at)).count()).max().unwrap();
    println!("busiest {WINDOW_MS} ms: {busiest} calls of {RATE} a second, {left} sent before the hand-over");
    assert!(busiest <= RATE, "{busiest} within {WINDOW_MS} ms");
    cluster.house.check();
}

/// `cargo test --features crashpoints --test campaigns -- --ignored --nocapture three_hundred_channels` (about two minutes).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: see tests/README.md"]
async fn three_hundred_channels_over_three_processes() {
    const CHANNELS: usize = 300;
    let calm = |mut house: House| {
        for channel in std::iter::once("SUPPORT".to_owned()).chain((1..CHANNELS).map(|n| format!("C{n}"))) {
            house = house.set(&format!("CHANNELS__{channel}__POLL_ACTIVE"), "5s");
            house = house.set(&format!("CHANNELS__{channel}__POLL_IDLE"), "15s");
        }
        Workload::settings(house).set("STORE__LEASE", "10s")
    };
    let started = Instant::now();
    let Some(mut cluster) = Cluster::of(3, CHANNELS, calm).await else { return };
    println!("300 channels shared out over three processes {:.1?} after the first was started", started.elapsed());
    let churn = |cluster: &Cluster| cluster.bridges.iter().map(|bridge| said(bridge, "is served here")).sum::<usize>();
    let (before, calls) = (churn(&cluster), all_calls(&cluster.house));
    let measured = Instant::now();
    let load = Workload { contacts: CHANNELS, each: 5, pause: Duration::from_secs(4), equal_words: false };
    let running = load.start_on(&cluster.house, cluster.bases(), Duration::from_secs(30));
    running.conserved(&cluster.house, 0).await;
    let calls = all_calls(&cluster.house) - calls;
    println!(
        "{} messages both ways in {:.0?}: {calls} calls to Afilnet, {:.1} a second; lost 0, doubled 0, out of order 0; \
         {} leases changed hands meanwhile; resident MiB of each process: {:?}",
        load.total(),
        measured.elapsed(),
        f64::from(u32::try_from(calls).unwrap()) / measured.elapsed().as_secs_f64(),
        churn(&cluster) - before,
        cluster.bridges.iter().map(|bridge| bridge.resident_kib() / 1024).collect::<Vec<_>>()
    );
    let gone = Instant::now();
    cluster.bridges.remove(0).kill();
    cluster.shared_out(CHANNELS).await;
    println!("100 channels of a killed process were with the other two {:.1?} later (leases of 10 s)", gone.elapsed());
    let again = Instant::now();
    let next = cluster.house.start_another(0).await;
    cluster.bridges.push(next);
    cluster.shared_out(CHANNELS).await;
    println!("and 100 with a new one {:.1?} after it was started", again.elapsed());
    cluster.house.check();
}
