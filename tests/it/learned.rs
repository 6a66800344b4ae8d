//! What the bridge has learned of an account, on the page of its channel.

use crate::page::{call, get, house, sign_in};
use crate::support::{contact, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_channel_tells_how_its_account_shows_what_is_sent() {
    let mut house = house().set("AFILNET__TIME_ZONE", "Europe/Madrid");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let page = || get(&base, "/channels/support", &cookie).body;
    let first = page();
    assert!(first.contains("What was learned of the account") && first.contains("none was seen yet"), "{first}");
    assert!(first.contains("Europe/Madrid"), "{first}");
    house.agent(&bridge, &contact(1), "words that are shown as they are").await;
    until("its row was read", || page().contains("show in their conversation")).await;
    until("it teaches", || page().contains(">plain words<")).await;
    let spanish = call(&base, "GET", "/channels/support", &[("cookie", &cookie), ("accept-language", "es")], "").body;
    assert!(spanish.contains("Lo que se ha aprendido") && spanish.contains(">palabras<"), "{spanish}");
    drop(bridge);
    house.check();
}
