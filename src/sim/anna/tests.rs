//! The simulator by itself, over its own wire.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use super::*;

fn start() -> Anna {
    Anna::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Options::default()).unwrap()
}

async fn post(anna: &Anna, path: &str, token: Option<&str>, body: &Value) -> (u16, String) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = client.post(format!("{}{path}", anna.url())).body(body.to_string());
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap_or_default())
}

async fn token(anna: &Anna) -> String {
    let login = json!({"hash": "company-hash-c0ffee", "user": "bridge-login", "pass": "anna-password-s3cret"});
    let (_, body) = post(anna, "REST/Credentials/GetToken", None, &login).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    body["data"]["Token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_answers_as_the_contract_says_and_refuses_what_lacks_a_key_or_a_token() {
    let anna = start();
    let path = "REST/AnnACorporate/User/UserHash";
    let body = json!({"hash": "company-hash-c0ffee", "userId": "34600111222", "startService": ""});
    let refused = |body: &str| serde_json::from_str::<Value>(body).unwrap()["success"] == json!(false);
    assert!(refused(&post(&anna, path, None, &body).await.1));
    let token = token(&anna).await;
    assert!(refused(&post(&anna, path, Some(&token), &json!({"hash": "company-hash-c0ffee"})).await.1));
    let (status, answer) = post(&anna, path, Some(&token), &body).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["success"]), (200, &json!(true)));
    assert_eq!(answer["accessData"]["ChatURL"], json!(anna.links()[0]));
    anna.expire_tokens();
    assert!(refused(&post(&anna, path, Some(&token), &body).await.1));
    assert_eq!((anna.calls("UserHash"), anna.calls("GetToken")), (4, 1));
    assert!(anna.secrets().contains(&token));
    assert!(!anna.dump().to_string().contains(&anna.links()[0]));
}

#[test]
fn every_name_is_a_fault_and_rules_are_read_or_refused_in_words() {
    for name in Oddity::names() {
        name.parse::<Oddity>().unwrap();
    }
    let rule: OddityRule = "UserHash:http_401:2-3".parse().unwrap();
    assert_eq!((rule.endpoint.as_str(), rule.oddity, rule.calls), ("UserHash", Oddity::Http(401), (2, 3)));
    for bad in ["", "x", ":hang", "*:nothing", "*:http_200", "*:hang:0", "*:hang:1:2"] {
        assert!(bad.parse::<OddityRule>().unwrap_err().to_string().len() > 10, "{bad}");
    }
}

#[tokio::test]
async fn an_order_counts_its_own_calls() {
    let anna = start();
    anna.fault("GetToken:http_500:2").unwrap();
    let login = json!({"hash": "company-hash-c0ffee", "user": "bridge-login", "pass": "anna-password-s3cret"});
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(post(&anna, "REST/Credentials/GetToken", None, &login).await.0);
    }
    assert_eq!(statuses, [200, 500, 200]);
    assert_eq!(post(&anna, "w5/anna/REST/Credentials/GetToken", None, &login).await.0, 200);
    assert_eq!(post(&anna, "Credentials/GetToken", None, &login).await.0, 404);
}
