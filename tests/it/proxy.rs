//! The reverse proxy of the manual in front of the bridge: the block of the manual, except for its certificate.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{CHANNEL, House, SOON, TOKEN, contact, until};

/// nginx as a process of its own. Stopped when dropped.
struct Nginx {
    child: Child,
    base: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status(); // it ends its workers; killed, it would leave them
        let _ = self.child.wait();
    }
}

/// nginx with the manual's block in front of `bridge`. `None` where nginx is not installed, unless it is required.
async fn nginx(bridge: &str) -> Option<Nginx> {
    let program =
        ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|at| Path::new(at).exists());
    let Some(program) = program else {
        let is_required = std::env::var("BRIDGE_TEST_NGINX_REQUIRED").is_ok_and(|required| required == "1");
        assert!(!is_required, "BRIDGE_TEST_NGINX_REQUIRED=1 and there is no nginx");
        println!("skipped: there is no nginx on this machine");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let base = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lines: Vec<String> = block()
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
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let nginx = Nginx { child, base, _folder: folder };
    until("nginx listens", || TcpStream::connect(base).is_ok()).await;
    Some(nginx)
}

/// Returns the manual's nginx block.
fn block() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).into_iter().flatten().flatten().map(|page| page.path());
    let pages = pages.chain([root.join("README.md")]).filter(|page| page.extension().is_some_and(|end| end == "md"));
    let texts: Vec<String> = pages.map(|page| std::fs::read_to_string(page).unwrap()).collect();
    let mut blocks = texts.iter().flat_map(|text| text.split("```nginx\n").skip(1));
    let block = blocks.find(|block| block.contains("upstream bridge")).expect("the manual shows nginx");
    block.split("```").next().unwrap().to_owned()
}

/// Status and body of a call through the proxy.
fn call(nginx: &Nginx, path: &str, token: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(nginx.base).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: Bearer {token}\r\n");
    let _ = stream.write_all(&[format!("{head}content-length: {length}\r\n\r\n").as_bytes(), body].concat());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
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
    let Some(nginx) = nginx(bridge.url().trim_start_matches("http://")).await else { return };
    let message = json!({"type": "text", "text": "hello"});
    let good = json!({"channelId": CHANNEL, "contactId": contact(1), "message": message}).to_string();
    let large = vec![b' '; 400 * 1024];
    for n in 0..20 {
        let (status, body) = call(&nginx, "/message", TOKEN, &large);
        assert!(status == 413 && is_in_words(&body), "{n}: {status} {body}");
    }
    for n in 0..20 {
        let (status, body) = call(&nginx, "/message", "wrong", &large);
        assert!(status == 401 && is_in_words(&body), "{n}: {status} {body}");
    }
    for path in ["/message", "//message", "/message/", "/mensaje", "//message//"] {
        let (status, body) = call(&nginx, path, TOKEN, good.as_bytes());
        assert!(status == 200 && body.contains("mId"), "{path}: {status} {body}");
    }
    for path in ["/readyz", "/openapi.json", "/metrics", "/"] {
        assert_eq!(call(&nginx, path, TOKEN, good.as_bytes()).0, 404, "{path} is not published");
    }
    house.check();
    drop(bridge);
    let (status, body) = call(&nginx, "/message", TOKEN, good.as_bytes());
    assert!(status == 502 && is_in_words(&body), "while the bridge is away: {status} {body}");
}
