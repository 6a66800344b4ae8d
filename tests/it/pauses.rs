//! Pauses by hand: `bridge channels pause|drain|resume` beside a bridge that is killed, restarted, reloaded and taken over
//! from. What is sent, posted and accepted is counted at the simulators.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::page::OPERATORS;
use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::workload::Workload;
use crate::support::{House, SOON, TOKEN, blocking, contact, side_by_side, took_at_most, until};

/// A house on a file, and one on PostgreSQL where there is one, with this setting.
async fn houses(settings: &[(&str, &str)]) -> Vec<House> {
    let shared = House::shared(1).await;
    let set = |house: House| {
        let house = house.set_plain("SUDO_USER", "ana");
        settings.iter().fold(house, |house, (key, value)| house.set(key, value))
    };
    std::iter::once(House::new().on_a_file()).chain(shared).map(set).collect()
}

/// Runs a command that succeeds; returns its output.
fn done(house: &House, arguments: &[&str]) -> String {
    let output = house.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn is_shared(house: &House) -> bool {
    house.setting("STORE__URL").starts_with("postgres")
}

/// Waits until the bridge shows a pause that a command has just stored: another process rings it over PostgreSQL, and over SQLite it looks
/// each second. Within 5 seconds, unless the machine is busy; prints how long it took.
async fn holds_soon(bridge: &Bridge, what: &str) {
    let began = Instant::now();
    until("the pause is shown", || shows(bridge, what)).await;
    took_at_most(Duration::from_secs(5), &format!("`{what}` holds"), began);
}

/// Returns whether a bridge shows this pause, and delivers the channel.
fn shows(bridge: &Bridge, what: &str) -> bool {
    let metrics = |token| get(&bridge.admin_url(), "/metrics", token);
    let (status, text) = match metrics(None) {
        (401, _) => metrics(Some(OPERATORS)),
        open => open,
    };
    assert_eq!(status, 200);
    let series = format!("bridge_paused{{channel=\"support\",what=\"operator_{what}\"}}");
    value(&text, &series) > 0.5 && value(&text, "bridge_owned{channel=\"support\"}") > 0.5
}

/// Waits until a bridge that delivers the channel shows this pause, and has read Afilnet some times since: as long as it
/// would need to send or to post, many times over.
async fn goes_on_but_for(house: &House, bridge: &Bridge, what: &str) {
    until("the pause is shown", || shows(bridge, what)).await;
    let before = house.afilnet.calls("getchats");
    until("Afilnet is read", || house.afilnet.calls("getchats") > before + 15).await;
}

/// The bridge is killed and started again, then reloaded; over PostgreSQL, another process takes over from it at the end.
/// Checks after each.
pub(crate) async fn through_it_all(
    house: &mut House,
    bridge: Bridge,
    what: &str,
    check: impl Fn(&House, &Bridge),
) -> Bridge {
    goes_on_but_for(house, &bridge, what).await;
    check(house, &bridge);
    bridge.kill();
    let bridge = house.start().await;
    check(house, &bridge); // from the first moment
    goes_on_but_for(house, &bridge, what).await;
    check(house, &bridge);
    bridge.signal("HUP");
    until("it is reloaded", || bridge.log().iter().any(|line| line.contains("\"message\":\"reloaded\""))).await;
    goes_on_but_for(house, &bridge, what).await;
    check(house, &bridge);
    if !is_shared(house) {
        return bridge;
    }
    let other = house.start_another(0).await;
    bridge.kill();
    goes_on_but_for(house, &other, what).await;
    check(house, &other);
    other
}

/// What and who of the audit, oldest first.
pub(crate) async fn audit(house: &House) -> Vec<(String, String, String)> {
    let select = "SELECT what, who, target FROM audit ORDER BY id";
    let url = house.setting("STORE__URL").to_owned();
    if let Some(file) = url.strip_prefix("sqlite:") {
        let db = rusqlite::Connection::open(file).unwrap();
        let mut statement = db.prepare(select).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        return rows.map(Result::unwrap).collect();
    }
    let mut link = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query_as(select).fetch_all(&mut link).await.unwrap()
}

fn pairs(whats: &[&str]) -> Vec<(String, String, String)> {
    whats.iter().map(|what| ((*what).to_owned(), "ana".to_owned(), "support".to_owned())).collect()
}

/// `POST /message`: status, head and body of the response.
pub(crate) fn call_message(bridge: &Bridge, contact: &str, text: &str) -> (u16, String, Value) {
    let body = format!(
        "{{\"channelId\":\"channel1\",\"contactId\":\"{contact}\",\"message\":{{\"type\":\"text\",\"text\":\"{text}\"}}}}"
    );
    let answer = blocking(|| {
        let mut stream = TcpStream::connect(bridge.url().trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(
            stream,
            "POST /message HTTP/1.1\r\nhost: bridge\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Ages beyond this are too old.
const GIVE_UP_AFTER: &str = "5s";
const BEYOND: Duration = Duration::from_millis(5500);

#[tokio::test(flavor = "multi_thread")]
async fn while_sends_are_paused_nothing_is_sent_through_kill_restart_reload_and_take_over_and_nothing_ages() {
    let houses = houses(&[("RETRY__GIVE_UP_AFTER", GIVE_UP_AFTER), ("AFILNET__TIMEOUT", "3s")]).await;
    side_by_side(houses, |mut house| async move {
        let bridge = house.start().await;
        assert_eq!(house.agent(&bridge, &contact(1), "before").await.status, 200);
        house.customer(&contact(1), "hello");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["hello"]).await);
        // One is in flight when the pause begins: it ends as it would, here in doubt, and is looked up.
        house.afilnet.fault("sendmessage:hang_stored").unwrap();
        let calls = house.afilnet.calls("sendmessage");
        let in_flight = async { house.agent(&bridge, &contact(1), "in flight").await };
        let pause = async {
            until("it is in flight", || house.afilnet.calls("sendmessage") > calls).await;
            done(&house, &["channels", "pause", "support", "out", "--why", "migration of 600111222"])
        };
        let (in_flight, paused) = tokio::join!(in_flight, pause);
        assert!(paused.contains("nothing more of it is sent") && paused.contains("resume support out"), "{paused}");
        let in_flight = in_flight.m_id.unwrap();
        holds_soon(&bridge, "out").await;
        let begun = Instant::now();
        let waits = house.agent(&bridge, &contact(2), "waits").await;
        assert_eq!(waits.status, 200);
        took_at_most(Duration::from_secs(3), "a call that waits for no verdict", begun);
        let m_id = waits.m_id.unwrap();
        until("it is found", || house.messages("sent").contains(&in_flight)).await;
        let sent = house.afilnet.sent_count();
        assert_eq!(sent, 2, "before, and in flight");

        let again = done(&house, &["channels", "pause", "support", "out", "--why", "once more"]);
        assert!(again.contains("paused already") && again.contains("by ana since"), "{again}");
        let listed = done(&house, &["channels", "pauses"]);
        assert!(listed.starts_with("support\tout\t") && listed.contains("\tana\tmigration of *********\n"), "{listed}");
        let (status, words) = get(&bridge.admin_url(), "/deliverz", None);
        assert_eq!(status, 200, "{words}");
        assert!(words.contains("paused by a person") && words.contains("by ana since"), "{words}");
        let told = done(&house, &["messages", "journey", &m_id, "--language", "en"]);
        assert!(told.contains("Sending is paused by ana since") && told.contains("migration of"), "{told}");
        let doctor = house.run(&["doctor", "--only", "store"]);
        let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.contains(" paused ") && doctor.contains("by ana since"), "{doctor}");

        let bridge = through_it_all(&mut house, bridge, "out", |house, _| {
            assert_eq!(house.afilnet.sent_count(), sent, "it was sent while paused");
        })
        .await;
        house.customer(&contact(2), "is read meanwhile");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(2)) == ["is read meanwhile"]).await);
        until("it is older than messages may be", || begun.elapsed() > BEYOND).await;
        // The first attempt after the pause fails: were the pause part of its age, it would be given up.
        house.afilnet.fault("sendmessage:SOMETHING_NEW").unwrap();
        let resumed = done(&house, &["channels", "resume", "support", "out", "--why", "migrated"]);
        assert!(resumed.contains("what waits is sent"), "{resumed}");
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(2)[1..]) == ["waits"]).await);
        house.settled().await;
        assert_eq!(house.messages("failed"), [""; 0]);
        assert_eq!(house.afilnet.sent_count(), 3, "each once");
        let log = bridge.log().join("\n");
        assert!(log.contains("Nothing is sent to customers") && log.contains("has ended, going on"), "{log}");
        assert_eq!(audit(&house).await, pairs(&["pause out", "resume out"]));
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_posts_are_paused_nothing_is_posted_and_reading_goes_on_and_nothing_is_lost() {
    let houses = houses(&[("RETRY__GIVE_UP_AFTER", GIVE_UP_AFTER)]).await;
    side_by_side(houses, |mut house| async move {
        let bridge = house.start().await;
        house.customer(&contact(1), "before");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["before"]).await);
        done(&house, &["channels", "pause", "support", "in", "--why", "their maintenance"]);
        holds_soon(&bridge, "in").await;
        let (begun, posted) = (Instant::now(), house.bonychat.requests());
        for text in ["one", "two", "three"] {
            house.customer(&contact(1), text);
        }
        assert_eq!(house.agent(&bridge, &contact(2), "goes out").await.status, 200);
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(2)[1..]) == ["goes out"]).await);
        let stored = || done(&house, &["messages", "list", "--direction", "in"]).lines().count();
        until("what the customer writes is stored", || stored() == 4).await;
        let bridge = through_it_all(&mut house, bridge, "in", |house, _| {
            assert_eq!(house.bonychat.requests(), posted, "it was posted while paused");
        })
        .await;
        until("they are older than events may be", || begun.elapsed() > BEYOND).await;
        house.bonychat.fault("webhook:http_500").unwrap();
        done(&house, &["channels", "resume", "support", "in"]);
        let all = ["before", "one", "two", "three"];
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == all).await, "in their order");
        assert_eq!(house.messages("dead"), [""; 0]);
        assert!(!shows(&bridge, "in") || house.bonychat.texts(&contact(1)) == all);
        assert_eq!(audit(&house).await, pairs(&["pause in", "resume in"]));
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_channel_is_drained_messages_are_refused_in_words_and_its_queue_empties() {
    side_by_side(houses(&[]).await, |mut house| async move {
        let bridge = house.start().await;
        done(&house, &["channels", "pause", "support", "out", "--why", "so that some wait"]);
        holds_soon(&bridge, "out").await;
        for n in 1..=3 {
            assert_eq!(house.agent(&bridge, &contact(n), "waits").await.status, 200);
        }
        let drained = done(&house, &["channels", "drain", "support", "--why", "moving"]);
        assert!(drained.contains("answers 503"), "{drained}");
        holds_soon(&bridge, "drain").await;
        done(&house, &["channels", "resume", "support", "out"]);
        let bridge = through_it_all(&mut house, bridge, "drain", |_, bridge| {
            let (status, head, body) = call_message(bridge, &contact(9), "refused");
            assert_eq!(status, 503, "{body}");
            assert!(head.contains("\r\nretry-after: 30"), "{head}");
            let words = body["error"]["message"].as_str().unwrap();
            assert!(words.contains("not") || words.contains("no se ha aceptado"), "{words}");
        })
        .await;
        for n in 1..=3 {
            assert!(house.afilnet.until(SOON, |world| world.texts(&contact(n)[1..]) == ["waits"]).await, "{n}");
        }
        let resumed = done(&house, &["channels", "resume", "support", "drain"]);
        assert!(resumed.contains("accepts messages again"), "{resumed}");
        let mut accepted = 0;
        until("it is accepted", || {
            accepted = call_message(&bridge, &contact(9), "accepted").0;
            accepted == 200
        })
        .await;
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(9)[1..]) == ["accepted"]).await);
        assert_eq!(audit(&house).await, pairs(&["pause out", "pause drain", "resume out", "resume drain"]));
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_works_without_a_bridge_and_names_the_channels_where_one_is_mistyped() {
    side_by_side(houses(&[]).await, |mut house| async move {
        house.start().await.kill();
        for arguments in
            [&["channels", "pause", "suport", "out", "--why", "x"][..], &["channels", "resume", "suport", "in"]]
        {
            let refused = house.run(arguments);
            let words = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(2), "{words}");
            assert!(words.contains("no channel `suport`") && words.contains("use one of support"), "{words}");
        }
        for arguments in [
            &["channels", "pause", "support", "out"][..],
            &["channels", "pause", "support", "out", "--why", " "],
            &["channels", "resume", "support", "out"],
        ] {
            assert_eq!(house.run(arguments).status.code(), Some(2), "{arguments:?}");
        }
        assert_eq!(audit(&house).await, []);
        done(&house, &["channels", "pause", "support", "out", "--why", "before it starts"]);
        let bridge = house.start().await;
        assert_eq!(house.agent(&bridge, &contact(1), "waits").await.status, 200);
        goes_on_but_for(&house, &bridge, "out").await;
        assert_eq!(house.afilnet.sent_count(), 0);
        done(&house, &["channels", "resume", "support", "out"]);
        assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
        house.check();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_a_pause_a_kill_and_a_restart_lose_double_and_age_nothing_out() {
    let shared = House::shared(1).await.is_some();
    let engines: &[bool] = if shared { &[false, true] } else { &[false] };
    let cases = ["out", "in", "drain"].into_iter().flat_map(|what| engines.iter().map(move |shared| (what, *shared)));
    side_by_side(cases.collect::<Vec<_>>(), |(what, shared)| async move {
        let house = if shared { House::shared(1).await.unwrap() } else { House::new().on_a_file() };
        // A drain goes on sending, so what is drained grows older meanwhile.
        let give_up_after = if what == "drain" { "24h" } else { "20s" };
        let mut house = Workload::settings(house.set("RETRY__GIVE_UP_AFTER", give_up_after));
        let load = Workload { contacts: 20, each: 10, pause: Duration::from_millis(200), equal_words: false };
        let bridge = house.start().await;
        assert_eq!(house.agent(&bridge, &contact(900), "shows that rows show").await.status, 200);
        let running = load.start(&house, &bridge.url());
        until("both ways flow", || house.afilnet.sent_count() > 20 && house.bonychat.event_count() > 20).await;
        let command = if what == "drain" { vec!["drain", "support"] } else { vec!["pause", "support", what] };
        let pause = [&["channels"][..], &command, &["--why", "migration"]].concat();
        until("it is paused", || house.run(&pause).status.success()).await; // a database under load may be slow
        until("the pause is shown", || shows(&bridge, what)).await;
        let begun = Instant::now();
        bridge.kill();
        let (sent, posted) = (house.afilnet.sent_count(), house.bonychat.requests());
        let bridge = house.start().await;
        goes_on_but_for(&house, &bridge, what).await;
        let beyond = Duration::from_secs(21);
        until("what waits is older than it may become", || what == "drain" || begun.elapsed() > beyond).await;
        match what {
            "out" => assert_eq!(house.afilnet.sent_count(), sent, "it was sent while paused"),
            "in" => assert_eq!(house.bonychat.requests(), posted, "it was posted while paused"),
            _ => assert_eq!(call_message(&bridge, &contact(901), "refused").0, 503),
        }
        bridge.kill();
        let bridge = house.start().await;
        let resumed = || {
            let output = house.run(&["channels", "resume", "support", what]);
            output.status.success() || String::from_utf8_lossy(&output.stderr).contains("is not paused by hand")
        };
        until("it is resumed", resumed).await;
        until("all is written", || running.is_over()).await;
        house.settled().await;
        let failed = house.messages("failed");
        let journey = |m_id: &String| done(&house, &["messages", "journey", m_id, "--language", "en"]);
        assert!(failed.is_empty(), "{what}: aged out: {}", failed.iter().map(journey).collect::<String>());
        running.conserved(&house, 0).await;
        assert_eq!(house.messages("dead"), [""; 0], "aged out");
        assert_eq!(house.afilnet.counters().duplicate_sends, 0);
        println!("{what}: {} messages through a pause and two kills: lost 0, doubled 0, aged out 0", load.total());
        drop(bridge);
        house.check();
    })
    .await;
}
