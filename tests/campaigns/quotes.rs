//! Far sides that quote the request in whatever they respond with: no secret, no words of a person and no whole number
//! reaches the log, the metrics, a command's output, an agent or the store's faults, over any transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::metrics::get;
use crate::support::transports::{TRANSPORTS, over};
use crate::support::{CHANNEL, House, SOON, TOKEN, contact, until};

const PASSWORD: &str = "CANARYpw9X!";
const CLIENT_SECRET: &str = "CANARYclient9";
/// `user:CANARYpw9X!` in base64, without its end.
const BASIC: &str = "dXNlcjpDQU5BUllwdzlY";
const FROM_AGENT: &str = "CANARYagent: mi PIN es 47110815";
const FROM_CUSTOMER: &str = "CANARYcustomer: mi clave es 47110815";

/// Calls of which one is quoted back; the others reach the simulator.
const EVERY: usize = 3;

/// Ways to quote a request.
const FORMS: usize = 13;

/// A far side before a simulator.
struct Quoting {
    authority: String,
    quoted: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Quoting {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Quoting {
    async fn before(url: &str) -> Self {
        let far = authority(url).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let (calls, quoted) = (Arc::new(AtomicUsize::new(1)), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&quoted);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let call = calls.fetch_add(1, Ordering::Relaxed);
                let form = (call % EVERY == 0).then(|| count.fetch_add(1, Ordering::Relaxed) % FORMS);
                tokio::spawn(serve(stream, far.clone(), form));
            }
        });
        Self { authority, quoted, serving }
    }

    /// The same URL here.
    fn of(&self, url: &str) -> String {
        url.replace(authority(url), &self.authority)
    }

    fn forms_quoted(&self) -> usize {
        self.quoted.load(Ordering::Relaxed)
    }
}

fn authority(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

/// Serves one request of a connection and closes it.
async fn serve(stream: TcpStream, far: String, form: Option<usize>) {
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let from = head.len();
        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(n) = head[from..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).await.is_err() {
        return;
    }
    let response = if let Some(form) = form {
        quoting(form, &format!("{head}{}", String::from_utf8_lossy(&body))).into_bytes()
    } else {
        let Ok(mut there) = TcpStream::connect(far).await else { return };
        let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let (mut response, sent) = (Vec::new(), [head.as_bytes(), &body].concat());
        if there.write_all(&sent).await.is_err() || there.read_to_end(&mut response).await.is_err() {
            return;
        }
        response
    };
    let _ = stream.write_all(&response).await;
    let _ = stream.shutdown().await;
}

/// A response that holds the request: as an error of the platform, as a page, in each place of the head, or broken.
fn quoting(form: usize, request: &str) -> String {
    let line = request.replace(['\r', '\n'], " ");
    let with = |status: &str, head: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    match form {
        0 => with("200 OK", "", &json!({"status": "ERROR", "error": request}).to_string()),
        1 => with("200 OK", "", &json!({"status": "ERROR", "error": [line]}).to_string()),
        2 => with("500 Oops", "Content-Type: text/html\r\n", &format!("<title>{line}</title><pre>{request}</pre>")),
        3 => with("400 Bad Request", "Content-Type: text/plain\r\n", request),
        4 => with("302 Found", &format!("Location: /{}\r\n", line.replace(' ', "%20")), ""),
        5 => with("200 OK", "Content-Type: text/html\r\n", request),
        6 => with("401 Unauthorized", &format!("WWW-Authenticate: Basic realm=\"{line}\"\r\n"), request),
        7 => with("200 OK", "", &json!({"status": "SUCCESS", "result": request}).to_string()),
        8 => with(&format!("503 {line}"), "", ""),
        9 => with("429 Slow", &format!("Retry-After: {line}\r\n"), request),
        10 => with(
            "200 OK",
            &format!("Content-Type: {line}\r\nX-Echo: {line}\r\n"),
            &format!("<b>{line}</b>{{\"status\":"),
        ),
        11 => format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n"),
        _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{\"status\":\"{line}", request.len() + 900),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_far_side_quotes_is_shown_to_nobody() {
    for (transport, level) in
        TRANSPORTS.map(|name| (name, "trace")).into_iter().chain([("basic", "debug"), ("get", "info")])
    {
        scan(transport, level).await;
    }
}

/// `cargo test --features crashpoints --test campaigns -- --ignored --nocapture at_every_level` (some minutes).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn what_a_far_side_quotes_is_shown_to_nobody_over_every_transport_at_every_level() {
    for transport in TRANSPORTS {
        for level in ["error", "warn", "info", "debug", "trace"] {
            scan(transport, level).await;
        }
    }
}

/// Lets both far sides quote what they are asked, in every form, and reads all that the bridge shows.
async fn scan(transport: &str, level: &str) {
    // At every level the start says where the bridge listens.
    let levels = format!("{level},bridge::app=info");
    let levels = if matches!(level, "error" | "warn") { &levels } else { level };
    let house = over(House::new().on_a_file().set("LOG__LEVEL", levels), transport);
    house.afilnet.add_account("user", PASSWORD);
    house.afilnet.set_client_secret(CLIENT_SECRET);
    let far = Quoting::before(house.setting("AFILNET__URL")).await;
    let webhook = Quoting::before(house.setting("BONYCHAT__WEBHOOK_URL")).await;
    let keys: &[&str] = match transport {
        "json" | "json_password" => &["AFILNET__JSON__URL", "AFILNET__JSON__TOKEN_URL"],
        "soap" => &["AFILNET__SOAP__URL"],
        _ => &["AFILNET__URL"],
    };
    let mut house = keys.iter().fold(house, |house, key| {
        let url = far.of(house.setting(key));
        house.set(key, &url)
    });
    let url = webhook.of(house.setting("BONYCHAT__WEBHOOK_URL"));
    house = house.set("BONYCHAT__WEBHOOK_URL", &url).set("AFILNET__PASSWORD", PASSWORD);
    if transport.starts_with("json") {
        house = house.set("AFILNET__JSON__CLIENT_SECRET", CLIENT_SECRET);
    }
    let mut bridge = house.start_with(&[]).await;
    // What a person or another program may read of it.
    let mut shown: Vec<(&str, String)> = Vec::new();
    let mut round = 0;
    until("each form has come from both sides", || far.forms_quoted() >= 1).await;
    let deadline = Instant::now() + 2 * SOON;
    while far.forms_quoted() < 3 * FORMS || webhook.forms_quoted() < FORMS {
        let who = contact(round % 7);
        let outcome = house.bonychat.text(&bridge.url(), CHANNEL, &who, &format!("{FROM_AGENT} {round}")).await;
        shown.push(("the caller", outcome.body.to_string()));
        house.customer(&who, &format!("{FROM_CUSTOMER} {round}"));
        round += 1;
        // While calls are paused, messages are refused as fast as they come.
        let (of_far, of_webhook) = (far.forms_quoted(), webhook.forms_quoted());
        assert!(Instant::now() < deadline, "{transport}: {of_far} and {of_webhook} calls quoted in {round} rounds");
    }
    shown.push(("the metrics", get(&bridge.admin_url(), "/metrics", None).1));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let listed = text(&house.run(&["messages", "list", "--limit", "1000"]).stdout);
    for m_id in listed.lines().filter_map(|line| line.split('\t').next()).take(20) {
        shown.push(("messages show", text(&house.run(&["messages", "show", m_id]).stdout)));
        shown.push(("messages journey", text(&house.run(&["messages", "journey", m_id]).stdout)));
    }
    shown.push(("messages find", text(&house.run(&["messages", "find", "mi", "--json"]).stdout)));
    shown.push(("deliverz", get(&bridge.admin_url(), "/deliverz", None).1));
    shown.push(("messages list", listed));
    for command in
        [&["channels"][..], &["check"], &["check", "--live"], &["doctor"], &["messages", "list", "--state", "nonsense"]]
    {
        let ended = house.run(command);
        shown.push(("a command", text(&ended.stdout)));
        shown.push(("a command's errors", text(&ended.stderr)));
    }
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    let log = bridge.log().join("\n");
    assert!(level != "trace" || log.len() > 10_000, "{log}");
    assert!(!log.contains(&contact(1)[1..]), "{transport} {level}: a whole number is in the log");
    shown.push(("the log", log));
    let canaries = [PASSWORD, CLIENT_SECRET, BASIC, TOKEN, "access-token-", "CANARY", "47110815"];
    for (place, words) in &shown {
        for canary in canaries {
            let leak = words.lines().find(|line| line.contains(canary));
            assert!(leak.is_none(), "{transport} {level}: {canary} in {place}: {leak:?}");
        }
    }
    // The store holds people's words until they are wiped, and no secret.
    for file in ["bridge.db", "bridge.db-wal"] {
        let bytes = std::fs::read(house.folder.path().join(file)).unwrap_or_default();
        for secret in [PASSWORD, CLIENT_SECRET, BASIC, TOKEN, "access-token-"] {
            let holds = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!holds, "{transport} {level}: {secret} in {file}");
        }
    }
    let agents = house.bonychat.dump()["events"].to_string();
    for secret in ["CANARYpw", "CANARYclient", BASIC, TOKEN, "access-token-"] {
        assert!(!agents.contains(secret), "{transport} {level}: {secret} reached BonyChat");
    }
    println!(
        "over {transport} at {level}: {} calls quoted by Afilnet, {} by BonyChat; nothing of it in {} texts",
        far.forms_quoted(),
        webhook.forms_quoted(),
        shown.len()
    );
}
