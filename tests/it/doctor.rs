//! `bridge doctor`: each fault is named with its cure, and nothing is sent to anybody.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::metrics::get;
use crate::support::{
    House, PLATFORM_ID, SOON, blocking, channel_of, contact, platform_of, token_of, took_at_most, until,
};

/// One check that was reported.
#[derive(Debug, Clone)]
struct Check {
    id: String,
    health: String,
    seen: String,
    next: String,
}

/// What a run reported.
struct Report {
    code: Option<i32>,
    checks: Vec<Check>,
    words: String,
}

impl Report {
    fn of(output: &Output) -> Self {
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let read = |check: &Value| Check {
            id: text(check, "id"),
            health: text(check, "health"),
            seen: text(check, "seen"),
            next: text(check, "next"),
        };
        let sections = json["sections"].as_array().unwrap();
        let checks = sections.iter().flat_map(|section| section["checks"].as_array().unwrap()).map(read).collect();
        Self { code: output.status.code(), checks, words: String::from_utf8(output.stdout.clone()).unwrap() }
    }

    /// Asserts that it has this check, with these words in what was seen and in what to do.
    fn has(&self, id: &str, health: &str, seen: &str, next: &str) {
        let is_it = |check: &&Check| {
            check.id == id
                && (health.is_empty() || check.health == health)
                && check.seen.contains(seen)
                && check.next.contains(next)
        };
        assert!(
            self.checks.iter().any(|check| is_it(&check)),
            "no {id} {health} {seen:?} {next:?} in {:#?}",
            self.checks
        );
        for check in self.checks.iter().filter(|check| matches!(check.health.as_str(), "warn" | "fail")) {
            assert!(!check.seen.is_empty() && !check.next.is_empty(), "without a cure: {check:?}");
        }
    }
}

/// What both ledgers count of messages and events.
fn ledgers(house: &House) -> (u64, u64, usize, usize, u64) {
    let calls = |method| house.afilnet.calls(method);
    let (sends, events) = (house.afilnet.sent_count(), house.bonychat.event_count());
    (calls("sendmessage"), calls("sendfile"), sends, events, house.bonychat.unauthorized())
}

/// Runs the doctor with these options and variables, in time and without a message or an event.
fn doctor(house: &House, options: &[&str], environment: &[(&str, &str)]) -> Report {
    let limit: &[&str] = if options.contains(&"--timeout") { &[] } else { &["--timeout", "2s"] };
    let mut command = house.command(&[&["doctor", "--json"], limit, options].concat());
    examined(house, command.envs(environment.iter().map(|(key, value)| (format!("BRIDGE__{key}"), value))))
}

fn examined(house: &House, command: &mut Command) -> Report {
    let (before, started) = (ledgers(house), Instant::now());
    let output = blocking(|| command.output().unwrap());
    took_at_most(Duration::from_secs(15), "an examination", started);
    assert_eq!(ledgers(house), before, "it sent something");
    let report = Report::of(&output);
    for hidden in ["password", "token-of-channel-1", "600000"] {
        assert!(!report.words.contains(&format!("\"{hidden}\"")) && !report.words.contains("token-of-"), "{hidden}");
    }
    let failures = report.checks.iter().filter(|check| check.health == "fail").count();
    assert_eq!(report.code, Some(i32::from(failures > 0)), "{}", report.words);
    report
}

/// A server that answers what `answer` makes of the path and the length of the body. Returns its address.
fn serving(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || respond(stream, answer.as_ref()));
        }
    });
    format!("http://{address}")
}

fn respond(mut stream: TcpStream, answer: &dyn Fn(&str, usize) -> String) {
    let (mut read, mut part) = (Vec::new(), [0; 8192]);
    let head_end = |read: &[u8]| read.windows(4).position(|four| four == b"\r\n\r\n");
    let length = |read: &[u8]| {
        let head = String::from_utf8_lossy(&read[..head_end(read)?]).to_lowercase();
        Some(head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0_usize))
    };
    while length(&read).is_none_or(|length| read.len() < head_end(&read).unwrap() + 4 + length) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&part[..count]),
        }
    }
    let head = String::from_utf8_lossy(&read).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let _ = stream.write_all(answer(path, length(&read).unwrap_or_default()).as_bytes());
}

/// A response of this status line and these headers.
fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

const OURS: &str = r#"{"error":{"message":"The API token is missing or wrong, so the message was not sent."}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_where_nothing_is_wrong_and_sends_nothing() {
    let mut house = House::new();
    house.customer(&contact(1), "hello");
    let before = doctor(&house, &["--timeout", "10s"], &[]);
    before.has("opens", "skipped", "there is no store", "");
    before.has("runs", "skipped", "does not run here", "");
    before.has("login", "ok", "balance", "");
    before.has("channel", "ok", "whatsapp 100 \"Ventas\"", "");
    before.has("conversations", "ok", "1 listed", "");
    before.has("time_zone", "ok", "0 min old", "");
    before.has("webhook", "ok", "HTTP 405", "");
    before.has("public", "skipped", "--url", "");
    assert!(before.words.contains("\"took_ms\":"), "{}", before.words);
    let bridge = house.start().await;
    assert_eq!(house.agent(&bridge, &contact(1), "words of the agent").await.status, 200);
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    let address = bridge.url().trim_start_matches("http://").to_owned();
    let admin = bridge.admin_url().trim_start_matches("http://").to_owned();
    let beside = [("SERVER__LISTEN", address.as_str()), ("ADMIN__LISTEN", admin.as_str())];
    let running = doctor(&house, &["--timeout", "10s", "--url", &bridge.url()], &beside);
    running.has("runs", "ok", &address, "");
    running.has("ready", "ok", "takes messages", "");
    running.has("delivers", "ok", "1 channel(s)", "");
    running.has("version", "ok", env!("CARGO_PKG_VERSION"), "");
    running.has("same_settings", "ok", "settings that are read here", "");
    running.has("last_event", "ok", "BonyChat took one", "");
    let other = [&beside[..], &[("BONYCHAT__REQUESTS_PER_SECOND", "7")]].concat();
    doctor(&house, &["--only", "bridge"], &other).has("same_settings", "warn", "other settings", "SIGHUP");
    running.has(
        "engine",
        "ok",
        if house.setting("STORE__URL").starts_with("sqlite") { "SQLite" } else { "PostgreSQL" },
        "",
    );
    running.has("public", "ok", "own words", "");
    running.has("this_bridge", "ok", "on this machine", "");
    running.has("large", "ok", "200 KiB", "");
    running.has("private", "fail", "/readyz", "proxy");
    let other = running.checks.iter().filter(|check| !["ok", "skipped"].contains(&check.health.as_str()));
    // A disk of this machine may be slow or nearly full; without a proxy the probes are public.
    let other: Vec<_> = other.filter(|check| !["sync", "disk", "private"].contains(&check.id.as_str())).collect();
    assert!(other.is_empty(), "{other:#?}");
    let text = house.command(&["doctor", "--only", "afilnet"]).output().unwrap();
    let words = String::from_utf8(text.stdout).unwrap();
    assert!(text.status.success() && text.stderr.is_empty(), "{words}");
    assert!(
        words.starts_with("Afilnet\n  ok      reach") && words.contains("Nothing was sent to a customer."),
        "{words}"
    );
    assert_eq!(house.run(&["doctor", "--only", "nothing"]).status.code(), Some(2));
    assert_eq!(
        house.command(&["doctor"]).env("BRIDGE__AFILNET__URL", "ftp://x").output().unwrap().status.code(),
        Some(2)
    );
    house.check();
}

/// With the default timeout of a check. The bound is the one of the whole run, not a speed.
#[tokio::test(flavor = "multi_thread")]
async fn the_whole_run_ends_in_time_though_afilnet_hangs_and_says_what_it_has_not_looked_at() {
    let mut house = House::with_channels(4).set("AFILNET__TIMEOUT", "10s");
    for n in 1..4 {
        for (key, value) in [
            ("CHANNEL_ID", channel_of(n, 4)),
            ("API_TOKEN", token_of(n, 4)),
            ("ID_TYPE", "phone".into()),
            ("PLATFORM", "whatsapp".into()),
            ("PLATFORM_ID", platform_of(n, 4)),
        ] {
            house = house.set(&format!("CHANNELS__C{n}__{key}"), &value);
        }
    }
    let run = |environment: &[(&str, &str)]| {
        let report = doctor(&house, &["--timeout", "10s"], environment);
        let took_ms = serde_json::from_str::<Value>(&report.words).unwrap()["took_ms"].as_u64().unwrap();
        assert!(took_ms < 20_000, "{took_ms} ms");
        report
    };
    house.afilnet.fault("getchats:hang:1-1000").unwrap();
    let report = run(&[]);
    report.has("login", "ok", "", "");
    report.has("conversations", "fail", "", "");
    report.has("conversations", "skipped", "no time left", "");
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", hangs.local_addr().unwrap());
    let report = run(&[("AFILNET__URL", &url)]);
    report.has("reach", "fail", "did not answer in time", "none is lost");
    report.has("login", "skipped", "no time left", "");
    report.has("channel", "skipped", "its account cannot be asked", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_far_side_is_named_with_its_cure() {
    let house = House::new();
    for n in 0..6 {
        house.customer(&contact(n), "hello");
    }
    let url = |path: &str| format!("{}{path}", house.afilnet.url().trim_end_matches("/api/http/"));
    let hook = |path: &str| format!("{}{path}", house.bonychat.webhook_url().trim_end_matches("/custom/webhook"));
    let redirects = serving(|_, _| response("308 Permanent Redirect", "location: https://moved.example/hook\r\n", ""));
    let broken = serving(|_, _| response("503 Service Unavailable", "", ""));
    let late = serving(|_, _| response("405 Method Not Allowed", "date: Mon, 02 Nov 2026 10:00:00 GMT\r\n", ""));
    let a_little_late = serving(|_, _| {
        #[expect(clippy::disallowed_methods, reason = "what another machine's clock shows")]
        let then = jiff::Timestamp::now() - Duration::from_mins(2);
        let date = then.strftime("%a, %d %b %Y %H:%M:%S GMT");
        response("405 Method Not Allowed", &format!("date: {date}\r\n"), "")
    });
    for (section, key, value, [id, health, seen, next]) in [
        (
            "afilnet",
            "AFILNET__PASSWORD",
            "wrong".into(),
            ["login", "fail", "INCORRECT_USER_PASSWORD", "afilnet.password"],
        ),
        (
            "afilnet",
            "CHANNELS__SUPPORT__PLATFORM_ID",
            "8".into(),
            ["channel", "fail", "whatsapp 100", "platform_id = \"100\""],
        ),
        (
            "afilnet",
            "CHANNELS__SUPPORT__PLATFORM",
            "telegram".into(),
            ["channel", "fail", "telegram 100", "no channel of telegram"],
        ),
        ("afilnet", "AFILNET__URL", url("/nothing/"), ["login", "fail", "http_404", "afilnet.url"]),
        ("afilnet", "AFILNET__URL", "http://127.0.0.1:1/".into(), ["reach", "fail", "nothing listens", "none is lost"]),
        (
            "afilnet",
            "AFILNET__URL",
            "https://no-such-host.invalid/".into(),
            ["reach", "fail", "no-such-host.invalid", "this machine's DNS"],
        ),
        (
            "afilnet",
            "AFILNET__TIME_ZONE",
            "America/Bogota".into(),
            ["time_zone", "fail", "in the future", "\"Europe/Madrid\""],
        ),
        (
            "bonychat",
            "BONYCHAT__WEBHOOK_URL",
            "http://127.0.0.1:1/".into(),
            ["webhook", "fail", "nothing listens", "none is lost"],
        ),
        ("bonychat", "BONYCHAT__WEBHOOK_URL", hook("/nothing"), ["webhook", "fail", "HTTP 404", "copy webhook_url"]),
        (
            "bonychat",
            "BONYCHAT__WEBHOOK_URL",
            redirects,
            ["webhook", "fail", "https://moved.example/hook", "copy webhook_url"],
        ),
        ("bonychat", "BONYCHAT__WEBHOOK_URL", broken, ["webhook", "fail", "HTTP 503", "ask BonyChat"]),
        ("machine", "BONYCHAT__WEBHOOK_URL", late, ["clock", "fail", "this machine is", "NTP"]),
        ("machine", "BONYCHAT__WEBHOOK_URL", a_little_late, ["clock", "warn", "s ahead of", "NTP"]),
    ] {
        doctor(&house, &["--only", section], &[(key, &value)]).has(id, health, seen, next);
    }
    for (rule, [id, health, seen, next]) in [
        ("getbalance:hang", ["login", "fail", "timed_out", "Try again"]),
        ("getbalance:http_429:2", ["speed", "warn", "HTTP 429", "requests_per_second"]),
        ("getbalance:http_502", ["login", "fail", "http_502", "ask Afilnet"]),
        ("getchatchannels:http_500", ["channel", "fail", "http_500", "ask Afilnet"]),
        ("getchats:html_200", ["conversations", "fail", "not_understood", "ask Afilnet"]),
    ] {
        house.afilnet.fault(rule).unwrap();
        doctor(&house, &["--only", "afilnet"], &[]).has(id, health, seen, next);
        house.afilnet.clear_faults();
    }
    for (switch, value, [id, health, seen, next]) in [
        ("direction_meaning", "dispatched", ["direction", "warn", "all 6 rows", "inbound.direction"]),
        ("direction_values", "absent", ["direction", "warn", "6 of 6", "inbound.direction"]),
        ("ip_denied", "http_403", ["login", "fail", "http_403", "Access to API"]),
    ] {
        let before = house.afilnet.switches();
        house.afilnet.set_switch(switch, value).unwrap();
        doctor(&house, &["--only", "afilnet"], &[]).has(id, health, seen, next);
        house.afilnet.set_switches(before);
    }
    let wrong = doctor(&house, &["--only", "afilnet"], &[("AFILNET__PASSWORD", "wrong")]);
    wrong.has("channel", "skipped", "account", "");
    house.afilnet.down();
    doctor(&house, &["--only", "afilnet"], &[]).has("reach", "fail", "connection was refused", "none is lost");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_this_machine_its_store_and_its_bridge_is_named_with_its_cure() {
    let mut house = House::new().on_a_file();
    let store = house.database();
    let bridge = house.start().await;
    house.bonychat.set_poison(Some("POISON"));
    for text in ["POISON", "after"] {
        house.customer(&contact(1), text);
    }
    until("it is given up", || house.messages("dead").len() == 1).await;
    doctor(&house, &["--only", "store"], &[]).has("dead_events", "warn", "1 event(s)", "bridge messages retry");
    let address = bridge.url().trim_start_matches("http://").to_owned();
    let admin = bridge.admin_url().trim_start_matches("http://").to_owned();
    let beside = [("SERVER__LISTEN", address.as_str()), ("ADMIN__LISTEN", admin.as_str())];
    let bridge_section = || doctor(&house, &["--only", "bridge"], &beside);
    until("it is counted", || get(&bridge.admin_url(), "/deliverz", None).1.contains("1 event(s)")).await;
    bridge_section().has("delivers", "warn", "1 event(s) did not reach BonyChat", "as it says");
    house.afilnet.fault("*:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    house.agent(&bridge, &contact(2), "waits").await;
    until("it is paused", || get(&bridge.admin_url(), "/deliverz", None).1.contains("account is paused")).await;
    bridge_section().has("delivers", "warn", "account is paused", "as it says");
    let aside = house.folder.path().join("aside.db");
    std::fs::rename(&store, &aside).unwrap();
    until("the store is gone", || get(&bridge.admin_url(), "/deliverz", None).0 == 503).await;
    let both = bridge_section();
    both.has("delivers", "fail", "the store cannot be written", "as it says");
    both.has("delivers", "warn", "account is paused", "as it says");
    std::fs::rename(&aside, &store).unwrap();
    until("it is back", || get(&bridge.admin_url(), "/deliverz", None).0 == 200).await;
    let strange = serving(|_, _| response("404 Not Found", "", ""));
    let strange = strange.trim_start_matches("http://");
    doctor(&house, &["--only", "bridge"], &[("SERVER__LISTEN", strange)]).has(
        "runs",
        "fail",
        "HTTP 404",
        "server.listen",
    );
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let there = hangs.local_addr().unwrap().to_string();
    doctor(&house, &["--only", "bridge"], &[("SERVER__LISTEN", &there)]).has(
        "runs",
        "fail",
        "takes connections, and /healthz has no answer",
        "restart it",
    );
    drop(bridge);
    doctor(&house, &["--only", "store"], &[]).has("waiting", "ok", "1 message(s) wait", "");
    let renamed = [("CHANNELS__SALES__CHANNEL_ID", "c2"), ("CHANNELS__SALES__API_TOKEN", "token-of-another-channel")];
    let mut moved = house.command(&["doctor", "--json", "--only", "store"]);
    for (key, value) in renamed.into_iter().chain([
        ("CHANNELS__SALES__ID_TYPE", "phone"),
        ("CHANNELS__SALES__PLATFORM", "whatsapp"),
        ("CHANNELS__SALES__PLATFORM_ID", PLATFORM_ID),
    ]) {
        moved.env(format!("BRIDGE__{key}"), value);
    }
    for key in ["CHANNEL_ID", "API_TOKEN", "ID_TYPE", "PLATFORM", "PLATFORM_ID", "POLL_ACTIVE", "POLL_IDLE"] {
        moved.env_remove(format!("BRIDGE__CHANNELS__SUPPORT__{key}"));
    }
    examined(&house, &mut moved).has("not_configured", "fail", "1 message(s) and events of 0", "configure it again");

    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o644)).unwrap();
    let loose = doctor(&house, &["--only", "machine"], &[]);
    loose.has("configuration", "warn", "chmod 600", "bridge check");
    assert!(house.run(&["doctor", "--only", "machine", "--strict"]).status.code() == Some(1), "a warning, strictly");
    for (limit, [id, health, seen, next]) in [
        ("ulimit -f 0", ["sync", "fail", "nothing can be written", "free some room"]),
        ("ulimit -n 256", ["open_files", "warn", "at most 256", "LimitNOFILE"]),
    ] {
        let plain = house.command(&["doctor"]);
        let mut limited = Command::new("sh");
        let script = format!("trap '' XFSZ; {limit}; exec \"$0\" doctor --json --only machine --timeout 2s");
        limited.args(["-c", &script]).arg(plain.get_program()).current_dir(house.folder.path());
        limited.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
        examined(&house, &mut limited).has(id, health, seen, next);
    }
    std::fs::write(&store, "this is no store, but longer than a header".repeat(100)).unwrap();
    doctor(&house, &["--only", "store"], &[]).has("opens", "fail", "bridge.db", "as it says");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_before_the_bridge_is_named_with_its_cure() {
    let mut house = House::new();
    let bridge = house.start().await;
    let address = bridge.url().trim_start_matches("http://").to_owned();
    let admin = bridge.admin_url().trim_start_matches("http://").to_owned();
    let beside = [("SERVER__LISTEN", address.as_str()), ("ADMIN__LISTEN", admin.as_str())];
    let refuses = |path: &str, length: usize| match (path, length) {
        ("/message", 100_000..) => response("413 Payload Too Large", "", "<html>413</html>"),
        ("/message", _) => response("401 Unauthorized", "content-type: application/json\r\n", OURS),
        ("/metrics", _) => response("200 OK", "", "bridge_accepted_total 1\n"),
        _ => response("404 Not Found", "", ""),
    };
    let small = serving(refuses);
    let proxy = doctor(&house, &["--url", &small, "--only", "outside"], &beside);
    proxy.has("large", "fail", "HTTP 413", "client_max_body_size");
    proxy.has("this_bridge", "fail", "not the one on this machine", "another process");
    proxy.has("private", "fail", "/metrics", "POST /message alone");
    for (answer, seen, next) in [
        (response("502 Bad Gateway", "", "<html>"), "HTTP 502", "is it running"),
        (
            response("200 OK", "", "<html>It works!</html>"),
            "HTTP 200 and not the bridge's 401: <html>It works!",
            "forward POST",
        ),
        (
            response("301 Moved", "location: https://chat.example.com/\r\n", ""),
            "https://chat.example.com/",
            "follow redirects",
        ),
        (response("401 Unauthorized", "", "login"), "HTTP 401 and not", "Authorization header"),
    ] {
        let url = serving(move |_, _| answer.clone());
        doctor(&house, &["--url", &url, "--only", "outside"], &beside).has("public", "fail", seen, next);
    }
    let nobody = doctor(&house, &["--url", "http://127.0.0.1:1", "--only", "outside"], &beside);
    nobody.has("public", "fail", "nothing listens", "the proxy before the bridge");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_examines_a_database_server() {
    let Some(house) = House::shared(1).await else { return };
    let bridge = house.start_another(0).await;
    let report = doctor(&house, &["--only", "store"], &[]);
    report.has("engine", "ok", "PostgreSQL", "");
    report.has("connections", "ok", "left", "");
    report.has("round_trip", "", "a question and its answer take", "");
    report.has("identity", "ok", "on this machine", "");
    report.has("database_clock", "ok", "", "");
    drop(bridge);
    let away = [("STORE__URL", "postgres://nobody@127.0.0.1:1/bridge")];
    doctor(&house, &["--only", "store"], &away).has("opens", "fail", "", "");
}
