//! The reverse proxies of the manual in front of the bridge: the blocks of the manual, except for their certificates.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::process::Bridge;
use crate::support::tools::{Service, free_address, installed};
use crate::support::{CHANNEL, House, SOON, TOKEN, contact};

/// nginx with the manual's block, edited, in front of `bridge`.
async fn nginx(bridge: &str, edits: &[(&str, &str)]) -> Option<Service> {
    let program = installed("nginx", "BRIDGE_TEST_NGINX_REQUIRED")?;
    let (folder, base) = (tempfile::tempdir().unwrap(), free_address());
    let lines: Vec<String> = edited(block("nginx", "upstream bridge"), edits)
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .map(|line| line.replace("listen 443 ssl;", &format!("listen {base};")))
        .map(|line| line.replace("server 127.0.0.1:8080;", &format!("server {bridge};")))
        .collect();
    let at = folder.path().display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {at}/{name};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process on;\nworker_processes 1;\npid {at}/pid;\nerror_log {at}/error.log;\nuser root;\n\
         events {{}}\nhttp {{\naccess_log off;\n{paths}{}\n}}\n",
        lines.join("\n")
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(&file).arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("error.log"));
    Some(Service::start(&mut command, base, folder).await)
}

/// Caddy with the manual's file, edited, in front of `bridge`.
async fn caddy(bridge: &str, edits: &[(&str, &str)]) -> Option<Service> {
    let program = installed("caddy", "BRIDGE_TEST_CADDY_REQUIRED")?;
    let (folder, base) = (tempfile::tempdir().unwrap(), free_address());
    let config = edited(block("text", "reverse_proxy bridge:8080"), edits)
        .replacen("{\n\tservers", "{\n\tadmin off\n\tservers", 1)
        .replace("chat.example.com {", &format!("http://:{} {{\n\tbind {}", base.port(), base.ip()))
        .replace("bridge:8080", bridge);
    let file = folder.path().join("Caddyfile");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file).env("HOME", folder.path());
    command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
    Some(Service::start(&mut command, base, folder).await)
}

/// Returns a block with each of these words replaced, which it must have.
fn edited(block: String, edits: &[(&str, &str)]) -> String {
    edits.iter().fold(block, |block, (from, to)| {
        assert!(block.contains(from), "{from} in {block}");
        block.replace(from, to)
    })
}

/// Returns the manual's block in `language` that contains `words`.
pub(crate) fn block(language: &str, words: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).into_iter().flatten().flatten().map(|page| page.path());
    let pages = pages.chain([root.join("README.md")]).filter(|page| page.extension().is_some_and(|end| end == "md"));
    let texts: Vec<String> = pages.map(|page| std::fs::read_to_string(page).unwrap()).collect();
    let begin = format!("```{language}\n");
    let blocks = texts.iter().flat_map(|text| text.split(&begin).skip(1)).map(|rest| rest.split("```").next().unwrap());
    blocks.into_iter().find(|block| block.contains(words)).expect("the manual shows it").to_owned()
}

/// Status and body of a call through the proxy.
fn call(proxy: &Service, path: &str, token: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(proxy.base).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");
    let _ = stream.write_all(&[format!("{head}content-length: {length}\r\n\r\n").as_bytes(), body].concat());
    // A proxy that has not read the whole body resets the connection after its response.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Returns whether this is an error in the contract's form that says whether the message was sent.
fn is_in_words(body: &str) -> bool {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let told = ["was not sent", "nothing was sent", "may have been taken"];
    body["error"]["message"].as_str().is_some_and(|message| told.iter().any(|words| message.contains(words)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridge_refuses_reaches_the_caller_through_the_manuals_nginx() {
    let mut house = House::new();
    let bridge = house.start().await;
    let Some(proxy) = nginx(bridge.url().trim_start_matches("http://"), &[]).await else { return };
    reaches_the_caller(&house, bridge, &proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridge_refuses_reaches_the_caller_through_the_manuals_caddy() {
    let mut house = House::new();
    let bridge = house.start().await;
    let Some(proxy) = caddy(bridge.url().trim_start_matches("http://"), &[]).await else { return };
    reaches_the_caller(&house, bridge, &proxy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_the_manuals_proxies_forward_is_the_bridges() {
    let mut house = House::new().set("SERVER__PATH_PREFIX", "/chat");
    let bridge = house.start().await;
    let there = bridge.url();
    let there = there.trim_start_matches("http://");
    let proxies = [
        nginx(there, &[("~ ^/(message|mensaje)", "~ ^/chat/(message|mensaje)")]).await,
        caddy(there, &[("path /message /message/* /mensaje /mensaje/*", "path /chat/*")]).await,
    ];
    for (n, proxy) in proxies.iter().enumerate() {
        let Some(proxy) = proxy else { continue };
        for path in ["/chat/message", "/chat//message", "/chat/message/", "/chat/mensaje"] {
            let message = json!({"type": "text", "text": format!("by {path} of {n}")});
            let body = json!({"channelId": CHANNEL, "contactId": contact(1), "message": message}).to_string();
            let (status, body) = call(proxy, path, TOKEN, body.as_bytes());
            assert!(status == 200 && body.contains("mId"), "{path} of {n}: {status} {body}");
        }
        let (status, body) = call(proxy, "/message", TOKEN, b"{}");
        assert!(status == 404 && is_in_words(&body), "without the prefix, of {n}: {status} {body}");
    }
    house.check();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_does_not_answer_in_time_is_a_504_in_words_through_the_manuals_proxies() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = silent.local_addr().unwrap().to_string();
    let proxies = [
        nginx(&there, &[("proxy_read_timeout 70s;", "proxy_read_timeout 1s;")]).await,
        caddy(&there, &[("response_header_timeout 70s", "response_header_timeout 1s")]).await,
    ];
    for (n, proxy) in proxies.iter().enumerate() {
        let Some(proxy) = proxy else { continue };
        let (status, body) = call(proxy, "/message", TOKEN, b"{}");
        assert!(status == 504 && is_in_words(&body) && body.contains("may have been taken"), "{n}: {status} {body}");
    }
}

/// Calls through a proxy of every kind that the bridge or the proxy refuses, and some that are taken.
fn reaches_the_caller(house: &House, bridge: Bridge, proxy: &Service) {
    let message = json!({"type": "text", "text": "hello"});
    let good = json!({"channelId": CHANNEL, "contactId": contact(1), "message": message}).to_string();
    let large = vec![b' '; 400 * 1024];
    for n in 0..20 {
        let (status, body) = call(proxy, "/message", TOKEN, &large);
        assert!(status == 413 && is_in_words(&body), "{n}: {status} {body}");
    }
    let beyond_the_proxys_limit = vec![b' '; 1_500_000];
    for n in 0..10 {
        let (status, body) = call(proxy, "/message", TOKEN, &beyond_the_proxys_limit);
        assert!(status == 413 && is_in_words(&body), "{n}: {status} {body}");
    }
    for n in 0..20 {
        let (status, body) = call(proxy, "/message", "wrong", &large);
        assert!(status == 401 && is_in_words(&body), "{n}: {status} {body}");
    }
    for path in ["/message", "//message", "/message/", "/mensaje", "//message//"] {
        let (status, body) = call(proxy, path, TOKEN, good.as_bytes());
        assert!(status == 200 && body.contains("mId"), "{path}: {status} {body}");
    }
    for path in ["/readyz", "/openapi.json", "/metrics", "/"] {
        assert_eq!(call(proxy, path, TOKEN, good.as_bytes()).0, 404, "{path} is not published");
    }
    house.check();
    drop(bridge);
    let (status, body) = call(proxy, "/message", TOKEN, good.as_bytes());
    assert!(status == 502 && is_in_words(&body), "while the bridge is away: {status} {body}");
}
