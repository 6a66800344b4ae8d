//! What an operator may ask of AnnA, and that no log, store, metric or command shows what signs somebody in.

use bridge::sim::anna::Options;

use super::{FALLBACK, LINK, anna, arrived, house, metrics, rounds, say};
use crate::support::{House, SOON, contact};

#[tokio::test(flavor = "multi_thread")]
async fn a_09_what_signs_somebody_in_stands_nowhere_but_at_afilnet() {
    let anna = anna(Options { everybody: false, ..Options::default() });
    let mut house = house(&anna).on_a_file().set("LOG__LEVEL", "trace").set("LOG__CONTACTS", "full");
    for who in 1..5 {
        anna.set_user(&contact(who)[1..], "Ana", who != 4);
    }
    let bridge = house.start().await;
    house.customer(&contact(1), "hola");
    assert!(house.bonychat.until(SOON, |world| world.event_count() == 1).await);
    let all = format!("{LINK} {{{{anna.messenger_link}}}} {{{{anna.pending}}}}");
    let mut m_ids = Vec::new();
    for (who, fault) in [
        (1, None),
        (2, Some("sendmessage:reset_stored")),
        (3, Some("sendmessage:reset")),
        (4, None),
        (5, None),
        (1, Some("sendmessage:http_429")),
        (1, Some("sendmessage:MISSING_COMPULSORY_PARAM")),
    ] {
        if let Some(fault) = fault {
            house.afilnet.fault(fault).unwrap();
        }
        m_ids.extend(house.agent(&bridge, &contact(who), &all).await.m_id);
    }
    anna.expire_tokens();
    say(&house, &bridge, 2, &all).await;
    // A refused login: AnnA quotes it.
    anna.set_password("another");
    anna.expire_tokens();
    say(&house, &bridge, 2, &all).await;
    house.settled().await;
    rounds(&house, 4).await;
    let mut seen = vec![("metrics", metrics(&bridge).into_bytes())];
    for name in ["bridge.db", "bridge.db-wal", "bridge.db-shm", "bridge.db.answers"] {
        seen.push((name, std::fs::read(house.folder.path().join(name)).unwrap_or_default()));
    }
    for m_id in &m_ids {
        let shown = house.run(&["messages", "show", m_id]);
        seen.push(("messages show", [shown.stdout, shown.stderr].concat()));
    }
    for state in ["dead", "failed", "sent", "unconfirmed"] {
        let listed = house.run(&["messages", "list", "--state", state]);
        seen.push(("messages list", [listed.stdout, listed.stderr].concat()));
    }
    let events = format!("{:?}", house.bonychat.all_events());
    seen.push(("BonyChat", events.into_bytes()));
    let log = bridge.kill();
    assert!(log.iter().any(|line| line.contains("\"DEBUG\"") || line.contains("\"debug\"")), "the log is not loud");
    assert!(
        log.iter().any(|line| line.contains("***@***")),
        "AnnA's own words are in the log, without what is private"
    );
    assert!(log.iter().any(|line| line.contains("Usuario *** o ")), "those of the refused login too");
    seen.push(("log", log.join("\n").into_bytes()));
    let secrets = anna.secrets();
    assert!(secrets.len() > 20 && anna.links().len() > 6, "{}", secrets.len());
    for (place, bytes) in &seen {
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{place} holds {secret}");
        }
    }
    let written = b"{{anna.chat_url}}";
    // In the write-ahead log, or in the database after a checkpoint.
    let mut store = seen.iter().filter(|(place, _)| place.starts_with("bridge.db"));
    let holds = store.any(|(_, bytes)| bytes.windows(written.len()).any(|window| window == written));
    assert!(holds, "the store keeps what the agent wrote");
    // Half of a hash would be as bad as the whole.
    for link in anna.links() {
        let hash = link.split(['=', '&']).nth(1).unwrap();
        let half = &hash[..20];
        for (place, bytes) in &seen {
            assert!(!bytes.windows(half.len()).any(|window| window == half.as_bytes()), "{place} holds {half}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anna_decides_nothing_of_the_start_and_check_asks_it_only_when_told() {
    let anna = anna(Options::default());
    let mut house = house(&anna);
    anna.down();
    let bridge = house.start().await;
    say(&house, &bridge, 1, LINK).await;
    assert_eq!(arrived(&house, 1, 1).await, [format!("Siga su caso: {FALLBACK}")]);
    let live = house.run(&["check", "--live"]);
    let words = String::from_utf8_lossy(&live.stdout);
    assert!(live.status.success() && words.contains("warning: anna: degraded(transport)"), "{words}");
    let token = house.run(&["anna", "token"]);
    assert_eq!(token.status.code(), Some(3), "{}", String::from_utf8_lossy(&token.stderr));
    anna.up().unwrap();
    let calls = anna.all_calls().len();
    assert!(house.run(&["check"]).status.success());
    assert_eq!(anna.all_calls().len(), calls, "check alone makes no call");
    let live = house.run(&["check", "--live"]);
    assert!(String::from_utf8_lossy(&live.stdout).contains("anna: ok"));
    anna.set_password("another");
    let live = house.run(&["check", "--live"]);
    let words = String::from_utf8_lossy(&live.stdout);
    assert!(live.status.success() && words.contains("degraded(auth)"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_can_be_asked_by_hand_and_secrets_are_masked() {
    let anna = anna(Options { everybody: false, ..Options::default() });
    let house = house(&anna);
    anna.set_user("WSGIU5555", "Ana", true);
    let asked = |arguments: &[&str]| {
        let ran = house.run(&[&["anna"], arguments].concat());
        let words = [String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap()];
        (ran.status.code(), words.concat())
    };
    for (arguments, word) in [
        (&["token"][..], "\"lifetime_seconds\": 3600"),
        (&["user-hash", "WSGIU5555"], "\"Expires\": \"20991231235959\""),
        (&["user-hash-forced", "WSGIU5555", "--name", "Ana María"], "\"ChatURL\": \"***\""),
        (&["structure"], "\"CompaniesName\": \"Empresa\""),
        (&["alerts", "WSGIU5555", "--from", "2024-01-01", "--to", "2024-12-31"], "\"alerts\": 2"),
        (&["requests", "WSGIU5555", "--status", "open", "--pending", "yes"], "\"Protocol\": \"2026-1\""),
        (&["link", "--doc-type", "CPF", "--doc-value", "WSGIU5555"], "\"link\": \"***\""),
    ] {
        let (code, words) = asked(arguments);
        assert!(code == Some(0) && words.contains(word), "{arguments:?}: {words}");
        assert!(anna.secrets().iter().all(|secret| !words.contains(secret.as_str())), "{words}");
    }
    let filters = anna.all_calls().into_iter().find(|call| call.endpoint == "AlertCounter").unwrap().body;
    assert_eq!(filters["messengerFilters"]["dataIni"], "01/01/2024");
    assert_eq!(filters["messengerFilters"]["dataFim"], "31/12/2024");
    assert_eq!(anna.user("WSGIU5555").unwrap().name, "Ana María");
    let (_, words) = asked(&["link", "WSGIU5555", "--show-secrets"]);
    assert!(words.contains(anna.links().last().unwrap().as_str()), "{words}");
    for (arguments, code) in [
        (&["user-hash", "nobody"][..], 1),
        (&["inactivate", "WSGIU5555"], 2),
        (&["user-hash", "a@b"], 2),
        (&["alerts", "WSGIU5555", "--from", "01/01/2024"], 2),
        (&["inactivate", "WSGIU5555", "--yes"], 0),
        (&["user-hash", "WSGIU5555"], 1),
    ] {
        let (exit, words) = asked(arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {words}");
        assert!(!words.contains("company-hash-c0ffee"), "{words}");
    }
    let off = House::new().run(&["anna", "token"]);
    assert_eq!(off.status.code(), Some(2));
}
