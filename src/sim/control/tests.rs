//! Every control call, as the curl lines of the page above make it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Method;
use serde_json::{Value, json};

use crate::sim::afilnet::{self, Afilnet};
use crate::sim::bonychat::{self, BonyChat};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Curl {
    base: String,
    http: reqwest::Client,
}

impl Curl {
    fn new(base: String) -> Self {
        Self { base, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: &str) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.base)).header("content-type", kind);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }

    /// `curl -d form $base/path`, which must succeed.
    async fn post(&self, path: &str, form: &str) -> Value {
        let (status, body) = self.ask(Method::POST, path, "application/x-www-form-urlencoded", form).await;
        assert_eq!(status, 200, "{path} {form}: {body}");
        body
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, "text/plain", "").await.1
    }

    async fn refused(&self, path: &str, form: &str) -> String {
        let (status, body) = self.ask(Method::POST, path, "application/x-www-form-urlencoded", form).await;
        assert!(matches!(status, 400 | 404), "{path} {form}: {status}");
        body["error"]["message"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn people_drive_afilnet() {
    let afilnet = Afilnet::start(LOOPBACK, afilnet::Options::default()).unwrap();
    let curl = Curl::new(afilnet.control_url());
    curl.post("channel", "platform=telegram&platformid=7&name=Bot").await;
    curl.post("account", "user=u&password=p").await;
    let first = curl.post("receive", "platformid=7&destination=346&text=Hola+%C3%B1").await["row"].as_u64().unwrap();
    let json = json!({"platformid": 7, "destination": 346, "fileurl": "https://x.eu/a.jpg", "text": "Foto"});
    let file = curl.ask(Method::POST, "receive", "application/json", &json.to_string()).await;
    assert_eq!(file, (200, json!({"row": first + 1})));
    curl.post("operator", "platformid=7&destination=346&text=Hi").await;
    curl.post("read", "platformid=7&destination=346").await;
    curl.post("status", "platformid=7&destination=346&status=delivered").await;
    curl.post("clock", "offset=-2h").await;
    curl.post("latency", "latency=1ms-2ms").await;
    assert_eq!(curl.post("switches", "order=desc&window=last_20").await["order"], "desc");
    assert_eq!(curl.get("switches").await["window"], "last_20");
    curl.post("faults", "rule=sendmessage:reset_stored:3").await;
    let state = curl.get("state").await;
    let rows = state["channels"][0]["chats"]["346"].as_array().unwrap();
    let texts: Vec<_> = rows.iter().map(|row| row["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hola ñ", "Foto", "Hi"]);
    assert_eq!((&rows[0]["read"], &rows[2]["status"]), (&json!(true), &json!("delivered")));
    assert_eq!(state["faults"].as_array().unwrap().len(), 1);
    let now_ms = crate::sim::afilnet::machine_ms();
    let behind = now_ms - state["now_ms"].as_i64().unwrap();
    assert!((7_200_000..7_230_000).contains(&behind), "{behind}");
    curl.ask(Method::DELETE, "faults", "", "").await;
    assert_eq!(curl.get("state").await["faults"], json!([]));
    assert_eq!(curl.get("sent?destination=346").await, json!([]));
    curl.post("reset", "").await;
    assert_eq!(curl.get("state").await["channels"].as_array().unwrap().len(), 1);

    assert!(curl.refused("receive", "platformid=9&destination=346&text=x").await.contains("add it first"));
    assert!(curl.refused("receive", "platformid=100&text=x").await.contains("`destination` is missing"));
    assert!(curl.refused("status", "platformid=100&destination=1&status=lost").await.contains("delivered"));
    assert!(curl.refused("clock", "offset=soon").await.contains("-2h"));
    assert!(curl.refused("switches", "order=up").await.contains("shuffled"));
    assert!(curl.refused("faults", "rule=x").await.contains("METHOD:KIND"));
    assert!(curl.refused("nothing", "").await.contains("GET /control/"));
    assert_eq!(curl.ask(Method::POST, "receive", "application/json", "[").await.0, 400);
    let help = curl.http.get(&curl.base).send().await.unwrap().bytes().await.unwrap();
    let help = String::from_utf8_lossy(&help);
    assert!(help.starts_with("Afilnet") && help.contains("$A/reset") && !help.contains("$B"), "{help}");
}

#[tokio::test]
async fn people_drive_bonychat() {
    let bonychat = BonyChat::start(LOOPBACK, bonychat::Options::default()).unwrap();
    let curl = Curl::new(bonychat.control_url());
    // The webhook's 404 stands in for a bridge that responds.
    let bridge = bonychat.webhook_url();
    let said = curl.post("say", &format!("contact_id=+34600111222&text=Hola&bridge_url={bridge}")).await;
    assert_eq!((&said["status"], &said["mId"]), (&json!(404), &Value::Null));
    let json = json!({"contact_id": "+34600111222", "message": {"type": "text", "text": "a"}, "bridge_url": bridge});
    assert_eq!(curl.ask(Method::POST, "say", "application/json", &json.to_string()).await.0, 200);
    curl.post("faults", "rule=message:http_503:1-5").await;
    curl.post("poison", "marker=POISON").await;
    curl.post("rate_limit", "on=false").await;
    curl.post("latency", "latency=1ms").await;
    let state = curl.get("state").await;
    assert_eq!((&state["poison"], &state["rate_limit"]), (&json!("POISON"), &json!(false)));
    assert_eq!(state["faults"].as_array().unwrap().len(), 1);
    curl.ask(Method::DELETE, "faults", "", "").await;
    curl.post("poison", "marker=").await;
    assert_eq!(curl.get("state").await["poison"], Value::Null);
    assert_eq!(curl.get("events?contact_id=%2B34600111222").await, json!([]));
    assert_eq!(curl.get("events").await, json!([]));
    curl.post("reset", "").await;
    assert_eq!(curl.get("state").await["rate_limit"], true);
    assert!(curl.refused("rate_limit", "on=perhaps").await.contains("true"));
    assert!(curl.refused("say", "text=Hola").await.contains("contact_id"));
    assert!(curl.refused("nothing", "").await.contains("GET /control/"));
    let help = curl.http.get(&curl.base).send().await.unwrap().bytes().await.unwrap();
    let help = String::from_utf8_lossy(&help);
    assert!(
        help.starts_with("BonyChat") && help.contains("$B/say") && help.trim_end().ends_with("beginning"),
        "{help}"
    );
}
