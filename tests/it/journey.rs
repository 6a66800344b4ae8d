//! What is told of a message's past: each step counted against the ledgers of the simulators, and nothing of what goes
//! well.

use std::time::Duration;

use crate::support::metrics::{get, value};
use crate::support::process::Bridge;
use crate::support::workload::number;
use crate::support::{CHANNEL, House, PLATFORM_ID, SOON, blocking, contact, until};

/// Messages that go well, each way.
const GOOD: usize = 500;

/// Agents who write at the same time.
const AGENTS: usize = 10;

/// The verdict and the lines of one message.
pub(crate) struct Told {
    pub verdict: String,
    pub lines: Vec<String>,
}

impl Told {
    /// Returns how many lines hold all of these words.
    pub(crate) fn with(&self, words: &[&str]) -> usize {
        self.lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    #[track_caller]
    pub(crate) fn one(&self, words: &[&str]) {
        assert_eq!(self.with(words), 1, "{words:?} in {} {:#?}", self.verdict, self.lines);
    }
}

pub(crate) fn told_in(house: &House, m_id: &str, language: &str) -> Told {
    let output = house.run(&["messages", "journey", m_id, "--language", language]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (verdict, rest) = text.split_once("\n\n").unwrap();
    let mut lines = rest.lines();
    assert!(lines.next().unwrap().starts_with(m_id));
    Told { verdict: verdict.to_owned(), lines: lines.map(str::to_owned).collect() }
}

/// Both languages tell the same steps: as many lines of the same times. Anew where one came between the two commands.
pub(crate) fn told(house: &House, m_id: &str) -> Told {
    let times = |told: &Told| told.lines.iter().map(|line| line[..23].to_owned()).collect::<Vec<_>>();
    for _ in 0..20 {
        let (english, spanish) = (told_in(house, m_id, "en"), told_in(house, m_id, "es"));
        if times(&english) == times(&spanish) {
            assert_ne!(english.verdict, spanish.verdict);
            return english;
        }
    }
    panic!("the languages do not agree on the journey of {m_id}");
}

/// Rows of a table, whichever engine the store is of.
pub(crate) async fn rows(house: &House, table: &str) -> i64 {
    let count = format!("SELECT COUNT(*) FROM {table}");
    let url = house.setting("STORE__URL").to_owned();
    if let Some(file) = url.strip_prefix("sqlite:") {
        return rusqlite::Connection::open(file).unwrap().query_row(&count, [], |row| row.get(0)).unwrap();
    }
    let mut link = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut link).await.unwrap()
}

/// A send that surely went out, and its row read, so that the account is known to show what is sent.
pub(crate) async fn acquaint(house: &House, bridge: &Bridge, contact: &str) -> String {
    let outcome = house.agent(bridge, contact, "before").await;
    assert_eq!(outcome.status, 200, "{}", outcome.body);
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact[1..]) == ["before"]).await);
    house.customer(contact, "hello");
    assert!(house.bonychat.until(SOON, |world| world.texts(contact) == ["hello"]).await);
    outcome.m_id.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_messages_that_go_well_no_step_is_stored() {
    let mut house = House::new();
    let bridge = house.start().await;
    let m_ids = go_well(&house, &bridge, GOOD).await;
    for table in ["steps", "excerpts", "audit"] {
        assert_eq!(rows(&house, table).await, 0, "{table}");
    }
    until("its row is read", || told(&house, &m_ids[0]).verdict.contains("shows it in the conversation")).await;
    let first = told(&house, &m_ids[0]);
    assert!(first.verdict.starts_with("Yes, as far as Afilnet tells"), "{}", first.verdict);
    first.one(&["BonyChat handed it over: text for +********000 in channel support", "BonyChat read the response."]);
    first.one(&["Sent: Afilnet took it in attempt 1"]);
    first.one(&["Afilnet shows it in the conversation."]);
    let event = house.bonychat.events(&contact(3))[0].m_id.clone();
    let event = told(&house, &event);
    assert!(event.verdict.starts_with("Yes: BonyChat took it at"), "{}", event.verdict);
    event.one(&["Read from Afilnet: written by +********003 in channel support"]);
    let unknown = house.run(&["messages", "journey", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    drop(bridge);
    assert!(told(&house, &m_ids[0]).verdict.starts_with("Yes"), "without a bridge beside it");
    house.check();
}

/// So many messages each way; returns the mIds of those to customers. Prints the commits of all.
async fn go_well(house: &House, bridge: &Bridge, number: usize) -> Vec<String> {
    let commits = || value(&get(&bridge.admin_url(), "/metrics", None).1, "bridge_store_commit_seconds_count");
    let before = commits();
    let agents = (0..AGENTS).map(|agent| {
        let (bonychat, afilnet, url) = (house.bonychat.clone(), house.afilnet.clone(), bridge.url());
        tokio::spawn(async move {
            let mut m_ids = Vec::new();
            for n in (agent..number).step_by(AGENTS) {
                let outcome = bonychat.text(&url, CHANNEL, &contact(n % 50), &format!("text {n}")).await;
                assert_eq!(outcome.status, 200, "{}", outcome.body);
                m_ids.push(outcome.m_id.unwrap());
                afilnet.receive(PLATFORM_ID, &contact(n % 50)[1..], &format!("answer {n}")).unwrap();
            }
            m_ids
        })
    });
    let agents: Vec<_> = agents.collect();
    let mut m_ids = Vec::new();
    for agent in agents {
        m_ids.extend(agent.await.unwrap());
    }
    assert!(house.bonychat.until(10 * SOON, |world| world.event_count() >= number).await);
    house.settled().await;
    assert_eq!((house.afilnet.sent_count(), house.bonychat.event_count()), (number, number));
    let commits = (commits() - before) / f64::from(u32::try_from(2 * number).unwrap());
    println!("{number} messages each way: {commits:.2} commits a message");
    // One each at most to accept, begin and settle it, to record its row and that it was posted, and what polls store.
    assert!(commits < 8.0, "{commits} commits a message");
    m_ids
}

/// As a long run: `cargo test --features crashpoints --test it -- --ignored --nocapture ten_thousand_messages_that_go_well`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes"]
async fn of_ten_thousand_messages_that_go_well_no_step_is_stored() {
    for (engine, house) in [("SQLite", Some(House::new().on_a_file())), ("PostgreSQL", House::shared(1).await)] {
        let Some(mut house) = house else { continue };
        let bridge = house.start().await;
        go_well(&house, &bridge, usize::try_from(number("BRIDGE_GOOD_MESSAGES", 10_000)).unwrap()).await;
        for table in ["steps", "excerpts", "audit"] {
            let rows = rows(&house, table).await;
            println!("{engine}: {table}: {rows} rows");
            assert_eq!(rows, 0, "{table}");
        }
        drop(bridge);
        house.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_told_with_the_look_that_found_it_and_one_that_was_not_sent_with_its_proofs() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "1s");
    let bridge = house.start().await;
    for (n, fault) in ["hang_stored", "hang"].into_iter().enumerate() {
        acquaint(&house, &bridge, &contact(n)).await;
        house.settled().await;
        house.afilnet.fault(&format!("sendmessage:{fault}")).unwrap();
        let outcome = house.agent(&bridge, &contact(n), "in doubt").await;
        let m_id = outcome.m_id.unwrap();
        assert!(house.afilnet.until(SOON, |world| world.texts(&contact(n)[1..]).len() == 2).await, "{fault}");
        house.settled().await;
        let told = told(&house, &m_id);
        assert!(told.verdict.starts_with("Yes, as far as Afilnet tells"), "{}", told.verdict);
        told.one(&["Attempt 1: Afilnet gave no answer in time, after 1 s. It may have been sent"]);
        if fault == "hang_stored" {
            assert_eq!(told.with(&["Found"]), 1, "{:#?}", told.lines);
            assert_eq!(told.with(&["Sent: Afilnet took it"]), 0, "{:#?}", told.lines);
        } else {
            // Two rows: the one before and what the customer wrote; none of the business since.
            assert_eq!(
                told.with(&["Afilnet showed 2 rows. Of the business since the attempt: 0;"]),
                3,
                "{:#?}",
                told.lines
            );
            told.one(&["Look 1 of 3: ", "Not there: proof 1 of 2"]);
            told.one(&["Look 3 of 3: ", "Certainly not sent, as the looks have proved."]);
            told.one(&["Sent: Afilnet took it in attempt 2"]);
        }
        assert_eq!(house.afilnet.sent(&contact(n)[1..]).len(), 2, "{fault}");
    }
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_the_row_is_told_with_what_it_showed() {
    // No poll reads the conversation before the look does.
    let mut house = House::new()
        .set("AFILNET__TIMEOUT", "1s")
        .set("CHANNELS__SUPPORT__POLL_ACTIVE", "10m")
        .set("CHANNELS__SUPPORT__POLL_IDLE", "10m");
    let bridge = house.start().await;
    until("the first round is over", || bridge.log().iter().any(|line| line.contains("stored the initial snapshot")))
        .await;
    house.afilnet.fault("sendmessage:hang_stored").unwrap();
    let m_id = house.agent(&bridge, &contact(1), "in doubt").await.m_id.unwrap();
    house.settled().await;
    let told = told(&house, &m_id);
    assert!(told.verdict.contains("shows it in the conversation since"), "{}", told.verdict);
    told.one(&["Attempt 1: Afilnet gave no answer in time"]);
    told.one(&["Look 1 of 3: Afilnet showed 1 rows.", "Found: it was sent, and is not sent again."]);
    assert_eq!(told.with(&["Look"]), 1, "{:#?}", told.lines);
    assert_eq!(told.with(&["Sent: Afilnet took it"]), 0, "{:#?}", told.lines);
    assert_eq!(house.afilnet.sent(&contact(1)[1..]).len(), 1);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definite_refusal_is_told_with_its_cause_and_what_the_far_side_said() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    let m_id = house.agent(&bridge, &contact(1), "refused CANARYTEXT").await.m_id.unwrap();
    until("it failed", || house.messages("failed") == [m_id.clone()]).await;
    until("its agent was told", || told(&house, &m_id).verdict.contains("Its agent was told at")).await;
    let told = told(&house, &m_id);
    assert!(
        told.verdict.starts_with("No: Afilnet misses a part of the message (MISSING_COMPULSORY_PARAM)."),
        "{}",
        told.verdict
    );
    assert!(told.verdict.ends_with(&format!("`bridge messages retry {m_id}` sends it again.")), "{}", told.verdict);
    told.one(&["Attempt 1: ", "Certainly not sent, and given up.", "The response of Afilnet began: ", "\"ERROR\""]);
    told.one(&["Status for the agent stored: failed."]);
    told.one(&["BonyChat took the status."]);
    assert!(!told.lines.concat().contains("CANARY") && !told.lines.concat().contains(&contact(1)[1..]));
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_in_three_lines_at_most_and_a_person_who_retried_by_name() {
    let mut house = House::new().set_plain("USER", "ana").set_plain("SUDO_USER", "");
    let bridge = house.start().await;
    acquaint(&house, &bridge, &contact(1)).await;
    house.afilnet.down();
    let m_id = house.agent(&bridge, &contact(1), "during the outage").await.m_id.unwrap();
    until("it is tried again", || told(&house, &m_id).with(&["The same "]) == 1).await;
    let during = told(&house, &m_id);
    assert!(during.verdict.starts_with("Not yet: the customer does not have it."), "{}", during.verdict);
    assert!(during.verdict.contains("Afilnet could not be reached"), "{}", during.verdict);
    house.afilnet.up().unwrap();
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]) == ["before", "during the outage"]).await);
    house.settled().await;
    let after = told(&house, &m_id);
    assert!((1..=3).contains(&after.with(&["Attempt"])), "{:#?}", after.lines);
    assert!(after.verdict.starts_with("Yes, as far as Afilnet tells"), "{}", after.verdict);
    after.one(&["Sent: Afilnet took it in attempt "]);
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert_eq!(house.agent(&bridge, &contact(1), "refused at first").await.status, 400);
    let failed = house.messages("failed").remove(0);
    assert!(told(&house, &failed).verdict.contains("BonyChat was told in the response to its call."));
    let retried = house.run(&["messages", "retry", &failed, "--why", "it is mended"]);
    assert!(retried.status.success());
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]).len() == 3).await);
    house.settled().await;
    let told = told(&house, &failed);
    assert!(told.verdict.starts_with("Yes"), "{}", told.verdict);
    told.one(&["ana (cli) had it tried again: it is mended."]);
    told.one(&["Sent: Afilnet took it in attempt 1"]);
    assert_eq!(rows(&house, "audit").await, 1);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_told_one_by_one() {
    let mut house = House::new().set("CHANNELS__SUPPORT__TEXT_LIMIT", "70");
    let bridge = house.start().await;
    let long = "words and more words, ".repeat(8);
    let m_id = house.agent(&bridge, &contact(1), &long).await.m_id.unwrap();
    house.settled().await;
    let parts = house.afilnet.sent(&contact(1)[1..]).len();
    assert!(parts >= 3, "{parts}");
    let told = told(&house, &m_id);
    for part in 1..parts {
        told.one(&[&format!("Part {part} of {parts} sent: Afilnet took it in")]);
    }
    assert_eq!(told.with(&["Part "]), parts - 1, "the last is told by the message itself: {:#?}", told.lines);
    assert_eq!(rows(&house, "steps").await, i64::try_from(parts).unwrap() - 1);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_settles_is_told_by_name_and_audited() {
    let mut house = House::new().set("AFILNET__TIMEOUT", "1s").set_plain("SUDO_USER", "maria");
    let bridge = house.start().await;
    // Nothing is known of what this account shows, so that looks cannot decide.
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    house.afilnet.fault("sendmessage:hang").unwrap();
    let m_id = house.agent(&bridge, &contact(1), "in doubt").await.m_id.unwrap();
    until("it is unconfirmed", || house.messages("unconfirmed") == [m_id.clone()]).await;
    let before = told(&house, &m_id);
    assert!(before.verdict.starts_with("Nobody can tell: looking could not decide."), "{}", before.verdict);
    before.one(&["The looks are over, and nobody can tell."]);
    drop(bridge);
    let settled = house.run(&["messages", "settle", &m_id, "--as", "delivered", "--why", "the customer\u{1b} has it"]);
    assert!(settled.status.success());
    let after = told(&house, &m_id);
    assert!(after.verdict.starts_with("Yes, as a person decided"), "{}", after.verdict);
    after.one(&["maria (cli) settled it as delivered: the customer  has it."]);
    assert_eq!(rows(&house, "audit").await, 1);
    let again = house.run(&["messages", "settle", &m_id, "--as", "failed"]);
    assert_eq!((again.status.code(), rows(&house, "audit").await), (Some(1), 1), "what changes nothing is not audited");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_bonychat_did_not_take_is_told_with_its_event() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.bonychat.set_poison(Some("POISON"));
    house.customer(&contact(1), "POISON");
    house.customer(&contact(1), "after");
    until("it is given up", || house.messages("dead").len() == 1).await;
    let m_id = house.messages("dead").remove(0);
    let dead = told(&house, &m_id);
    assert!(dead.verdict.starts_with("No: BonyChat does not have it, and it was given up"), "{}", dead.verdict);
    dead.one(&["BonyChat refused it (HTTP 400)", "It is given up, and the conversation goes on."]);
    assert!(!dead.lines.concat().contains("POISON"), "{:#?}", dead.lines);
    house.bonychat.set_poison(None);
    house.bonychat.fault("message:http_503:1-2").unwrap();
    assert!(house.run(&["messages", "retry", &m_id]).status.success());
    until("it came", || house.bonychat.texts(&contact(1)).contains(&"POISON".to_owned())).await;
    until("it is done", || told(&house, &m_id).verdict.starts_with("Yes: BonyChat took it at")).await;
    let done = told(&house, &m_id);
    done.one(&["had it tried again"]);
    done.one(&["Round 2, attempt ", "BonyChat answered with an error (HTTP 503)", "It is kept and posted again."]);
    done.one(&["BonyChat took it."]);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_credit_says_so_though_another_message_met_it() {
    let mut house = House::new();
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:NO_CREDITS:1-1000000").unwrap();
    let first = house.agent(&bridge, &contact(1), "first").await.m_id.unwrap();
    until("it met the fault", || told(&house, &first).with(&["(NO_CREDITS)"]) > 0).await;
    let other = house.agent(&bridge, &contact(2), "second").await.m_id.unwrap();
    for m_id in [&first, &other] {
        // One of them may be under way as a probe.
        let mut told = told(&house, m_id);
        until("it waits", || {
            told = self::told(&house, m_id);
            told.verdict.starts_with("Not yet: the customer does not have it.")
        })
        .await;
        assert!(
            told.verdict.contains("the account at Afilnet has no credit")
                || told.verdict.contains("The account at Afilnet has no credit"),
            "{}",
            told.verdict
        );
        assert!(told.verdict.contains("Add credit"), "{}", told.verdict);
    }
    let behind = house.agent(&bridge, &contact(1), "third").await.m_id.unwrap();
    let behind = told(&house, &behind);
    assert!(behind.verdict.contains(&format!("`bridge messages journey {first}`")), "{}", behind.verdict);
    house.afilnet.clear_faults();
    blocking(|| std::thread::sleep(Duration::ZERO));
    house.settled().await;
    drop(bridge);
    house.check();
}

/// Nothing was tried of the message itself, nor of any other: a read met the fault, and paused the account.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_password_says_so_though_only_a_read_met_it() {
    // The next probe, which might be a send, does not come during the test.
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s").set("RETRY__MAX", "10m");
    let bridge = house.start().await;
    until("the first round is over", || bridge.log().iter().any(|line| line.contains("stored the initial snapshot")))
        .await;
    house.afilnet.add_account("user", "changed");
    until("the account is paused", || bridge.log().iter().any(|line| line.contains("the account is paused"))).await;
    let first = house.agent(&bridge, &contact(1), "first").await.m_id.unwrap();
    let behind = house.agent(&bridge, &contact(1), "second").await.m_id.unwrap();
    for m_id in [&first, &behind] {
        until("the journey names the fault", || told(&house, m_id).verdict.contains("paused since")).await;
        let told = told(&house, m_id);
        assert!(told.verdict.starts_with("Not yet: the customer does not have it. It waits."), "{}", told.verdict);
        assert!(told.verdict.contains("Its channel is paused since "), "{}", told.verdict);
        assert!(told.verdict.contains("`afilnet.password`"), "what to do: {}", told.verdict);
        assert_eq!(told.with(&["Attempt"]), 0, "{:#?}", told.lines);
    }
    drop(bridge);
    house.afilnet.add_account("user", "password");
    let bridge = house.start().await;
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(1)[1..]) == ["first", "second"]).await);
    house.settled().await;
    drop(bridge);
    house.check();
}
