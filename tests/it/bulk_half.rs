//! What failed comes back while another channel works: pressed twice at once, restarted at half of it, cancelled at half.
//! What is told is counted at the ledger.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::bulk::{done, fail_all, houses_of_two_channels};
use crate::page::{OPERATORS, get, post, sign_in};
use crate::page_many::{hidden, job_of};
use crate::support::process::Bridge;
use crate::support::workload::number;
use crate::support::{House, SOON, channel_of, contact, side_by_side, until_within};

const AGAIN: [&str; 5] = ["messages", "retry", "--state", "failed", "--fault"];
const FAULT: &str = "INCORRECT_FILETYPE";
/// Contacts of the other channel from here on.
const ELSEWHERE: usize = 1_000_000;
/// Calls of which a p95 is taken, at least.
const CALLS: usize = 40;

/// What ends a run at half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtHalf {
    /// The bridge is killed and started again, of two commands that were given at once.
    Restart,
    Cancel,
}

/// Where it is pressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Command,
    /// The same form of the operators' page, sent twice at once.
    Page,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_comes_back_once_pressed_twice_and_restarted_at_half_or_cancelled_at_half() {
    let houses = houses_of_two_channels().await.map(|house| (house, AtHalf::Restart));
    let houses = houses.chain(houses_of_two_channels().await.map(|house| (house, AtHalf::Cancel)));
    let houses = houses.map(|(house, at_half)| (house, at_half, By::Command));
    // By the page one of them over each engine: they run while the others do.
    let by_page = houses_of_two_channels().await.zip([AtHalf::Restart, AtHalf::Cancel]);
    let houses = houses.chain(by_page.map(|(house, at_half)| (house, at_half, By::Page)));
    side_by_side(houses, |(house, at_half, by)| async move { come_back(house, at_half, by, 400).await }).await;
}

/// As a campaign: `cargo test --features crashpoints --test it -- --ignored --nocapture thousand`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: minutes"]
async fn a_quarter_of_twenty_thousand_comes_back_pressed_twice_and_restarted_at_half_or_cancelled_at_half() {
    let all = usize::try_from(number("BRIDGE_BULK_FAILED", 20_000)).unwrap();
    for by in [By::Command, By::Page] {
        for at_half in [AtHalf::Restart, AtHalf::Cancel] {
            for house in houses_of_two_channels().await {
                come_back(house, at_half, by, all).await;
            }
        }
    }
}

/// Writes in the other channel until told to stop, `CALLS` times at least; returns how long each call took to its verdict.
fn other_channel(
    house: &House,
    bridge: &Bridge,
    first: usize,
    over: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Vec<Duration>> {
    let (bonychat, url) = (house.bonychat.clone(), bridge.url());
    tokio::spawn(async move {
        let mut took = Vec::new();
        while took.len() < CALLS || !over.load(Ordering::Relaxed) {
            let who = first + 2 * took.len() + 1;
            let sent = bonychat.text(&url, &channel_of(who, 2), &contact_of(who), "elsewhere").await;
            // 0 and 503: the bridge is away for its restart.
            if sent.status == 200 {
                took.push(sent.elapsed);
            } else {
                assert!(matches!(sent.status, 0 | 503), "{}", sent.body);
            }
            tokio::time::sleep(Duration::from_millis(100)).await; // their own pace
        }
        took.sort();
        took
    })
}

/// A contact of seven digits of its own.
fn contact_of(who: usize) -> String {
    format!("+347{who:08}")
}

fn p95(took: &[Duration]) -> Duration {
    took[took.len() * 95 / 100]
}

/// How many are done, by all jobs.
fn jobs_done(house: &House) -> usize {
    let listed = done(house, &["messages", "jobs"]);
    let of_job =
        |line: &str| -> usize { line.split_once(" done").unwrap().0.rsplit(' ').next().unwrap().parse().unwrap() };
    listed.lines().map(of_job).sum()
}

/// Makes a plan on the page and sends its form twice at once. Returns the session and the number of the one job.
async fn press_twice(bridge: &Bridge) -> (String, String) {
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let plan = get(&base, &format!("/bulk?action=retry&state=failed&fault={FAULT}"), &cookie).body;
    let form = hidden(&plan, "bulk");
    let presses = [(); 2].map(|()| {
        let (base, cookie, form) = (base.clone(), cookie.clone(), form.clone());
        tokio::task::spawn_blocking(move || post(&base, "/bulk", &cookie, &form))
    });
    let mut said = Vec::new();
    for press in presses {
        let answer = press.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        said.push(answer.body);
    }
    assert_eq!(said[0], said[1], "pressed twice, done once");
    (cookie, job_of(&said[0]))
}

async fn come_back(house: House, at_half: AtHalf, by: By, all: usize) {
    let (some, per_second) = (all / 4, all / 40);
    let house = house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("STORE__LEASE", "2s");
    let mut house = house.set("ADMIN__TOKEN", OPERATORS);
    let engine = if house.setting("STORE__URL").starts_with("postgres") { "PostgreSQL" } else { "SQLite" };
    let bridge = house.start().await;
    // Each channel has an account of its own; of `support` alone sends fail.
    fail_all(&house, &bridge, 0..some, FAULT).await;
    fail_all(&house, &bridge, some..all, "INCORRECT_FILEURL").await;
    bridge.kill();
    let mut house = house.unset("OUTBOUND__ANSWER_WITHIN").set("AFILNET__REQUESTS_PER_SECOND", &per_second.to_string());
    let mut bridge = house.start().await;
    let before = other_channel(&house, &bridge, ELSEWHERE, Arc::new(AtomicBool::new(true))).await.unwrap();

    let over = Arc::new(AtomicBool::new(false));
    let during = other_channel(&house, &bridge, 2 * ELSEWHERE, Arc::clone(&over));
    let confirmed = [&AGAIN[..], &[FAULT, "--yes"]].concat();
    let times = if at_half == AtHalf::Restart { 2 } else { 1 };
    let of_page = if by == By::Page { Some(press_twice(&bridge).await) } else { None };
    let pressed: Vec<_> = (0..if by == By::Page { 0 } else { times })
        .map(|_| {
            let mut command = house.command(&confirmed);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    until_within(10 * SOON, "half of it is done", || jobs_done(&house) >= some / 2).await;
    if at_half == AtHalf::Restart {
        bridge.kill();
        bridge = house.start().await;
    } else if let Some((cookie, job)) = &of_page {
        let base = bridge.admin_url();
        let page = get(&base, &format!("/bulk/{job}"), cookie).body;
        let form = hidden(&page, &format!("{job}/cancel")) + "&why=half+is+enough";
        let ended = post(&base, &format!("/bulk/{job}/cancel"), cookie, &form);
        assert_eq!(ended.status, 200, "{}", ended.body);
    } else {
        let job = done(&house, &["messages", "jobs"]).split(':').next().unwrap()["job ".len()..].to_owned();
        done(&house, &["messages", "cancel", &job, "--why", "half is enough"]);
    }
    for press in pressed {
        let output = tokio::task::block_in_place(|| press.wait_with_output()).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(i32::from(at_half == AtHalf::Cancel)), "{said}");
    }
    if let Some((cookie, job)) = &of_page {
        let is_over = if at_half == AtHalf::Restart { "class=\"state good\"" } else { "ended before its time" };
        let shown = || get(&bridge.admin_url(), &format!("/bulk/{job}"), cookie).body;
        until_within(10 * SOON, "the page shows its end", || shown().contains(is_over)).await;
        assert_eq!(done(&house, &["messages", "jobs"]).lines().count(), 1, "one job");
    }
    house.settled().await;
    over.store(true, Ordering::Relaxed);
    let during = during.await.unwrap();

    let told = jobs_done(&house);
    let sent: Vec<usize> = (0..some).map(|who| house.afilnet.sent(&contact(who)[1..]).len()).collect();
    let unconfirmed = house.messages("unconfirmed").len();
    assert!(sent.iter().all(|times| *times <= 1), "{engine}: one was sent twice");
    assert_eq!((some..all).filter(|who| !house.afilnet.sent(&contact(*who)[1..]).is_empty()).count(), 0);
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    let came_back: usize = sent.iter().sum();
    assert_eq!((came_back, unconfirmed), (told, 0), "{engine}: what the jobs tell is what was sent");
    match at_half {
        AtHalf::Restart => assert_eq!(came_back, some),
        AtHalf::Cancel => assert!((some / 2..some).contains(&came_back), "{came_back} of {some}"),
    }
    assert_eq!(house.messages("failed").len(), all - came_back);

    // Not faster than half the rate of the account, from the first to the last of them; the first go at once.
    let mut at: Vec<i64> =
        (0..some).flat_map(|who| house.afilnet.sent(&contact(who)[1..])).map(|sent| sent.at_ms).collect();
    at.sort_unstable();
    let took = Duration::from_millis(u64::try_from(at[at.len() - 1] - at[0]).unwrap());
    let rate = f64::from(u32::try_from(came_back).unwrap()) / took.as_secs_f64();
    let (quiet, busy) = (p95(&before), p95(&during));
    let place = if by == By::Page { "on the page" } else { "by command" };
    let how = if at_half == AtHalf::Restart { "pressed twice and restarted at half" } else { "cancelled at half" };
    println!(
        "{engine}: {came_back} of {some} ({all} failed) came back, {place} {how}: {rate:.1}/s of an account of {per_second}/s; \
         another channel's p95 to the verdict {quiet:.0?} before, {busy:.0?} during: {:+.0} %",
        (busy.as_secs_f64() / quiet.as_secs_f64() - 1.0) * 100.0
    );
    let half = f64::from(u32::try_from(per_second).unwrap()) / 2.0;
    assert!(rate <= half * 1.25, "{engine}: {rate:.1}/s of {per_second}/s");
    assert!(busy < quiet * 20 + Duration::from_secs(5), "the other channel stood still: {busy:?}");
    drop(bridge);
    house.check();
}
