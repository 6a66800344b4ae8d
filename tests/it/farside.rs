//! An Afilnet with responses that the simulator does not give: lists of any length, texts of any kind.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::support::metrics;
use crate::support::process::Bridge;
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, contact, get, until, until_within};

const MIB: u64 = 1024; // in KiB

/// Its response to a method: HTTP status and body.
type Says = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// It runs for as long as this lives.
struct Afilnet {
    url: String,
    /// How many conversations it lists.
    listed: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Afilnet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Afilnet {
    /// Lists this number of conversations, each of one row written in Afilnet's panel; `says` responds to sends.
    async fn listing(conversations: usize, says: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/http/", listener.local_addr().unwrap());
        let (listed, asked) = (Arc::new(AtomicUsize::new(conversations)), Arc::new(Mutex::new(Vec::new())));
        let (count, log, says): (_, _, Arc<Says>) = (Arc::clone(&listed), Arc::clone(&asked), Arc::new(says));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&count), Arc::clone(&log), Arc::clone(&says)));
            }
        });
        Self { url, listed, asked, serving }
    }

    fn calls(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }
}

async fn serve(stream: TcpStream, listed: Arc<AtomicUsize>, asked: Arc<Mutex<Vec<String>>>, says: Arc<Says>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut query) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some((_, target)) = line.strip_prefix("GET ").and_then(|rest| rest.split_once('?')) {
                target.split(' ').next().unwrap().clone_into(&mut query);
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        query.push_str(&String::from_utf8(body).unwrap());
        let field =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or("");
        let method = field("method").to_owned();
        asked.lock().unwrap().push(method.clone());
        let row = |n| row(field("platformid"), n);
        let list = |rows: String| format!("{{\"status\":\"SUCCESS\",\"result\":{{\"list\":[{rows}]}}}}");
        let (status, body) = match method.as_str() {
            "getchats" => (200, list((0..listed.load(Ordering::Relaxed)).map(row).collect::<Vec<_>>().join(","))),
            "getmessages" => (200, list(field("destination")[3..].parse().map(row).unwrap())),
            "getunreadmessages" => (200, list(String::new())),
            _ => says(&method),
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", body.len());
        let sent = async {
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            stream.flush().await
        };
        if sent.await.is_err() {
            return;
        }
    }
}

/// The last row of conversation `n` of a channel, in about 160 bytes.
fn row(platform_id: &str, n: usize) -> String {
    format!(
        "{{\"platformid\":\"{platform_id}\",\"platform\":\"whatsapp\",\"message\":\"Gracias, hasta luego\",\"destination\":\"346{n:08}\",\
         \"messageid\":\"{}\",\"sent\":\"1\",\"status\":\"1\",\"datetime\":\"2024-05-10 12:34:56\"}}",
        9_000_000 + n
    )
}

fn house(afilnet: &Afilnet) -> House {
    House::new().set("AFILNET__URL", &afilnet.url).set("INBOUND__FIRST_RUN", "skip")
}

/// The same with the environment that the image sets.
fn as_in_the_image(house: House) -> House {
    let image = include_str!("../../Dockerfile");
    let set = image.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
    set.filter_map(|set| set.split_once('=')).fold(house, |house, (name, value)| house.set_plain(name, value))
}

/// The longest of the answers of `/readyz` during `work`, and the most memory of the process.
async fn watched(bridge: &Bridge, work: impl Future<Output = ()>) -> (Duration, u64) {
    let url = bridge.url();
    let watching = Arc::new(AtomicUsize::new(1));
    let goes_on = Arc::clone(&watching);
    let watch = tokio::task::spawn_blocking(move || {
        let mut slowest = Duration::ZERO;
        while goes_on.load(Ordering::Relaxed) == 1 {
            let asked = Instant::now();
            assert_eq!(get(&url, "/readyz").0, 200);
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        slowest
    });
    work.await;
    watching.store(0, Ordering::Relaxed);
    (watch.await.unwrap(), bridge.most_resident_kib())
}

/// Lets the bridge find this number of conversations and poll for a while; prints the cost.
async fn meet(conversations: usize, house: House, afilnet: &Afilnet, limit: Duration) -> (Duration, u64) {
    let mut house = house.set("AFILNET__TIMEOUT", "60s").set("AFILNET__REQUESTS_PER_SECOND", "200");
    let bridge = house.start().await;
    let before = bridge.resident_kib();
    let work = async {
        let took = || bridge.log().iter().any(|line| line.contains("stored the initial snapshot"));
        until_within(limit, "the initial snapshot is taken", took).await;
        let polls = afilnet.calls("getchats");
        until_within(limit, "two more polls", || afilnet.calls("getchats") >= polls + 2).await;
    };
    let (slowest, most) = watched(&bridge, work).await;
    println!(
        "{conversations} conversations: {} MiB before, {} MiB at most, {} MiB after; /readyz {slowest:?} at most",
        before / MIB,
        most / MIB,
        bridge.resident_kib() / MIB
    );
    (slowest, most)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on a busy machine; prints its figures"]
async fn a_hundred_thousand_conversations_are_met_in_bounded_memory_and_disturb_nobody() {
    let afilnet = Afilnet::listing(100_000, |_| (200, r#"{"status":"SUCCESS"}"#.into())).await;
    let (slowest, most) = meet(100_000, as_in_the_image(house(&afilnet)), &afilnet, SOON * 8).await;
    assert!(most < 150 * MIB, "{} MiB", most / MIB);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; prints its figures"]
async fn a_million_conversations_are_met_where_the_limit_lets_them() {
    let afilnet = Afilnet::listing(1_000_000, |_| (200, r#"{"status":"SUCCESS"}"#.into())).await;
    let house = as_in_the_image(house(&afilnet)).set("AFILNET__ANSWER_LIMIT", "256 MiB");
    let (slowest, _) = meet(1_000_000, house, &afilnet, SOON * 8).await;
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Channels of one account, each with a number of its own at Afilnet.
fn with_channels(house: House, channels: usize) -> House {
    (1..channels).fold(house, |house, n| {
        let of_channel = [
            ("CHANNEL_ID", format!("chan{n}")),
            ("API_TOKEN", format!("token-of-channel-number-{n}")),
            ("ID_TYPE", "phone".into()),
            ("PLATFORM", "whatsapp".into()),
            ("PLATFORM_ID", format!("{}", 1000 + n)),
            ("POLL_ACTIVE", "5s".into()),
        ];
        of_channel.into_iter().fold(house, |house, (key, value)| house.set(&format!("CHANNELS__C{n}__{key}"), &value))
    })
}

/// A thousand channels of fifty conversations; `BRIDGE_CHANNELS` is another number of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes on a busy machine; prints its figures"]
async fn a_thousand_channels_are_met_in_bounded_memory_and_disturb_nobody() {
    let channels = std::env::var("BRIDGE_CHANNELS").map_or(1000, |number| number.parse().unwrap());
    let afilnet = Afilnet::listing(50, |_| (200, r#"{"status":"SUCCESS"}"#.into())).await;
    let house = with_channels(as_in_the_image(house(&afilnet)), channels);
    let mut house = house.set("AFILNET__TIMEOUT", "60s").set("AFILNET__REQUESTS_PER_SECOND", "1000");
    let bridge = house.start().await;
    let has_snapshot =
        || bridge.log().iter().filter(|line| line.contains("stored the initial snapshot")).count() == channels;
    let work = async {
        until_within(SOON * 8, "every channel has its initial snapshot", has_snapshot).await;
        let polls = afilnet.calls("getchats");
        until_within(SOON * 8, "two more rounds", || afilnet.calls("getchats") >= polls + 2 * channels).await;
    };
    let (slowest, most) = watched(&bridge, work).await;
    println!(
        "{channels} channels of 50 conversations: {} MiB at most, {} MiB after; /readyz {slowest:?} at most",
        most / MIB,
        bridge.resident_kib() / MIB
    );
    assert!(channels != 1000 || most < 150 * MIB, "{} MiB", most / MIB);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_beyond_the_limit_is_named_with_its_size_and_the_key() {
    let afilnet = Afilnet::listing(10_000, |_| (200, r#"{"status":"SUCCESS"}"#.into())).await;
    let mut house = house(&afilnet).set("AFILNET__ANSWER_LIMIT", "1 MiB");
    let bridge = house.start().await;
    let line = || bridge.log().into_iter().find(|line| line.contains("afilnet.answer_limit"));
    until("its size is said", || line().is_some()).await;
    let (line, bytes) = (line().unwrap(), (0..10_000).map(|n| row(PLATFORM_ID, n).len() + 1).sum::<usize>());
    assert!(line.contains("getchats for whatsapp 100") && line.contains("takes 1048576"), "{line}");
    assert!(
        line.contains(&format!("has {} bytes", bytes - 1 + r#"{"status":"SUCCESS","result":{"list":[]}}"#.len())),
        "{line}"
    );
    // It heals by itself.
    afilnet.listed.store(10, Ordering::Relaxed);
    until("the initial snapshot is taken", || {
        bridge.log().iter().any(|line| line.contains("stored the initial snapshot"))
    })
    .await;
}

/// Must be seen by the customer alone.
const WORDS: &str = "Mi PIN es CANARY4711 y no lo diga";

#[tokio::test(flavor = "multi_thread")]
async fn only_codes_of_afilnets_reach_agents_the_log_and_the_store() {
    let quotes = [
        r#"{"status":"ERROR","error":["CANARYpw9X!"]}"#,
        r#"{"status":"ERROR","error":"CANARY4711"}"#,
        r#"{"status":"ERROR","error":"Mi PIN es CANARY4711"}"#,
        r#"{"status":"ERROR","error":{"user":"user","password":"CANARYpw9X!","said":"Mi PIN es CANARY4711"}}"#,
        r#"{"status":"ERROR","error":34600000001}"#,
        r#"{"status":"ERROR","errors":["CANARYpw9X!"]}"#,
        r"<title>CANARYpw9X! CANARY4711</title>",
    ];
    for (transport, status) in [("post", 200), ("basic", 200), ("get", 200), ("post", 500)] {
        let turn = AtomicUsize::new(0);
        let says = move |method: &str| match method {
            "sendmessage" => (status, quotes[turn.fetch_add(1, Ordering::Relaxed) % quotes.len()].to_owned()),
            _ => (200, r#"{"status":"SUCCESS","result":"1"}"#.to_owned()),
        };
        let afilnet = Afilnet::listing(1, says).await;
        let mut house = house(&afilnet)
            .on_a_file()
            .set("AFILNET__TRANSPORT", transport)
            .set("AFILNET__PASSWORD", "CANARYpw9X!")
            .set("LOG__LEVEL", "debug")
            .set("OUTBOUND__ANSWER_WITHIN", "20s");
        let bridge = house.start().await;
        let mut told: Vec<String> = Vec::new();
        for _ in 0..3 {
            told.push(house.bonychat.text(&bridge.url(), CHANNEL, &contact(1), WORDS).await.body.to_string());
        }
        let state = house.run(&["messages", "list"]);
        told.push(String::from_utf8_lossy(&state.stdout).into_owned());
        told.push(String::from_utf8_lossy(&state.stderr).into_owned());
        // A moment may have any digits.
        told.extend(bridge.log().iter().map(|line| line.split_once("\"level\"").unwrap().1.to_owned()));
        assert!(told.iter().any(|told| told.contains("UNKNOWN_ERROR")) || status == 500, "{told:?}");
        let events = house.bonychat.dump()["events"].to_string();
        for secret in ["CANARYpw9X", "4711", "34600000001"] {
            let leaks: Vec<&String> = told.iter().filter(|line| line.contains(secret)).collect();
            assert!(leaks.is_empty(), "{transport} {status} {secret}: {leaks:?}");
        }
        assert!(!events.contains("CANARYpw9X"), "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_with_a_notice_before_it_is_read_and_said_once() {
    let notice = "<br />\n<b>Notice</b>:  Undefined index: lang in <b>/var/www/api.php</b> on line <b>12</b><br />\n";
    let afilnet = Afilnet::listing(1, move |_| (200, format!("{notice}{{\"status\":\"SUCCESS\"}}"))).await;
    let mut house = house(&afilnet);
    let bridge = house.start().await;
    for n in 0..3 {
        let outcome = house.bonychat.text(&bridge.url(), CHANNEL, &contact(n), "Hola").await;
        assert_eq!(outcome.status, 200, "{}", outcome.body);
    }
    until("all are sent", || house.messages("sent").len() == 3).await;
    assert_eq!(afilnet.calls("sendmessage"), 3);
    let said: Vec<String> =
        bridge.log().into_iter().filter(|line| line.contains("other words around its answer")).collect();
    assert!(
        said.len() <= 3 && said[0].contains("Notice : Undefined index: lang in /var/www/api.php on line 12"),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapps_endings_are_the_number_and_other_destinations_are_counted_and_named() {
    let mut house = House::new().set("INBOUND__FIRST_RUN", "all");
    for (destination, text) in [
        ("34600111222@s.whatsapp.net", "one"),
        ("34600111333:3@c.us", "two"),
        ("34600111444@c.us", "before three"),
        ("34600111444", "three"),
        ("245896994390182@lid", "?"),
        ("120363023456789012@g.us", "?"),
        ("ES.13491208655302741918", "?"),
    ] {
        house.afilnet.receive(PLATFORM_ID, destination, text).unwrap();
    }
    let bridge = house.start().await;
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 4).await);
    for (contact, text) in [("+34600111222", "one"), ("+34600111333", "two")] {
        assert_eq!(house.bonychat.texts(contact), [text], "{contact}");
    }
    assert_eq!(house.bonychat.texts("+34600111444"), ["before three", "three"]);
    // Replies go to the spelling of the inbound message.
    assert_eq!(house.agent(&bridge, "+34600111222", "Hola").await.status, 200);
    assert_eq!(house.afilnet.texts("34600111222@s.whatsapp.net"), ["Hola"]);
    let said = |count: usize| {
        let words = format!("each of {count} conversation(s) at Afilnet has a destination");
        bridge.log().into_iter().filter(|line| line.contains(&words)).collect::<Vec<_>>()
    };
    let listed = said(3);
    assert_eq!(listed.len(), 1, "{listed:?}");
    for masked in ["************182@lid", "***************012@g.us", "********************918"] {
        assert!(listed[0].contains(masked), "{masked}: {}", listed[0]);
    }
    assert!(!listed[0].contains("245896994390182"), "{}", listed[0]);
    let counted = || {
        let text = metrics::get(&bridge.admin_url(), "/metrics", None).1;
        metrics::value(&text, "bridge_unreadable_destinations{channel=\"support\"}")
    };
    assert!((counted() - 3.0).abs() < 0.1, "{}", counted());
    house.afilnet.receive(PLATFORM_ID, "245896994390199@lid", "?").unwrap();
    until("the change is said", || said(4).len() == 1).await;
    assert!((counted() - 4.0).abs() < 0.1, "{}", counted());
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_goes_out_legal_and_one_into_a_network_not_at_all() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.customer(&contact(1), "Hola"); // a file needs a conversation
    let link = "https://señal.example/u/Presupuesto Nº 5 (final) – año.pdf";
    assert_eq!(house.bonychat.attachment(&bridge.url(), CHANNEL, &contact(1), "file", link).await.status, 200);
    let legal = "https://files.example/u/a%c3%b1o.pdf?sig=a%2Fb&x[]=1#page=2";
    assert_eq!(house.bonychat.attachment(&bridge.url(), CHANNEL, &contact(1), "file", legal).await.status, 200);
    let sent: Vec<String> =
        house.afilnet.sent(&contact(1)[1..]).into_iter().map(|sent| sent.fileurl.unwrap_or_default()).collect();
    let spelled = "https://xn--seal-hqa.example/u/Presupuesto%20N%C2%BA%205%20(final)%20%E2%80%93%20a%C3%B1o.pdf";
    assert_eq!(sent, [spelled, legal]);
    house.check();
    drop(bridge);
    // If Afilnet is elsewhere, files on this machine are not public.
    let mut house =
        House::new().set("AFILNET__URL", "https://afilnet.invalid/api/http/").set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    for url in ["http://127.0.0.1:9090/metrics", "https://169.254.169.254/a.pdf", "https://localhost/a.pdf"] {
        let file = json!({"type": "attachment", "attachment": {"type": "file", "url": url}});
        let outcome = house.bonychat.send(&bridge.url(), CHANNEL, &contact(1), file).await;
        assert_eq!(outcome.status, 400, "{url}");
        let words = outcome.body.to_string();
        assert!(words.contains("message.attachment.url: must be an https link that is public"), "{words}");
    }
    let outcome = house.bonychat.attachment(&bridge.url(), CHANNEL, &contact(1), "file", legal).await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
}
