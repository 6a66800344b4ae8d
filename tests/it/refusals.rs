//! What a person brings back that BonyChat refused, and how often a fault of the set-up at Afilnet is probed.

use std::time::Duration;

use crate::support::{House, contact, side_by_side, until};

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
async fn probes_of_a_fault_of_the_set_up_at_afilnet_become_few() {
    side_by_side(["MISSING_CLASS", "http_403", "http_404", "redirect"], |fault| async move {
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
    })
    .await;
}
