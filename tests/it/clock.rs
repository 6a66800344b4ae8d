//! Clocks that jump.

use rusqlite::Connection;

use crate::support::{House, SOON, contact, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_by_a_day_while_the_bridge_was_down_holds_up_nothing() {
    let mut house = House::new().on_a_file().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    house.bonychat.fault("message:http_503:1-1000000").unwrap();
    for n in 0..5 {
        house.customer(&contact(n), "from the customer");
        assert_eq!(house.agent(&bridge, &contact(n), "from the agent").await.status, 200);
    }
    until("both ways are paused", || {
        let said = |words: &str| bridge.log().iter().any(|line| line.contains(words));
        said("the account is paused") && said("is out of order")
    })
    .await;
    bridge.kill();
    house.afilnet.clear_faults();
    house.bonychat.clear_faults();
    // As if all of it had happened a day later than the clock now shows.
    let db = Connection::open(house.database()).unwrap();
    for (table, times) in [
        ("outbound", &["due_ms", "accepted_ms", "since_ms", "done_ms"][..]),
        ("events", &["due_ms", "recorded_ms", "done_ms"]),
        ("conversations", &["outbound_due_ms", "event_due_ms"]),
    ] {
        let later: Vec<String> = times.iter().map(|time| format!("{time} = {time} + 86400000")).collect();
        db.execute(&format!("UPDATE {table} SET {}", later.join(", ")), []).unwrap();
    }
    drop(db);
    let bridge = house.start().await;
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 5).await);
    until("all is published", || (0..5).all(|n| house.bonychat.texts(&contact(n)) == ["from the customer"])).await;
    assert!(bridge.log().iter().any(|line| line.contains("clock was set back")));
    assert_eq!(house.messages("queued"), [] as [String; 0]);
    house.check();
}
