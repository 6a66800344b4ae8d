//! Nothing of an address and nothing of data becomes markup.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use super::{FORM, SAME, call, encoded, get, house, sign_in};
use crate::support::{CHANNEL, TOKEN, contact, until};

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
