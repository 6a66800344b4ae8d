//! What may change anything, and what a form of a decision does.

use std::collections::BTreeSet;

use super::{FORM, OPERATORS, SAME, call, field, get, house, messages, post, sign_in};
use crate::support::{SOON, contact, until};

/// Headers of a call that changes something, and what becomes of it.
fn origins() -> Vec<(Vec<(&'static str, String)>, bool)> {
    let host = "localhost:9090";
    let with = |pairs: &[(&'static str, &str)]| {
        let mut all = vec![("host", host.to_owned())];
        all.extend(pairs.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all
    };
    vec![
        (with(&[("sec-fetch-site", "same-origin")]), true),
        (with(&[("sec-fetch-site", "none")]), true),
        (with(&[("origin", "http://localhost:9090")]), true),
        (with(&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")]), false),
        (with(&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:9090")]), false),
        (with(&[("sec-fetch-site", "same-site"), ("origin", "http://a.localhost:9090")]), false),
        (with(&[("origin", "null")]), false),
        (with(&[("origin", "http://localhost:9091")]), false),
        (with(&[("origin", "http://localhost")]), false),
        (with(&[("origin", "http://evil.localhost:9090")]), false),
        (with(&[("origin", "http://localhost:9090.evil.example")]), false),
        (with(&[]), false),
        (with(&[("referer", "http://localhost:9090/")]), false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_comes_from_a_form_of_the_bridge_and_is_done_once() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [_, failed] = messages(&house, &bridge).await;
    let cookie = sign_in(&base);
    let state = || {
        let shown: serde_json::Value =
            serde_json::from_slice(&house.run(&["messages", "show", &failed]).stdout).unwrap();
        shown["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(), "failed");
    let page = get(&base, &format!("/messages/{failed}"), &cookie);
    let discard = page.body.split("href=\"").find(|link| link.contains("verdict=discard")).unwrap();
    let ask = format!("/messages/{}", discard.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&"));
    let form = get(&base, &ask, &cookie);
    assert_eq!(form.status, 200, "{ask} {}", form.body);
    let (token, of, once) = (field(&form.body, "token"), field(&form.body, "of"), field(&form.body, "once"));
    let path = format!("/messages/{failed}/decide");
    let filled =
        |token: &str, of: &str, once: &str| format!("token={token}&verdict=discard&of={of}&once={once}&why=a+test");

    // From elsewhere.
    for (headers, own) in origins().into_iter().filter(|(_, own)| !own) {
        let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend([FORM, ("cookie", cookie.as_str())]);
        let answer = call(&base, "POST", &path, &headers, &filled(&token, &of, &once));
        assert_eq!((answer.status, own), (403, false), "{headers:?}");
        let login = call(&base, "POST", "/login", &headers, &format!("token={OPERATORS}&next="));
        assert!(login.status == 403 && login.all("set-cookie").is_empty(), "{headers:?}");
    }
    // Without the token of the session, or with that of another; JSON that a page of another site could send.
    let others = field(&get(&base, &ask, &sign_in(&base)).body, "token");
    for wrong in ["", "x", &others, &token[1..]] {
        assert_eq!(post(&base, &path, &cookie, &filled(wrong, &of, &once)).status, 403, "{wrong}");
    }
    for kind in ["text/plain", "application/json", "multipart/form-data"] {
        let headers = [("content-type", kind), SAME, ("cookie", cookie.as_str())];
        assert_eq!(call(&base, "POST", &path, &headers, &filled(&token, &of, &once)).status, 403, "{kind}");
    }
    assert_eq!(post(&base, &path, "", &filled(&token, &of, &once)).status, 401);
    assert_eq!(
        call(&base, "GET", &format!("{path}?{}", filled(&token, &of, &once)), &[("cookie", &cookie)], "").status,
        200
    );
    assert_eq!(state(), "failed", "nothing of all that changed anything");

    // A page that shows another state.
    let outdated = post(&base, &path, &cookie, &filled(&token, "unconfirmed-1", &once));
    assert!(outdated.status == 409 && outdated.body.contains("no longer as the page showed it"), "{}", outdated.body);
    assert_eq!(state(), "failed");

    // From a page of the bridge, over each way in which a browser tells it. The first is done, the others tell the same.
    let mut told = BTreeSet::new();
    for (headers, _) in origins().into_iter().filter(|(_, own)| *own) {
        let mut headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend([FORM, ("cookie", cookie.as_str())]);
        let answer = call(&base, "POST", &path, &headers, &filled(&token, &of, &once));
        assert_eq!(answer.status, 200, "{headers:?} {}", answer.body);
        told.insert(answer.body);
    }
    assert!(told.len() == 1 && told.first().unwrap().contains("is discarded and its text is wiped"), "{told:?}");
    let journey = get(&base, &format!("/messages/{failed}"), &cookie).body;
    assert!(journey.matches("admin").count() >= 2, "its name above, and in the journey: {journey}");
    // Another form of the page as it was before.
    let late = post(&base, &path, &cookie, &filled(&token, &of, "another").replace("discard", "retry"));
    assert_eq!(late.status, 409, "{}", late.body);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_again_by_two_clicks() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [_, failed] = messages(&house, &bridge).await;
    let cookie = sign_in(&base);
    let page = get(&base, &format!("/messages/{failed}"), &cookie).body;
    let link = page.split("href=\"").find(|link| link.contains("verdict=retry")).unwrap().split('"').next().unwrap();
    let form = get(&base, &format!("/messages/{}", link.replace("&amp;", "&").replace("&#38;", "&")), &cookie).body;
    let fields = ["token", "verdict", "of", "once"].map(|name| format!("{name}={}", field(&form, name))).join("&");
    let done = post(&base, &format!("/messages/{failed}/decide"), &cookie, &fields);
    assert!(done.status == 200 && done.body.contains("is queued again"), "{}", done.body);
    let twice = post(&base, &format!("/messages/{failed}/decide"), &cookie, &fields);
    assert_eq!((twice.status, &twice.body), (200, &done.body), "the same form again tells what the first one did");
    assert!(house.afilnet.until(SOON, |world| world.texts(&contact(2)[1..]) == ["one that does not"]).await);
    until("it is shown as sent", || {
        get(&base, &format!("/messages/{failed}"), &cookie).body.contains("class=\"state good\"")
    })
    .await;
    drop(bridge);
    house.check();
}

/// Returns the fields of the form that a link of a message's page leads to.
fn fields(base: &str, m_id: &str, verdict: &str, cookie: &str) -> String {
    let page = get(base, &format!("/messages/{m_id}"), cookie).body;
    let link = page.split("href=\"").find(|link| link.contains(&format!("verdict={verdict}&")));
    let link = link.unwrap_or_else(|| panic!("no {verdict} in {page}")).split('"').next().unwrap();
    let form = get(base, &format!("/messages/{}", link.replace("&amp;", "&").replace("&#38;", "&")), cookie).body;
    ["token", "verdict", "of", "once"].map(|name| format!("{name}={}", field(&form, name))).join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_an_earlier_failure_is_not_taken_for_a_later_one() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [_, failed] = messages(&house, &bridge).await;
    let cookie = sign_in(&base);
    let old = fields(&base, &failed, "discard", &cookie);
    let shown =
        || -> serde_json::Value { serde_json::from_slice(&house.run(&["messages", "show", &failed]).stdout).unwrap() };
    let before = shown();
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    assert!(house.run(&["messages", "retry", &failed]).status.success());
    until("it has failed again", || shown()["state"] == "failed" && shown()["done_ms"] != before["done_ms"]).await;
    assert_eq!(shown()["attempt"], before["attempt"], "the attempts were counted anew");
    let late = post(&base, &format!("/messages/{failed}/decide"), &cookie, &old);
    assert!(late.status == 409 && late.body.contains("no longer as the page showed it"), "{}", late.body);
    let now = fields(&base, &failed, "discard", &cookie);
    assert_eq!(post(&base, &format!("/messages/{failed}/decide"), &cookie, &now).status, 200);
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_tell_of_is_noted_by_two_clicks() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    house.afilnet.set_switch("sent_row_visible_after", "never").unwrap();
    house.afilnet.fault("sendmessage:reset").unwrap();
    let doubtful = house.agent(&bridge, &contact(1), "one that nobody can tell of").await.m_id.unwrap();
    until("looking could not decide", || house.messages("unconfirmed") == [doubtful.clone()]).await;
    house.afilnet.clear_faults();
    let cookie = sign_in(&base);
    let [noted, old] = ["noted", "delivered"].map(|verdict| fields(&base, &doubtful, verdict, &cookie));
    let path = format!("/messages/{doubtful}/decide");
    let done = post(&base, &path, &cookie, &noted);
    assert!(done.status == 200 && done.body.contains("Noted: it may have been delivered"), "{}", done.body);
    let late = post(&base, &path, &cookie, &old);
    assert!(late.status == 409 && late.body.contains("nobody can tell (noted)"), "{}", late.body);
    let page = get(&base, &format!("/messages/{doubtful}"), &cookie).body;
    assert!(page.contains("nobody can tell (noted)") && !page.contains("verdict=noted"), "{page}");
    let accepts = [("cookie", cookie.as_str()), ("accept-language", "es")];
    let spanish = call(&base, "GET", &format!("/messages/{doubtful}"), &accepts, "").body;
    assert!(spanish.contains("no se puede saber (anotado)") && spanish.contains("El cliente lo tiene"), "{spanish}");
    for (state, is_there) in [("unconfirmed", false), ("noted", true)] {
        assert_eq!(house.messages(state).contains(&doubtful), is_there, "{state}");
        let list = get(&base, &format!("/messages?state={state}"), &cookie).body;
        assert_eq!(list.contains(&doubtful), is_there, "{state}: {list}");
    }
    assert_eq!(house.afilnet.calls("sendmessage"), 1, "nothing is sent");
}
