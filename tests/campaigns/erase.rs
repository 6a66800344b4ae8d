//! Everything of one person is erased from the store, beside a running bridge and without one, proven by a search of
//! its bytes.

use std::path::Path;

use serde_json::json;

use crate::support::{CHANNEL, House, PLATFORM_ID, contact, until};

/// What must not be found: the number with and without `+` (the first holds the second), words, the name of a file.
const PERSON: usize = 7;
const WORDS: [&str; 5] =
    ["SAID-BY-AGENT", "SAID-BY-CUSTOMER", "invoice-of-that-person", "ASKED-THE-PERSON", "REASON-THAT-NAMES-THE-PERSON"];

/// Returns the files below the folder that hold something of the person.
fn found(folder: &Path) -> Vec<String> {
    let mut words: Vec<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    words.push(contact(PERSON)[1..].to_owned());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = std::fs::read(&entry).unwrap_or_default();
        for word in &words {
            if bytes.windows(word.len()).any(|there| there == word.as_bytes()) {
                found.push(format!("{}: {word}", entry.display()));
            }
        }
    }
    found
}

/// A house in which many write, among them the person, until all of it is done.
async fn talked() -> (House, crate::support::process::Bridge) {
    let mut house = House::new();
    let bridge = house.start().await;
    for n in 0..40 {
        let (agent, customer) = match n % 8 {
            PERSON => (WORDS[0], WORDS[1]),
            _ => ("others say", "others write"),
        };
        let who = contact(n % 8);
        assert_eq!(house.agent(&bridge, &who, &format!("{agent} {n} {}", "x".repeat(n * 37 % 900))).await.status, 200);
        house.customer(&who, &format!("{customer} {n} {}", "y".repeat(n * 53 % 700)));
    }
    let url = format!("https://files.test/{}.pdf", WORDS[2]);
    let file = json!({"type": "attachment", "attachment": {"type": "file", "url": url}});
    assert_eq!(house.bonychat.send(&bridge.url(), CHANNEL, &contact(PERSON), file).await.status, 200);
    let question = json!({"type": "quick_reply", "title": WORDS[3], "replies": ["yes", "no"]});
    assert_eq!(house.bonychat.send(&bridge.url(), CHANNEL, &contact(PERSON), question).await.status, 200);
    house.settled().await;
    // One was refused; an operator had it sent again, and said why.
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert_eq!(house.agent(&bridge, &contact(PERSON), "refused at first").await.status, 400);
    let refused = house.messages("failed").remove(0);
    assert!(house.run(&["messages", "retry", &refused, "--why", WORDS[4]]).status.success());
    house.settled().await;
    let polls = house.afilnet.calls("getchats");
    until("what was sent is read", || house.afilnet.calls("getchats") > polls + 20).await;
    until("all is published", || (0..8).all(|n| house.bonychat.texts(&contact(n)).len() == 5)).await;
    (house, bridge)
}

fn erase(house: &House, more: &[&str]) -> (Option<i32>, String) {
    let number = contact(PERSON);
    let mut arguments = vec!["messages", "erase", "--contact", number.as_str()];
    arguments.extend(more);
    let output = house.run(&arguments);
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Erases as soon as no message was sent a moment ago: Afilnet has yet to show those.
async fn erased(house: &House, more: &[&str]) {
    let mut said = String::new();
    crate::support::until_within(std::time::Duration::from_secs(150), "it is erased", || {
        said = erase(house, more).1;
        said.starts_with("erased: ") || !said.contains("try again in a minute")
    })
    .await;
    assert!(said.starts_with("erased: 1 conversation(s)"), "{said}");
    let postgres = house.setting("STORE__URL").starts_with("postgres");
    assert_eq!(said.contains("VACUUM"), postgres, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_beside_a_running_bridge_and_nothing_is_published_again() {
    let (mut house, bridge) = talked().await;
    let before = house.bonychat.all_events().len();
    let (code, said) = erase(&house, &[]);
    assert!(code == Some(0) && said.contains("1 conversation(s), 8 message(s)") && said.contains("--yes"), "{said}");
    let on_a_file = house.setting("STORE__URL").starts_with("sqlite:");
    if on_a_file {
        assert!(!found(house.folder.path()).is_empty(), "only said what it would do");
    }
    erased(&house, &["--yes"]).await;
    if on_a_file {
        assert_eq!(found(house.folder.path()), [] as [String; 0], "tables, indexes, log, free pages");
    }
    let (code, said) = erase(&house, &["--yes"]);
    assert!(code == Some(1) && said.contains("nothing is stored of that contact"), "{said}");

    // Afilnet still shows all of it, to this process and to the next.
    let polls = house.afilnet.calls("getchats");
    until("it is polled", || house.afilnet.calls("getchats") > polls + 20).await;
    bridge.kill();
    let bridge = house.start().await;
    let polls = house.afilnet.calls("getchats");
    until("it is polled", || house.afilnet.calls("getchats") > polls + 20).await;
    assert_eq!(house.bonychat.all_events().len(), before, "nothing is published again");
    if on_a_file {
        assert_eq!(found(house.folder.path()), [] as [String; 0], "nor stored again");
    }
    // The person writes again, and is answered.
    house.afilnet.receive(PLATFORM_ID, &contact(PERSON)[1..], "here I am").unwrap();
    until("only that is published", || house.bonychat.texts(&contact(PERSON)).last().unwrap() == "here I am").await;
    assert_eq!(house.bonychat.all_events().len(), before + 1);
    assert_eq!(house.agent(&bridge, &contact(PERSON), "welcome back").await.status, 200);
    until("it is sent", || house.afilnet.texts(&contact(PERSON)[1..]).last().unwrap() == "welcome back").await;
    assert_eq!(house.messages("sent").len(), 35 + 1, "those of the others, and the new one");
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_erased_person_is_left_while_no_bridge_runs() {
    let (mut house, mut bridge) = talked().await;
    bridge.signal("TERM");
    assert!(bridge.ended().await.success());
    erased(&house, &["--yes", "--channel", "support"]).await;
    if house.setting("STORE__URL").starts_with("sqlite:") {
        assert_eq!(found(house.folder.path()), [] as [String; 0]);
    }
    let before = house.bonychat.all_events().len();
    house.afilnet.receive(PLATFORM_ID, &contact(PERSON)[1..], "while it was down").unwrap();
    let _bridge = house.start().await;
    until("only that is published", || house.bonychat.all_events().len() > before).await;
    assert_eq!(house.bonychat.texts(&contact(PERSON)).last().unwrap(), "while it was down");
    assert_eq!(house.bonychat.all_events().len(), before + 1);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_an_erased_person_goes_only_where_that_is_asked_for() {
    let mut house = House::new().set("OUTBOUND__ANSWER_WITHIN", "0s");
    let bridge = house.start().await;
    house.afilnet.fault("sendmessage:INCORRECT_USER_PASSWORD:1-1000000").unwrap();
    assert_eq!(house.agent(&bridge, &contact(PERSON), WORDS[0]).await.status, 200);
    assert_eq!(house.agent(&bridge, &contact(1), "of another").await.status, 200);
    until("they wait", || house.messages("queued").len() == 2).await;
    let (code, said) = erase(&house, &[]);
    assert!(
        code == Some(0) && said.contains("1 message(s) wait to be sent") && said.contains("--waiting-too"),
        "{said}"
    );
    let (code, said) = erase(&house, &["--yes"]);
    assert!(code == Some(1) && said.contains("nothing was erased"), "{said}");
    assert_eq!(house.messages("queued").len(), 2);
    // While it is retried it is under way.
    until("it is erased", || erase(&house, &["--yes", "--waiting-too"]).1.starts_with("erased: ")).await;
    house.afilnet.clear_faults();
    until("the other's is sent", || house.afilnet.sent_count() == 1).await;
    house.settled().await;
    assert_eq!(house.afilnet.texts(&contact(1)[1..]), ["of another"]);
    assert!(house.afilnet.texts(&contact(PERSON)[1..]).is_empty());
    house.check();
}
