//! The same work over every transport to Afilnet.

use std::time::{Duration, Instant};

use crate::support::metrics::get;
use crate::support::process::Bridge;
use crate::support::transports::{TRANSPORTS, over};
use crate::support::workload::Workload;
use crate::support::{CHANNEL, House, SOON, contact, side_by_side, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_transport_loses_doubles_and_disorders_nothing_while_calls_go_wrong() {
    for transport in TRANSPORTS {
        let load = Workload { contacts: 10, each: 8, pause: Duration::from_millis(50), equal_words: true };
        let house = Workload::settings(House::seeded(7)).set("AFILNET__TIMEOUT", "500ms").set("RETRY__INITIAL", "20ms");
        let mut house = over(house, transport);
        let bridge = house.start().await;
        for kind in ["reset", "reset_stored", "truncated", "html_200_stored", "garbage", "http_429", "http_500_stored"]
        {
            house.afilnet.fault(&format!("*:{kind}:0.03")).unwrap();
        }
        let running = load.start(&house, &bridge.url());
        until("half of it is through", || house.afilnet.sent_count() >= load.total() / 4 || running.is_over()).await;
        house.afilnet.clear_faults();
        running.conserved(&house, 1).await;
        assert_eq!(house.afilnet.secrets_in_url() == 0, transport != "get", "{transport}");
        assert_eq!(house.bonychat.violations(), [], "{transport}");
        println!("over {transport}: {} messages, none lost, doubled or out of order", load.total());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hard_to_carry_arrives_as_it_was_written_and_no_secret_is_shown() {
    let odd = "<b>\"ñ\"</b> &amp; 'x' ]]> + %2B \\ 👩‍👩‍👧‍👦\n\ttab {\"status\":\"SUCCESS\"} &#241; {{anna.chat_url}}";
    side_by_side(TRANSPORTS, |transport| async move {
        let mut house = over(House::new().on_a_file().set("LOG__LEVEL", "trace"), transport);
        let bridge = house.start().await;
        house.customer(&contact(1), odd);
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await, "{transport}");
        assert_eq!(house.bonychat.texts(&contact(1)), [odd], "{transport}");
        assert_eq!(house.agent(&bridge, &contact(1), odd).await.status, 200, "{transport}");
        let file = "https://files.example.com/a.pdf?x=1&y=2";
        let sent = house.bonychat.attachment(&bridge.url(), CHANNEL, &contact(1), "file", file).await;
        assert_eq!(sent.status, 200, "{transport}");
        assert_eq!(house.afilnet.texts(&contact(1)[1..]), [odd, ""], "{transport}");
        // Refused credentials are in the log, in the metrics and in the store as well, without what they are.
        house.afilnet.set_client_secret("another");
        house.afilnet.add_account("user", "another");
        house.afilnet.expire_tokens();
        house.agent(&bridge, &contact(1), "más").await;
        until("the pause is in the log", || bridge.log().iter().any(|line| line.contains(" paused ("))).await;
        let mut shown = vec![get(&bridge.admin_url(), "/metrics", None).1.into_bytes()];
        shown.extend(["bridge.db", "bridge.db-wal"].map(|name| std::fs::read(house.folder.path().join(name)).unwrap()));
        let listed = house.run(&["messages", "list"]);
        shown.extend([listed.stdout, listed.stderr]);
        let channels = house.run(&["channels"]);
        let words = String::from_utf8_lossy(&channels.stderr).into_owned();
        assert!(!channels.status.success(), "{transport}: {words}");
        assert!(words.contains("does not accept them"), "{transport}: {words}");
        shown.push(words.into_bytes());
        shown.push(bridge.kill().join("\n").into_bytes());
        for secret in ["client-secret", "access-token-", "\"password\"", "password=password", "Y2xpZW50"] {
            let holds = |bytes: &Vec<u8>| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!shown.iter().any(holds), "{transport}: {secret}");
        }
        house.afilnet.set_client_secret("client-secret");
        house.afilnet.add_account("user", "password");
        let channels = house.run(&["channels"]);
        assert!(channels.status.success(), "{transport}: {}", String::from_utf8_lossy(&channels.stderr));
        let check = String::from_utf8(house.run(&["check"]).stdout).unwrap();
        let warned =
            check.lines().filter(|line| line.contains("never seen live") && line.contains("bridge channels")).count();
        assert_eq!(warned, usize::from(!["post", "basic", "get"].contains(&transport)), "{transport}: {check}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_got_once_renewed_once_and_trouble_with_it_sends_nothing() {
    for grant in ["json", "json_password"] {
        let mut house = over(House::new().set("RETRY__INITIAL", "20ms").set("AFILNET__TIMEOUT", "1s"), grant);
        let bridge = house.start().await;
        for text in ["uno", "dos"] {
            assert_eq!(house.agent(&bridge, &contact(1), text).await.status, 200);
        }
        assert_eq!(house.afilnet.calls("token"), 1, "{grant}");
        // Refused with 401, and so not carried out: once more with another token.
        house.afilnet.expire_tokens();
        assert_eq!(house.agent(&bridge, &contact(1), "tres").await.status, 200);
        until("it arrived", || house.afilnet.sent_count() == 3).await;
        assert_eq!(house.afilnet.calls("token"), 2, "{grant}");
        // Nobody gives a token: what waits is sent when somebody does.
        let mut expected = vec!["uno".to_owned(), "dos".to_owned(), "tres".to_owned()];
        for kind in ["http_500", "reset", "hang", "html_200", "empty", "http_429", "redirect"] {
            house.afilnet.fault(&format!("token:{kind}:1-2")).unwrap();
            house.afilnet.expire_tokens();
            assert_eq!(house.agent(&bridge, &contact(1), kind).await.status, 200, "{kind}");
            expected.push(kind.to_owned());
            until("it arrived", || house.afilnet.sent_count() == expected.len()).await;
            assert_eq!(house.afilnet.texts(&contact(1)[1..]), expected, "{grant}");
        }
        assert_eq!(house.messages("unknown").len() + house.messages("unconfirmed").len(), 0, "{grant}");
        assert_eq!(in_doubt(&bridge), 0, "{grant}");
    }
}

/// Returns the number of attempts with an unknown outcome.
fn in_doubt(bridge: &Bridge) -> usize {
    bridge.log().iter().filter(|line| line.contains("\"verdict\":\"unknown\"")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_401_pauses_the_account_and_says_so() {
    let mut house = over(House::new().set("OUTBOUND__ANSWER_WITHIN", "1s"), "json");
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "uno").await.status, 200);
    house.afilnet.fault("sendmessage:http_401:1-2").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "dos").await.status, 200);
    until("it is paused", || bridge.log().iter().any(|line| line.contains(" paused (http_401"))).await;
    let tried = Instant::now();
    until("it arrived", || house.afilnet.sent_count() == 2).await;
    println!("sent {:.1?} after the second 401", tried.elapsed());
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["uno", "dos"]);
    assert_eq!((house.afilnet.calls("sendmessage"), in_doubt(&bridge)), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_one_account_share_its_access_token() {
    let mut house = over(House::with_channels(2), "json");
    for (key, value) in [
        ("CHANNEL_ID", "channel2"),
        ("API_TOKEN", "token-of-channel-2"),
        ("ID_TYPE", "phone"),
        ("PLATFORM", "whatsapp"),
        ("PLATFORM_ID", "101"),
    ] {
        house = house.set(&format!("CHANNELS__OTHER__{key}"), value);
    }
    let bridge = house.start().await;
    let polls = |house: &House| house.afilnet.calls("getchats") >= 6;
    until("both are polled", || polls(&house)).await;
    assert_eq!(house.afilnet.calls("token"), 1);
    drop(bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_xml_cannot_hold_is_refused_and_a_fault_is_read() {
    let mut house = over(House::new(), "soap");
    let bridge = house.start().await;
    let refused = house.agent(&bridge, &contact(1), "a\u{b}b").await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "no").await.status, 400);
    // A fault of the server, with the message stored: it stays unknown until the row is found.
    house.afilnet.fault("sendmessage:http_500_stored").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "sí").await.status, 200);
    house.settled().await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["sí"]);
    assert_eq!((house.afilnet.calls("sendmessage"), in_doubt(&bridge)), (2, 1));
    // One whose words look like a code proves nothing either: it is not simply sent again.
    house.afilnet.fault("sendmessage:TIMEOUT").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "luego").await.status, 200);
    house.settled().await;
    assert_eq!(in_doubt(&bridge), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_charset_that_it_declares_is_read_as_it_was_written() {
    let (asks, says) = (
        "\u{bf}cu\u{e1}nto cuesta el env\u{ed}o a \u{d1}u\u{f1}oa? \u{1f44d} 5 \u{20ac}",
        "Ma\u{f1}ana s\u{ed}, \u{201c}gratis\u{201d}",
    );
    for transport in TRANSPORTS {
        let mut house = over(House::new(), transport);
        house.afilnet.set_switch("charset", "iso-8859-1").unwrap();
        let bridge = house.start().await;
        house.customer(&contact(1), asks);
        assert!(house.bonychat.until(SOON, |world| world.event_count() >= 1).await, "{transport}");
        assert_eq!(house.agent(&bridge, &contact(1), says).await.status, 200, "{transport}");
        house.settled().await;
        house.customer(&contact(1), "gracias");
        assert!(house.bonychat.until(SOON, |world| world.event_count() >= 2).await, "{transport}");
        assert_eq!(house.bonychat.texts(&contact(1)), [asks, "gracias"], "{transport}: and no echo");
        assert_eq!(house.afilnet.texts(&contact(1)[1..]), [says], "{transport}");
        assert_eq!(house.bonychat.violations(), [], "{transport}");
    }
}
