//! The webhook over HTTP, and the client against a stub of a bridge.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;
use crate::sim::afilnet::machine_ms;
use crate::sim::switchable_listener::lock;
use crate::sim::wire::{Reply, Request, Service};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const ANA: &str = "+34600111222";

fn start() -> BonyChat {
    BonyChat::start(LOOPBACK, Options::default()).unwrap()
}

fn text(m_id: &str, text: &str) -> Value {
    json!({"type": "message", "mId": m_id, "timestamp": machine_ms(), "message": {"type": "text", "text": text}})
}

fn status(m_id: &str, value: &str) -> Value {
    let status = json!({"value": value, "message": "ok"});
    json!({"type": "message_status", "mId": m_id, "timestamp": machine_ms(), "status": status})
}

/// Returns the status for this event, and the response's `error.message`.
async fn publish(bonychat: &BonyChat, token: &str, event: &Value) -> (u16, String) {
    let body = json!({"channelId": "demo", "contactId": ANA, "events": [event]});
    let request = bonychat.http.post(bonychat.webhook_url()).header("authorization", format!("Bearer {token}"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    let Ok(answer) = request.timeout(Duration::from_secs(1)).send().await else { return (0, String::new()) };
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap_or_default()).unwrap_or_default();
    (status, body.pointer("/error/message").and_then(Value::as_str).unwrap_or_default().to_owned())
}

#[tokio::test]
async fn events_are_kept_in_order_and_repeats_counted() {
    let bonychat = start();
    for (m_id, words) in [("a1", "Hola"), ("a2", "¿Sigue abierto?"), ("a1", "Hola"), ("a3", "Hola")] {
        assert_eq!(publish(&bonychat, "demo-token", &text(m_id, words)).await.0, 200);
    }
    let echo = json!({"type": "message_echo", "mId": "e1", "timestamp": machine_ms(),
                      "message": {"type": "text", "text": "From the panel"}});
    assert_eq!(publish(&bonychat, "demo-token", &echo).await.0, 200);
    assert_eq!((bonychat.events(ANA).len(), bonychat.event_count(), bonychat.repeats()), (5, 5, 1));
    assert_eq!(bonychat.texts(ANA), ["Hola", "¿Sigue abierto?", "Hola"]);
    let kinds: Vec<_> = bonychat.unique_events(ANA).into_iter().map(|e| e.kind).collect();
    assert_eq!(kinds, ["message", "message", "message", "message_echo"]);
    assert!(bonychat.events("+1").is_empty() && bonychat.violations().is_empty());
    let dump = bonychat.dump();
    assert_eq!(dump["counters"]["repeats"], 1);
    assert!(!dump.to_string().contains("demo-token"));
    bonychat.reset();
    assert_eq!((bonychat.event_count(), bonychat.requests()), (0, 0));
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_and_recorded() {
    let bonychat = start();
    assert_eq!(publish(&bonychat, "demo-token", &text("a1", "Hola")).await.0, 200);
    let (code, why) = publish(&bonychat, "demo-token", &text("a1", "other words")).await;
    assert_eq!((code, why.as_str()), (400, "events[0].mId: was used for another event"));
    assert!(publish(&bonychat, "demo-token", &text("web_1", "")).await.1.contains("; events[0].message.text"));
    for (value, code) in [("delivered", 200), ("read", 200), ("read", 200), ("delivered", 400)] {
        assert_eq!(publish(&bonychat, "demo-token", &status("s1", value)).await.0, code, "{value}");
    }
    assert_eq!(bonychat.violations().len(), 3);
    assert_eq!(bonychat.repeats(), 1);
    let values: Vec<_> = bonychat.unique_events(ANA).iter().map(|e| e.status().to_owned()).collect();
    assert_eq!(values, ["", "delivered", "read"]);
    assert_eq!(bonychat.unknown_statuses().len(), 3, "nobody was answered s1");
    assert_eq!(publish(&bonychat, "wrong", &text("a2", "Hola")).await, (401, "Unauthorized token!".into()));
    assert_eq!(bonychat.unauthorized(), 1);
    let url = bonychat.webhook_url();
    assert_eq!(bonychat.http.get(&url).send().await.unwrap().status().as_u16(), 405);
    assert_eq!(bonychat.http.post(url + "/").send().await.unwrap().status().as_u16(), 404);
}

#[tokio::test]
async fn the_twenty_first_request_of_a_second_is_told_to_wait() {
    let bonychat = start();
    let mut codes = Vec::new();
    for n in 0..25 {
        codes.push(publish(&bonychat, "demo-token", &text(&format!("a{n}"), "Hola")).await.0);
    }
    let taken = codes.iter().filter(|code| **code == 200).count();
    // On a machine so slow that the 25 took over a second, more may pass.
    assert!(taken >= 20 && (taken == 20 || bonychat.busiest_second() < 25), "{codes:?}");
    assert_eq!(usize::try_from(bonychat.rate_limited()).unwrap() + taken, 25);
    bonychat.set_rate_limit(false);
    assert_eq!(publish(&bonychat, "demo-token", &text("b", "Hola")).await.0, 200);
}

#[tokio::test]
async fn trouble_comes_when_ordered() {
    let bonychat = start();
    let faults = [
        ("http_503", 503, 0),
        ("http_401", 401, 0),
        ("http_429", 429, 0),
        ("reset_stored", 0, 1),
        ("hang_stored", 0, 2),
        ("reset", 0, 2),
        ("REFUSED", 400, 2),
    ];
    for (fault, code, stored) in faults {
        bonychat.fault(&format!("message:{fault}")).unwrap();
        assert_eq!(publish(&bonychat, "demo-token", &text(&format!("a{stored}"), "Hola")).await.0, code, "{fault}");
        assert_eq!(bonychat.event_count(), stored, "{fault}");
    }
    bonychat.fault("message_echo:http_500").unwrap();
    assert_eq!(publish(&bonychat, "demo-token", &text("m", "Hola")).await.0, 200, "faults mind the type");
    bonychat.clear_faults();
    bonychat.set_poison(Some("POISON"));
    assert_eq!(publish(&bonychat, "demo-token", &text("p", "a POISON b")).await.0, 400);
    assert_eq!(publish(&bonychat, "demo-token", &text("q", "sound")).await.0, 200);
    assert!(bonychat.violations().is_empty(), "poison is no fault of the bridge");
    bonychat.down();
    assert_eq!(publish(&bonychat, "demo-token", &text("r", "Hola")).await.0, 0);
    bonychat.up().unwrap();
    assert_eq!(publish(&bonychat, "demo-token", &text("r", "Hola")).await.0, 200);
}

/// A stub that responds as ordered and records what it gets.
struct Bridge {
    asked: std::sync::Mutex<Vec<(String, Option<String>, Value)>>,
}

impl Service for Bridge {
    async fn serve(&self, request: Request) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let words = body["message"]["text"].as_str().unwrap_or_default().to_owned();
        lock(&self.asked).push((request.target.clone(), request.header("authorization").map(str::to_owned), body));
        match words.as_str() {
            "refuse" => Reply::json(400, &json!({"error": {"message": "no"}})),
            "mumble" => Reply::new(200, "text/plain", "OK"),
            _ => Reply::json(200, &json!({"mId": "m1"})),
        }
    }
}

#[tokio::test]
async fn the_client_calls_as_the_platform_does() {
    let bonychat = start();
    let bridge = Arc::new(Bridge { asked: std::sync::Mutex::default() });
    let server = Server::start(LOOPBACK, Arc::clone(&bridge)).unwrap();
    let base = format!("http://{}/prefix/", server.address());
    let sent = bonychat.text(&base, "demo", ANA, "Hola").await;
    assert_eq!((sent.status, sent.m_id.as_deref()), (200, Some("m1")));
    let asked = lock(&bridge.asked)[0].clone();
    let message = json!({"type": "text", "text": "Hola"});
    let body = json!({"channelId": "demo", "contactId": ANA, "message": message});
    assert_eq!(asked, ("/prefix/message".into(), Some("Bearer demo-token".into()), body));
    let refused = bonychat.text(&base, "demo", ANA, "refuse").await;
    assert_eq!((refused.status, refused.m_id, refused.body["error"]["message"].as_str()), (400, None, Some("no")));
    assert_eq!(bonychat.text(&base, "demo", ANA, "mumble").await.body, json!("OK"));
    bonychat.attachment(&base, "nobody", ANA, "image", "https://x.eu/a.jpg").await;
    let asked = lock(&bridge.asked)[3].clone();
    assert_eq!((asked.1, &asked.2["message"]["attachment"]["type"]), (None, &json!("image")));
    publish(&bonychat, "demo-token", &status("m1", "delivered")).await;
    assert!(bonychat.unknown_statuses().is_empty());
    server.stop();
    let lost = bonychat.text(&base, "demo", ANA, "Hola").await;
    assert_eq!(lost.status, 0);
    assert!(lost.body.as_str().unwrap().len() > 10);
}

#[test]
fn contact_ids_have_their_types() {
    for id in ["+34600111222", "+12345678", "+123456789012345"] {
        assert!(IdType::Phone.fits(id), "{id}");
    }
    for id in ["34600111222", "+1234567", "+1234567890123456", "+0034600111", "+34 600111222", ""] {
        assert!(!IdType::Phone.fits(id), "{id}");
    }
    assert!(IdType::Custom.fits("aZ9_=+/@") && !IdType::Custom.fits("a-b") && !IdType::Custom.fits(&"a".repeat(51)));
    assert_eq!("custom".parse::<IdType>().unwrap().as_str(), "custom");
    assert!("email".parse::<IdType>().is_err());
}
