//! Pauses by hand, pressed on the operators' page: they hold through a kill, a restart, a reload and a take-over, nothing is
//! lost, and every page says so.

use crate::page::{OPERATORS, field, get, post, sign_in};
use crate::page_many::{asks, hidden};
use crate::pauses::{audit, call_message, through_it_all};
use crate::support::process::Bridge;
use crate::support::{House, SOON, contact, side_by_side, until};

/// Presses the button that begins or ends a pause, and the one of the page that asks.
fn press(base: &str, cookie: &str, verb: &str, what: &str) {
    let ask = asks(base, cookie, verb, what).body;
    let form = format!("{}&why=migration+of+the+bot", hidden(&ask, verb));
    assert!(!field(&ask, "once").is_empty());
    let done = post(base, &format!("/channels/support/{verb}"), cookie, &form);
    assert_eq!(done.status, 200, "{}", done.body);
}

/// Checks that the overview names the channel above all, whatever else it says of it, and that its page says who has paused it and why.
fn is_told(bridge: &Bridge, cookie: &str) {
    let overview = get(&bridge.admin_url(), "/", cookie).body;
    assert!(overview.contains("until a person resumes it: <a href=\"channels/support\">support</a>"), "{overview}");
    let page = get(&bridge.admin_url(), "/channels/support", cookie).body;
    assert!(page.contains("Paused by admin since") && page.contains("migration of the bot"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_of_the_page_lasts_over_kill_restart_reload_and_take_over_and_loses_nothing() {
    let engines: &[bool] = if House::shared(1).await.is_some() { &[false, true] } else { &[false] };
    let cases = ["out", "in", "drain"].into_iter().flat_map(|what| engines.iter().map(move |shared| (what, *shared)));
    side_by_side(cases.collect::<Vec<_>>(), |(what, shared)| async move {
        let house = if shared { House::shared(1).await.unwrap() } else { House::new().on_a_file() };
        let mut house = house.set("ADMIN__TOKEN", OPERATORS).set("OUTBOUND__ANSWER_WITHIN", "0s");
        let bridge = house.start().await;
        let cookie = sign_in(&bridge.admin_url());
        press(&bridge.admin_url(), &cookie, "pause", what);
        until("it is told", || get(&bridge.admin_url(), "/", &cookie).body.contains("migration of the bot")).await;
        if what == "in" {
            house.customer(&contact(1), "from the customer");
        }
        if what == "out" {
            assert_eq!(house.agent(&bridge, &contact(2), "to the customer").await.status, 200);
        }
        let bridge = through_it_all(&mut house, bridge, what, |house, bridge| {
            is_told(bridge, &cookie);
            match what {
                "out" => assert_eq!(house.afilnet.sent_count(), 0, "it was sent while paused"),
                "in" => assert_eq!(house.bonychat.event_count(), 0, "it was posted while paused"),
                _ => assert_eq!(call_message(bridge, &contact(2), "refused").0, 503),
            }
        })
        .await;
        press(&bridge.admin_url(), &cookie, "resume", what);
        if what == "drain" {
            until("it is accepted", || call_message(&bridge, &contact(2), "to the customer").0 == 200).await;
        }
        if what == "in" {
            let got = house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["from the customer"]).await;
            assert!(got, "it is posted once it goes on");
        } else {
            let to = contact(2);
            let got = house.afilnet.until(SOON, |world| world.texts(&to[1..]) == ["to the customer"]).await;
            assert!(got, "it is sent once it goes on");
        }
        house.settled().await;
        let row = |verb: &str| (format!("{verb} {what}"), "admin".to_owned(), "support".to_owned());
        let rows: Vec<_> = audit(&house).await.into_iter().filter(|(_, _, target)| target == "support").collect();
        assert_eq!(rows, [row("pause"), row("resume")]);
        assert_eq!((house.messages("failed"), house.messages("dead")), (vec![], vec![]), "nothing is lost");
        assert_eq!(house.afilnet.counters().duplicate_sends, 0);
        let engine = if shared { "PostgreSQL" } else { "SQLite" };
        println!("{engine}: {what}, pressed on the page, lasted over kill, restart, reload and take-over; sent or posted meanwhile 0, lost 0");
        drop(bridge);
        house.check();
    })
    .await;
}
