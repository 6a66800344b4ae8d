//! The operators' page: what each page shows, and how a test calls it.

mod decisions;
pub(crate) mod escaping;
mod prefix;
mod sessions;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::process::Bridge;
use crate::support::{House, SOON, blocking, contact, until};

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

/// As a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
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
