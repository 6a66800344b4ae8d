//! Decisions on many messages at once: a broadcast that is stopped, and what failed that comes back.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::support::process::Bridge;
use crate::support::{House, SOON, channel_of, contact, platform_of, side_by_side, token_of, until};

/// Runs a command that succeeds; returns its output.
pub(crate) fn done(house: &House, arguments: &[&str]) -> String {
    let output = house.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// On each engine.
async fn houses() -> impl Iterator<Item = House> {
    [Some(House::new().on_a_file()), House::shared(1).await].into_iter().flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_stopped_and_the_rest_goes_on() {
    side_by_side(houses_of_two_channels().await, |house| async move { stop_a_broadcast(house, 300).await }).await;
}

/// On each engine, with a second channel `c1` of an account of its own.
pub(crate) async fn houses_of_two_channels() -> impl Iterator<Item = House> {
    let mut on_a_file = House::with_channels(2).on_a_file();
    for (key, value) in [
        ("CHANNEL_ID", channel_of(1, 2)),
        ("API_TOKEN", token_of(1, 2)),
        ("ID_TYPE", "phone".into()),
        ("PLATFORM", "whatsapp".into()),
        ("PLATFORM_ID", platform_of(1, 2)),
        ("AFILNET_USER", "user1".into()),
        ("AFILNET_PASSWORD", "password".into()),
    ] {
        on_a_file = on_a_file.set(&format!("CHANNELS__C1__{key}"), &value);
    }
    [Some(on_a_file), House::shared(2).await].into_iter().flatten()
}

/// As a campaign: `cargo test --features crashpoints --test it -- --ignored --nocapture thousand`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: minutes"]
async fn a_broadcast_of_two_thousand_is_stopped_and_the_rest_goes_on() {
    for house in houses_of_two_channels().await {
        stop_a_broadcast(house, 2_000).await;
    }
}

async fn stop_a_broadcast(house: House, size: usize) {
    const OTHERS: usize = 20;
    let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__REQUESTS_PER_SECOND", "10");
    let bridge = house.start().await;
    until("both channels are served", || bridge.log().iter().filter(|line| line.contains("is served")).count() >= 2)
        .await;
    // Until all of it waits nothing is sent, however slow this machine is.
    house.afilnet.fault("sendmessage:NO_CREDITS:1-1000000").unwrap();
    for who in 0..size {
        assert_eq!(house.agent(&bridge, &contact(who), "Gran OFERTA, con el precio equivocado").await.status, 200);
    }
    for who in 0..OTHERS {
        assert_eq!(house.agent(&bridge, &contact(who), &format!("other {who}")).await.status, 200);
    }
    let stop = ["messages", "discard", "--state", "queued", "--text", "oferta precio", "--channel", "support"];
    let dry = done(&house, &stop);
    assert!(dry.contains("nothing was changed; do it with --yes") && dry.contains("the first 25 of them:"), "{dry}");
    assert!(!dry.to_lowercase().contains("oferta"), "no texts: {dry}");
    assert!(house.messages("queued").len() > size / 2, "a dry run changes nothing");
    house.afilnet.clear_faults();
    assert!(house.afilnet.until(SOON, |world| world.sent_count() >= 5).await, "it is going out");
    let mut stopping = house.command(&[&stop[..], &["--yes", "--why", "wrong price"]].concat());
    let stopping = stopping.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let elsewhere = |n: usize| contact(100_000 + n);
    for n in 0..OTHERS {
        let sent = house.bonychat.text(&bridge.url(), &channel_of(1, 2), &elsewhere(n), "elsewhere").await;
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    let output = tokio::task::block_in_place(|| stopping.wait_with_output()).unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told} {}", String::from_utf8_lossy(&output.stderr));
    let discarded: usize = told.lines().last().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(discarded > size / 2, "{told}");
    house.settled().await;
    let offers =
        |who: usize| house.afilnet.texts(&contact(who)[1..]).iter().filter(|text| text.contains("OFERTA")).count();
    let sent: usize = (0..size).map(offers).sum();
    assert!((0..size).all(|who| offers(who) <= 1));
    assert_eq!(sent + discarded, size, "each was sent once or discarded");
    for who in 0..OTHERS {
        assert_eq!(house.afilnet.texts(&contact(who)[1..]).last(), Some(&format!("other {who}")));
    }
    assert!((0..OTHERS).all(|n| house.afilnet.texts(&elsewhere(n)[1..]) == ["elsewhere"]), "of another channel");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == discarded).await, "their agents are told");
    let failed: BTreeSet<String> = house.messages("failed").into_iter().collect();
    let mut told = BTreeSet::new();
    for who in 0..size {
        for event in house.bonychat.unique_events(&contact(who)) {
            assert_eq!(event.status(), "failed");
            told.insert(event.m_id.clone());
        }
    }
    assert_eq!(told, failed);
    let jobs = done(&house, &["messages", "jobs"]);
    assert!(jobs.contains(&format!("{discarded} done")) && jobs.contains("ended at"), "{jobs}");
    println!("{size} queued: {sent} sent before, {discarded} discarded and told, {OTHERS} others sent");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_comes_back_once_though_it_is_interrupted_killed_and_started_twice() {
    side_by_side(houses().await, |house| async move { bring_back(house, 300, 1_000, "40", "200 done").await }).await;
}

/// As a campaign: `cargo test --features crashpoints --test it -- --ignored --nocapture thousand`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a campaign: minutes"]
async fn five_thousand_of_twenty_thousand_that_failed_come_back_once() {
    for house in houses().await {
        bring_back(house, 5_000, 20_000, "1000", "400 done").await;
    }
}

/// A command that works on a job; what it prints on stderr is read up to a line with these words.
fn works(house: &House, arguments: &[&str], until: &str) -> Child {
    let mut command = house.command(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(until));
    assert!(found, "{arguments:?} never printed `{until}`");
    std::thread::spawn(move || lines.for_each(drop)); // so that it never waits for a reader
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_many_is_refused_while_its_channel_is_paused_and_waits_where_it_is_paused_later() {
    side_by_side(houses().await, |house| async move {
        let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__REQUESTS_PER_SECOND", "4");
        let bridge = house.start().await;
        fail_all(&house, &bridge, 0..24, "INCORRECT_FILETYPE").await;
        let again = ["messages", "retry", "--state", "failed"];
        let confirmed = [&again[..], &["--yes"]].concat();
        done(&house, &["channels", "pause", "support", "out", "--why", "migration"]);
        let dry = done(&house, &again);
        assert!(dry.contains("paused by hand") && dry.contains("migration") && !dry.contains("--yes"), "{dry}");
        let refused = house.run(&confirmed);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("nothing was changed"), "{said}");
        assert!(said.contains("bridge channels resume support out"), "how to go on: {said}");
        assert_eq!((house.messages("failed").len(), done(&house, &["messages", "jobs"])), (24, String::new()));

        done(&house, &["channels", "resume", "support", "out"]);
        let mut first = works(&house, &confirmed, "10 done");
        done(&house, &["channels", "pause", "support", "out", "--why", "again"]);
        until("it waits", || done(&house, &["messages", "jobs"]).contains("a channel is paused by hand")).await;
        let failed = house.messages("failed").len();
        assert!(failed > 0 && failed <= 14, "{failed} are left");
        done(&house, &["channels", "resume", "support", "out"]);
        assert!(tokio::task::block_in_place(|| first.wait()).unwrap().success());
        house.settled().await;
        assert_eq!(house.afilnet.sent_count(), 24);
    })
    .await;
}

pub(crate) async fn fail_all(house: &House, bridge: &Bridge, who: std::ops::Range<usize>, fault: &str) {
    house.afilnet.fault(&format!("sendmessage:{fault}:1-1000000")).unwrap();
    for who in who.clone() {
        house.agent(bridge, &contact(who), &format!("text of {who}")).await;
    }
    until("they have failed", || house.messages("failed").len() == who.end).await;
    house.afilnet.clear_faults();
}

/// `some` of `all` failed for the reason that is filtered by. The second worker is killed when it says `kill_at`.
async fn bring_back(house: House, some: usize, all: usize, per_second: &str, kill_at: &str) {
    let moved_on = 10;
    let mut house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    fail_all(&house, &bridge, 0..some, "INCORRECT_FILETYPE").await;
    fail_all(&house, &bridge, some..all, "INCORRECT_FILEURL").await;
    for who in 0..moved_on {
        assert_eq!(house.agent(&bridge, &contact(who), "newer").await.status, 200);
    }
    house.settled().await;
    assert_eq!(house.afilnet.sent_count(), moved_on);
    drop(bridge);
    let mut house = house.set("AFILNET__REQUESTS_PER_SECOND", per_second);
    let bridge = house.start().await;

    let again = ["messages", "retry", "--state", "failed", "--fault", "INCORRECT_FILETYPE"];
    let dry = done(&house, &again);
    let planned = some - moved_on;
    for line in [
        format!("support\tINCORRECT_FILETYPE\t{planned}\n"),
        format!("would go again: {planned} message(s), in their old places\n"),
        "text wiped, so nothing can be done with them: 0\n".to_owned(),
        "older than a day: 0\n".to_owned(),
        format!("after a newer message: {moved_on} (left out; --moved-on takes them too)\n"),
    ] {
        assert!(dry.contains(&line), "{line} is not in {dry}");
    }
    let all_of_them = done(&house, &[&again[..], &["--moved-on"]].concat());
    assert!(all_of_them.contains(&format!("would go again: {some} message(s)")), "{all_of_them}");

    // Interrupted in the middle: it says what was done, and nothing goes on.
    let mut first = works(&house, &[&again[..], &["--yes"]].concat(), "done");
    signal(&first, "INT");
    let output = tokio::task::block_in_place(|| first.wait()).unwrap();
    assert_eq!(output.code(), Some(1), "it is not done");
    let listed = done(&house, &["messages", "jobs"]);
    let job = listed.split(':').next().unwrap().strip_prefix("job ").unwrap().to_owned();
    assert!(listed.contains("0 left out") && !listed.contains("ended"), "{listed}");
    let mut killed = works(&house, &["messages", "resume", &job], kill_at);
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The bridge ends and starts, and two go on at once.
    bridge.kill();
    let bridge = house.start().await;
    let both: Vec<Child> = (0..2)
        .map(|_| {
            let mut command = house.command(&["messages", "resume", &job]);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for one in both {
        let output = tokio::task::block_in_place(|| one.wait_with_output()).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // One that begins after the end has nothing to go on with.
        let ended = said.contains(&format!("{planned} message(s) queued again, 0 left out"));
        assert!(ended || output.status.code() == Some(1), "{said}");
    }
    let listed = done(&house, &["messages", "jobs"]);
    assert!(listed.contains(&format!("{planned} done, 0 left out")) && listed.contains("ended at"), "{listed}");
    house.settled().await;
    for who in 0..all {
        let expected: Vec<String> = match who {
            who if who < moved_on => vec!["newer".into()],
            who if who < some => vec![format!("text of {who}")],
            _ => Vec::new(),
        };
        // What was being sent at the kill may be unconfirmed, which is not twice.
        let texts = house.afilnet.texts(&contact(who)[1..]);
        assert!(texts == expected, "contact {who}: {texts:?}");
    }
    assert_eq!(house.messages("failed").len(), all - planned);
    let refused = house.run(&["messages", "resume", &job]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("nothing to go on with"));
    let nothing = done(&house, &again);
    assert!(nothing.contains("would go again: 0 message(s)") && nothing.contains("nothing to do"), "{nothing}");
    println!(
        "{planned} of {all} went again once, {moved_on} left out; a job of four workers, one interrupted, one killed"
    );
    drop(bridge);
    house.check();
}

fn signal(child: &Child, name: &str) {
    let done = std::process::Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(done.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_by_another_command_and_what_may_have_arrived_is_not_decided_by_many() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    fail_all(&house, &bridge, 0..40, "INCORRECT_FILETYPE").await;
    drop(bridge);
    // Half a message a second: two are queued again at once, and the next after four seconds.
    let house = house.set("AFILNET__REQUESTS_PER_SECOND", "1");
    let mut working = works(&house, &["messages", "retry", "--state", "failed", "--yes"], "done");
    let job = done(&house, &["messages", "jobs"]).split(':').next().unwrap()["job ".len()..].to_owned();
    let cancelled = done(&house, &["messages", "cancel", &job, "--why", "a mistake"]);
    assert!(cancelled.contains("cancelled at") && cancelled.contains("what is done stays done"), "{cancelled}");
    assert_eq!(tokio::task::block_in_place(|| working.wait()).unwrap().code(), Some(1));
    let left = house.messages("failed").len();
    assert!((1..40).contains(&left), "{left}");
    for (arguments, code, says) in [
        (vec!["cancel", &job], 1, "over already"),
        (vec!["resume", &job], 1, "nothing to go on with"),
        (vec!["resume", "99"], 1, "no job 99"),
        (vec!["retry", "--state", "unconfirmed"], 2, "settle MID"),
        (vec!["discard", "--state", "unknown"], 2, "settle MID"),
        (vec!["retry", "--state", "queued"], 2, "nothing to retry"),
        (vec!["retry", "--state", "failed", "--text", " "], 2, "--text takes words"),
        (vec!["retry", "--state", "failed", "--since", "yesterday"], 2, "`yesterday`"),
        (vec!["retry", "--state", "failed", "--channel", "suport"], 2, "`suport`"),
        (vec!["retry", "--fault", "NO_CREDITS"], 2, "--state"),
    ] {
        let output = house.run(&[&["messages"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(says), "{arguments:?}: {said}");
    }
    assert_eq!(house.messages("failed").len(), left);
    house.check();
}
