//! Unknown outcomes: looked up, settled, never repeated blindly.

use std::time::Duration;

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::{House, PLATFORM_ID, SOON, channel_of, contact, platform_of, side_by_side, took_at_most, until};

/// Every way in which a send ends without a clear answer, some of them after it was carried out.
const FAULTS: [&str; 14] = [
    "reset",
    "reset_stored",
    "hang",
    "hang_stored",
    "truncated",
    "html_200",
    "html_200_stored",
    "garbage_stored",
    "empty",
    "empty_stored",
    "http_500",
    "http_500_stored",
    "http_502_stored",
    "http_503",
];

fn none() -> [String; 0] {
    []
}

/// Sends a message successfully, so that this account is known to show its sent rows.
async fn acquaint(house: &House, bridge: &Bridge, contact: &str) {
    let outcome = house.agent(bridge, contact, "before").await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact[1..]) == ["before"]).await);
}

/// The same, and waits until the bridge has read the conversation.
async fn acquaint_and_read(house: &House, bridge: &Bridge, contact: &str) {
    acquaint(house, bridge, contact).await;
    house.settled().await;
    house.customer(contact, "hello");
    assert!(house.bonychat.until(SOON, |world| world.texts(contact) == ["hello"]).await);
}

/// Sends `text` with an unknown outcome by `fault`; returns its mId.
async fn send_in_doubt(house: &House, bridge: &Bridge, contact: &str, text: &str, fault: &str) -> String {
    let before = house.afilnet.calls("sendmessage");
    house.afilnet.fault(&format!("sendmessage:{fault}")).unwrap();
    let outcome = house.agent(bridge, contact, text).await;
    assert_eq!(outcome.status, 200, "{fault}: {}", outcome.body);
    until("the call was made", || house.afilnet.calls("sendmessage") > before).await;
    outcome.m_id.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_found_and_what_was_not_goes_again_each_once_and_in_order() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "1s");
    let bridge = house.start().await;
    for (n, fault) in FAULTS.iter().enumerate() {
        acquaint(&house, &bridge, &contact(n)).await;
        send_in_doubt(&house, &bridge, &contact(n), fault, fault).await;
        assert_eq!(house.agent(&bridge, &contact(n), "after").await.status, 200);
    }
    for (n, fault) in FAULTS.iter().enumerate() {
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(n)[1..]).len() == 3).await, "{fault}");
    }
    house.settled().await;
    for (n, fault) in FAULTS.iter().enumerate() {
        assert_eq!(house.afilnet.texts(&contact(n)[1..]), ["before", fault, "after"]);
    }
    assert_eq!(house.messages("unconfirmed"), none());
    assert_eq!(house.bonychat.all_events(), [], "no agent was told of a failure");
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_words_are_counted_not_mixed_up() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "1s");
    let bridge = house.start().await;
    for (n, fault) in ["reset", "reset_stored"].into_iter().enumerate() {
        for _ in 0..3 {
            assert_eq!(house.agent(&bridge, &contact(n), "ok").await.status, 200);
        }
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(n)[1..]).len() == 3).await);
        send_in_doubt(&house, &bridge, &contact(n), "ok", fault).await;
        assert_eq!(house.agent(&bridge, &contact(n), "ok").await.status, 200);
    }
    house.settled().await;
    for n in 0..2 {
        assert_eq!(house.afilnet.texts(&contact(n)[1..]), ["ok"; 5]);
    }
    assert_eq!(house.messages("unconfirmed"), none());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_under_way_at_the_kill_is_looked_up_by_the_next_start() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let mut bridge = house.start().await;
    for (n, fault) in ["hang", "hang_stored"].into_iter().enumerate() {
        acquaint(&house, &bridge, &contact(n)).await;
        send_in_doubt(&house, &bridge, &contact(n), "under way", fault).await;
        assert_eq!(house.agent(&bridge, &contact(n), "behind it").await.status, 200);
        bridge.kill();
        bridge = house.start().await;
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(n)[1..]).len() == 3).await, "{fault}");
        assert_eq!(house.afilnet.texts(&contact(n)[1..]), ["before", "under way", "behind it"], "{fault}");
        assert!(bridge.log().iter().any(|line| line.contains("when the process ended")));
    }
    house.settled().await;
    assert_eq!(house.messages("unconfirmed"), none());
    assert_eq!(house.bonychat.all_events(), []);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_tell_is_unconfirmed_told_and_never_sent_again_by_itself() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "1s");
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    let bridge = house.start().await;
    for (n, fault) in FAULTS.iter().enumerate() {
        send_in_doubt(&house, &bridge, &contact(n), fault, fault).await;
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() == FAULTS.len()).await);
    for n in 0..FAULTS.len() {
        assert_eq!(house.agent(&bridge, &contact(n), "after").await.status, 200);
    }
    house.settled().await;
    for (n, fault) in FAULTS.iter().enumerate() {
        let stored = fault.ends_with("_stored") || *fault == "truncated";
        let expected: Vec<&str> = if stored { vec![fault, "after"] } else { vec!["after"] };
        assert_eq!(house.afilnet.texts(&contact(n)[1..]), expected, "{fault}");
        let status = &house.bonychat.unique_events(&contact(n))[0];
        assert_eq!(status.status(), "failed");
        let words = status.content["message"].as_str().unwrap();
        assert!(words.contains("may have been delivered"), "{words}");
    }
    assert_eq!(house.messages("unconfirmed").len(), FAULTS.len());
    assert_eq!(house.afilnet.calls("sendmessage"), 2 * FAULTS.len() as u64);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_what_nobody_can_tell() {
    side_by_side([("resend", vec!["lost", "after"]), ("hold", vec![])], |(policy, sent)| async move {
        let mut house = House::new().set("OUTBOUND__ON_UNCONFIRMED", policy);
        house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
        let bridge = house.start().await;
        let m_id = send_in_doubt(&house, &bridge, &contact(1), "lost", "reset").await;
        assert_eq!(house.agent(&bridge, &contact(1), "after").await.status, 200);
        assert_eq!(house.agent(&bridge, &contact(2), "elsewhere").await.status, 200);
        if policy == "hold" {
            until("it is held", || house.messages("unconfirmed") == [m_id.clone()]).await;
            assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
            assert_eq!(house.messages("queued").len(), 1, "its conversation waits");
        } else {
            house.settled().await;
        }
        assert_eq!(house.afilnet.texts(&contact(1)[1..]), sent, "{policy}");
        assert_eq!(house.afilnet.texts(&contact(2)[1..]), ["elsewhere"]);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_settles_it_beside_the_running_bridge() {
    side_by_side(
        [
            ("delivered", vec!["after"], "sent"),
            ("failed", vec!["after"], "failed"),
            ("send-again", vec!["lost", "after"], "sent"),
        ],
        |(how, expected, state)| async move {
            let mut house = House::new().set("OUTBOUND__ON_UNCONFIRMED", "hold");
            house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
            let bridge = house.start().await;
            let m_id = send_in_doubt(&house, &bridge, &contact(1), "lost", "reset").await;
            assert_eq!(house.agent(&bridge, &contact(1), "after").await.status, 200);
            until("it is held", || house.messages("unconfirmed") == [m_id.clone()]).await;
            let settled = house.run(&["messages", "settle", &m_id, "--as", how]);
            assert!(settled.status.success(), "{}", String::from_utf8_lossy(&settled.stderr));
            let words = String::from_utf8_lossy(&settled.stdout);
            let told = words.contains("was told before that it may have been delivered, and is told nothing more");
            assert_eq!(told, how == "failed", "what its agent was told and is told now: {words}");
            assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]) == expected).await, "{how}");
            until("it is settled", || house.messages(state).contains(&m_id)).await;
            let again = house.run(&["messages", "settle", &m_id, "--as", how]);
            assert_eq!(again.status.code(), Some(1), "settled once");
            assert!(String::from_utf8_lossy(&again.stderr).contains("nothing was changed"));
            let unknown = house.run(&["messages", "settle", "nobody", "--as", how]);
            assert_eq!(unknown.status.code(), Some(1));
            drop(bridge);
            house.check();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_noted_is_named_no_more_as_one_to_be_settled() {
    let mut house = House::new();
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    let bridge = house.start().await;
    let m_id = send_in_doubt(&house, &bridge, &contact(1), "lost", "reset").await;
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    let counted = || value(&get(&bridge.admin_url(), "/metrics", None).1, "bridge_unconfirmed{channel=\"support\"}");
    let named = || get(&bridge.admin_url(), "/deliverz", None).1.contains("may or may not have reached the customer");
    let warned = || {
        let output = house.run(&["doctor", "--only", "store"]);
        String::from_utf8_lossy(&output.stdout).contains("may or may not have reached the customer")
    };
    until("it is counted and named", || counted() > 0.5 && named()).await;
    assert!(warned());
    let noted = house.run(&["messages", "settle", &m_id, "--as", "noted", "--why", "she does not know"]);
    let words = String::from_utf8_lossy(&noted.stdout);
    assert!(noted.status.success() && words.contains("it stays so"), "{words}");
    until("it is neither", || counted() == 0.0 && !named()).await;
    assert!(!warned());
    assert_eq!(house.messages("noted"), std::slice::from_ref(&m_id), "it is not known any better");
    let journey = house.run(&["messages", "journey", &m_id, "--language", "en"]);
    let journey = String::from_utf8_lossy(&journey.stdout).into_owned();
    assert!(journey.starts_with("Nobody can tell: it may have been delivered; noted by "), "{journey}");
    assert!(journey.contains("noted it and left it as it is: she does not know."), "{journey}");
    let again = house.run(&["messages", "settle", &m_id, "--as", "noted"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("noted already"));
    assert!(house.run(&["messages", "settle", &m_id, "--as", "delivered"]).status.success(), "it may still be settled");
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_can_look_nothing_is_sent_again_and_others_go_on() {
    const IN_DOUBT: usize = 200;
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s").set("AFILNET__MAX_IN_FLIGHT", "32");
    let bridge = house.start().await;
    for n in 0..IN_DOUBT {
        assert_eq!(house.agent(&bridge, &contact(n), "before").await.status, 200);
    }
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == IN_DOUBT).await);
    house.settled().await;
    house.afilnet.fault("getmessages:http_500:1-1000000").unwrap();
    for n in 0..IN_DOUBT {
        // Two in a row at most: three are an outage, which pauses all sends.
        let fault = if n % 2 == 0 { "reset" } else { "reset_stored" };
        send_in_doubt(&house, &bridge, &contact(n), "in doubt", fault).await;
        let other = house.agent(&bridge, &contact(IN_DOUBT + n), "unharmed").await;
        assert_eq!(other.status, 200);
        let to = contact(IN_DOUBT + n)[1..].to_owned();
        assert!(house.afilnet.until(SOON, |world| world.texts(&to) == ["unharmed"]).await);
    }
    assert_eq!(house.messages("unknown").len(), IN_DOUBT);
    let calls = house.afilnet.calls("sendmessage");
    tokio::time::sleep(Duration::from_secs(3)).await; // longer than all lookups, not a wait for a state
    assert_eq!(house.afilnet.calls("sendmessage"), calls, "nothing was sent again meanwhile");
    assert_eq!(house.messages("unknown").len(), IN_DOUBT);
    house.afilnet.clear_faults();
    house.settled().await;
    assert!((0..IN_DOUBT).all(|n| house.afilnet.texts(&contact(n)[1..]) == ["before", "in doubt"]));
    assert_eq!(house.messages("unconfirmed"), none());
    assert_eq!(house.bonychat.all_events(), []);
    println!(
        "{IN_DOUBT} in doubt while nobody could look: none sent again meanwhile, all settled after; lost 0, doubled 0, \
         unconfirmed 0"
    );
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_message_goes_on_at_the_part_in_doubt() {
    let mut house = House::new().set("CHANNELS__SUPPORT__TEXT_LIMIT", "10");
    let bridge = house.start().await;
    for (n, fault) in ["reset", "reset_stored"].into_iter().enumerate() {
        house.afilnet.fault(&format!("sendmessage:{fault}:2")).unwrap();
        assert_eq!(house.agent(&bridge, &contact(n), "one two\n\ntwo one\n\nsix ten").await.status, 200);
        house.settled().await;
        let texts = house.afilnet.texts(&contact(n)[1..]);
        assert_eq!(texts.iter().map(|text| text.trim()).collect::<Vec<_>>(), ["one two", "two one", "six ten"]);
    }
    assert_eq!(house.messages("unconfirmed"), none());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_heard_while_a_message_is_in_doubt() {
    let mut house = House::new().set("OUTBOUND__LOOK_AFTER", "300ms, 2s");
    let bridge = house.start().await;
    acquaint(&house, &bridge, &contact(1)).await;
    send_in_doubt(&house, &bridge, &contact(1), "in doubt", "reset").await;
    for n in 0..5 {
        house.afilnet.receive(PLATFORM_ID, &contact(1)[1..], &format!("in {n}")).unwrap();
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() > n).await);
    }
    house.settled().await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["before", "in doubt"]);
    assert_eq!(house.bonychat.texts(&contact(1)), (0..5).map(|n| format!("in {n}")).collect::<Vec<_>>());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_slid_past_it_proves_nothing() {
    let mut house = House::new();
    let bridge = house.start().await;
    acquaint_and_read(&house, &bridge, &contact(1)).await;
    house.afilnet.set_switch("window", "last_20").unwrap();
    house.afilnet.fault("getmessages:http_500:1-1000000").unwrap();
    let m_id = send_in_doubt(&house, &bridge, &contact(1), "in doubt", "reset_stored").await;
    assert_eq!(house.agent(&bridge, &contact(1), "after").await.status, 200);
    for n in 0..25 {
        house.customer(&contact(1), &format!("in {n}"));
    }
    house.afilnet.clear_faults();
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]).len() == 3).await);
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["before", "in doubt", "after"]);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_show_late_prove_nothing_and_settle_it_when_they_show() {
    let mut house = House::new();
    let bridge = house.start().await;
    acquaint_and_read(&house, &bridge, &contact(1)).await;
    house.afilnet.set_switch("sent_row_visible_after", "3s").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "sent, shows late").await.status, 200);
    let m_id = send_in_doubt(&house, &bridge, &contact(1), "in doubt", "reset_stored").await;
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    until("its row shows", || house.messages("unconfirmed").is_empty()).await;
    assert!(house.messages("sent").contains(&m_id));
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["before", "sent, shows late", "in doubt"]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_again_by_policy_it_goes_three_times_at_most() {
    let mut house = House::new().set("OUTBOUND__ON_UNCONFIRMED", "resend").set("OUTBOUND__ANSWER_WITHIN", "0s");
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:reset_stored:1-3").unwrap();
    let m_id = house.agent(&bridge, &contact(1), "never answered").await.m_id.unwrap();
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    assert_eq!(house.agent(&bridge, &contact(1), "after").await.status, 200);
    house.settled().await;
    let expected = ["never answered", "never answered", "never answered", "after"];
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), expected);
    house.check();
}

/// Returns the last notice of a failed message to the agent of `who`.
fn told(house: &House, who: &str) -> Option<String> {
    let events = house.bonychat.unique_events(who);
    Some(events.last().filter(|event| event.status() == "failed")?.content["message"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_look_up_for_too_long_is_unconfirmed_told_and_holds_up_nothing_more() {
    let mut house = House::new().set("RETRY__GIVE_UP_AFTER", "3s");
    let bridge = house.start().await;
    acquaint(&house, &bridge, &contact(1)).await;
    house.afilnet.fault("getmessages:http_500:1-1000000").unwrap();
    let m_id = send_in_doubt(&house, &bridge, &contact(1), "in doubt", "reset").await;
    assert_eq!(house.agent(&bridge, &contact(1), "after").await.status, 200);
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]) == ["before", "after"]).await);
    until("its agent is told", || told(&house, &contact(1)).is_some_and(|w| w.contains("may have been delivered")))
        .await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_after_an_unknown_outcome_says_that_the_customer_may_have_it() {
    let mut house = House::new();
    let bridge = house.start().await;
    for (who, doubtful) in [(contact(1), false), (contact(2), true)] {
        acquaint(&house, &bridge, &who).await;
        house.afilnet.fault(if doubtful { "sendmessage:reset" } else { "sendmessage:http_429" }).unwrap();
        house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM:2").unwrap();
        assert_eq!(house.agent(&bridge, &who, "refused at last").await.status, 200);
        until("its agent is told", || told(&house, &who).is_some()).await;
        let words = told(&house, &who).unwrap();
        assert_eq!(words.contains("did not get"), !doubtful, "{words}");
        assert_eq!(words.contains("may have been delivered"), doubtful, "{words}");
        assert_eq!(house.afilnet.texts(&who[1..]), ["before"]);
    }
    house.check();
}

/// From a decision by command to what follows from it, on a machine that is not busy.
const EFFECT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_by_command_takes_effect_within_ten_seconds_whichever_process_delivers_the_channel() {
    let Some(house) = House::shared(2).await else { return };
    let house = house.set("OUTBOUND__ON_UNCONFIRMED", "hold").set("OUTBOUND__ANSWER_WITHIN", "0s");
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    let processes = [house.start_another(0).await, house.start_another(0).await];
    let owns = |process: &Bridge, name: &str| {
        let (_, text) = get(&process.admin_url(), "/metrics", None);
        value(&text, &format!("bridge_owned{{channel=\"{name}\"}}")) > 0.5
    };
    let names = ["support", "c1"];
    let owner = |name: &str| processes.iter().position(|process| owns(process, name));
    until("each channel has its owner", || names.iter().all(|name| owner(name).is_some())).await;
    // Each is accepted by the process that does not deliver it.
    let write = async |who: usize, text: &str| {
        let other = &processes[1 - owner(names[who % 2]).unwrap()];
        let sent = house.bonychat.text(&other.url(), &channel_of(who, 2), &contact(who), text).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        sent.m_id.unwrap()
    };
    let cases = [("send-again", vec!["lost", "after"]), ("delivered", vec!["after"]), ("failed", vec!["after"])];
    for (n, (how, expected)) in cases.into_iter().enumerate() {
        for who in [2 * n, 2 * n + 1] {
            house.afilnet.fault("sendmessage:reset").unwrap();
            let m_id = write(who, "lost").await;
            until("it is held", || house.messages("unconfirmed") == [m_id.clone()]).await;
            write(who, "after").await;
            let settled = house.run(&["messages", "settle", &m_id, "--as", how]);
            assert!(settled.status.success(), "{}", String::from_utf8_lossy(&settled.stderr));
            let decided = std::time::Instant::now();
            until("what follows from it", || house.afilnet.texts(&contact(who)[1..]) == expected).await;
            took_at_most(EFFECT, &format!("{how} in {}", names[who % 2]), decided);
        }
    }
    // Rows turn up before the decision.
    house.afilnet.fault("sendmessage:reset_stored:1-2").unwrap();
    let held = [write(10, "sent after all").await, write(11, "sent after all").await];
    until("both are held", || house.messages("unconfirmed").len() == 2).await;
    house.afilnet.set_switch("sent_row_visible_after", "0s").unwrap();
    for (who, m_id) in [10, 11].into_iter().zip(&held) {
        // What is read of the conversation shows the row.
        house.afilnet.receive(&platform_of(who, 2), &contact(who)[1..], "I have it").unwrap();
        until("its row has settled it", || house.messages("sent").contains(m_id)).await;
        let refused = house.run(&["messages", "settle", m_id, "--as", "send-again"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("message `{m_id}` is sent")), "{said}");
        assert!(said.contains("can be settled; nothing was changed"), "{said}");
        write(who, "after").await;
        let expected = ["sent after all", "after"];
        until("its conversation goes on", || house.afilnet.texts(&contact(who)[1..]) == expected).await;
    }
    house.settled().await;
    assert_eq!(house.afilnet.counters().duplicate_sends, 0);
    assert_eq!(house.afilnet.sent_count(), 2 * (2 + 1 + 1) + 2 * 2);
    drop(processes);
    house.check();
}
