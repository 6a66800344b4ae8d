//! SIGHUP: channels and secrets are read again while messages pass.

use std::fs;

use crate::support::metrics;
use crate::support::process::Bridge;
use crate::support::workload::Workload;
use crate::support::{CHANNEL, House, SOON, channel_of, contact, get, platform_of, until};

/// Returns how often the configuration was reloaded.
fn reloads(bridge: &Bridge) -> usize {
    bridge.log().iter().filter(|line| line.contains("\"message\":\"reloaded\"")).count()
}

async fn reload(bridge: &Bridge) {
    let before = reloads(bridge);
    bridge.signal("HUP");
    until("it is reloaded", || reloads(bridge) > before).await;
}

/// Two channels at both platforms, of which the bridge serves one; the other may be written into its file.
fn two() -> House {
    let house = House::with_channels(2);
    let file = house.folder.path().join("bridge.toml");
    fs::write(&file, "").unwrap();
    house.set_plain("BRIDGE_CONFIG", &file.display().to_string())
}

fn write(house: &House, text: &str) {
    fs::write(house.folder.path().join("bridge.toml"), text).unwrap();
}

/// The table of the second channel.
fn second() -> String {
    let (id, platform) = (channel_of(1, 2), platform_of(1, 2));
    format!(
        "[channels.c1]\nchannel_id = \"{id}\"\napi_token = \"token-of-channel-2\"\nid_type = \"phone\"\nplatform = \
         \"whatsapp\"\nplatform_id = \"{platform}\"\nafilnet_user = \"user1\"\nafilnet_password = \"password\"\n\
         poll_active = \"50ms\"\npoll_idle = \"100ms\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_comes_and_goes_without_a_restart_and_what_waits_for_it_is_kept() {
    let mut house = two();
    let bridge = house.start().await;
    let send = async |who: usize, text: &str| {
        house.bonychat.text(&bridge.url(), &channel_of(who, 2), &contact(who), text).await.status
    };
    assert_eq!((send(0, "one").await, send(1, "not yet").await), (200, 401));
    write(&house, &second());
    reload(&bridge).await;
    assert_eq!((send(0, "two").await, send(1, "first").await), (200, 200));
    house.afilnet.receive(&platform_of(1, 2), &contact(1)[1..], "heard").unwrap();
    assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() == 1).await);
    // It is removed while a message waits, and comes back.
    house.afilnet.fault("sendmessage:http_503:1-1000000").unwrap();
    assert_eq!(send(1, "waits").await, 200);
    write(&house, "");
    reload(&bridge).await;
    assert_eq!(send(1, "gone").await, 401);
    let scraped = || metrics::get(&bridge.admin_url(), "/metrics", None).1;
    let shown = |series: &str| metrics::value(&scraped(), &format!("{series}{{channel=\"c1\"}}"));
    for series in ["bridge_owned", "bridge_last_poll_seconds"] {
        assert!(shown(series).is_nan(), "{series} alerts of a channel that was removed: {}", shown(series));
    }
    assert!(bridge.log().iter().any(|line| line.contains("messages wait for channel `c1`, which is not configured")));
    house.afilnet.clear_faults();
    write(&house, &second());
    reload(&bridge).await;
    until("it is delivered again", || shown("bridge_owned") > 0.5 && shown("bridge_last_poll_seconds") >= 0.0).await;
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]) == ["first", "waits"]).await);
    assert_eq!(house.afilnet.texts(&contact(0)[1..]), ["one", "two"]);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_changed_is_taken_and_one_that_is_wrong_changes_nothing() {
    let mut house = House::new().unset("AFILNET__PASSWORD");
    let secret = house.folder.path().join("password");
    fs::write(&secret, "wrong").unwrap();
    house = house.set("AFILNET__PASSWORD_FILE", &secret.display().to_string());
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "waits for the password").await.status, 200);
    until("the account is paused", || bridge.log().iter().any(|line| line.contains("INCORRECT_USER_PASSWORD"))).await;
    // An unusable configuration is named, and nothing changes.
    fs::remove_file(&secret).unwrap();
    bridge.signal("HUP");
    let refused = |bridge: &Bridge| bridge.log().iter().any(|line| line.contains("nothing was reloaded"));
    until("it is refused", || refused(&bridge)).await;
    assert_eq!(reloads(&bridge), 0);
    assert_eq!((get(&bridge.url(), "/readyz").0, house.afilnet.sent_count()), (200, 0));
    fs::write(&secret, "password").unwrap();
    reload(&bridge).await;
    assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
    assert_eq!(reloads(&bridge), 1);
    assert!(!bridge.log().iter().any(|line| line.contains("wrong")), "no secret is said");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_in_the_middle_of_everything_lose_double_and_disorder_nothing() {
    let mut house = Workload::settings(House::new()).set("RETRY__MAX", "200ms");
    house.afilnet.set_latency("40ms".parse().unwrap());
    let mut bridge = house.start().await;
    let load = Workload { contacts: 20, each: 20, pause: std::time::Duration::from_millis(300), equal_words: true };
    let running = load.start(&house, &bridge.url());
    let mut n = 0;
    while !running.is_over() {
        reload(&bridge).await;
        n += 1;
    }
    assert!(n > 3, "reloaded {n} times");
    let left = bridge.log().iter().filter(|line| line.contains("was being sent when the process ended")).count();
    assert_eq!(left, 0, "nothing was left under way");
    let unconfirmed = running.conserved(&house, 0).await;
    println!(
        "{n} reloads in {} messages both ways over {} contacts: lost 0, doubled 0, out of order 0, unconfirmed \
         {unconfirmed}",
        load.total(),
        load.contacts
    );
    // One that is under way does not hold up a stop.
    house.afilnet.fault("sendmessage:hang").unwrap();
    let m_id = house.agent(&bridge, &contact(900), "hangs").await.m_id.unwrap();
    bridge.signal("HUP");
    until("it begins", || bridge.log().iter().filter(|line| line.contains("reloading:")).count() > n).await;
    assert_eq!(house.bonychat.text(&bridge.url(), CHANNEL, &contact(901), "taken meanwhile").await.status, 200);
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    house.afilnet.clear_faults();
    let _bridge = house.start().await;
    until("it is accounted for", || !house.messages("unknown").contains(&m_id) && house.messages("queued").is_empty())
        .await;
    assert_eq!(house.afilnet.texts(&contact(901)[1..]), ["taken meanwhile"]);
    house.check();
}
