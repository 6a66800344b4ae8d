//! Messages that are worthless when late: they fail before they go out, and their agents are told.

use std::time::Duration;

use crate::support::metrics::{get, value};
use crate::support::{House, SOON, contact, side_by_side, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waited_for_too_long_fails_while_the_account_is_paused_and_never_goes_out() {
    let houses = [Some(House::new().on_a_file()), House::shared(1).await];
    side_by_side(houses.into_iter().flatten(), |house| async move {
        let mut house =
            house.set("OUTBOUND__ANSWER_WITHIN", "0s").set("OUTBOUND__STALE_AFTER", "2s").set("RETRY__MAX", "200ms");
        house.afilnet.fault("sendmessage:NO_CREDITS:1-1000000").unwrap();
        let bridge = house.start().await;
        let taxi = house.agent(&bridge, &contact(1), "Su taxi llega en 5 minutos").await.m_id.unwrap();
        let second = house.agent(&bridge, &contact(1), "Su taxi llega en 4 minutos").await.m_id.unwrap();
        until("both have failed", || house.messages("failed").len() == 2).await;
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 2).await);
        let told = house.bonychat.unique_events(&contact(1));
        assert_eq!(told.iter().map(|event| event.m_id.as_str()).collect::<Vec<_>>(), [&taxi, &second]);
        assert!(told.iter().all(|event| event.status() == "failed"));
        let journey = house.run(&["messages", "journey", &taxi, "--language", "en"]);
        let journey = String::from_utf8(journey.stdout).unwrap();
        assert!(
            journey.starts_with("No: it waited for longer than `outbound.stale_after`, and was not sent."),
            "{journey}"
        );
        until("it is counted", || {
            let (_, text) = get(&bridge.admin_url(), "/metrics", None);
            value(&text, "bridge_failed_total{channel=\"support\",class=\"stale\"}") > 1.5
        })
        .await;
        assert!(bridge.log().iter().any(|line| line.contains(&taxi) && line.contains("outbound.stale_after")));

        // A person has it sent again, late or not: one that is accepted after that becomes stale before it does.
        assert!(house.run(&["messages", "retry", &taxi]).status.success());
        let later = house.agent(&bridge, &contact(2), "later").await.m_id.unwrap();
        until("the later one has failed", || house.messages("failed").contains(&later)).await;
        until("the retried one waits on, or is the probe", || house.messages("queued") == [taxi.as_str()]).await;
        house.afilnet.clear_faults();
        until("it is sent", || house.messages("sent") == [taxi.as_str()]).await;
        assert_eq!(house.agent(&bridge, &contact(2), "in time").await.status, 200);
        assert!(house.afilnet.until(SOON, |world| world.sent_count() == 2).await);
        assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["Su taxi llega en 5 minutos"]);
        assert_eq!(house.afilnet.texts(&contact(2)[1..]), ["in time"]);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_while_no_bridge_ran_fails_at_the_start_before_anything_is_sent() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    house.afilnet.fault("sendmessage:NO_CREDITS:1-1000000").unwrap();
    let mut bridge = house.start().await;
    for who in 0..300 {
        house.agent(&bridge, &contact(who), "before").await;
    }
    bridge.signal("TERM"); // a kill in the middle of a send would leave that one in doubt
    assert!(bridge.ended().await.success());
    drop(bridge);
    house.afilnet.clear_faults();
    let mut house = house.set("OUTBOUND__STALE_AFTER", "6s");
    tokio::time::sleep(Duration::from_millis(6_100)).await; // the age that is meant, not a wait for a state
    let sent = house.afilnet.sent_count();
    let bridge = house.start().await;
    house.agent(&bridge, &contact(1), "now").await;
    house.settled().await;
    assert_eq!(house.afilnet.sent_count(), sent + 1);
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["now"]);
    assert_eq!(house.messages("failed").len(), 300);
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 300).await);
    house.check();
}
