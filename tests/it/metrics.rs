//! Metrics: on the admin listener, moving, and without personal data.

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, SOON, TOKEN, channel_of, contact, until};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_move_on_the_admin_listener_alone_and_name_nobody() {
    let secret = "token-of-the-operators";
    let mut house = House::new().set("ADMIN__TOKEN", secret);
    let bridge = house.start().await;
    let scrape = || get(&bridge.admin_url(), "/metrics", Some(secret)).1;
    let at_start = scrape();
    for series in ["bridge_accepted_total", "bridge_gaps_total", "bridge_repeats_total", "bridge_unconfirmed"] {
        assert!(value(&at_start, &format!("{series}{{channel=\"support\"}}")) < 0.5, "{series}");
    }
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM:2").unwrap();
    for n in 0..3 {
        house.agent(&bridge, &contact(n), "words of the agent").await;
        house.customer(&contact(n), "words of the customer");
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 3).await);
    let series = |name: &str| format!("bridge_{name}");
    for (name, expected) in [
        ("accepted_total{channel=\"support\"}", 3.0),
        ("sent_total{channel=\"support\"}", 2.0),
        ("attempts_total{channel=\"support\",verdict=\"refused\"}", 1.0),
        ("failed_total{channel=\"support\",class=\"content\"}", 1.0),
        ("published_total{channel=\"support\",kind=\"message\"}", 3.0),
        ("afilnet_calls_total{method=\"sendmessage\",outcome=\"success\"}", 2.0),
        ("afilnet_calls_total{method=\"sendmessage\",outcome=\"refused\"}", 1.0),
        ("queue_outbound{channel=\"support\"}", 0.0),
    ] {
        until(name, || (value(&scrape(), &series(name)) - expected).abs() < 0.01).await;
    }
    let text = scrape();
    assert!(value(&text, "bridge_store_commit_seconds_count") >= 3.0);
    assert!(value(&text, "bridge_last_poll_seconds{channel=\"support\"}") < 30.0);
    // A value may have any digits.
    let is_series = |line: &&str| !line.starts_with('#') && !line.is_empty();
    let without_values = text.lines().filter(is_series).map(|line| line.rsplit_once(' ').unwrap().0);
    let named: Vec<&str> = without_values.chain(text.lines().filter(|line| line.starts_with('#'))).collect();
    for hidden in ["600000", "words of", TOKEN, CHANNEL, secret, "password"] {
        assert!(!named.iter().any(|named| named.contains(hidden)), "{hidden} is in {text}");
    }
    assert_eq!(get(&bridge.admin_url(), "/metrics", None).0, 401);
    assert_eq!(get(&bridge.admin_url(), "/metrics", Some(TOKEN)).0, 401);
    assert_eq!(get(&bridge.url(), "/metrics", Some(secret)).0, 404, "not on the HTTP listener");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_what_waits_and_what_is_paused() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    house.afilnet.fault("*:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    for n in 0..4 {
        house.agent(&bridge, &contact(n), "waits").await;
    }
    let number = |series: &str| value(&get(&bridge.admin_url(), "/metrics", None).1, series);
    until("the pause shows", || number("bridge_paused{channel=\"support\",what=\"account\"}") > 0.5).await;
    until("the queue shows", || number("bridge_queue_outbound{channel=\"support\"}") > 3.5).await;
    until("its age shows", || number("bridge_oldest_queued_seconds{channel=\"support\"}") > 0.0).await;
    house.afilnet.clear_faults();
    until("the end of the pause shows", || number("bridge_paused{channel=\"support\",what=\"account\"}") < 0.5).await;
    until("the empty queue shows", || number("bridge_queue_outbound{channel=\"support\"}") < 0.5).await;
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_whose_address_is_taken_hold_up_no_message() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut house = House::new().set("ADMIN__LISTEN", &taken.local_addr().unwrap().to_string());
    let bridge = house.start().await;
    assert!(bridge.log().iter().any(|line| line.contains("ERROR") && line.contains("admin.listen")));
    assert_eq!(house.agent(&bridge, &contact(1), "goes out all the same").await.status, 200);
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_processes_the_owner_alone_shows_what_waits_and_what_is_late() {
    let Some(house) = House::shared(2).await else { return };
    let house = house.set("OUTBOUND__ANSWER_WITHIN", "0s");
    let mut bridges = [house.start_another(0).await, house.start_another(0).await];
    let number = |bridge: &Bridge, name: &str, channel: &str| {
        value(&get(&bridge.admin_url(), "/metrics", None).1, &format!("bridge_{name}{{channel=\"{channel}\"}}"))
    };
    let shares = |bridge: &Bridge| ["support", "c1"].map(|channel| number(bridge, "owned", channel) > 0.5);
    until("each has one", || {
        let [one, other] = [shares(&bridges[0]), shares(&bridges[1])];
        one != other && one[0] != one[1]
    })
    .await;
    house.afilnet.fault("*:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    for n in 0..6 {
        let outcome = house.bonychat.text(&bridges[0].url(), &channel_of(n, 2), &contact(n), "waits").await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
    }
    for channel in ["support", "c1"] {
        let owner = usize::from(number(&bridges[1], "owned", channel) > 0.5);
        let (owner, other) = (&bridges[owner], &bridges[1 - owner]);
        for (name, least, most) in
            [("queue_outbound", 2.5, 0.5), ("oldest_queued_seconds", 3.0, 0.1), ("last_poll_seconds", 5.0, 3.0)]
        {
            until(name, || number(owner, name, channel) > least).await;
            until(name, || number(other, name, channel) < most).await;
        }
    }
    bridges[0].signal("TERM");
    assert!(bridges[0].ended().await.success());
    for channel in ["support", "c1"] {
        until("whoever takes it over shows it", || number(&bridges[1], "queue_outbound", channel) > 2.5).await;
    }
    house.check();
}
