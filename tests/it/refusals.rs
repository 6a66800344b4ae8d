//! Refusals of BonyChat: a fault of the configuration costs no message, a fault of one message costs no other, and what
//! was given up is requeued by one command.

use std::time::{Duration, Instant};

use bridge::sim::Latency;

use crate::support::{House, SOON, contact, until};

/// Contacts, each with two messages.
const CONTACTS: usize = 15;

/// How long the webhook refuses everything.
const SPELL: Duration = Duration::from_secs(4);

/// Every status that does not distinguish the configuration from the message, or is about the configuration, and
/// responses that are not BonyChat's.
const ANSWERS: [&str; 12] = [
    "http_449", "http_400", "http_402", "http_405", "http_409", "http_410", "http_422", "http_401", "http_403",
    "http_404", "http_301", "html_200",
];

fn writes_to_all(house: &House, answer: &str) {
    for part in ["first", "second"] {
        for who in 0..CONTACTS {
            house.customer(&contact(who), &format!("{answer} {part}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_refuses_everything_for_a_while_costs_no_message_whatever_its_answer() {
    let mut house = House::new();
    let bridge = house.start().await;
    println!("answer    calls in {SPELL:?}  dead  came by themselves after (of {})", 2 * CONTACTS);
    for (n, answer) in ANSWERS.into_iter().enumerate() {
        let before = house.bonychat.requests();
        house.bonychat.fault(&format!("*:{answer}:1-1000000")).unwrap();
        writes_to_all(&house, answer);
        until("it is refused", || house.bonychat.requests() > before).await;
        tokio::time::sleep(SPELL).await; // the length of the spell, not a wait for a state
        let calls = house.bonychat.requests() - before;
        let dead = house.messages("dead").len();
        house.bonychat.clear_faults();
        let all = 2 * CONTACTS * (n + 1);
        let came = house.bonychat.until(SOON, |world| world.event_count() >= all).await;
        println!("{answer}  {calls:>12}  {dead:>4}  {:>4}", house.bonychat.event_count() - 2 * CONTACTS * n);
        assert!(came && dead == 0, "{answer}: {dead} dead, {} of {all} came", house.bonychat.event_count());
        assert!(calls <= 60, "{calls} calls under {answer}");
    }
    let expected: Vec<String> =
        ANSWERS.iter().flat_map(|answer| [format!("{answer} first"), format!("{answer} second")]).collect();
    for who in 0..CONTACTS {
        assert_eq!(house.bonychat.texts(&contact(who)), expected, "in order, contact {who}");
    }
    assert_eq!(house.bonychat.repeats(), 0);
    let log = bridge.log();
    let paused = log.iter().filter(|line| line.contains("does not take its events")).count();
    assert!(paused >= ANSWERS.len() - 1, "each but 449, which is an outage, is said: {paused}");
    assert!(log.iter().any(|line| line.contains("addresses at app.respond.io moved")));
    assert!(log.iter().any(|line| line.contains("refuses whatever several contacts write")));
    assert!(!log.iter().any(|line| line.contains("dead letter")));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_everything_is_refused_has_given_up_nothing() {
    let mut house = House::new();
    house.bonychat.fault("*:http_422:1-1000000").unwrap();
    for (round, kill_after) in [3, 8, 20].into_iter().enumerate() {
        let bridge = house.start().await;
        let before = house.bonychat.requests();
        writes_to_all(&house, &format!("round {round}"));
        until("some are refused", || house.bonychat.requests() >= before + kill_after).await;
        bridge.kill();
    }
    let _bridge = house.start().await;
    assert_eq!(house.messages("dead"), Vec::<String>::new());
    house.bonychat.clear_faults();
    let expected: Vec<String> =
        (0..3).flat_map(|n| [format!("round {n} first"), format!("round {n} second")]).collect();
    let all = |world: &bridge::sim::bonychat::World| (0..CONTACTS).all(|who| world.texts(&contact(who)) == expected);
    assert!(house.bonychat.until(SOON, all).await);
    assert_eq!(house.messages("dead"), Vec::<String>::new());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_comes_back_with_one_command() {
    let mut house = House::new();
    let _bridge = house.start().await;
    house.bonychat.set_poison(Some("POISON"));
    for who in 0..3 {
        for text in ["POISON a", "POISON b", "after"] {
            house.customer(&contact(who), text);
        }
    }
    until("all six are given up", || house.messages("dead").len() == 6).await;
    let retry = |more: &[&str]| {
        let output = house.run(&[&["messages", "retry", "--state", "dead", "--since", "2h"], more].concat());
        let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), words)
    };
    let (code, words) = retry(&["--channel", "suport", "--yes"]);
    assert!(code == Some(2) && words.contains("`suport`") && words.contains("support"), "{code:?} {words}");
    let (code, words) = retry(&[]);
    assert!(code == Some(0) && words.contains("support\thttp_400\t6\n") && words.contains("--yes"), "{code:?} {words}");
    assert_eq!(house.messages("dead").len(), 6, "a dry run changes nothing");
    let discarded = house.messages("dead").remove(0);
    assert!(house.run(&["messages", "discard", &discarded]).status.success());
    assert!(!house.messages("dead").contains(&discarded), "a person has dealt with it");
    house.bonychat.set_poison(None);
    let (code, words) = retry(&["--channel", "support", "--yes"]);
    assert!(code == Some(0) && words.contains("5 event(s) queued again"), "{code:?} {words}");
    until("they came", || house.bonychat.event_count() == 8).await;
    for who in 0..3 {
        let came = house.bonychat.texts(&contact(who));
        assert!(came.iter().filter(|text| *text != "after").is_sorted(), "in their old order: {came:?}");
    }
    let (code, words) = retry(&["--yes"]);
    assert!(code == Some(0) && words.contains("nothing to do"), "{code:?} {words}");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_second_at_the_webhook_holds_more_than_twenty_starts_over_fresh_connections_restarts_and_delays() {
    let mut house = House::new().set("BONYCHAT__REQUESTS_PER_SECOND", "15");
    // The first calls take long to arrive, over new connections, and later ones no time.
    house.bonychat.set_latency(Latency::fixed(Duration::from_millis(450)));
    let bridge = house.start().await;
    for who in 100..140 {
        house.customer(&contact(who), "hello");
    }
    until("the first are on their way", || house.bonychat.requests() >= 8).await;
    house.bonychat.set_latency(Latency::default());
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 40).await);
    println!("busiest second {} after a slow start", house.bonychat.busiest_second());
    assert!(house.bonychat.busiest_second() <= 20, "{} in one second", house.bonychat.busiest_second());
    bridge.kill();
    house.bonychat.set_rate_limit(true);
    // Latency before each request is processed.
    house.bonychat.set_latency(Latency { least: Duration::ZERO, most: Duration::from_millis(500) });
    for who in 0..100 {
        house.customer(&contact(who), "hello");
    }
    let count = |house: &House| house.bonychat.event_count();
    for some in [50, 65, 85] {
        let bridge = house.start().await;
        until("some are posted", || count(&house) >= some).await;
        bridge.kill();
    }
    let _bridge = house.start().await;
    let (from, begun) = (count(&house), Instant::now()); // including the second and a half at the start
    assert!(house.bonychat.until(SOON, |world| (0..100).all(|who| !world.texts(&contact(who)).is_empty())).await);
    let posted = u32::try_from(count(&house) - from).unwrap();
    let pace = f64::from(posted) / begun.elapsed().as_secs_f64();
    println!("busiest second {}, {pace:.1} a second after the last restart", house.bonychat.busiest_second());
    assert!(house.bonychat.busiest_second() <= 20, "{} in one second", house.bonychat.busiest_second());
    assert_eq!(house.bonychat.rate_limited(), 0);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_of_a_fault_of_the_set_up_at_afilnet_become_few() {
    for fault in ["MISSING_CLASS", "http_403", "http_404", "redirect"] {
        let mut house = House::new().set("RETRY__MAX", "1m");
        house.afilnet.fault(&format!("*:{fault}:1-1000000")).unwrap();
        let bridge = house.start().await;
        let paused = || bridge.log().iter().any(|line| line.contains("the account is paused"));
        until("the account is paused", paused).await;
        let before = house.afilnet.counters().requests;
        tokio::time::sleep(Duration::from_secs(3)).await; // the time that is measured, not a wait for a state
        let calls = house.afilnet.counters().requests - before;
        println!("{fault}: {calls} calls in 3 s at retry.initial = 50ms");
        assert!(calls <= 10, "{fault}: {calls} calls in 3 s");
        house.afilnet.clear_faults();
        house.check();
    }
}
