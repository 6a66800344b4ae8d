//! The operators' page: who gets in, what may change anything, what of data becomes markup, and what each page tells.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::proxy::block;
use crate::support::process::Bridge;
use crate::support::tools::{Service, free_address, installed};
use crate::support::{CHANNEL, House, SOON, TOKEN, blocking, contact, until};

/// Token of the operators.
pub(crate) const OPERATORS: &str = "token-of-the-operators";

/// An answer of the admin listener.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Returns the values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.head);
        all[0]
    }

    /// Returns the cookie that is set, as a browser sends it back.
    pub(crate) fn cookie(&self) -> String {
        self.one("set-cookie").split(';').next().unwrap().to_owned()
    }
}

/// Calls with these header lines.
pub(crate) fn call(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let lines: String = headers.iter().map(|(name, value)| [*name, ": ", *value, "\r\n"].concat()).collect();
    let host = if lines.to_lowercase().contains("host: ") { "" } else { "host: localhost\r\n" };
    let length =
        if body.is_empty() && method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let answer = blocking(|| {
        let mut stream = TcpStream::connect(base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\n{host}{lines}{length}connection: close\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn get(base: &str, path: &str, cookie: &str) -> Answer {
    call(base, "GET", path, &[("cookie", cookie)], "")
}

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(crate) const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

pub(crate) fn post(base: &str, path: &str, cookie: &str, body: &str) -> Answer {
    call(base, "POST", path, &[("cookie", cookie), FORM, SAME], body)
}

/// Signs in, and returns the cookie.
pub(crate) fn sign_in(base: &str) -> String {
    let answer = call(base, "POST", "/login", &[FORM, SAME], &format!("token={OPERATORS}&next="));
    assert_eq!((answer.status, answer.one("location")), (303, "./"), "{}", answer.body);
    answer.cookie()
}

/// Returns the value of a hidden field of a page.
pub(crate) fn field(page: &str, name: &str) -> String {
    let marker = format!("type=\"hidden\" name=\"{name}\" value=\"");
    page.split(&marker).nth(1).unwrap_or_else(|| panic!("no {name} in {page}")).split('"').next().unwrap().to_owned()
}

pub(crate) fn house() -> House {
    House::new().set("ADMIN__TOKEN", OPERATORS)
}

/// mIds of a message that was sent and of one that failed.
pub(crate) async fn messages(house: &House, bridge: &Bridge) -> [String; 2] {
    let sent = house.agent(bridge, &contact(1), "one that goes well").await.m_id.unwrap();
    house.afilnet.fault("sendmessage:MISSING_COMPULSORY_PARAM").unwrap();
    house.agent(bridge, &contact(2), "one that does not").await;
    [sent, house.messages("failed").remove(0)]
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_shown_a_page_without_a_good_cookie() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [sent, failed] = messages(&house, &bridge).await;
    let cookie = sign_in(&base);
    let (name, value) = cookie.split_once('=').unwrap();
    let pages = [
        "/".to_owned(),
        "/messages".into(),
        "/messages?q=one".into(),
        format!("/messages/{sent}"),
        format!("/messages/{failed}/decide?verdict=retry&of=failed-1"),
    ];
    // The last letter holds two bits that count for nothing: the one before it is changed.
    let (front, last) = value.split_at(value.len() - 2);
    let other = if last.starts_with('A') { "B" } else { "A" };
    let parts: Vec<&str> = value.split('.').collect();
    let later = format!("v1.{}.{}.{}.{}", parts[1].parse::<i64>().unwrap() + 60, parts[2], parts[3], parts[4]);
    let expired = format!("v1.1000000000.{}.{}.{}", parts[2], parts[3], parts[4]);
    let another = format!("v1.{}.{}.boss.{}", parts[1], parts[2], parts[4]);
    for path in &pages {
        for bad in [
            "",
            "x=y",
            &format!("{name}="),
            &format!("{name}=v1"),
            &format!("{name}={front}{other}{}", &last[1..]),
            &format!("{name}={later}"),
            &format!("{name}={expired}"),
            &format!("{name}={another}"),
            &format!("other={value}"),
            &format!("{name}={OPERATORS}"),
        ] {
            let answer = get(&base, path, bad);
            assert_eq!(answer.status, 401, "{path} {bad}");
            for secret in [sent.as_str(), "support", "failed", OPERATORS] {
                assert!(
                    path.contains(secret) || !answer.body.contains(secret),
                    "{path} tells {secret}: {}",
                    answer.body
                );
            }
            assert!(answer.body.contains("name=\"token\""), "the form to sign in: {}", answer.body);
            assert!(answer.all("set-cookie").is_empty());
        }
        for wrong in ["Bearer wrong", "Basic wrong", "Bearer "] {
            assert_eq!(
                call(&base, "GET", path, &[("authorization", wrong), ("cookie", &cookie)], "").status,
                401,
                "{path}"
            );
        }
        let bearer = format!("Bearer {OPERATORS}");
        for answer in [get(&base, path, &cookie), call(&base, "GET", path, &[("authorization", &bearer)], "")] {
            assert!(answer.status == 200 || path.ends_with("failed-1"), "{path}: {} {}", answer.status, answer.body);
        }
    }
    // Nothing of it on the listener for BonyChat.
    for path in pages.iter().map(String::as_str).filter(|path| *path != "/").chain(["/login", "/logout"]) {
        let answer = call(&bridge.url(), "GET", path, &[("cookie", &cookie)], "");
        assert!(matches!(answer.status, 404 | 405), "{path}: {}", answer.status);
    }
    assert_eq!(call(&bridge.url(), "GET", "/", &[("cookie", &cookie)], "").body, "ok\n");
    // Another token, another bridge: the cookie is worth nothing there.
    drop(bridge);
    let bridge = house.start().await;
    assert_eq!(get(&bridge.admin_url(), "/", &cookie).status, 200, "it holds over a restart");
    drop(bridge);
    let mut house = house.set("ADMIN__TOKEN", "another-token-of-them");
    let bridge = house.start().await;
    assert_eq!(get(&bridge.admin_url(), "/", &cookie).status, 401, "and ends with its token");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_and_with_a_short_one_there_is_no_page_and_the_metrics_stay() {
    for token in ["", "fifteen-letters"] {
        let mut house = House::new().set("ADMIN__TOKEN", token);
        let bridge = house.start().await;
        let base = bridge.admin_url();
        for path in ["/", "/messages", "/login"] {
            let answer = get(&base, path, "");
            assert_eq!(answer.status, 403, "{path}");
            assert!(answer.body.contains("admin.token is not set, or is shorter than 16"), "{}", answer.body);
        }
        assert_eq!(call(&base, "POST", "/login", &[FORM, SAME], &format!("token={token}&next=")).status, 403);
        let bearer = format!("Bearer {token}");
        let metrics = call(&base, "GET", "/metrics", &[("authorization", &bearer)], "");
        assert!(metrics.status == 200 && metrics.all("content-security-policy").is_empty(), "{}", metrics.head);
        let told = house.run(&["page"]);
        assert!(!told.status.success() && String::from_utf8_lossy(&told.stderr).contains("openssl rand"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_at_the_sign_in_are_limited_and_the_right_one_is_taken() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    for n in 0..30 {
        assert_eq!(get(&base, "/", "").status, 401, "to look at the form is no try, {n}");
    }
    for n in 0..25 {
        assert_eq!(get(&base, "/favicon.ico", "").status, 401, "what a browser asks for by itself is no try, {n}");
        assert_eq!(call(&base, "GET", "/api/v1/channels", &[], "").status, 401, "nor is a call without a token, {n}");
    }
    for n in 0..25 {
        let answer = call(&base, "POST", "/login", &[FORM, SAME], &format!("token=wrong{n}&next=messages"));
        assert_eq!(answer.status, if n < 20 { 401 } else { 429 }, "{n}");
        assert!(
            answer.body.contains("This is not the token") && answer.all("set-cookie").is_empty(),
            "{}",
            answer.body
        );
        assert_eq!(field(&answer.body, "next"), "messages");
    }
    let cookie = sign_in(&base);
    assert_eq!(get(&base, "/", &cookie).status, 200);
    assert_eq!(get(&base, "/messages", "").status, 401, "still no try");
    let metrics = call(&base, "GET", "/metrics", &[("authorization", &format!("Bearer {OPERATORS}"))], "").body;
    for counted in ["why=\"unauthorized\"} 20\n", "why=\"too_many_wrong_tokens\"} 5\n"] {
        assert!(metrics.contains(counted), "a visit is no refusal that an alert is for: {counted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_in_a_cookie_that_no_script_and_no_other_site_can_use() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let body = format!("token={OPERATORS}&next=messages%3Fq%3Dnumber");
    let plain = call(&base, "POST", "/login", &[FORM, SAME], &body);
    assert_eq!(plain.one("location"), "messages?q=number");
    let cookie = plain.one("set-cookie");
    assert!(cookie.starts_with("bridge_session=v1."), "{cookie}");
    for part in ["; Max-Age=43200", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Path") && !cookie.contains(OPERATORS), "{cookie}");
    let behind = [FORM, SAME, ("x-forwarded-proto", "https"), ("host", "localhost")];
    let secure = call(&base, "POST", "/login", &behind, &body);
    assert!(secure.one("set-cookie").starts_with("__Secure-bridge_session=v1."), "{}", secure.head);
    assert!(secure.one("set-cookie").ends_with("; Secure"), "{}", secure.head);
    assert_eq!(get(&base, "/", &secure.cookie()).status, 200);
    for foreign in
        ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "javascript%3Aalert(1)", "messages%0d%0aset-cookie:a"]
    {
        let answer = call(&base, "POST", "/login", &[FORM, SAME], &format!("token={OPERATORS}&next={foreign}"));
        assert_eq!((answer.status, answer.one("location")), (303, "./"), "{foreign}");
    }
    let out = call(&base, "POST", "/logout", &[FORM, SAME, ("cookie", &plain.cookie())], "");
    assert_eq!((out.status, out.one("location")), (303, "login"));
    assert!(out.one("set-cookie").contains("bridge_session=; Max-Age=0"), "{}", out.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_once_and_not_from_another_site() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let link = || {
        let output = house.run(&["page", "--url", "https://ops.example/bridge"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().strip_prefix("https://ops.example/bridge").unwrap().to_owned()
    };
    let first = link();
    assert!(first.starts_with("/login?link=v1."), "{first}");
    for site in ["cross-site", "same-site"] {
        let answer = call(&base, "GET", &first, &[("sec-fetch-site", site)], "");
        assert!(answer.status == 401 && answer.all("set-cookie").is_empty(), "{site}");
    }
    let looked_at = call(&base, "HEAD", &first, &[("sec-fetch-site", "none")], "");
    assert!(looked_at.status == 200 && looked_at.all("set-cookie").is_empty(), "HEAD does not use it up");
    let answer = call(&base, "GET", &first, &[("sec-fetch-site", "none")], "");
    assert_eq!((answer.status, answer.one("location")), (303, "./"));
    assert_eq!(get(&base, "/", &answer.cookie()).status, 200);
    let again = call(&base, "GET", &first, &[("sec-fetch-site", "none")], "");
    assert!(again.status == 401 && again.body.contains("it was used before"), "{}", again.body);
    let tampered = link().replace("v1.", "v1.9");
    assert_eq!(get(&base, &tampered, "").status, 401);
    assert_eq!(get(&base, &link(), "").status, 303);
}

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

#[tokio::test(flavor = "multi_thread")]
async fn each_page_has_its_headers_its_size_and_no_link_that_leaves_its_folder() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let mut sent = String::new();
    for n in 0..60 {
        sent = house.agent(&bridge, &contact(n % 3), &format!("text {n}")).await.m_id.unwrap();
    }
    let cookie = sign_in(&base);
    let mut files = BTreeSet::new();
    for path in [
        "/",
        "/messages",
        "/messages?q=text&state=sent",
        "/messages?channel=nowhere",
        &format!("/messages/{sent}"),
        "/messages/nothing",
        "/login",
    ] {
        for cookie in ["", cookie.as_str()] {
            let answer = get(&base, path, cookie);
            let csp = answer.one("content-security-policy");
            assert!(csp.starts_with("default-src 'none';") && !csp.contains("unsafe") && !csp.contains('*'), "{csp}");
            for (name, value) in [
                ("referrer-policy", "same-origin"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("x-robots-tag", "noindex"),
                ("content-type", "text/html; charset=utf-8"),
            ] {
                assert_eq!(answer.one(name), value, "{path}");
            }
            assert!(answer.body.len() <= 100 * 1024, "{path}: {} bytes", answer.body.len());
            for inline in ["<style", " style=", "javascript:", " onclick", " onload", "<script>"] {
                assert!(!answer.body.contains(inline), "{path}: {inline}");
            }
            for attribute in ["href=\"", "src=\"", "action=\""] {
                for link in answer.body.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    assert!(!link.starts_with('/') && !link.contains("://"), "{path}: {link}");
                    if link.starts_with("./ops.") {
                        files.insert(link.trim_start_matches("./").to_owned());
                    }
                }
            }
        }
    }
    assert_eq!(files.len(), 3, "{files:?}");
    let mut bytes = 0;
    for file in files {
        let answer = get(&base, &format!("/{file}"), "");
        assert_eq!(
            (answer.status, answer.one("cache-control")),
            (200, "public, max-age=31536000, immutable"),
            "{file}"
        );
        assert_eq!(answer.one("x-content-type-options"), "nosniff");
        bytes += answer.body.len();
    }
    assert!(bytes <= 24 * 1024, "{bytes} bytes of style and script");
    // Fifty a page, and on from there.
    let first = get(&base, "/messages?q=text", &cookie).body;
    assert_eq!(first.matches("<th scope=\"row\">").count(), 50);
    let next = first.split("rel=\"next\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let next = get(&base, &format!("/{}", next.replace("&amp;", "&").replace("&#38;", "&")), &cookie).body;
    assert!(next.matches("<th scope=\"row\">").count() >= 10 && next.contains("Searched back to"), "{next}");
    drop(bridge);
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_this_machine_no_other_name_is_answered_and_from_another_site_the_page_loads_itself_once() {
    let mut house = house().set("SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let with = |headers: &[(&str, &str)]| {
        call(&base, "GET", "/messages?q=a%22b", &[headers, &[("cookie", cookie.as_str())]].concat(), "")
    };
    for host in ["evil.example", "evil.example:9090", "localhost.evil.example", "192.0.2.1"] {
        let answer = with(&[("host", host)]);
        assert!(answer.status == 403 && answer.body.contains("server.trusted_proxies"), "{host}: {}", answer.status);
    }
    for host in ["localhost:9090", "127.0.0.1", "[::1]:9090"] {
        assert_eq!(with(&[("host", host)]).status, 200, "{host}");
    }
    // Through a proxy that names its client.
    assert_eq!(with(&[("host", "ops.example"), ("x-forwarded-for", "198.51.100.7")]).status, 200);
    // From an alert in a chat, the browser keeps the cookie back.
    for site in ["cross-site", "same-site"] {
        let answer = call(&base, "GET", "/messages?q=a%22b", &[("sec-fetch-site", site)], "");
        assert_eq!(answer.status, 200);
        assert!(
            answer.body.contains("http-equiv=\"refresh\" content=\"0; url=?q=a%22b&#38;again=1\""),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains("name=\"token\"") && !answer.body.contains("support"), "{}", answer.body);
        let again = call(&base, "GET", "/messages?q=a%22b&again=1", &[("sec-fetch-site", site)], "");
        assert!(again.status == 401 && again.body.contains("name=\"token\""), "once");
        for (path, location) in
            [("/messages?q=a%22b&again=1", "messages?q=a%22b"), ("/?again=1", "./"), ("/?a=1&again=1", "./?a=1")]
        {
            let form = call(&base, "GET", path, &[("sec-fetch-site", site)], "");
            let next = encoded(&field(&form.body, "next"));
            let signed = call(&base, "POST", "/login", &[FORM, SAME], &format!("token={OPERATORS}&next={next}"));
            assert_eq!((signed.status, signed.one("location")), (303, location), "where the person wanted to, {path}");
        }
        assert_eq!(
            call(&base, "GET", "/messages?q=a%22b&again=1", &[("sec-fetch-site", site), ("cookie", &cookie)], "")
                .status,
            200
        );
    }
}

/// Tags and attributes of a page, in order.
pub(crate) fn markup(page: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), page);
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            found.push("comment".to_owned());
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_tag = rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!' || c == '?');
        if !is_tag {
            continue;
        }
        let name: String = rest.chars().take_while(|c| !c.is_whitespace() && *c != '>').collect();
        rest = &rest[name.len()..];
        found.push(name.to_ascii_lowercase());
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            if rest.is_empty() || rest.starts_with('>') {
                break;
            }
            let attribute: String = rest.chars().take_while(|c| !c.is_whitespace() && !"=>/".contains(*c)).collect();
            if attribute.is_empty() {
                rest = &rest[rest.chars().next().unwrap().len_utf8()..];
                continue;
            }
            rest = rest[attribute.len()..].trim_start();
            found.push(format!("@{}", attribute.to_ascii_lowercase()));
            if let Some(value) = rest.strip_prefix('=') {
                let value = value.trim_start();
                rest = match value.chars().next() {
                    Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).map_or("", |(_, after)| after),
                    _ => value.trim_start_matches(|c: char| !c.is_whitespace() && c != '>'),
                };
            }
        }
    }
    found
}

/// 200 texts that become markup where anything is not escaped.
pub(crate) fn payloads() -> Vec<String> {
    let cores = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "\"><svg onload=alert(1)>",
        "'><b a='",
        "\" autofocus onfocus=alert(1) x=\"",
        "</title><script>alert(1)</script>",
        "</textarea><img src=x>",
        "<!--<img src=x>-->",
        "<a href=javascript:alert(1)>a</a>",
        "&lt;script&gt;",
        "&#60;img src=x&#62;",
        "<iframe srcdoc='<script>alert(1)</script>'>",
        "<math><mi xlink:href=a>",
        "</main><form action=//evil>",
        "<base href=//evil>",
        "<meta http-equiv=refresh content=0>",
        "`onmouseover=alert(1)`",
        "{{ page.form_token }}",
        "{% include \"x\" %}",
        "</option><option selected>",
    ];
    let wraps = ["{}", "a{}b", "\"{}", "'{}", "</b>{}", "{}\"'><", " {} ", "{}<", "<{}", "ñ{}💥"];
    cores.iter().flat_map(|core| wraps.iter().map(move |wrap| wrap.replacen("{}", core, 1))).collect()
}

/// An Afilnet that has no conversation, and refuses each send with the next of these texts. Returns its address.
fn refusing(texts: Vec<String>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/http/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        // Not in the order in which they are sent: what a response repeats of its message is not kept.
        let mut texts = texts.iter().rev().cycle();
        for mut stream in listener.incoming().flatten() {
            let (mut request, mut some) = (Vec::new(), [0; 4096]);
            let is_whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                body.len() >= length.unwrap_or(0)
            };
            while !is_whole(&request) {
                match stream.read(&mut some) {
                    Ok(read) if read > 0 => request.extend_from_slice(&some[..read]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request);
            let sends = ["sendmessage", "sendfile"].iter().any(|method| request.contains(method));
            let answer = if sends {
                serde_json::json!({"status": "ERROR", "error": texts.next().unwrap()}).to_string()
            } else {
                serde_json::json!({"status": "SUCCESS", "result": []}).to_string()
            };
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
            let _ = write!(stream, "{head}: {}\r\n\r\n{answer}", answer.len());
        }
    });
    url
}

/// As a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Markup of the journey, beside that of the other pages.
const OWN: &str = "ol /ol dl /dl div /div dt /dt dd /dd small /small time /time @datetime @aria-current @rel section /section \
                   @open @aria-labelledby h2 /h2 li /li ul /ul table /table caption /caption thead /thead tbody /tbody tr \
                   /tr th /th td /td @scope @data-label @id";

/// As text within markup.
fn escaped(text: &str) -> String {
    let signs = [("&", "&#38;"), ("<", "&#60;"), (">", "&#62;"), ("\"", "&#34;"), ("'", "&#39;")];
    signs.into_iter().fold(text.to_owned(), |text, (sign, escaped)| text.replace(sign, escaped))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_element_and_no_attribute_of_a_page_comes_from_its_address() {
    let payloads = payloads();
    assert_eq!(payloads.len(), 200);
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);

    let blank = |path: &str, cookie: &str| markup(&get(&base, path, cookie).body);
    for cookie in [cookie.as_str(), ""] {
        for name in ["q", "fault", "from", "to", "channel", "dir", "state", "before", "other"] {
            let plain = blank(&format!("/messages?{name}=zzz"), cookie);
            assert!(plain.contains(&"input".to_owned()));
            for payload in payloads.iter().step_by(if matches!(name, "q" | "fault") { 1 } else { 7 }) {
                let page = get(&base, &format!("/messages?{name}={}", encoded(payload)), cookie).body;
                if name == "q" && !cookie.is_empty() {
                    assert!(page.contains(&format!(" value=\"{}\"", escaped(payload))), "{payload} as text: {page}");
                }
                let found = markup(&page);
                // A query that is a number, or empty, says one sentence less.
                let kinds = |markup: &[String]| markup.iter().cloned().collect::<BTreeSet<_>>();
                assert!(
                    kinds(&found).is_subset(&kinds(
                        &[plain.clone(), vec!["p".into(), "@class".into(), "@role".into()]].concat()
                    )),
                    "{name}={payload}: {found:?}"
                );
                assert!(found.len().abs_diff(plain.len()) <= 6, "{name}={payload}: {found:?} {plain:?}");
            }
        }
        for payload in payloads.iter().step_by(5) {
            let plain = blank("/messages/nothing", cookie);
            assert_eq!(blank(&format!("/messages/{}", encoded(payload)), cookie), plain, "{payload}");
            assert_eq!(
                blank(&format!("/language?to=es&next={}", encoded(payload)), cookie),
                blank("/language?to=es&next=a", cookie)
            );
        }
    }
    for payload in payloads.iter().step_by(11) {
        let form = |text: &str| {
            markup(&call(&base, "POST", "/login", &[FORM, SAME], &format!("token=x&next={}", encoded(text))).body)
        };
        assert_eq!(form(payload), form("a"), "{payload}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_element_and_no_attribute_of_a_page_comes_from_data() {
    let payloads = payloads();
    let mut house = house().set("AFILNET__URL", &refusing(payloads.clone()));
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    let blank = |path: &str| markup(&get(&base, path, &cookie).body);

    // In what agents write, the name of a file, the request id, and what Afilnet answers.
    for (n, payload) in payloads.iter().enumerate() {
        let message = match n % 2 {
            0 => serde_json::json!({"type": "text", "text": payload}),
            _ => {
                serde_json::json!({"type": "file", "url": "https://files.example/a.pdf", "fileName": payload, "description": payload})
            }
        };
        let body =
            serde_json::json!({"channelId": CHANNEL, "contactId": contact(n % 20), "message": message}).to_string();
        let bearer = format!("Bearer {TOKEN}");
        let id: String = payload.chars().filter(char::is_ascii).collect();
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("x-request-id", id.as_str())];
        call(&bridge.url(), "POST", "/message", &headers, &body);
    }
    until("all have been answered", || house.messages("failed").len() >= 150).await;
    let listed = house.run(&["messages", "list", "--limit", "1000"]);
    let m_ids: Vec<String> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split('\t').next().unwrap().to_owned())
        .collect();
    let known: BTreeSet<String> = ["/", "/messages", "/login"].into_iter().flat_map(&blank).collect();
    let allowed = |markup: &[String]| {
        let odd: Vec<&String> =
            markup.iter().filter(|one| !known.contains(*one) && !OWN.split(' ').any(|own| own == *one)).collect();
        assert!(odd.is_empty(), "{odd:?} in {markup:?}");
        markup.iter().filter(|one| matches!(one.as_str(), "script" | "img" | "svg" | "iframe" | "base" | "b")).count()
    };
    for path in ["/", "/messages", "/messages?q=alert", "/messages?q=script"] {
        assert_eq!(allowed(&blank(path)), 1, "the one script of the page: {path}");
    }
    assert!(m_ids.len() >= 150, "only {} of them were taken", m_ids.len());
    for m_id in &m_ids {
        let page = get(&base, &format!("/messages/{m_id}"), &cookie);
        assert_eq!(page.status, 200, "{m_id}");
        assert_eq!(allowed(&markup(&page.body)), 1, "{m_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_a_customer_misses_is_explained_in_both_languages_within_two_clicks() {
    let mut house = house();
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let [sent, failed] = messages(&house, &bridge).await;
    house.customer(&contact(1), "hello");
    let cookie = sign_in(&base);
    let number = contact(1);
    let cell = format!("class=\"id\">{number}");
    until("what the customer wrote is in the list", || {
        get(&base, &format!("/messages?q={}", encoded(&number)), &cookie).body.contains("BonyChat has it")
    })
    .await;
    let list = get(&base, &format!("/messages?q={}", encoded(&number)), &cookie).body;
    assert!(
        list.contains(&format!("href=\"./messages/{sent}\"")) && !list.contains(&cell),
        "masked as log.contacts has it: {list}"
    );
    let full = list.split("href=\"").find(|link| link.contains("contacts=full")).unwrap().split('"').next().unwrap();
    let full = get(&base, &format!("/{}", full.replace("&amp;", "&").replace("&#38;", "&")), &cookie).body;
    assert!(full.contains(&cell) && !full.contains("Show contacts in full"), "where it is asked for: {full}");
    assert!(!list.contains(&contact(2)), "{list}");
    let page = get(&base, &format!("/messages/{sent}"), &cookie).body;
    for words in [
        "Yes, as far as Afilnet tells",
        "BonyChat handed it over",
        "Sent: Afilnet took it in attempt 1",
        "Its conversation",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    assert!(!page.contains("verdict=") && page.contains("aria-current"), "nothing to decide: {page}");
    assert!(!page.contains(&number[4..]), "masked: {page}");
    let full = get(&base, &format!("/messages/{sent}?contacts=full"), &cookie).body;
    assert!(full.matches(&cell).count() > 1, "its own, and those of its conversation: {full}");
    let spanish = [("cookie", format!("{cookie}; bridge_language=es"))];
    let spanish: Vec<(&str, &str)> = spanish.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = call(&base, "GET", &format!("/messages/{failed}"), &spanish, "").body;
    for words in ["<html lang=\"es\">", "ha fallado", "Lo que puede hacer", "Enviarlo otra vez", "Abandonarlo"] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let accepts = [("cookie", cookie.as_str()), ("accept-language", "es-ES,es;q=0.9")];
    let overview = call(&base, "GET", "/", &accepts, "").body;
    assert!(
        overview.contains("Lo que le necesita") && overview.contains("support") && overview.contains("funciona"),
        "{overview}"
    );
    let chosen = call(&base, "GET", "/language?to=es&next=messages%3Fq%3Da", &[], "");
    assert_eq!(
        (chosen.status, chosen.one("location"), chosen.cookie().as_str()),
        (303, "messages?q=a", "bridge_language=es")
    );
    assert_eq!(get(&base, "/messages/0196f0c2a1b27c3d8e4f5a6b7c8d9e0f", &cookie).status, 404);
    for (query, english, spanish) in [
        ("channel=suport", "there is no channel `suport`: choose one of support.", "no existe el canal `suport`"),
        ("from=ayer", "«Since» takes a time ago", "«Desde» admite un tiempo atrás"),
        ("to=ayer", "«Until» takes a time ago", "«Hasta» admite un tiempo atrás"),
        ("before=x", "does not go on with any list", "no continúa ninguna lista"),
    ] {
        let wrong = [
            get(&base, &format!("/messages?{query}"), &cookie),
            call(&base, "GET", &format!("/messages?{query}"), &accepts, ""),
        ];
        for (answer, words) in wrong.iter().zip([english, spanish]) {
            assert!(answer.status == 400 && answer.body.contains(words), "{words} in {}", answer.body);
            let notice = answer.body.split("role=\"alert\">").nth(1).unwrap().split("</p>").next().unwrap();
            assert!(!notice.contains("--"), "no words of the command line: {notice}");
        }
    }
    drop(bridge);
    house.check();
}

/// A proxy with the manual's block for the page, in front of `admin`.
async fn proxied(program: &str, prefix: &str, cuts: bool, admin: &str) -> Option<Service> {
    let required = format!("BRIDGE_TEST_{}_REQUIRED", program.to_uppercase());
    let path = installed(program, &required)?;
    let (folder, base) = (tempfile::tempdir().unwrap(), free_address());
    let at = folder.path().display();
    let (config, arguments) = if program == "nginx" {
        let locations = block("nginx", &format!("location {prefix}/")).replace("127.0.0.1:9090", admin);
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\nuser root;\nevents {{}}\n\
             http {{\naccess_log off;\n{paths}server {{\nlisten {base};\n{locations}\n}}\n}}\n"
        );
        (
            config,
            vec![
                "-c".to_owned(),
                format!("{at}/config"),
                "-p".to_owned(),
                at.to_string(),
                "-e".to_owned(),
                format!("{at}/error.log"),
            ],
        )
    } else {
        let site = format!("http://:{} {{\n\tbind {}", base.port(), base.ip());
        let handle = if cuts { "handle_path" } else { "handle" };
        let config = block("text", &format!("{handle} {prefix}/"))
            .replace("127.0.0.1:9090", admin)
            .replace("ops.example.com {", &site);
        let arguments = ["run", "--adapter", "caddyfile", "--config"].map(str::to_owned).into_iter();
        (format!("{{\n\tadmin off\n}}\n{config}"), arguments.chain([format!("{at}/config")]).collect())
    };
    std::fs::write(folder.path().join("config"), config).unwrap();
    let mut command = std::process::Command::new(path);
    command.args(arguments).env("HOME", folder.path());
    command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    Some(Service::start(&mut command, base, folder).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_of_the_manuals_nginx_every_link_form_and_redirect_works() {
    below_a_path("nginx", "/bridge", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_of_the_manuals_caddy_every_link_form_and_redirect_works() {
    below_a_path("caddy", "/bridge", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_that_the_manuals_nginx_passes_on_every_link_form_and_redirect_works() {
    below_a_path("nginx", "/ops", "/ops").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_that_the_manuals_caddy_passes_on_every_link_form_and_redirect_works() {
    below_a_path("caddy", "/ops", "/ops").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_prefix_is_the_page_and_what_programs_read_is_at_the_root_alone() {
    let mut house = house().set("ADMIN__PATH_PREFIX", "/a/ops/");
    let bridge = house.start().await;
    let base = bridge.admin_url();
    let cookie = sign_in(&base);
    for path in ["/", "/a/ops/", "/messages?q=a", "/a/ops/messages?q=a"] {
        assert_eq!(get(&base, path, &cookie).status, 200, "{path}");
        assert_eq!(get(&base, path, "").status, 401, "{path}");
    }
    let bearer = format!("Bearer {OPERATORS}");
    for (path, status) in [
        ("/metrics", 200),
        ("/deliverz", 200),
        ("/api/v1/channels", 200),
        ("/a/ops/api/v1/channels", 200),
        ("/a/ops/metrics", 404),
        ("/a/ops/deliverz", 404),
        ("/a/opsy/", 404),
        ("/a", 404),
    ] {
        assert_eq!(call(&base, "GET", path, &[("authorization", &bearer)], "").status, status, "{path}");
    }
    let without_slash = get(&base, "/a/ops", "");
    assert_eq!((without_slash.status, without_slash.one("location")), (308, "ops/"));
    let link = String::from_utf8(house.run(&["page"]).stdout).unwrap();
    assert!(link.contains("/a/ops/login?link=v1."), "{link}");
}

/// Walks as a browser over plain HTTP does, which sends `Origin` with a form.
/// `setting`: `admin.path_prefix`, of a proxy that passes the path on.
async fn below_a_path(program: &str, prefix: &str, setting: &str) {
    let mut house = house().set("SERVER__TRUSTED_PROXIES", "127.0.0.1").set("ADMIN__PATH_PREFIX", setting);
    let bridge = house.start().await;
    let [_, failed] = messages(&house, &bridge).await;
    let admin = bridge.admin_url().trim_start_matches("http://").to_owned();
    let Some(proxy) = proxied(program, prefix, setting.is_empty(), &admin).await else { return };
    let base = proxy.base.to_string();
    let host = format!("ops.example:{}", proxy.base.port());
    let origin = format!("http://{host}");
    let walk = |method: &str, path: &str, cookie: &str, origin: &str, body: &str| {
        let path = &format!("{prefix}{path}");
        let mut headers = vec![("host", host.as_str()), ("cookie", cookie)];
        if method == "POST" {
            headers.extend([FORM, ("origin", origin)]);
        }
        call(&base, method, path, &headers, body)
    };
    let first = walk("GET", "/", "", "", "");
    assert!(
        first.status == 401 && first.body.contains("action=\"./login\""),
        "{program}: {} {}",
        first.head,
        first.body
    );
    let token = format!("token={OPERATORS}&next=");
    assert_eq!(walk("POST", "/login", "", "http://evil.example", &token).status, 403);
    let signed_in = walk("POST", "/login", "", &origin, &token);
    assert_eq!((signed_in.status, signed_in.one("location")), (303, "./"), "{program}: {}", signed_in.body);
    let cookie = signed_in.cookie();
    let overview = walk("GET", "/", &cookie, "", "");
    assert_eq!(overview.status, 200);
    let links = overview.body.split("href=\"./").skip(1).chain(overview.body.split("src=\"./").skip(1));
    let links: BTreeSet<String> =
        links.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&")).collect();
    assert!(links.len() >= 6, "{links:?}");
    for link in &links {
        let status = walk("GET", &format!("/{link}"), &cookie, "", "").status;
        assert!(matches!(status, 200 | 303), "{program}: {link}: {status}");
    }
    let page = walk("GET", &format!("/messages/{failed}"), &cookie, "", "").body;
    let link = page.split("href=\"").find(|link| link.contains("verdict=retry")).unwrap().split('"').next().unwrap();
    let link = link.replace("&amp;", "&").replace("&#38;", "&");
    let form = walk("GET", &format!("/messages/{link}"), &cookie, "", "").body;
    let fields = ["token", "verdict", "of", "once"].map(|name| format!("{name}={}", field(&form, name))).join("&");
    let decide = format!("/messages/{failed}/decide");
    assert_eq!(walk("POST", &decide, &cookie, "null", &fields).status, 403);
    let done = walk("POST", &decide, &cookie, &origin, &fields);
    assert_eq!(done.status, 200, "{program}: {}", done.body);
    let out = walk("POST", "/logout", &cookie, &origin, "");
    assert_eq!((out.status, out.one("location")), (303, "login"));
    let page = walk("GET", "", &cookie, "", "");
    assert!(
        matches!(page.status, 301 | 302 | 308) && page.one("location").ends_with(&format!("{prefix}/")),
        "{}",
        page.head
    );
}
