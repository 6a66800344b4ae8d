//! What an operator does with messages that were given up, beside a running bridge.

use crate::support::{House, SOON, contact, until};

/// Runs a command that succeeds; returns its output.
fn done(house: &House, arguments: &[&str]) -> String {
    let output = house.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that is refused; returns its error.
fn refused(house: &House, arguments: &[&str]) -> String {
    let output = house.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_retries_what_failed_beside_a_running_bridge() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "refused at first").await.status, 400);
    let failed = house.messages("failed");
    let [m_id] = &failed[..] else { panic!("{failed:?}") };
    done(&house, &["messages", "retry", m_id]);
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
    until("it is sent", || house.messages("sent") == failed).await;
    for command in ["retry", "discard"] {
        assert!(refused(&house, &["messages", command, m_id]).contains("is sent"));
        assert!(refused(&house, &["messages", command, "nobody"]).contains("bridge messages list"));
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_retries_and_discards_events_that_were_given_up() {
    let mut house = House::new();
    let _bridge = house.start().await;
    house.bonychat.set_poison(Some("POISON"));
    for text in ["POISON one", "POISON two", "after"] {
        house.customer(&contact(1), text);
    }
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["after"]).await);
    until("both are given up", || house.messages("dead").len() == 2).await;
    let listed = done(&house, &["messages", "list", "--state", "dead"]);
    assert!(listed.contains("\tsupport\t+********001\tdead\tmessage\t1\t"), "{listed}");
    assert!(listed.lines().all(|line| line.ends_with("\thttp_400")), "{listed}");
    let json = done(&house, &["messages", "list", "--state", "dead", "--json"]);
    assert!(json.lines().all(|line| line.contains("\"state\":\"dead\"")) && json.lines().count() == 2, "{json}");
    let dead = house.messages("dead"); // newest first
    done(&house, &["messages", "discard", &dead[0]]);
    house.bonychat.set_poison(None);
    done(&house, &["messages", "retry", &dead[1]]);
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["after", "POISON one"]).await);
    assert!(refused(&house, &["messages", "retry", &dead[0]]).contains("is gone"));
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_discards_what_waits_and_its_agent_is_told() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    house.afilnet.fault("*:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    let m_id = house.agent(&bridge, &contact(1), "never mind").await.m_id.unwrap();
    house.agent(&bridge, &contact(1), "but this").await;
    until("the account is paused", || bridge.log().iter().any(|line| line.contains("the account is paused"))).await;
    until("it waits", || house.messages("queued").len() == 2).await;
    assert!(refused(&house, &["messages", "retry", &m_id]).contains("by itself"));
    done(&house, &["messages", "discard", &m_id]);
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    let told = house.bonychat.unique_events(&contact(1)).remove(0);
    assert_eq!((told.m_id.as_str(), told.status()), (m_id.as_str(), "failed"));
    house.afilnet.clear_faults();
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]) == ["but this"]).await);
    house.check();
}
