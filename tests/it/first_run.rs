//! The first moments of a bridge: what existed before it, what arrives meanwhile, and what it sends itself.

use crate::support::{House, SOON, contact, until};

/// The response with the unread rows is lost, and Afilnet has cleared their marks; the bridge's own agent replies.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_bridges_agents_have_answered_is_published_though_its_unread_mark_is_lost() {
    let mut house = House::new();
    house.customer(&contact(1), "written while the bridge starts");
    house.afilnet.fault("getunreadmessages:reset_stored").unwrap();
    house.afilnet.fault("getmessages:http_502:1-1000000").unwrap();
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "answered through the bridge").await.status, 200);
    until("the answer is sent", || house.afilnet.sent_count() == 1).await;
    until("the marks were asked for again", || house.afilnet.calls("getunreadmessages") == 2).await;
    house.afilnet.clear_faults();
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 1).await);
    assert_eq!(house.bonychat.texts(&contact(1)), ["written while the bridge starts"]);
    house.check();
}

/// Its row must not count as one that existed before.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_before_the_initial_snapshot_is_sent_once_and_found() {
    let mut house = House::new();
    house.afilnet.fault("getchats:http_502:1-2").unwrap();
    house.afilnet.fault("sendmessage:reset_stored").unwrap();
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "the first of all").await.status, 200);
    assert_eq!(house.agent(&bridge, &contact(2), "shows that rows show").await.status, 200);
    house.settled().await;
    assert_eq!(house.messages("sent").len(), 2);
    assert_eq!(house.afilnet.sent_count(), 2);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_initial_snapshot_cannot_be_taken_messages_go_all_the_same_and_none_twice() {
    let mut house = House::new();
    house.afilnet.fault("getchats:http_502:1-1000000").unwrap();
    house.afilnet.fault("sendmessage:reset_stored").unwrap();
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "the first of all").await.status, 200);
    until("it is sent", || house.afilnet.sent_count() == 1).await;
    house.afilnet.clear_faults();
    until("the initial snapshot is taken", || {
        bridge.log().iter().any(|line| line.contains("stored the initial snapshot"))
    })
    .await;
    assert_eq!(house.agent(&bridge, &contact(2), "shows that rows show").await.status, 200);
    house.settled().await;
    assert_eq!(house.afilnet.sent_count(), 2);
    assert_eq!((house.messages("sent").len(), house.messages("unconfirmed").len()), (1, 1));
    house.check();
}
