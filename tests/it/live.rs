//! What happens, as it happens, on the operators' page.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::page::{FORM, SAME, call, get, house, sign_in};
use crate::support::process::Bridge;
use crate::support::{House, SOON, contact, until};

/// A stream that is read as it comes.
struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    fn open(base: &str, cookie: &str) -> Self {
        Self::from(base, cookie, "")
    }

    fn from(base: &str, cookie: &str, query: &str) -> Self {
        let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
        write!(stream, "GET /live/events{query} HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads what has come; returns false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.text.push_str(&String::from_utf8_lossy(&buffer[..length]));
                true
            }
            Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }

    fn has(&mut self, words: &str) -> bool {
        self.read();
        self.text.contains(words)
    }

    async fn until(&mut self, words: &str) {
        until(words, || self.has(words)).await;
    }
}

/// Writes until it is told: what happens is from the first look on.
async fn followed(house: &House, bridge: &Bridge, events: &mut Events) {
    let deadline = Instant::now() + SOON;
    while !events.has("\"words\"") {
        assert!(Instant::now() < deadline, "{}", events.text);
        assert_eq!(house.agent(bridge, &contact(9), "whether it is told").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_told_once_to_who_sees_its_channel_and_ends_with_the_bridge() {
    let mut house = house()
        .set("ADMIN__PEOPLE__CARL__TOKEN", "token-of-carl-012345")
        .set("ADMIN__PEOPLE__CARL__MAY", "read")
        .set("ADMIN__PEOPLE__CARL__CHANNELS", "sales")
        .set("CHANNELS__SALES__CHANNEL_ID", "channel2")
        .set("CHANNELS__SALES__API_TOKEN", "token-of-channel-2")
        .set("CHANNELS__SALES__ID_TYPE", "phone")
        .set("CHANNELS__SALES__PLATFORM", "telegram")
        .set("CHANNELS__SALES__PLATFORM_ID", "7");
    house.afilnet.add_channel("telegram", "7", "Sales");
    let mut bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let carl = call(&base, "POST", "/login", &[FORM, SAME], "token=token-of-carl-012345&next=").cookie();
    assert_eq!(get(&base, "/live/events", "").status, 401);
    let mut events = Events::open(&base, &cookie);
    let mut of_carl = Events::open(&base, &carl);
    events.until("event: begins").await;
    of_carl.until("event: begins").await;
    for header in ["text/event-stream", "x-accel-buffering: no", "cache-control: no-store", "content-security-policy"] {
        assert!(events.text.to_lowercase().contains(header), "{header} in {}", events.text);
    }
    followed(&house, &bridge, &mut events).await;
    let m_id = house.agent(&bridge, &contact(1), "a text that nobody is told").await.m_id.unwrap();
    events.until(&format!("\"mId\":\"{m_id}\"")).await;
    events.until("\"words\":\"sent\"").await;
    assert!(events.text.contains("\"words\":\"accepted, text\""), "{}", events.text);
    assert!(!events.text.contains("nobody is told") && !events.text.contains(&contact(1)[1..]), "{}", events.text);
    let page = get(&base, "/live", &cookie).body;
    assert!(page.contains(&format!("messages/{m_id}")) && page.contains("accepted, text"), "without script: {page}");
    let spanish = call(&base, "GET", "/live", &[("cookie", &cookie), ("accept-language", "es")], "").body;
    assert!(spanish.contains("aceptado, text") && spanish.contains("enviado"), "{spanish}");
    let sales = serde_json::json!({"contactId": contact(2), "message": {"type": "text", "text": "hi"}}).to_string();
    let of_sales = house.bonychat.post(&bridge.url(), "token-of-channel-2", sales).await.m_id.unwrap();
    of_carl.until(&of_sales).await;
    assert!(!of_carl.text.contains(&m_id) && !of_carl.text.contains("support"), "{}", of_carl.text);
    events.until(&of_sales).await;
    assert_eq!(events.text.matches(&format!("\"mId\":\"{m_id}\"")).count(), 2, "accepted and sent: {}", events.text);
    let began = Instant::now();
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    until("the stream has ended", || !events.read()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_from_the_moment_of_its_page_and_from_its_last_line() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let position = |page: &str| page.split("data-position=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let before = house.agent(&bridge, &contact(1), "before the page").await.m_id.unwrap();
    let page = get(&base, "/live", &cookie).body;
    assert!(page.contains(&before), "{page}");
    // Nobody listens yet.
    let between = house.agent(&bridge, &contact(2), "between the page and its stream").await.m_id.unwrap();
    until("it is sent", || house.messages("sent").contains(&between)).await;
    let mut events = Events::from(&base, &cookie, &format!("?from={}", position(&page)));
    events.until(&format!("\"mId\":\"{between}\"")).await;
    events.until("\"words\":\"sent\"").await;
    // What the page has may come again, under the same key.
    for line in events.text.lines().filter(|line| line.contains(&before)) {
        let key = line.split("\"key\":\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(page.contains(&format!("data-key=\"{key}\"")), "{line} in {page}");
    }
    let after = house.agent(&bridge, &contact(3), "while it streams").await.m_id.unwrap();
    events.until(&format!("\"mId\":\"{after}\"")).await;
    events.until("\nid: ").await;
    let id = events.text.rsplit("\nid: ").next().unwrap().lines().next().unwrap().to_owned();
    drop(events);
    let missed = house.agent(&bridge, &contact(4), "while nobody listens").await.m_id.unwrap();
    let mut again = Events::from(&base, &cookie, &format!("?from={id}"));
    again.until(&format!("\"mId\":\"{missed}\"")).await;
    assert!(!again.text.contains("event: gap"), "{}", again.text);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_twenty_listeners_and_the_page_goes_on_beside_them() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let mut all: Vec<Events> = (0..20).map(|_| Events::open(&base, &cookie)).collect();
    for events in &mut all {
        events.until("event: begins").await;
    }
    let mut more = Events::open(&base, &cookie);
    more.until("\r\n\r\n").await;
    assert!(more.text.starts_with("HTTP/1.1 503 "), "{}", more.text);
    more.until("20 pages look at what happens already").await;
    for path in ["/", "/live", "/messages"] {
        assert_eq!(get(&base, path, &cookie).status, 200, "{path}");
    }
    followed(&house, &bridge, &mut all[0]).await;
    let m_id = house.agent(&bridge, &contact(1), "to all").await.m_id.unwrap();
    for events in &mut all {
        events.until(&m_id).await;
    }
    // One who leaves makes room.
    all.pop();
    let deadline = Instant::now() + SOON;
    let mut next = Events::open(&base, &cookie);
    while !next.has("event: begins") {
        assert!(Instant::now() < deadline, "{}", next.text);
        if next.text.contains(" 503 ") {
            next = Events::open(&base, &cookie);
        }
    }
    drop(bridge);
    house.check();
}
