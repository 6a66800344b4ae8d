//! The client against servers that respond, stall and break, each a listener on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;
use crate::domain::content::Text;
use crate::domain::{Content, EventBody, Fault};
use crate::testkit::captured_log::CapturedLog;

const TOKEN: &str = "aaaxczsadzxcasdacxzcasd";

/// What a server does with a request.
#[derive(Clone)]
enum Then {
    /// Responds with this once it has read the request.
    Responds(String),
    /// Closes once it has read the request.
    Closes,
    /// Breaks the connection off after the first byte.
    Breaks,
    /// Sends this and no more, for longer than the tests' time limit.
    Stalls(String),
}

/// A server, and every request that has reached it.
struct Far {
    address: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Far {
    fn that(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (then, requests) = (then.clone(), Arc::clone(&requests));
                std::thread::spawn(move || serve(stream.unwrap(), &then, &requests));
            }
        });
        Self { address, seen }
    }

    fn that_answers(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::that(Then::Responds(format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )))
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the result of `publish` to this server, which must have received one request.
    async fn published(&self) -> Delivery {
        let delivery =
            webhook(&format!("http://{}/custom/webhook", self.address)).publish(&contact(), &event()).await.outcome;
        assert_eq!(self.requests().len(), 1);
        delivery
    }
}

fn serve(mut stream: TcpStream, then: &Then, requests: &Mutex<Vec<String>>) {
    let request = match then {
        Then::Breaks => {
            stream.read_exact(&mut [0]).unwrap();
            String::new()
        }
        _ => read_request(&mut stream),
    };
    requests.lock().unwrap().push(request);
    match then {
        Then::Responds(response) => drop(stream.write_all(response.as_bytes())),
        Then::Stalls(beginning) => {
            stream.write_all(beginning.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_secs(5));
        }
        Then::Closes | Then::Breaks => {}
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut read = String::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk).unwrap();
        read.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        let whole = read
            .split_once("\r\n\r\n")
            .is_some_and(|(head, body)| head.lines().any(|line| line == format!("content-length: {}", body.len())));
        if whole || length == 0 {
            return read;
        }
    }
}

fn channel(webhook_url: &str, api_token: &str) -> config::Channel {
    config::Channel { api_token: api_token.into(), ..config::testing::channel("https://afilnet.test/", webhook_url) }
}

fn webhook(url: &str) -> WebhookClient {
    WebhookClient::new(&channel(url, TOKEN), true, Language::En, client(Duration::from_secs(10), &[]).unwrap()).unwrap()
}

fn contact() -> ContactId {
    "+34600111222".parse().unwrap()
}

fn event() -> Event {
    let content = Content::Text { text: Text::new("dear diary").unwrap() };
    Event { m_id: "3f1c7a52".parse().unwrap(), timestamp_ms: 1_767_225_600_000, body: EventBody::Message { content } }
}

fn again(fault: Fault) -> Delivery {
    Delivery::Again { fault, asked: None }
}

#[tokio::test]
async fn a_request_is_these_bytes() {
    let far = Far::that_answers("200 OK", "", "");
    let url = format!(" http://{}/custom/channel//webhook/?a=%2f%20b&c=|~&d= \n", far.address);
    assert_eq!(webhook(&url).publish(&contact(), &event()).await.outcome, Delivery::Done);
    let body = String::from_utf8(event_body(&"gfd8g7fd89dgfd".parse().unwrap(), &contact(), &event())).unwrap();
    let (version, address, length) = (env!("CARGO_PKG_VERSION"), &far.address, body.len());
    assert_eq!(
        far.requests(),
        [[
            "POST /custom/channel//webhook/?a=%2f%20b&c=|~&d= HTTP/1.1",
            "authorization: Bearer aaaxczsadzxcasdacxzcasd",
            "content-type: application/json",
            "cache-control: no-cache",
            "accept: */*",
            &format!("user-agent: bonychat-afilnet-bridge/{version}"),
            &format!("host: {address}"),
            &format!("content-length: {length}"),
            "",
            &body,
        ]
        .join("\r\n")]
    );
}

#[tokio::test]
async fn each_url_of_the_contract_goes_out_as_it_is() {
    let far = Far::that_answers("200 OK", "", "");
    let targets =
        ["/custom/webhook", "/custom/channel/webhook/", "/", "/a%2Fb/%C3%B1?x=1&y=%3D+", "/w?", "/a;b=c/:@!$&()*"];
    for target in targets {
        webhook(&format!("http://{}{target}", far.address)).publish(&contact(), &event()).await;
        let request = far.requests().pop().unwrap();
        assert_eq!(request.lines().next(), Some(format!("POST {target} HTTP/1.1").as_str()));
    }
}

#[test]
fn a_url_that_would_change_on_its_way_is_refused() {
    for (written, sent) in [
        ("https://app.respond.io/custom/webhook", Ok("https://app.respond.io/custom/webhook")),
        ("https://app.respond.io/custom/channel/webhook/", Ok("https://app.respond.io/custom/channel/webhook/")),
        ("  HTTPS://App.Respond.IO:443/Custom/%2f%2F\n", Ok("https://app.respond.io/Custom/%2f%2F")),
        ("https://bücher.test/a", Ok("https://xn--bcher-kva.test/a")),
        ("https://x.test", Ok("https://x.test/")),
        ("https://x.test?a=1", Ok("https://x.test/?a=1")),
        ("https://x.test/a b", Err(BadWebhook::WouldChange)),
        ("https://x.test/ñ", Err(BadWebhook::WouldChange)),
        ("https://x.test/a/../b", Err(BadWebhook::WouldChange)),
        ("https://x.test/a/%2e/b", Err(BadWebhook::WouldChange)),
        ("https://x.test/a\\b", Err(BadWebhook::WouldChange)),
        ("https://x.test\\b", Err(BadWebhook::WouldChange)),
        ("https://x.test/?q=a b", Err(BadWebhook::WouldChange)),
        ("https://x.test/?q='", Err(BadWebhook::WouldChange)),
        ("https:///x.test/a", Err(BadWebhook::WouldChange)),
        ("https://user@x.test/", Err(BadWebhook::Extras)),
        ("https://:secret@x.test/", Err(BadWebhook::Extras)),
        ("https://x.test/#top", Err(BadWebhook::Extras)),
        ("https:x.test/a", Err(BadWebhook::NotAUrl)),
        ("x.test/a", Err(BadWebhook::NotAUrl)),
        ("ftp://x.test/a", Err(BadWebhook::NotAUrl)),
        ("", Err(BadWebhook::NotAUrl)),
    ] {
        assert_eq!(kept(written).as_ref().map(Url::as_str).map_err(|e| *e), sent, "{written}");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_and_no_token_is_printed() {
    let http = client(Duration::from_secs(10), &[]).unwrap();
    let refused = WebhookClient::new(&channel("https://x.test/", "a\nb"), true, Language::En, http);
    assert_eq!(refused.err(), Some(BadWebhook::Token));
    assert!(!format!("{:?}", webhook("https://x.test/")).contains(TOKEN));
}

#[tokio::test]
async fn every_class_of_answer_has_its_delivery() {
    let wrong = |code: &str| again(Fault::WrongService(code.into()));
    let asked = |fault, seconds| Delivery::Again { fault, asked: Some(Duration::from_secs(seconds)) };
    for (status, headers, expected) in [
        ("200 OK", "", Delivery::Done),
        ("201 Created", "retry-after: 9\r\n", Delivery::Done),
        ("302 Found", "location: /elsewhere\r\n", wrong("http_302")),
        ("307 Temporary Redirect", "location: /elsewhere\r\n", wrong("http_307")),
        ("400 Bad Request", "", Delivery::Refused { fault: Fault::Http(400) }),
        ("401 Unauthorized", "www-authenticate: Bearer\r\n", again(Fault::Credentials("http_401".into()))),
        ("403 Forbidden", "", again(Fault::Forbidden)),
        ("404 Not Found", "", wrong("http_404")),
        ("408 Request Timeout", "", again(Fault::Http(408))),
        ("422 Unprocessable Entity", "", Delivery::Refused { fault: Fault::Http(422) }),
        ("425 Too Early", "", again(Fault::Http(425))),
        ("429 Too Many Requests", "", again(Fault::Busy)),
        ("429 Too Many Requests", "Retry-After: 17\r\n", asked(Fault::Busy, 17)),
        ("429 Too Many Requests", "retry-after: soon\r\n", again(Fault::Busy)),
        ("503 Service Unavailable", "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n", asked(Fault::Http(503), 0)),
        ("500 Internal Server Error", "", again(Fault::Http(500))),
    ] {
        let far = Far::that_answers(status, headers, "{\"error\":{}}");
        assert_eq!(far.published().await, expected, "{status} {headers}");
    }
}

#[tokio::test]
async fn what_breaks_before_an_answer_is_tried_again_later() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = webhook(&format!("http://{nobody}/")).publish(&contact(), &event()).await.outcome;
    assert_eq!(refused, again(Fault::Unreachable));
    let no_tls = Far::that(Then::Breaks);
    let failed = webhook(&format!("https://{}/", no_tls.address)).publish(&contact(), &event()).await.outcome;
    assert_eq!(failed, again(Fault::Unreachable));
    for (then, fault) in [
        (Then::Closes, Fault::ConnectionLost),
        (Then::Breaks, Fault::ConnectionLost),
        (Then::Responds("HTTP/1.1 200".into()), Fault::ConnectionLost),
        (Then::Responds("220 mail.test ESMTP\r\n\r\n".into()), Fault::ConnectionLost),
        (Then::Stalls(String::new()), Fault::TimedOut),
        (Then::Stalls("HTTP/1.1 200 OK\r\ncontent".into()), Fault::TimedOut),
    ] {
        assert_eq!(Far::that(then).published().await, again(fault));
    }
}

#[tokio::test]
async fn a_status_counts_whatever_becomes_of_its_body() {
    let begun = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 900\r\n\r\nbegun");
    let start = Instant::now();
    for then in [Then::Responds(begun("200 OK")), Then::Stalls(begun("204 No Content")), Then::Stalls(begun("200 OK"))]
    {
        assert_eq!(Far::that(then).published().await, Delivery::Done);
    }
    assert!(start.elapsed() < Duration::from_secs(4), "the channel's time limit ends a body");
    assert_eq!(Far::that(Then::Responds(begun("500 No"))).published().await, again(Fault::Http(500)));
    let endless = Far::that_answers("200 OK", "", &"x".repeat(8 * 1024 * 1024));
    assert_eq!(endless.published().await, Delivery::Done);
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit() {
    let far = Far::that_answers("200 OK", "", &"x".repeat(ANSWER_LIMIT_BYTES * 3));
    let url = format!("http://{}/", far.address);
    let mut response = client(Duration::from_secs(5), &[]).unwrap().post(url).body("x").send().await.unwrap();
    assert_eq!(beginning(&mut response).await.len(), ANSWER_LIMIT_BYTES);
}

#[tokio::test]
async fn the_log_shows_the_answer_and_nothing_of_the_request() {
    let lines = CapturedLog::default();
    let to = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_env_filter("trace").with_ansi(false).with_writer(move || to.clone()).finish();
    let log = tracing::subscriber::set_default(subscriber);
    // Another test may reach these log lines first, at this moment and without a subscriber, and tracing would cache
    // that they are disabled.
    Far::that_answers("200 OK", "", "").published().await;
    Far::that(Then::Closes).published().await;
    tracing::callsite::rebuild_interest_cache();
    let said = format!("who is\r\nBearer {TOKEN}? {}", "z".repeat(900));
    assert_eq!(Far::that_answers("401 No", "", &said).published().await, again(Fault::Credentials("http_401".into())));
    assert_eq!(Far::that(Then::Closes).published().await, again(Fault::ConnectionLost));
    drop(log);
    let lines = lines.text();
    assert!(lines.contains("BonyChat answered 401 to event `3f1c7a52`"), "{lines}");
    assert!(lines.contains(&format!("answer_bytes={}", said.len())) && !lines.contains("who is"), "{lines}");
    assert!(lines.contains("no answer from BonyChat to event `3f1c7a52`"), "{lines}");
    for secret in [TOKEN, "dear diary", "+34600111222", "/custom/webhook"] {
        assert!(!lines.contains(secret), "{secret} in {lines}");
    }
}
