//! Who gets in: tokens, cookies, links, and the names and sites that a page is asked for under and from.

use super::{FORM, OPERATORS, SAME, call, encoded, field, get, house, messages, sign_in};
use crate::support::House;

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
