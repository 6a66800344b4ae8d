//! An operator finds a message by what a customer or an agent says of it, beside a running bridge and without one.

use serde_json::Value;

use crate::support::{House, SOON, contact, side_by_side, until};

/// Output of `messages find`: lines, and what is said beside them.
fn found(house: &House, arguments: &[&str]) -> (Vec<String>, String) {
    let output = house.run(&[&["messages", "find"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect(), said)
}

/// Returns one field of each line.
fn fields(lines: &[String], nth: usize) -> Vec<&str> {
    lines.iter().map(|line| line.split('\t').nth(nth).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_its_words_its_number_its_id_and_its_state() {
    let mut house = House::new();
    let bridge = house.start().await;
    let m_id = house.agent(&bridge, &contact(1), "Su PEDIDO ya salió, señor Muñoz").await.m_id.unwrap();
    house.agent(&bridge, &contact(2), "otra cosa").await;
    house.customer(&contact(1), "¿Dónde está mi pedido?");
    until("it is published", || fields(&found(&house, &["pedido", "--state", "done"]).0, 4) == ["done"]).await;

    let (lines, said) = found(&house, &["PEDIDO", "senor"]);
    assert_eq!(fields(&lines, 0), [m_id.as_str()], "in any order, without accents and case: {said}");
    assert_eq!((fields(&lines, 2), fields(&lines, 3)), (vec!["+********001"], vec!["out"]), "masked as elsewhere");
    assert!(!lines[0].to_lowercase().contains("pedido") && said.contains("store.keep_text"), "{lines:?} {said}");
    let (both, _) = found(&house, &["pedido"]);
    assert_eq!(fields(&both, 3), ["in", "out"], "newest first");
    assert_eq!(fields(&both, 4), ["done", "sent"]);
    assert_eq!(found(&house, &["pedido", "--direction", "in"]).0, both[..1]);
    assert_eq!(found(&house, &["\"mi pedido\""]).0, both[..1]);
    assert_eq!(found(&house, &["nowhere"]), (vec![], "nothing was found\ntexts are erased after 7days (store.keep_text): older messages are not found by words\n".to_owned()));

    // Spelled as people do, and a part of it.
    let number = contact(1);
    for typed in [
        number.clone(),
        format!("00 {}", &number[1..]),
        format!("{} {}", &number[1..4], &number[4..]),
        number[5..].to_owned(),
    ] {
        assert_eq!(found(&house, &[&typed]).0, both, "{typed}");
    }
    assert_eq!(found(&house, &["pedido", "--contact", &number[1..]]).0, both);
    assert!(found(&house, &["pedido", "--contact", &contact(2)]).0.is_empty());

    // By its id: the message, and what was told of it; an event too.
    let (by_id, _) = found(&house, &[&m_id.to_uppercase()]);
    assert!(fields(&by_id, 0).iter().all(|found| *found == m_id) && fields(&by_id, 3).contains(&"out"), "{by_id:?}");
    let event = both[0].split('\t').next().unwrap();
    assert_eq!(found(&house, &[event]).0, both[..1]);
    let shown: Value = serde_json::from_slice(&house.run(&["messages", "show", event]).stdout).unwrap();
    assert_eq!((shown["state"].as_str(), shown["kind"].as_str()), (Some("done"), Some("message")));

    // By state, time and channel; as JSON.
    assert_eq!(found(&house, &["pedido", "--state", "sent", "--since", "1h", "--channel", "support"]).0, both[1..]);
    assert!(found(&house, &["pedido", "--until", "1h"]).0.is_empty());
    let (json, _) = found(&house, &["pedido", "--json"]);
    let json: Vec<Value> = json.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json[1]["direction"], "out");
    assert_eq!(json[1]["m_id"], m_id.as_str());
    assert!(json.iter().all(|line| line["contact"] == "+********001"));
    drop(bridge);
    assert_eq!(found(&house, &["pedido"]).0, both, "without a bridge");

    for (wrong, named) in [
        (&["x", "--channel", "suport"][..], "support"),
        (&["x", "--since", "yesterday"], "`yesterday`"),
        (&["x", "--before", "there"], "--before"),
        (&["x", "--state", "lost"], "lost"),
        (&[], "QUERY"),
    ] {
        let output = house.run(&[&["messages", "find"], wrong].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && said.contains(named) && !said.contains("nothing was found"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_a_list_takes_the_same_filters() {
    let mut house = House::new();
    let bridge = house.start().await;
    let mut m_ids = Vec::new();
    for n in 0..60 {
        m_ids.push(house.agent(&bridge, &contact(n % 7), "one of many").await.m_id.unwrap());
    }
    house.settled().await;
    m_ids.reverse();
    // On a busy machine a search may end early, and goes on behind what it has found.
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let mut asked = vec!["many", "--direction", "out"];
        asked.extend(cursor.iter().flat_map(|cursor: &String| ["--before", cursor]));
        let (page, said) = found(&house, &asked);
        assert!(page.len() <= 50);
        pages.extend(page);
        cursor = said.lines().find_map(|line| line.split_once("--before ")).map(|(_, cursor)| cursor.to_owned());
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(fields(&pages, 0), m_ids);

    let list = |arguments: &[&str]| {
        let output = house.run(&[&["messages", "list"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!(list(&[]), 50);
    assert_eq!(list(&["--limit", "100"]), 60);
    assert_eq!(list(&["--contact", &contact(0), "--limit", "100"]), 9);
    assert_eq!(list(&["--since", "1h", "--until", "30m"]), 0);
    assert_eq!(list(&["--state", "queued"]), 0);
    assert_eq!(list(&["--fault", "http_502"]), 0);
    assert_eq!(list(&["--direction", "in"]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_shown_with_its_state_why_and_when_next_in_both_directions() {
    let houses = [Some(House::new().on_a_file()), House::shared(1).await];
    side_by_side(houses.into_iter().flatten(), |house| async move {
        // A wait is shortened at random, to nothing at most: of half a day it is seldom over before it is seen.
        let mut house = house
            .set("OUTBOUND__ANSWER_WITHIN", "0s")
            .set("RETRY__INITIAL", "12h")
            .set("RETRY__MAX", "24h")
            .set("RETRY__GIVE_UP_AFTER", "48h");
        let bridge = house.start().await;
        house.customer(&contact(1), "is published");
        assert!(house.bonychat.until(SOON, |world| world.texts(&contact(1)) == ["is published"]).await);
        house.bonychat.fault("message:http_503:1-1000000").unwrap();
        house.customer(&contact(2), "waits");
        let m_id = |who: usize| fields(&found(&house, &[&contact(who)]).0, 0).first().map(|m_id| (*m_id).to_owned());
        let mut event = None;
        until("it is stored", || {
            event = m_id(2);
            event.is_some()
        })
        .await;
        house.afilnet.fault("sendmessage:http_429:1-1000000").unwrap();
        let out = house.agent(&bridge, &contact(3), "waits too").await.m_id.unwrap();
        let show = |m_id: &str| -> Value {
            let output = house.run(&["messages", "show", m_id]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        for (m_id, fault) in [(event.unwrap(), "http_503"), (out, "busy")] {
            until("its attempt has failed", || show(&m_id)["fault"] == fault).await;
            let shown = show(&m_id);
            assert_eq!(
                (&shown["state"], &shown["attempt"], &shown["done_ms"]),
                (&"queued".into(), &1.into(), &Value::Null)
            );
            let next_ms = shown["next_ms"].as_i64().unwrap_or_else(|| panic!("when next is not in {shown}"));
            assert!(next_ms > shown["accepted_ms"].as_i64().unwrap(), "{shown}");
        }
        let done = show(&house.messages("done")[0]);
        assert_eq!((&done["state"], &done["fault"]), (&"done".into(), &Value::Null));
        assert!(done["done_ms"].is_i64() && done.get("next_ms").is_none(), "{done}");
        drop(bridge);
        house.check();
    })
    .await;
}
