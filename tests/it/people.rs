//! People of the operators' page: what each may do, and which channels each sees.

use crate::page::{Answer, FORM, OPERATORS, SAME, call, field, get, house};
use crate::support::process::Bridge;
use crate::support::{House, contact, until};

/// Acts, and sees `support` alone.
const ANA: &str = "token-of-ana-0123456";
/// Reads all.
const BEA: &str = "token-of-bea-0123456";
/// Reads `sales` alone.
const CARL: &str = "token-of-carl-012345";

fn of_people() -> House {
    let house = house()
        .set("CHANNELS__SALES__CHANNEL_ID", "channel2")
        .set("CHANNELS__SALES__API_TOKEN", "token-of-channel-2")
        .set("CHANNELS__SALES__ID_TYPE", "phone")
        .set("CHANNELS__SALES__PLATFORM", "telegram")
        .set("CHANNELS__SALES__PLATFORM_ID", "7")
        .set("ADMIN__PEOPLE__ANA__TOKEN", ANA)
        .set("ADMIN__PEOPLE__ANA__MAY", "act")
        .set("ADMIN__PEOPLE__ANA__CHANNELS", "support")
        .set("ADMIN__PEOPLE__BEA__TOKEN", BEA)
        .set("ADMIN__PEOPLE__BEA__MAY", "read")
        .set("ADMIN__PEOPLE__CARL__TOKEN", CARL)
        .set("ADMIN__PEOPLE__CARL__MAY", "read")
        .set("ADMIN__PEOPLE__CARL__CHANNELS", "sales");
    house.afilnet.add_channel("telegram", "7", "Sales");
    house
}

/// mIds of a message of `support` that failed, and of one of `sales` that was sent.
async fn messages(house: &House, bridge: &Bridge) -> [String; 2] {
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    house.agent(bridge, &contact(1), "one of support").await;
    until("it failed", || house.messages("failed").len() == 1).await;
    house.afilnet.clear_faults();
    let message =
        serde_json::json!({"contactId": contact(2), "message": {"type": "text", "text": "one of sales"}}).to_string();
    let sent = house.bonychat.post(&bridge.url(), "token-of-channel-2", message).await;
    until("it was sent", || house.messages("sent").len() == 1).await;
    [house.messages("failed").remove(0), sent.m_id.unwrap()]
}

fn cookie_of(base: &str, token: &str) -> String {
    let answer = call(base, "POST", "/login", &[FORM, SAME], &format!("token={token}&next="));
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.cookie()
}

fn bearing(base: &str, method: &str, path: &str, token: &str, body: &str) -> Answer {
    call(base, method, path, &[("authorization", &format!("Bearer {token}"))], body)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_changes_nothing_by_page_or_by_api_and_is_told_so() {
    let mut house = of_people();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [failed, _] = messages(&house, &bridge).await;
    let (bea, admin) = (cookie_of(&base, BEA), cookie_of(&base, OPERATORS));
    let page = get(&base, &format!("/messages/{failed}"), &bea);
    assert!(page.status == 200 && page.body.contains(">bea</span>"), "{}", page.body);
    assert!(!page.body.contains("verdict=") && !page.body.contains("contacts=full"), "{}", page.body);
    let full = get(&base, &format!("/messages/{failed}?contacts=full"), &bea);
    assert!(!full.body.contains(&contact(1)[1..]), "contacts stay masked: {}", full.body);
    // The form of one who may act, with a token of this session.
    let journey = get(&base, &format!("/messages/{failed}"), &admin).body;
    let of = journey.split("verdict=retry&amp;of=").chain(journey.split("verdict=retry&#38;of=")).nth(1).unwrap();
    let of = of.split('"').next().unwrap();
    let token = field(&page.body, "token");
    for (path, body) in [
        (format!("/messages/{failed}/decide"), format!("token={token}&verdict=retry&of={of}&once=1")),
        ("/unconfirmed".into(), format!("token={token}&m_id={failed}&verdict=noted&of={of}&once=1")),
    ] {
        let answer = call(&base, "POST", &path, &[("cookie", &bea), FORM, SAME], &body);
        assert!(answer.status == 403 && answer.body.contains("You may read, and change nothing"), "{}", answer.body);
    }
    for (verb, body) in [("settle", "{\"as\":\"failed\"}"), ("retry", ""), ("discard", "")] {
        let answer = bearing(&base, "POST", &format!("/api/v1/messages/{failed}/{verb}"), BEA, body);
        assert!(answer.status == 403 && answer.body.contains("you may read"), "{verb}: {}", answer.body);
    }
    let answer = bearing(&base, "GET", "/api/v1/messages?contacts=full", BEA, "");
    assert!(answer.status == 403 && answer.body.contains("who may act"), "{}", answer.body);
    // What only asks whether something shall be done is refused in the same words, and no link leads there.
    let asking = [
        &*format!("/messages/{failed}/decide?verdict=retry&of=message"),
        "/channels/support/pause?what=out",
        "/bulk?action=retry&state=failed",
        "/bulk?channel=support&action=discard&state=failed",
    ];
    for path in asking {
        let answer = get(&base, path, &bea);
        assert!(answer.status == 403 && answer.body.contains("You may read"), "{path}: {}", answer.body);
    }
    for path in ["/failed", &*format!("/messages/{failed}"), "/channels/support", "/bulk", "/bulk?action="] {
        let page = get(&base, path, &bea);
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        for link in ["bulk?", "/decide", "/pause?", "a button below", "name=\"action\""] {
            assert!(!page.body.contains(link), "{link} on {path}: {}", page.body);
        }
    }
    assert_eq!(house.messages("failed"), std::slice::from_ref(&failed), "nothing was changed");
    // Signing out is no change.
    let out = call(&base, "POST", "/logout", &[("cookie", &bea), FORM, SAME], "");
    assert_eq!(out.status, 303);
    // Who may act is in the audit by name, by both ways.
    let done = bearing(&base, "POST", &format!("/api/v1/messages/{failed}/retry"), ANA, "");
    assert_eq!(done.status, 200, "{}", done.body);
    let audit = bearing(&base, "GET", "/api/v1/audit", BEA, "").body;
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    assert_eq!((&audit["deeds"][0]["who"], &audit["deeds"][0]["means"]), (&"ana".into(), &"api".into()), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_of_some_channels_is_told_nothing_of_others() {
    let mut house = of_people();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [of_support, of_sales] = messages(&house, &bridge).await;
    for (token, own, other, own_id, other_id) in
        [(ANA, "support", "sales", &of_support, &of_sales), (CARL, "sales", "support", &of_sales, &of_support)]
    {
        let cookie = cookie_of(&base, token);
        let api = |path: &str| bearing(&base, "GET", &format!("/api/v1{path}"), token, "");
        let both = |path: &str| [get(&base, path, &cookie), api(path)];
        for path in ["/", "/messages", "/messages?q=one", "/unconfirmed", "/live"] {
            let page = get(&base, path, &cookie);
            assert_eq!(page.status, 200, "{own} {path}: {}", page.body);
            assert!(
                !page.body.contains(other) && !page.body.contains(other_id.as_str()),
                "{own} {path}: {}",
                page.body
            );
        }
        for path in ["/channels", "/messages", "/messages?q=one", "/failed"] {
            let answer = api(path);
            assert_eq!(answer.status, 200, "{own} {path}: {}", answer.body);
            assert!(
                !answer.body.contains(other) && !answer.body.contains(other_id.as_str()),
                "{own} {path}: {}",
                answer.body
            );
        }
        for answer in both("/messages?q=one") {
            assert!(answer.body.contains(own_id.as_str()), "{own}: {}", answer.body);
        }
        for answer in both(&format!("/messages?q={other_id}")) {
            assert!(answer.status == 200, "{}", answer.body);
            assert_eq!(answer.body.matches(&format!("messages/{other_id}")).count(), 0, "{}", answer.body);
        }
        for answer in both(&format!("/messages?channel={other}")) {
            assert!(answer.status == 400 && answer.body.contains(own), "{}", answer.body);
        }
        for answer in both(&format!("/messages/{own_id}")) {
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let nowhere = "0".repeat(32);
        for id in [other_id, &nowhere] {
            for answer in both(&format!("/messages/{id}")) {
                assert_eq!(answer.status, 404, "{}", answer.body);
                assert!(!answer.body.contains(other), "as if it were not there: {}", answer.body);
            }
            let asked = get(&base, &format!("/messages/{id}/decide?verdict=retry&of=x"), &cookie);
            assert_eq!(asked.status, if token == ANA { 404 } else { 403 }, "{}", asked.body);
            let retried = bearing(&base, "POST", &format!("/api/v1/messages/{id}/retry"), token, "");
            assert_eq!(retried.status, if token == ANA { 404 } else { 403 }, "{}", retried.body);
        }
        let encoded = format!("/messages/%{:02x}{}", other_id.as_bytes()[0], &other_id[1..]);
        assert_eq!(get(&base, &encoded, &cookie).status, 404, "{encoded}");
        // What is of all channels together, and what is not there.
        for path in ["/settings", "/audit", "/jobs", "/x"] {
            for answer in both(path) {
                assert!(matches!(answer.status, 401 | 403 | 404), "{path}: {}", answer.status);
                assert!(!answer.body.contains(other), "{path}: {}", answer.body);
            }
        }
        for path in ["/settings", "/audit"] {
            let answer = api(path);
            assert!(answer.status == 403 && answer.body.contains("of all channels together"), "{}", answer.body);
        }
    }
    assert_eq!(house.messages("failed"), [of_support], "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_of_a_person_ends_with_their_token_and_a_link_signs_one_in_by_name() {
    let mut house = of_people();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let (ana, bea) = (cookie_of(&base, ANA), cookie_of(&base, BEA));
    let tampered = bea.replace(".bea.", ".ana.");
    assert_eq!(get(&base, "/", &tampered).status, 401, "one person's cookie under the name of another");
    for n in 0..22 {
        let answer = call(&base, "POST", "/login", &[FORM, SAME], &format!("token=token-of-ana-{n:07}&next="));
        assert_eq!(answer.status, if n < 20 { 401 } else { 429 }, "{n}");
    }
    assert_eq!(get(&base, "/", &cookie_of(&base, ANA)).status, 200, "the right one is taken");
    let link = String::from_utf8(house.run(&["page", "--as", "ana"]).stdout).unwrap();
    let path = format!("/login?{}", link.trim().split_once("login?").unwrap().1);
    let cookie = call(&base, "GET", &path, &[("sec-fetch-site", "none")], "").cookie();
    assert!(get(&base, "/", &cookie).body.contains(">ana</span>"));
    let nobody = house.run(&["page", "--as", "eva"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(!nobody.status.success() && said.contains("there is admin, ana, bea, carl"), "{said}");
    drop(bridge);
    let mut house = house.set("ADMIN__PEOPLE__ANA__TOKEN", "another-token-of-ana");
    let bridge = house.start().await;
    assert_eq!(get(&bridge.admin_url(), "/", &ana).status, 401);
    assert_eq!(get(&bridge.admin_url(), "/", &bea).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_of_some_channels_pauses_these_alone_by_the_api() {
    let mut house = of_people();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let post = |token: &str, path: &str, body: &str| bearing(&base, "POST", &format!("/api/v1{path}"), token, body);
    let pause = r#"{"what":"out","why":"migration"}"#;
    for path in ["/channels/sales/pause", "/channels/nobody/pause", "/channels/sales/resume"] {
        let answer = post(ANA, path, pause);
        assert!(answer.status == 404 && !answer.body.contains("sales"), "{path}: {} {}", answer.status, answer.body);
    }
    for (path, body) in
        [("/channels/support/pause", pause), ("/channels/sales/pause", pause), ("/plans", "{}"), ("/jobs/1/cancel", "")]
    {
        let answer = post(BEA, path, body);
        assert!(answer.status == 403 && answer.body.contains("you may read"), "{path}: {}", answer.body);
    }
    for path in ["/plans", "/plans/1-2-3-4/run", "/jobs/1/cancel"] {
        let answer = post(ANA, path, r#"{"action":"retry","state":"failed","channel":"support"}"#);
        assert!(answer.status == 403 && answer.body.contains("all channels"), "{path}: {}", answer.body);
    }
    assert_eq!(post(ANA, "/channels/support/pause", pause).status, 200);
    let pauses = house.run(&["channels", "pauses"]);
    let told = String::from_utf8(pauses.stdout).unwrap();
    assert!(
        told.lines().count() == 1 && told.starts_with("support\tout\t") && told.ends_with("\tana\tmigration\n"),
        "{told}"
    );
}
