//! The process ends at each named point, around every store commit and every call to a platform, in the middle of
//! conversations in both directions; after the next start every message arrives once and in order.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bridge::crashpoint::{AFTER_CALL, AFTER_COMMIT, BEFORE_CALL, BEFORE_COMMIT, CALLS, OPERATIONS};
use tokio::sync::Semaphore;

use crate::support::workload::Workload;
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, TOKEN, contact, get, until};

/// Points that no conversation reaches by itself.
pub(crate) const OUT_OF_REACH: &[(&str, &str)] = &[
    (
        "mark_dead",
        "only an event that cannot be read; its test is `an_event_that_cannot_be_read_is_marked_dead_or_is_not`",
    ),
    (
        "prepare_call",
        "only where placeholders are filled in; its test is `a_process_that_ends_while_it_keeps_what_it_fills_in_sends_it_once`",
    ),
    ("probe", "only after the store was in trouble; its test is `a_store_that_is_asked_whether_there_is_room_again`"),
    (
        "notify_failed",
        "only where a caller leaves before its answer; its test is `a_caller_that_leaves_before_its_refusal`",
    ),
    ("add_job", "a command of its own, which stores its job or does not"),
    ("fill_job", "as `work_job`; its test is the same"),
    ("stop_job", "only after a part has failed again and again; it waits for a person, or is tried again"),
    ("resume_job", "a command of its own, which goes on with its job or does not"),
    ("cancel_job", "a command of its own, which cancels its job or does not"),
    ("work_job", "as `add_job`; its test is `a_job_that_ends_at_any_point_goes_on_and_decides_each_once`"),
    ("decide", "a command of its own; its test is `a_person_who_is_interrupted_settles_it_or_does_not`"),
    (
        "index_texts",
        "only after 4,096 messages one way; a block that is not stored is read again: \
         `a_block_of_which_a_text_was_erased_while_it_was_read_is_read_again`",
    ),
    ("discard", "a command of its own; its test is `a_person_who_is_interrupted_retries_or_discards_it_or_does_not`"),
    ("erase", "a command of its own; its tests are in `erase`"),
    (
        "fail_stale",
        "only where messages wait for too long; its test is `a_process_that_ends_while_it_fails_what_is_stale_tells_each_agent_once`",
    ),
    ("note_deed", "of a page alone, which adds a row to the audit and changes nothing else"),
    ("retry", "as `discard`"),
    ("pause", "a command of its own; its test is `a_person_who_is_interrupted_pauses_it_and_goes_on_or_does_not`"),
    ("resume", "as `pause`"),
];

/// Returns at which pass of the point the process ends: late enough that conversations are under way.
fn nth(name: &str) -> u32 {
    match name {
        "take_ownership" | "take_baseline" | "note_unread" | "interrupted" | "purge" | "getunreadmessages"
        | "getbalance" | "getchatchannels" | "follow_clock" | "set_paused_by" => 1,
        "record_lookup" | "resolve" => 2,
        "sendfile" => 3,
        _ => 9,
    }
}

/// One point: the process ends there, is started again, and everything is counted.
async fn survive(name: &str, when: &str) {
    let load = Workload { contacts: 8, each: 10, pause: Duration::from_millis(120), equal_words: true };
    let mut house = Workload::settings(House::new()).set("RETRY__MAX", "200ms");
    house.customer(&contact(900), "unread before the first run");
    let point = format!("{name}, {when}:{}", nth(name));
    if name == "interrupted" {
        // Only a start after an end during a send has anything to mark.
        house.afilnet.fault("sendmessage:hang_stored").unwrap();
        let bridge = house.start().await;
        assert_eq!(house.agent(&bridge, &contact(901), "under way").await.status, 200);
        until("the call is under way", || house.afilnet.sent_count() == 1).await;
        bridge.kill();
    }
    let mut bridge = house.start_with(&[("BRIDGE_CRASHPOINT", &point)]).await;
    let base = house.url();
    let running = load.start(&house, &base);
    for fault in ["sendmessage:reset:40", "sendmessage:reset_stored:45", "sendmessage:http_502:50"] {
        house.afilnet.fault(fault).unwrap();
    }
    house.bonychat.fault("webhook:http_503:20").unwrap();
    if name == "getchatchannels" {
        house.afilnet.fault("getchats:CHANNEL_NOT_FOUND:10").unwrap();
    }
    if name == "getbalance" {
        house.afilnet.fault("getchats:MISSING_USER:10").unwrap();
    }
    let deadline = Instant::now() + SOON;
    while !bridge.has_ended() {
        assert!(Instant::now() < deadline, "{point} was not reached");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until("it says why it ended", || bridge.log().iter().any(|line| line.contains("crash point reached"))).await;
    let bridge = house.start().await;
    // If everything ever sent is in doubt, no row shows that this account shows rows, and lookups could not decide.
    assert_eq!(house.agent(&bridge, &contact(902), "shows that rows show").await.status, 200);
    let file = house.bonychat.attachment(&base, CHANNEL, &contact(902), "file", "https://files.test/shows.pdf").await;
    assert_eq!(file.status, 200, "{}", file.body);
    running.conserved(&house, 0).await;
    assert_eq!(house.bonychat.texts(&contact(900)), ["unread before the first run"], "{point}");
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn at_every_crash_point_nothing_is_lost_doubled_or_out_of_order() {
    let started = Instant::now();
    let commits = OPERATIONS.iter().flat_map(|name| [BEFORE_COMMIT, AFTER_COMMIT].map(|when| (*name, when)));
    let calls = CALLS.iter().flat_map(|name| [BEFORE_CALL, AFTER_CALL].map(|when| (*name, when)));
    let only = std::env::var("BRIDGE_CRASHPOINT_ONLY").ok();
    let in_reach = |name: &str| OUT_OF_REACH.iter().all(|(other, _)| *other != name);
    let wanted = |name: &str| only.as_deref().map_or(in_reach(name), |only| only == name);
    let points: Vec<(&str, &str)> = commits.chain(calls).filter(|(name, _)| wanted(name)).collect();
    let room = Arc::new(Semaphore::new(6));
    let mut running = Vec::new();
    for (name, when) in points {
        let room = Arc::clone(&room);
        running.push((
            name,
            when,
            tokio::spawn(async move {
                let _turn = room.acquire().await.unwrap();
                survive(name, when).await;
            }),
        ));
    }
    let tried = running.len();
    let mut failed = Vec::new();
    for (name, when, task) in running {
        if task.await.is_err() {
            failed.push(format!("{name}, {when}"));
        }
    }
    println!(
        "{} of {tried} crash points survived: lost 0, doubled 0, out of order 0; {:.0?}",
        tried - failed.len(),
        started.elapsed()
    );
    assert_eq!(failed, [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_interrupted_settles_it_or_does_not() {
    for (when, settled) in [(BEFORE_COMMIT, false), (AFTER_COMMIT, true)] {
        let mut house = House::new().set("OUTBOUND__ON_UNCONFIRMED", "hold");
        house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
        let bridge = house.start().await;
        house.afilnet.fault("sendmessage:reset").unwrap();
        let m_id = house.agent(&bridge, &contact(1), "lost").await.m_id.unwrap();
        until("it is held", || house.messages("unconfirmed") == [m_id.clone()]).await;
        let mut command = house.command(&["messages", "settle", &m_id, "--as", "send-again"]);
        let ended = command.env("BRIDGE_CRASHPOINT", format!("decide, {when}")).output().unwrap();
        assert!(!ended.status.success());
        if settled {
            until("it is sent again", || house.messages("sent") == [m_id.clone()]).await;
        } else {
            assert_eq!(house.messages("unconfirmed"), [m_id]);
        }
        assert_eq!(house.afilnet.sent_count(), usize::from(settled));
        house.afilnet.receive(PLATFORM_ID, &contact(1)[1..], "still heard").unwrap();
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)).len() == 1).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_interrupted_retries_or_discards_it_or_does_not() {
    for (when, done) in [(BEFORE_COMMIT, false), (AFTER_COMMIT, true)] {
        for command in ["retry", "discard"] {
            let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
            let bridge = house.start().await;
            house.afilnet.fault("sendmessage:INCORRECT_FILEURL").unwrap();
            house.agent(&bridge, &contact(1), "refused").await; // 200, or 400 where the verdict was quicker
            until("it has failed", || house.messages("failed").len() == 1).await;
            let m_id = house.messages("failed").remove(0);
            let mut by_hand = house.command(&["messages", command, &m_id]);
            let ended = by_hand.env("BRIDGE_CRASHPOINT", format!("{command}, {when}")).output().unwrap();
            assert!(!ended.status.success());
            match (command, done) {
                ("retry", true) => until("it is sent", || house.messages("sent") == [m_id.clone()]).await,
                _ => assert_eq!(house.messages("failed"), std::slice::from_ref(&m_id)),
            }
            // Its text is erased, or it is not: a later command shows it.
            let again = house.run(&["messages", "retry", &m_id]);
            let (sent, discarded) = (command == "retry" && done, command == "discard" && done);
            assert_eq!(again.status.success(), !sent && !discarded, "{command}, {when}");
            drop(bridge);
            house.check();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_while_it_fails_what_is_stale_tells_each_agent_once() {
    for when in [BEFORE_COMMIT, AFTER_COMMIT] {
        let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s").set("OUTBOUND__STALE_AFTER", "1s");
        house.afilnet.fault("sendmessage:NO_CREDITS:1-1000000").unwrap();
        let mut bridge = house.start_with(&[("BRIDGE_CRASHPOINT", &format!("fail_stale, {when}"))]).await;
        house.agent(&bridge, &contact(0), "late").await;
        // From then on nothing of it is begun, so that only the query for stale messages can fail what waits.
        until("its sends are paused", || bridge.log().iter().any(|line| line.contains("NO_CREDITS"))).await;
        for who in 1..5 {
            house.agent(&bridge, &contact(who), "late").await;
        }
        until("the process has ended", || bridge.has_ended()).await;
        let _bridge = house.start().await;
        until("all have failed", || house.messages("failed").len() == 5).await;
        assert!(house.bonychat.until(SOON, |world| world.event_count() == 5).await);
        assert!((0..5).all(|who| house.bonychat.unique_events(&contact(who)).len() == 1));
        assert_eq!(house.afilnet.sent_count(), 0);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_at_any_point_goes_on_and_decides_each_once() {
    for (point, when, made, worked) in [
        ("add_job", BEFORE_COMMIT, false, false),
        ("add_job", AFTER_COMMIT, false, false),
        ("fill_job", BEFORE_COMMIT, false, false),
        ("fill_job", AFTER_COMMIT, true, false),
        ("work_job", BEFORE_COMMIT, true, false),
        ("work_job", AFTER_COMMIT, true, true),
    ] {
        let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
        let bridge = house.start().await;
        house.afilnet.fault("sendmessage:INCORRECT_FILEURL:1-1000000").unwrap();
        for who in 0..5 {
            house.agent(&bridge, &contact(who), "again").await;
        }
        until("they have failed", || house.messages("failed").len() == 5).await;
        house.afilnet.clear_faults();
        let mut command = house.command(&["messages", "retry", "--state", "failed", "--yes"]);
        assert!(!command.env("BRIDGE_CRASHPOINT", format!("{point}, {when}")).output().unwrap().status.success());
        let listed = String::from_utf8(house.run(&["messages", "jobs"]).stdout).unwrap();
        let whole = listed.lines().filter(|line| !line.contains("not all of them are in yet")).count();
        assert_eq!((whole, listed.contains("ended at")), (usize::from(made), worked), "{listed}");
        if made || !listed.is_empty() {
            assert_eq!(house.run(&["messages", "resume", "1"]).status.success(), made && !worked, "{point}, {when}");
        }
        house.settled().await;
        assert_eq!(house.afilnet.sent_count(), if made { 5 } else { 0 }, "{point}, {when}");
        drop(bridge);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_interrupted_pauses_it_and_goes_on_or_does_not() {
    for (when, done) in [(BEFORE_COMMIT, false), (AFTER_COMMIT, true)] {
        let mut house = House::new();
        let bridge = house.start().await;
        let interrupted = |arguments: &[&str], point: &str| {
            let mut by_hand = house.command(arguments);
            let ended = by_hand.env("BRIDGE_CRASHPOINT", format!("{point}, {when}")).output().unwrap();
            assert!(!ended.status.success());
            String::from_utf8(house.run(&["channels", "pauses"]).stdout).unwrap().lines().count()
        };
        let pause = ["channels", "pause", "support", "out", "--why", "interrupted"];
        assert_eq!(interrupted(&pause, "pause"), usize::from(done));
        assert!(house.run(&pause).status.success());
        house.agent(&bridge, &contact(1), "waits").await;
        assert_eq!(interrupted(&["channels", "resume", "support", "out"], "resume"), usize::from(!done));
        assert_eq!(house.run(&["channels", "resume", "support", "out"]).status.success(), !done);
        assert!(house.afilnet.until(SOON, |world| world.sent_count() == 1).await);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_marked_dead_or_is_not() {
    for when in [BEFORE_COMMIT, AFTER_COMMIT] {
        let mut house = House::new().on_a_file();
        house.bonychat.fault("webhook:http_503:1-1000000").unwrap();
        let bridge = house.start().await;
        house.customer(&contact(1), "cannot be read");
        let store = rusqlite::Connection::open(house.database()).unwrap();
        let recorded = || store.query_row("SELECT COUNT(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
        until("it is recorded", || recorded() == 1).await;
        bridge.kill();
        store.execute("UPDATE events SET event = 'nonsense'", []).unwrap();
        house.bonychat.clear_faults();
        let mut bridge = house.start_with(&[("BRIDGE_CRASHPOINT", &format!("mark_dead, {when}"))]).await;
        until("the process has ended", || bridge.has_ended()).await;
        let _bridge = house.start().await;
        until("it is a dead letter", || house.messages("dead").len() == 1).await;
        house.customer(&contact(1), "goes on");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["goes on"]).await);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_asked_whether_there_is_room_again() {
    for when in [BEFORE_COMMIT, AFTER_COMMIT] {
        let mut house = House::new().on_a_file().set("OUTBOUND__ANSWER_WITHIN", "0s");
        let mut bridge = house.start_with_files_up_to(1000, &[("BRIDGE_CRASHPOINT", &format!("probe, {when}"))]).await;
        let mut taken = Vec::new();
        for n in 0.. {
            let text = format!("{n} {}", "x".repeat(2000));
            match house.agent(&bridge, &contact(n % 5), &text).await.status {
                200 => taken.push((n % 5, text)),
                503 => break,
                status => panic!("answered {status}"),
            }
        }
        // After a failed commit, a readiness probe makes it check for room.
        let deadline = Instant::now() + SOON;
        while !bridge.has_ended() {
            assert!(Instant::now() < deadline, "it does not look for room");
            let outcome = house.agent(&bridge, &contact(6), &"x".repeat(2000)).await;
            assert!(matches!(outcome.status, 0 | 200 | 503), "answered {}", outcome.status);
            let base = bridge.url();
            let asked = std::thread::spawn(move || drop(std::panic::catch_unwind(|| get(&base, "/readyz"))));
            until("it was asked", || asked.is_finished()).await;
        }
        let _bridge = house.start().await;
        house.settled().await;
        for who in 0..5 {
            let expected: Vec<&str> =
                taken.iter().filter(|(to, _)| *to == who).map(|(_, text)| text.as_str()).collect();
            let texts = house.afilnet.texts(&contact(who)[1..]);
            assert!(texts.len() >= expected.len(), "{when}: {} of {}", texts.len(), expected.len());
        }
        assert_eq!(house.afilnet.counters().duplicate_sends, 0);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_before_its_refusal() {
    for when in [BEFORE_COMMIT, AFTER_COMMIT] {
        let mut house = House::new().on_a_file();
        let mut bridge = house.start_with(&[("BRIDGE_CRASHPOINT", &format!("notify_failed, {when}"))]).await;
        house.afilnet.set_latency("300ms".parse().unwrap());
        house.afilnet.fault("sendmessage:INCORRECT_FILEURL").unwrap();
        let body =
            serde_json::json!({"contactId": contact(1), "message": {"type": "text", "text": "refused"}}).to_string();
        let mut caller = std::net::TcpStream::connect(house.url().trim_start_matches("http://")).unwrap();
        let head = format!("POST /message HTTP/1.1\r\nhost: b\r\nauthorization: Bearer {TOKEN}\r\n");
        write!(caller, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        until("the call is under way", || house.messages("sending").len() == 1).await;
        // The verdict waits for this lock, and the caller leaves meanwhile.
        let store = rusqlite::Connection::open(house.database()).unwrap();
        store.busy_timeout(SOON).unwrap();
        store.execute_batch("BEGIN IMMEDIATE").unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await; // the verdict comes, and waits
        drop(caller);
        tokio::time::sleep(Duration::from_millis(100)).await; // the caller's leaving is noticed
        store.execute_batch("ROLLBACK").unwrap();
        until("the process has ended", || bridge.has_ended()).await;
        let _bridge = house.start().await;
        until("it has failed", || house.messages("failed").len() == 1).await;
        // Notified if the notice was committed; otherwise only the state shows it.
        let told = usize::from(when == AFTER_COMMIT);
        assert!(house.bonychat.until(SOON, |world| world.event_count() >= told).await);
        assert_eq!(house.afilnet.sent_count(), 0);
        house.check();
    }
}
