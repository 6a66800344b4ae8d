//! What a search finds, as a file: safe in a spreadsheet, and of nothing that its reader may not see.

use serde_json::Value;

use crate::page::{FORM, OPERATORS, SAME, call, get, house};
use crate::support::until;

/// Reads all, and sees contacts masked.
const BEA: &str = "token-of-bea-0123456";
/// Acts, and sees `sales` alone.
const CARL: &str = "token-of-carl-012345";

/// Custom contact ids that a spreadsheet would take for formulas, or for numbers.
const CONTACTS: [&str; 5] = ["=1+1", "@SUM", "+34600111222", "34600111333", "=HYPERLINK"];
const TEXT: &str = "=cmd|' /C calc'!A0";

/// Returns a body that came in chunks.
fn whole(body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text.push_str(&after[..length]);
        rest = after[length..].trim_start_matches("\r\n");
        if length == 0 {
            return text;
        }
    }
    panic!("it broke off: {body}");
}

/// Returns the records of CSV.
fn records(csv: &str) -> Vec<Vec<String>> {
    let (mut records, mut cells, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = csv.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                cells.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut cells));
            }
            letter => cell.push(letter),
        }
    }
    assert!(cell.is_empty() && cells.is_empty(), "each record has its end");
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_a_file_without_formulas_texts_and_what_its_reader_may_not_see() {
    let mut house = house()
        .set("CHANNELS__SUPPORT__ID_TYPE", "custom")
        .set("CHANNELS__SALES__CHANNEL_ID", "channel2")
        .set("CHANNELS__SALES__API_TOKEN", "token-of-channel-2")
        .set("CHANNELS__SALES__ID_TYPE", "custom")
        .set("CHANNELS__SALES__PLATFORM", "telegram")
        .set("CHANNELS__SALES__PLATFORM_ID", "7")
        .set("ADMIN__PEOPLE__BEA__TOKEN", BEA)
        .set("ADMIN__PEOPLE__BEA__MAY", "read")
        .set("ADMIN__PEOPLE__CARL__TOKEN", CARL)
        .set("ADMIN__PEOPLE__CARL__MAY", "act")
        .set("ADMIN__PEOPLE__CARL__CHANNELS", "sales");
    house.afilnet.add_channel("telegram", "7", "Sales");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let mut all = Vec::new();
    for contact in CONTACTS {
        all.push(house.agent(&bridge, contact, TEXT).await.m_id.unwrap());
    }
    let body = serde_json::json!({"contactId": "=2+2", "message": {"type": "text", "text": TEXT}}).to_string();
    let of_sales = house.bonychat.post(&bridge.url(), "token-of-channel-2", body).await.m_id.unwrap();
    until("all are sent", || house.messages("sent").len() == CONTACTS.len() + 1).await;
    let cookie = |token: &str| call(&base, "POST", "/login", &[FORM, SAME], &format!("token={token}&next=")).cookie();
    let (admin, bea, carl) = (cookie(OPERATORS), cookie(BEA), cookie(CARL));

    // The page leads there, with its filter.
    let page = get(&base, "/messages?state=sent&channel=support", &admin).body;
    assert!(page.contains("messages?channel=support&#38;state=sent&amp;format=csv"), "{page}");

    let csv = get(&base, "/messages?state=sent&channel=support&contacts=full&format=csv", &admin);
    assert_eq!(csv.status, 200, "{}", csv.body);
    assert!(csv.one("content-type").starts_with("text/csv; charset=utf-8"), "{}", csv.head);
    let name = csv.one("content-disposition");
    assert!(name.starts_with("attachment; filename=\"messages-") && name.ends_with(".csv\""), "{name}");
    assert_eq!((csv.one("cache-control"), csv.one("x-content-type-options")), ("no-store", "nosniff"));
    let text = whole(&csv.body);
    let records =
        records(text.strip_prefix('\u{feff}').expect("a byte order mark, once").trim_start_matches('\u{feff}'));
    assert_eq!(records[0].join(","), "m_id,channel,contact,direction,state,kind,attempts,stored,done,fault,noted");
    let contacts: Vec<&str> = records[1..].iter().rev().map(|record| record[2].as_str()).collect();
    assert_eq!(contacts, CONTACTS.map(|contact| format!("'{contact}")), "{text}");
    let m_ids: Vec<&str> = records[1..].iter().rev().map(|record| record[0].trim_start_matches('\'')).collect();
    assert_eq!(m_ids, all);
    for cell in records.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
    }
    assert!(!text.contains("calc") && !text.contains(&of_sales), "neither texts nor what was not asked for: {text}");

    let json = get(&base, "/messages?state=sent&format=jsonl", &bea);
    let lines: Vec<Value> = whole(&json.body).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), CONTACTS.len() + 1, "{lines:?}");
    assert!(json.one("content-type").starts_with("application/x-ndjson"), "{}", json.head);
    assert_eq!((&lines[0]["m_id"], &lines[0]["direction"]), (&of_sales.clone().into(), &"out".into()));
    let masked = whole(&get(&base, "/messages?contacts=full&format=csv", &bea).body);
    assert!(!CONTACTS.iter().any(|contact| masked.contains(contact)), "who reads sees them masked: {masked}");

    let own = whole(&get(&base, "/messages?contacts=full&format=csv", &carl).body);
    assert!(own.contains(&of_sales) && own.contains("'=2+2") && !own.contains("support"), "{own}");
    let foreign = get(&base, "/messages?channel=support&format=csv", &carl);
    assert!(foreign.status == 400 && foreign.body.contains("choose one of sales"), "{}", foreign.body);
    assert_eq!(get(&base, "/messages?format=csv", "").status, 401);
    let other = get(&base, "/messages?format=xlsx", &admin);
    assert!(other.status == 400 && other.body.contains("csv or jsonl"), "{}", other.body);

    // Each file is in the audit, what was refused is not; no contact and no word of a search.
    let audit = call(&base, "GET", "/api/v1/audit", &[("authorization", &format!("Bearer {OPERATORS}"))], "").body;
    let deeds: Value = serde_json::from_str(&audit).unwrap();
    let deeds: Vec<[&str; 3]> = deeds["deeds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|deed| ["who", "what", "target"].map(|name| deed[name].as_str().unwrap()))
        .collect();
    assert_eq!(
        deeds,
        [
            ["carl", "export with contacts", "messages"],
            ["bea", "export", "messages"],
            ["bea", "export", "messages"],
            ["admin", "export with contacts", "support"],
        ],
        "{audit}"
    );
    assert!(get(&base, "/audit", &admin).body.contains("made a file of messages, contacts in full"));

    // The command makes the same.
    let run = house.run(&["messages", "find", "34600111222", "--csv", "--contacts"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success() && text.starts_with('\u{feff}') && text.contains("'+34600111222"), "{text}");
    let both = house.run(&["messages", "list", "--csv", "--json"]);
    assert_eq!(both.status.code(), Some(2));
    drop(bridge);
    house.check();
}
