//! Several processes on one PostgreSQL and a caller that calls again at another one: a call without a response is one
//! message, whatever happens to the process that had it first.

use std::collections::HashMap;
use std::time::Duration;

use crate::support::postgres::Server;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::cluster::Cluster;
use crate::support::exchange::exchange_alone;
use crate::support::process::Bridge;
use crate::support::workload::number;
use crate::support::{House, SOON, channel_of, contact, token_of};

const CHANNELS: usize = 4;
/// Callers of one round: half of them give up just after the process resumes, the others at any time. So many that the
/// process is busy when it resumes.
const CALLERS: usize = 96;
/// A caller without a response for this long gives up and calls again; the second call waits longer.
const PATIENT: Duration = Duration::from_secs(30);

/// What happens to one of the two processes.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It stands still for so long, in milliseconds.
    Stopped(u64),
    Killed,
    Restarted,
}

/// Most rounds are stops, shorter and longer than a lease. The gate runs the first four.
const ENDS: [End; 6] =
    [End::Stopped(3000), End::Killed, End::Restarted, End::Stopped(1000), End::Stopped(5500), End::Stopped(3000)];

/// One message of one caller.
struct Caller {
    who: usize,
    text: String,
    /// Where it calls first, and where it calls again.
    bases: [String; 2],
    calls_at: Instant,
    gives_up_at: Instant,
}

impl Caller {
    /// Calls until it gets 200. Returns the number of calls.
    async fn call(self) -> usize {
        let (channel, contact) = (channel_of(self.who, CHANNELS), contact(self.who));
        let token = token_of(self.who, CHANNELS);
        sleep_until(self.calls_at).await;
        let mut by = self.gives_up_at;
        for calls in 1.. {
            let base = &self.bases[(calls - 1) % 2];
            match timeout_at(by, exchange_alone(base, &token, &channel, &contact, &self.text)).await {
                Ok(Ok((200, _))) => return calls,
                Ok(Ok((status, body))) => assert_eq!(status, 503, "{body}"),
                Ok(Err(_)) | Err(_) => {} // no connection, none that lasted, or none in time
            }
            assert!(self.calls_at.elapsed() < 2 * SOON, "{} is not answered", self.text);
            sleep(Duration::from_millis(2)).await; // the caller's own pace
            by = Instant::now() + PATIENT;
        }
        unreachable!()
    }
}

/// Puts one process through `end` while all callers call. Returns how many called again.
async fn round(cluster: &mut Cluster, n: usize) -> usize {
    let (which, end, starts) = (n % 2, ENDS[n % ENDS.len()], Instant::now());
    let lasts = match end {
        End::Stopped(lasts) => Duration::from_millis(lasts),
        End::Killed | End::Restarted => Duration::from_millis(500),
    };
    let wakes_at = starts + lasts;
    let ms = |from: u64, to: u64| Duration::from_millis(rand::random_range(from..to));
    let mut bases = cluster.bases();
    bases.rotate_left(which); // that of the process in question first
    let bases: [String; 2] = bases.try_into().unwrap();
    let whole = u64::try_from(lasts.as_millis()).unwrap();
    let caller = |k: usize| {
        let aimed = k < CALLERS / 2;
        let calls_at = starts + ms(0, whole - 200);
        let gives_up_at = if aimed { wakes_at + ms(0, 120) } else { calls_at + ms(100, 3000) };
        let [first, second] = bases.clone();
        let bases = if aimed || k.is_multiple_of(2) { [first, second] } else { [second, first] };
        Caller { who: k, text: format!("round {n} of {k}"), bases, calls_at, gives_up_at }
    };
    let callers: Vec<_> = (0..CALLERS).map(|k| tokio::spawn(caller(k).call())).collect();
    match end {
        End::Stopped(_) => {
            cluster.bridges[which].signal("STOP");
            sleep_until(wakes_at).await; // it stands still
            cluster.bridges[which].signal("CONT");
        }
        End::Killed => {
            sleep_until(wakes_at).await; // the moment of the end
            cluster.replace(which, async |bridge: Bridge| drop(bridge.kill())).await;
        }
        End::Restarted => {
            sleep_until(wakes_at).await; // the moment of the end
            let ends = async |mut bridge: Bridge| {
                bridge.signal("TERM");
                assert!(bridge.ended().await.success());
            };
            cluster.replace(which, ends).await;
        }
    }
    let mut again = 0;
    for caller in callers {
        again += usize::from(caller.await.unwrap() > 1);
    }
    again
}

/// Rounds of ends with callers that call again at the other process; every message is counted at Afilnet.
async fn campaign(name: &str, settings: impl FnOnce(House) -> House) {
    let rounds = usize::try_from(number("BRIDGE_CLUSTER_ROUNDS", 4)).unwrap();
    let settings = |house| settings(house).set("OUTBOUND__ANSWER_WITHIN", "500ms").set("STORE__LEASE", "4s");
    let Some(mut cluster) = Cluster::of(2, CHANNELS, settings).await else { return };
    let mut again = 0;
    for n in 0..rounds {
        again += round(&mut cluster, n).await;
    }
    let house = &cluster.house;
    house.settled().await;
    let unconfirmed = house.messages("unconfirmed").len();
    let (mut missing, mut doubled) = (Vec::new(), Vec::new());
    for k in 0..CALLERS {
        let mut times: HashMap<String, usize> = HashMap::new();
        for text in house.afilnet.texts(&contact(k)[1..]) {
            *times.entry(text).or_default() += 1;
        }
        for n in 0..rounds {
            let text = format!("round {n} of {k}");
            match times.get(&text) {
                None => missing.push(text),
                Some(1) => {}
                Some(_) => doubled.push(text),
            }
        }
    }
    println!(
        "{rounds} ends {name}, {} messages, {again} of them called again at the other process: missing {}, unconfirmed {unconfirmed}, \
         doubled {}",
        rounds * CALLERS,
        missing.len(),
        doubled.len()
    );
    assert_eq!(doubled, Vec::<String>::new(), "doubled");
    assert!(missing.len() <= unconfirmed, "missing: {missing:?}; only {unconfirmed} are unconfirmed");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_made_again_at_another_process_is_one_message() {
    campaign("of one of two processes", |house| house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_pgbouncer_a_call_made_again_at_another_process_is_one_message_too() {
    let Some(mut server) = Server::start().await else { return };
    let Some(url) = server.pooled().await else { return };
    campaign("of one of two processes behind PgBouncer", |house| house.set("STORE__URL", &url)).await;
}
