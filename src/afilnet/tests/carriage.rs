//! The wire, byte by byte: what is sent, and the meaning of what comes back or does not.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::listener::{Afilnet, Play, expected, http, pairs, to};
use super::*;
use crate::testkit::captured_log::CapturedLog;

const SUCCESS: &str = r#"{"status":"SUCCESS","result":[]}"#;
const ODD: &str = "Hola & =+%26?\r\n\0 ñ日👩‍👩‍👧‍👦 &method=getchats";

#[tokio::test]
async fn a_post_carries_each_parameter_once_and_nothing_in_the_url() {
    let afilnet = Afilnet::answering(SUCCESS).await;
    let verdict = afilnet.client(config::Transport::Post).send(&to(), &text(ODD), 0, None).await.outcome;
    assert_eq!(verdict, Verdict::Sent { afilnet_id: None });
    let (head, body) = afilnet.request();
    assert!(head.starts_with("POST /api/http/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: bonychat-afilnet-bridge/"), "{head}");
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    assert_eq!(
        pairs(&body),
        expected(&[
            ("class", "chat"),
            ("method", "sendmessage"),
            ("user", "ana@example.com"),
            ("password", "s3cr&t+ñ"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("destination", "34600111222"),
            ("message", ODD),
        ])
    );
}

#[tokio::test]
async fn basic_moves_the_credentials_to_a_header_and_an_address_of_its_own() {
    let afilnet = Afilnet::answering(SUCCESS).await;
    let verdict = afilnet.client(config::Transport::Basic).send(&to(), &text("Hola"), 0, None).await.outcome;
    assert_eq!(verdict, Verdict::Sent { afilnet_id: None });
    let (head, body) = afilnet.request();
    assert!(head.starts_with("POST /api/basic/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: Basic YW5hQGV4YW1wbGUuY29tOnMzY3ImdCvDsQ==\r\n"), "{head}");
    assert_eq!(
        pairs(&body),
        expected(&[
            ("class", "chat"),
            ("method", "sendmessage"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("destination", "34600111222"),
            ("message", "Hola"),
        ])
    );
}

#[tokio::test]
async fn a_get_carries_all_in_the_url_and_refuses_what_is_too_long_for_one() {
    let afilnet = Afilnet::answering(SUCCESS).await;
    let client = afilnet.client(config::Transport::Get);
    let long = text(&"ñ".repeat(500));
    assert_eq!(client.send(&to(), &long, 0, None).await.outcome, Verdict::Refused { fault: Fault::TooLong });
    assert_eq!(client.send(&to(), &text(ODD), 0, None).await.outcome, Verdict::Sent { afilnet_id: None });
    let (head, body) = afilnet.request();
    let target = head.strip_prefix("GET /api/http/?").and_then(|rest| rest.split_once(' ')).unwrap().0;
    assert_eq!(body, "");
    let pairs = pairs(target);
    assert_eq!(pairs.len(), 8);
    assert_eq!(pairs[7], ("message".into(), ODD.into()));
}

#[tokio::test]
async fn a_part_beyond_the_last_is_refused_without_a_call() {
    let afilnet = Afilnet::answering(SUCCESS).await;
    let verdict = afilnet.client(config::Transport::Post).send(&to(), &text("Hola"), 1, None).await.outcome;
    assert!(matches!(verdict, Verdict::Refused { fault: Fault::Other(_) }), "{verdict:?}");
    assert!(afilnet.requests.lock().unwrap().is_empty());
}

/// Returns the verdict on a send, which must have made exactly one request.
async fn verdict_of(play: Play) -> Verdict {
    let afilnet = Afilnet::that(play).await;
    let verdict = afilnet.hasty().send(&to(), &text("Hola"), 0, None).await.outcome;
    afilnet.request();
    verdict
}

fn unknown(fault: Fault) -> Verdict {
    Verdict::Unknown { fault }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    assert_eq!(verdict_of(Play::Reset).await, unknown(Fault::ConnectionLost));
    assert_eq!(verdict_of(Play::Say(vec![])).await, unknown(Fault::ConnectionLost));
    assert_eq!(verdict_of(Play::Say(b"HTTP/1.1 200".to_vec())).await, unknown(Fault::ConnectionLost));
    assert_eq!(verdict_of(Play::Say(b"what?\r\n\r\n".to_vec())).await, unknown(Fault::ConnectionLost));
}

#[tokio::test]
async fn a_send_on_a_connection_that_was_used_before_is_not_repeated_either() {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{SUCCESS}", SUCCESS.len());
    let afilnet = Afilnet::that(Play::SayThenReset(answer.into())).await;
    let client = afilnet.client(config::Transport::Post);
    assert_eq!(client.send(&to(), &text("one"), 0, None).await.outcome, Verdict::Sent { afilnet_id: None });
    assert_eq!(client.send(&to(), &text("two"), 0, None).await.outcome, unknown(Fault::ConnectionLost));
    assert_eq!(afilnet.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn silence_after_the_request_leaves_the_outcome_unknown() {
    assert_eq!(verdict_of(Play::SayAndHang(vec![])).await, unknown(Fault::TimedOut));
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 32\r\n\r\n{\"status\":".to_vec();
    assert_eq!(verdict_of(Play::SayAndHang(half)).await, unknown(Fault::TimedOut));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_leaves_the_outcome_unknown() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 300\r\n\r\n{\"status\":\"SUCCESS\"}".to_vec();
    assert_eq!(verdict_of(Play::Say(cut)).await, unknown(Fault::NotUnderstood));
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n14\r\n{\"status\":\"SUCCESS\"}\r\n".to_vec();
    assert_eq!(verdict_of(Play::Say(chunked)).await, unknown(Fault::NotUnderstood));
}

#[tokio::test]
async fn an_answer_above_the_cap_is_not_read_to_its_end() {
    let padded = |bytes: usize| http(200, "", &format!("{}{SUCCESS}", " ".repeat(bytes)));
    let verdict = |play| async {
        let afilnet = Afilnet::that(play).await;
        afilnet.client(config::Transport::Post).send(&to(), &text("Hola"), 0, None).await.outcome
    };
    assert_eq!(verdict(Play::Say(padded(2 << 20))).await, unknown(Fault::NotUnderstood));
    assert_eq!(verdict(Play::Say(padded(1 << 19))).await, Verdict::Sent { afilnet_id: None });
}

#[tokio::test]
async fn a_list_is_read_up_to_its_limit_and_large_ones_one_at_a_time() {
    let row = r#"{"destination":"34600111222","messageid":1,"message":"Hola, buenos d\u00edas","sent":"0"}"#;
    let list = |rows: usize| format!(r#"{{"status":"SUCCESS","result":{{"list":[{}]}}}}"#, vec![row; rows].join(","));
    let afilnet = |rows: usize| Afilnet::that(Play::Say(http(200, "", &list(rows))));
    let large = afilnet(30_000).await;
    // Each answer has 3 MB, which a busy machine is slow to make and to take in.
    let patient = || {
        let mut channel = channel(&large.url, config::Transport::Post);
        channel.afilnet.timeout = Duration::from_mins(1);
        channel
    };
    let clients: Vec<_> = (0..3).map(|_| client_of(&patient())).collect();
    let (one, other) = tokio::join!(clients[0].chats(), clients[1].chats());
    assert_eq!((one.unwrap().len(), other.unwrap().len()), (30_000, 30_000));
    assert_eq!(clients[0].chats().await.unwrap().len(), 30_000, "known to be large");
    assert_eq!(clients[2].messages(&to()).await.unwrap().len(), 30_000);
    let mut small = patient();
    small.afilnet.answer_limit = 1 << 20;
    assert_eq!(client_of(&small).chats().await, Err(not_understood()));
    // What is announced as too large is not waited for.
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_vec();
    let endless = Afilnet::that(Play::SayAndHang(announced)).await;
    assert_eq!(endless.client(config::Transport::Post).chats().await, Err(not_understood()));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Afilnet::answering(SUCCESS).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}\r\n", elsewhere.url);
        let verdict = verdict_of(Play::Say(http(status, &location, ""))).await;
        let fault = Fault::WrongService(format!("http_{status}"));
        assert_eq!(verdict, Verdict::NotSent { fault, asked: None });
    }
    assert!(elsewhere.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wait_that_is_asked_for_comes_through() {
    let verdict = verdict_of(Play::Say(http(429, "retry-after: 17\r\n", ""))).await;
    assert_eq!(verdict, Verdict::NotSent { fault: Fault::Busy, asked: Some(Duration::from_secs(17)) });
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let speaks_no_tls = Afilnet::answering(SUCCESS).await.url.replace("http://", "https://");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let never_shakes_hands = format!("https://{}/api/http/", silent.local_addr().unwrap());
    for url in [format!("http://{closed}/"), "http://nowhere.invalid/".into(), speaks_no_tls, never_shakes_hands] {
        let mut channel = channel(&url, config::Transport::Post);
        channel.afilnet.timeout = Duration::from_secs(2);
        let verdict = client_of(&channel).send(&to(), &text("Hola"), 0, None).await.outcome;
        assert_eq!(verdict, Verdict::NotSent { fault: Fault::Unreachable, asked: None }, "{url}");
    }
}

/// The first bytes of a TLS 1.2 server with a self-signed certificate, recorded and replayed here: a client checks the
/// certificate before the signature over its own random bytes.
const SELF_SIGNED: &str = include_str!("../../../tests/fixtures/afilnet/self_signed_tls12.hex");

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_told_apart_from_an_outage() {
    let flight: Vec<u8> = hex(&SELF_SIGNED.replace('\n', ""));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/api/http/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let hello = stream.read(&mut [0; 4096]).await.unwrap();
        assert!(hello > 0);
        stream.write_all(&flight).await.unwrap();
        while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
    });
    let verdict = client_of(&channel(&url, config::Transport::Post)).send(&to(), &text("Hola"), 0, None).await.outcome;
    assert_eq!(verdict, Verdict::NotSent { fault: Fault::Certificate, asked: None });
}

#[tokio::test]
async fn reads_ask_for_what_they_name_and_come_oldest_first() {
    const ROWS: &str = r#"{"status":"SUCCESS","result":{"list":[
        {"destination":"34600111222","messageid":"2","message":"b","sent":"1","datetime":"2024-05-10 10:00:01"},
        {"destination":"34600333444","messageid":"1","message":"a","sent":"0","datetime":"2024-05-10 10:00:00"},
        "odd"]}}"#;
    let ids = |rows: Vec<AfilnetRow>| rows.into_iter().filter_map(|row| row.id).collect::<String>();
    let common = [("class", "chat"), ("user", "ana@example.com"), ("password", "s3cr&t+ñ")];
    for (method, sort) in [("getchats", "21"), ("getmessages", "12"), ("getunreadmessages", "12")] {
        let afilnet = Afilnet::answering(ROWS).await;
        let client = afilnet.client(config::Transport::Post);
        let rows = match method {
            "getchats" => client.chats().await,
            "getmessages" => client.messages(&to()).await,
            _ => client.unread(&to()).await,
        };
        assert_eq!(ids(rows.unwrap()), sort, "{method}");
        assert_eq!(client.unreadable_rows(), 1);
        let asked = pairs(&afilnet.request().1);
        let mut wanted = vec![common[0], ("method", method), common[1], common[2]];
        wanted.extend([("platform", "whatsapp"), ("platformid", "100")]);
        wanted.extend((method != "getchats").then_some(("destination", "34600111222")));
        assert_eq!(asked, expected(&wanted), "{method}");
    }
}

#[tokio::test]
async fn a_read_that_brought_nothing_says_why() {
    for (play, fault) in [
        (Play::Reset, Fault::ConnectionLost),
        (Play::SayAndHang(vec![]), Fault::TimedOut),
        (Play::Say(http(200, "", "<html>")), Fault::NotUnderstood),
        (Play::Say(http(200, "", r#"{"status":"SUCCESS","result":"none"}"#)), Fault::NotUnderstood),
        (Play::Say(http(200, "", r#"{"status":"ERROR","error":"CHANNEL_NOT_FOUND"}"#)), Fault::ChannelNotFound),
    ] {
        let afilnet = Afilnet::that(play).await;
        assert_eq!(afilnet.hasty().messages(&to()).await, Err(ReadError { fault, asked: None }));
    }
    let afilnet = Afilnet::answering(r#"{"status":"ERROR","error":"CHAT_NOT_FOUND"}"#).await;
    assert_eq!(afilnet.hasty().chats().await, Ok(vec![]));
    assert_eq!(afilnet.hasty().messages(&to()).await, Ok(vec![]));
}

#[tokio::test]
async fn the_probes_name_no_channel() {
    let afilnet = Afilnet::answering(r#"{"status":"SUCCESS","result":12.50}"#).await;
    assert_eq!(afilnet.client(config::Transport::Post).balance().await, Ok(Some(Balance::Amount("12.50".into()))));
    for amount in ["0", "-1.234,5", "1 000 EUR", "€ 7", "12 credits"] {
        assert_eq!(is_amount(amount), amount != "12 credits", "{amount}");
    }
    assert!(!is_amount("") && !is_amount("GET /?user=user&password=x HTTP/1.1"));
    assert_eq!(pairs(&afilnet.request().1)[..2], expected(&[("class", "user"), ("method", "getbalance")]));
    assert_eq!(pairs(&afilnet.request().1).len(), 4);
    let afilnet = Afilnet::answering(r#"{"status":"SUCCESS","result":12.50}"#).await;
    assert_eq!(afilnet.client(config::Transport::Post).account_balance().await, Ok(Some(12.5)));
    let list = r#"{"status":"SUCCESS","result":{"list":[{"platformid":"100","platform":"whatsapp","name":"Ventas"}]}}"#;
    let afilnet = Afilnet::answering(list).await;
    let channels = afilnet.client(config::Transport::Post).channels().await.unwrap();
    assert_eq!(channels[0].platform_id, "100");
    assert_eq!(pairs(&afilnet.request().1)[..2], expected(&[("class", "chat"), ("method", "getchatchannels")]));
}

#[tokio::test]
async fn no_log_holds_words_contacts_or_secrets() {
    let log = CapturedLog::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let issuer = Afilnet::answering(json_and_soap::TOKEN).await;
    let json = |grant| json_and_soap::oauth(&issuer.url, grant);
    for transport in [
        config::Transport::Post,
        config::Transport::Get,
        config::Transport::Basic,
        json(config::Grant::ClientCredentials),
        json(config::Grant::Password),
        json_and_soap::soap_transport(),
    ] {
        for play in [Play::Say(http(200, "", SUCCESS)), Play::Reset, Play::SayAndHang(vec![])] {
            let mut channel = channel(&Afilnet::that(play).await.url, transport.clone());
            channel.afilnet.timeout = Duration::from_millis(200);
            client_of(&channel).send(&to(), &text("Buenas tardes"), 0, None).await;
            let _ = client_of(&channel).messages(&to()).await;
        }
    }
    let log = log.text();
    assert!(log.contains("sendmessage") && log.contains("getmessages"), "{log}");
    for secret in
        ["s3cr", "ana@", "ana%40", "Buenas", "34600111222", "YW5hQGV4YW1wbGUu", "tok3n", "cl1ent", "Y2xpJTNBZW50"]
    {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

/// One for all cases: building it reads the system's certificates.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| client(Duration::from_secs(1), &[]).unwrap());

proptest! {
    #[test]
    fn any_text_arrives_as_one_parameter(words in any::<String>(), destination in "\\PC{1,20}") {
        let parameters = [("class", "chat"), ("method", "sendmessage"), ("destination", &destination), ("message", &words)];
        for transport in [config::Transport::Post, config::Transport::Basic] {
            let settings = channel("https://afilnet.example/api/http/", transport).afilnet;
            let transport = transport::transport(&settings, &AccessTokens::default());
            let request = transport.request(&CLIENT, &parameters, Duration::from_secs(1));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let request = runtime.block_on(request).unwrap().build().unwrap();
            let form = request.body().and_then(|body| body.as_bytes()).unwrap();
            let arrived: Vec<_> = pairs(std::str::from_utf8(form).unwrap())
                .into_iter()
                .filter(|(name, _)| name != "user" && name != "password")
                .collect();
            prop_assert_eq!(arrived, expected(&parameters));
            prop_assert_eq!(request.url().query(), None);
        }
    }
}

#[test]
fn a_balance_is_a_number_however_its_thousands_are_written() {
    for (written, expected) in [
        ("41", Some(41.0)),
        ("12.50", Some(12.5)),
        ("12,50 €", Some(12.5)),
        ("1.234,56 EUR", Some(1234.56)),
        ("$1,234.5", Some(1234.5)),
        ("1.234.567", Some(1_234_567.0)),
        ("-3,5", Some(-3.5)),
        ("none", None),
        ("3-5", None),
    ] {
        assert_eq!(super::number(written), expected, "{written}");
    }
}
