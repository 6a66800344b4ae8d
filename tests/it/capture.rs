//! `bridge doctor --capture`: answers of the platforms without anything of persons, or nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::metrics::get;
use crate::support::{CHANNEL, House, SOON, TOKEN, contact, until};

const CUSTOMER: &str = "Mañana a las diez, canario GRAZNIDO 👍";
const AGENT: &str = "De acuerdo: la clave es JILGUERO\r\nsaludos";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Each file's case, by its name.
fn cases(folder: &Path) -> BTreeMap<String, Value> {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| (name(&path), read(&path)[0].clone())).collect()
}

fn body(case: &Value) -> Value {
    serde_json::from_str(case["raw"].as_str().unwrap()).unwrap()
}

fn of<'a>(rows: &'a Value, field: &str) -> Vec<&'a Value> {
    rows["result"]["list"].as_array().unwrap().iter().map(|row| &row[field]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_holds_the_answers_and_nothing_of_a_person() {
    let mut house = House::new();
    let bridge = house.start().await;
    for n in 1..4 {
        house.customer(&contact(n), CUSTOMER);
    }
    assert!(house.bonychat.until(SOON, |world| world.event_count() >= 3).await);
    assert_eq!(house.agent(&bridge, &contact(1), AGENT).await.status, 200);
    house.settled().await;
    let folder = house.folder.path().join("capture");
    let to = folder.to_str().unwrap().to_owned();
    let counts =
        || (house.afilnet.calls("sendmessage"), house.afilnet.calls("sendfile"), house.bonychat.unauthorized());
    let before = counts();
    let files = [
        "afilnet-getbalance-support.json",
        "afilnet-getchatchannels-support.json",
        "afilnet-getchats-support.json",
        "afilnet-getmessages-support-1.json",
        "afilnet-getmessages-support-2.json",
        "bonychat-options-support.json",
    ];
    until("conversations are in sync", || {
        let _ = fs::remove_dir_all(&folder);
        let output = house.run(&["doctor", "--capture", &to]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let words = String::from_utf8(output.stdout).unwrap();
        assert!(words.contains("none is there. Nothing was sent to a customer"), "{words}");
        files.iter().all(|file| folder.join(file).exists())
    })
    .await;
    assert_eq!(counts(), before);
    assert_eq!(mode(&folder), 0o700);
    let cases = cases(&folder);
    for (name, case) in &cases {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
        let text = case.to_string().to_lowercase();
        for canary in
            ["graznido", "jilguero", "canario", "acuerdo", "password\":", TOKEN, &contact(1)[1..], &contact(2)[1..]]
        {
            assert!(!text.contains(&canary.to_lowercase()), "{canary} in {name}: {text}");
        }
        assert!(!text.contains(&contact(1)[4..]), "{name}");
    }
    let chats = body(&cases["afilnet-getchats-support.json"]);
    assert_eq!(chats["status"], "SUCCESS");
    assert_eq!(cases["afilnet-getchats-support.json"]["parameters"][1], "method");
    let declared = cases["afilnet-getchats-support.json"]["content_type"].as_str().unwrap();
    assert!(declared.contains('/'), "{declared}");
    let messages = body(&cases["afilnet-getmessages-support-1.json"]);
    let destinations = of(&chats, "destination");
    assert_eq!(destinations.len(), 3);
    assert!(
        of(&messages, "destination").iter().all(|there| destinations.contains(there)),
        "equal in every file: {messages}"
    );
    for row in [&chats, &messages].into_iter().flat_map(|rows| rows["result"]["list"].as_array().unwrap()) {
        assert!(["0", "1"].contains(&row["sent"].as_str().unwrap()), "{row}");
        let words = row["message"].as_str().unwrap();
        assert!(words.contains("xxxxx"), "{words}");
    }
    assert!(of(&chats, "message").iter().any(|text| text.as_str().unwrap().contains("👍")), "{chats}");

    let calls = house.afilnet.calls("getbalance");
    let again = house.run(&["doctor", "--capture", &to]);
    let words = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(1) && words.contains("is not empty"), "{words}");
    assert_eq!(house.afilnet.calls("getbalance"), calls, "nothing is asked");
    assert_eq!(house.run(&["doctor", "--json", "--capture", "x"]).status.code(), Some(2));
    house.check();
}

/// A code is kept as it is, so that a password of the same letters would be given away.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_holds_a_secret_is_deleted_and_says_so() {
    let house = House::new().set("AFILNET__PASSWORD", "INCORRECT_USER_PASSWORD");
    let folder = house.folder.path().join("capture");
    let output = house.run(&["doctor", "--capture", folder.to_str().unwrap()]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("a user, a password or a token of the configuration") && words.contains("deleted"),
        "{words}"
    );
    assert!(!words.contains("INCORRECT_USER_PASSWORD"), "the value is not told: {words}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// A code is kept as it is, so that a contact of the same letters would be given away. Nobody wrote from it.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_was_only_written_to_is_looked_for() {
    let mut house = House::new()
        .set("AFILNET__USER", "another")
        .set("AFILNET__PASSWORD", "another-secret")
        .set("CHANNELS__SUPPORT__ID_TYPE", "custom");
    let bridge = house.start().await;
    let message = json!({"type": "text", "text": "canario"});
    let body = json!({"channelId": CHANNEL, "contactId": "INCORRECT_USER_PASSWORD", "message": message});
    assert_eq!(house.bonychat.post(&bridge.url(), TOKEN, body.to_string()).await.status, 200);
    let folder = house.folder.path().join("capture");
    let output = house.run(&["doctor", "--capture", folder.to_str().unwrap()]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("a contact of the store") && words.contains("deleted"), "{words}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

/// A body of each kind, and one that is refused.
fn calls_of_bonychat() -> [(&'static str, u16, Value); 5] {
    let of = |message: Value| json!({"channelId": CHANNEL, "contactId": contact(7), "message": message});
    let file = json!({"type": "image", "mimeType": "image/png", "url": "https://files.graznido.example/jilguero.png"});
    [
        ("text", 200, of(json!({"type": "text", "text": CUSTOMER}))),
        ("attachment", 200, of(json!({"type": "attachment", "attachment": file}))),
        ("location", 200, of(json!({"type": "location", "latitude": 37.3886, "longitude": -5.98, "address": AGENT}))),
        ("quick_reply", 200, of(json!({"type": "quick_reply", "title": CUSTOMER, "replies": ["graznido", "no"]}))),
        ("refused", 400, of(json!({"type": "text", "text": {"x": "jilguero"}}))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_holds_the_next_call_of_each_kind_and_nothing_of_a_person() {
    let token = "token-of-the-operators";
    let mut house = House::new().set("ADMIN__TOKEN", token);
    let folder = house.folder.path().join("capture");
    let to = folder.to_str().unwrap().to_owned();
    let nobody = house
        .command(&["doctor", "--capture", &to, "--calls", "1s"])
        .env("BRIDGE__ADMIN__LISTEN", "127.0.0.1:1")
        .output();
    let words = String::from_utf8(nobody.unwrap().stderr).unwrap();
    assert!(words.contains("is it running") && words.contains("Nothing was written"), "{words}");
    let bridge = house.start().await;
    let admin = bridge.admin_url().trim_start_matches("http://").to_owned();
    let mut command = house.command(&["doctor", "--capture", &to, "--calls", "1m"]);
    command
        .env("BRIDGE__ADMIN__LISTEN", &admin)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut waits = command.spawn().unwrap();
    until("the bridge is asked", || bridge.log().iter().any(|line| line.contains("as a person asks"))).await;
    let calls = calls_of_bonychat();
    for (kind, status, call) in &calls {
        let answered = house.bonychat.post(&bridge.url(), TOKEN, call.to_string()).await;
        assert_eq!(answered.status, *status, "{kind}: {}", answered.body);
    }
    until("it has one of each kind", || waits.try_wait().unwrap().is_some()).await;
    let output = waits.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("and 5 call(s) of BonyChat"), "{words}");
    let (_, audit) = get(&bridge.admin_url(), "/api/v1/audit", Some(token));
    assert_eq!(audit.matches("capture calls").count(), 1, "{audit}");
    let cases = cases(&folder);
    for (kind, status, call) in calls {
        let name = format!("bonychat-message-{kind}-support.json");
        assert_eq!(mode(&folder.join(&name)), 0o600, "{name}");
        let case = &cases[&name];
        let text = case.to_string().to_lowercase();
        let number = contact(7);
        for canary in
            ["graznido", "jilguero", "canario", "acuerdo", TOKEN, token, CHANNEL, &number[1..], &number[4..], "37.3886"]
        {
            assert!(!text.contains(canary), "{canary} in {name}: {text}");
        }
        assert_eq!(
            (&case["kind"], &case["id_type"], &case["length"]),
            (&json!(kind), &json!("phone"), &json!(call.to_string().len()))
        );
        assert_eq!(body(case)["message"]["type"], call["message"]["type"], "{text}");
        assert!(case["content_type"].as_str().is_some_and(|of| of.starts_with("application/json")), "{text}");
        let again = house.bonychat.post(&bridge.url(), TOKEN, case["raw"].as_str().unwrap().to_owned()).await;
        assert_eq!(again.status, status, "{text}: {}", again.body);
    }

    for (set, told) in
        [("short", "has fewer than 16 characters"), ("another-token-of-the-operators", "another admin.token")]
    {
        let other = house.folder.path().join("other");
        let mut refused = house.command(&["doctor", "--capture", other.to_str().unwrap(), "--calls", "1s"]);
        let output = refused.env("BRIDGE__ADMIN__TOKEN", set).env("BRIDGE__ADMIN__LISTEN", &admin).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && words.contains(told), "{words}");
        assert!(!other.exists() || fs::read_dir(&other).unwrap().count() == 0, "{words}");
    }
    assert_eq!(house.run(&["doctor", "--calls", "1m"]).status.code(), Some(2), "without a folder");
    house.settled().await;
}
