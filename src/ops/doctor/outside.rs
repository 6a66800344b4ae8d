//! The bridge as BonyChat reaches it, by its public address: whether it is this bridge, whether a proxy before it lets pass
//! what it must, and publishes nothing that it must not.

use reqwest::{Method, StatusCode};
use url::Url;

use super::bridge::Admin;
use super::certificate;
use super::check::{Check, Time};
use super::probe::{self, ProbeRequest, ProbeResponse};
use crate::config::Config;
use crate::domain::clock;
use crate::telemetry::harmless;

/// A token that no channel has.
const NO_TOKEN: &str = "bridge-doctor-this-is-no-token";
/// A body that the bridge takes (server.body_limit is 256 KiB by default) and a proxy with a small limit does not.
const BODY_BYTES: usize = 200 * 1024;
const LARGE: &str =
    "let the proxy take bodies of 256 KiB and more (nginx: client_max_body_size), and answer itself only above that";
/// Paths of the admin listener and of probes, which must not be reachable from the internet.
const PRIVATE: [&str; 3] = ["/metrics", "/readyz", "/deliverz"];
/// Counts calls with a wrong token.
const REFUSED: (&str, &str) = ("bridge_refused_total", "unauthorized");

pub(super) async fn section(config: &Config, url: &Url, time: Time) -> Vec<Check> {
    let limit = time.next().unwrap_or_else(|| time.each());
    let client = match probe::client(limit, &[]) {
        Ok(client) => client,
        Err(error) => return vec![Check::fail("public", error.to_string(), "report it")],
    };
    let post = async |body: usize| {
        let json = Some(format!("{{\"x\":\"{}\"}}", "x".repeat(body)));
        let bearer = Some(NO_TOKEN);
        probe::call(&client, Method::POST, &at(url, "/message"), ProbeRequest { bearer, json }).await
    };
    let admin = Admin::new(config, limit).ok();
    let refused = async || match &admin {
        Some(admin) => admin.sum(REFUSED.0, REFUSED.1).await,
        None => None,
    };
    let before = refused().await;
    let answer = match post(0).await {
        Ok(answer) => answer,
        Err(cause) => {
            let next = "check the address, its DNS record, the firewall and the proxy before the bridge: BonyChat most likely \
                        cannot reach it either, and then its agents see that messages were not taken";
            return vec![Check::fail("public", cause, next)];
        }
    };
    let until = answer.certificate_until;
    let mut found = vec![public(&answer)];
    if found[0].health == super::check::Health::Ok {
        found.push(this_bridge(before, time.run("this_bridge", "", refused()).await.ok().flatten()));
        let posted = time.run("large", LARGE, post(BODY_BYTES)).await;
        found.push(posted.map_or_else(|check| check, large));
    }
    found.push(certificate::check(url, until, clock::wall(), "Renew it: its issuer's own client does that by itself"));
    for path in PRIVATE {
        let address = at(url, path);
        let call = probe::call(&client, Method::GET, &address, ProbeRequest::default());
        let answer = match time.run("private", "", call).await {
            Ok(answer) => answer,
            Err(check) => {
                found.push(Check::skipped("private", check.seen));
                break;
            }
        };
        if answer.is_ok_and(|answer| answer.status == StatusCode::OK) {
            let seen = format!("{path} can be read from outside");
            let next = "let the proxy forward POST /message alone (docs/deployment.md has such a block)";
            found.push(Check::fail("private", seen, next));
        }
    }
    if found.iter().all(|check| check.id != "private") {
        found.push(Check::ok("private", format!("{} are not published", PRIVATE.join(", "))));
    }
    found
}

fn at(url: &Url, path: &str) -> Url {
    let mut at = url.clone();
    at.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    at
}

/// Checks that the response to a wrong token is the bridge's own.
fn public(answer: &ProbeResponse) -> Check {
    let said: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let words = said["error"]["message"].as_str();
    match (answer.status.as_u16(), words) {
        (401, Some(words)) if words.contains("API") => {
            Check::ok("public", "a wrong token is refused in the bridge's own words")
        }
        (429, Some(_)) => {
            Check::skipped("public", "the bridge counts too many wrong tokens from here; ask again in a minute")
        }
        (code @ 300..=399, _) => {
            let to = answer.location.clone().unwrap_or_else(|| "elsewhere".to_owned());
            let next = "give BonyChat the address that is redirected to: it does not follow redirects";
            Check::fail("public", format!("it redirects to {to} (HTTP {code})"), next)
        }
        (code @ (502..=504), _) => {
            let next =
                "the proxy does not reach the bridge: is it running, and is the proxy's address of it server.listen?";
            Check::fail("public", format!("the proxy answers HTTP {code} for the bridge"), next)
        }
        (code, _) => {
            let begin: String = harmless(answer.body.trim()).chars().take(60).collect();
            let next = "something else answers there: does the proxy forward POST /message to the bridge, with its \
                        Authorization header?";
            Check::fail("public", format!("HTTP {code} and not the bridge's 401: {begin}"), next)
        }
    }
}

/// Checks that the call reached the bridge that is configured here.
fn this_bridge(before: Option<f64>, after: Option<f64>) -> Check {
    match before.zip(after) {
        Some((before, after)) if after > before => {
            Check::ok("this_bridge", "the call came to the bridge on this machine")
        }
        Some(_) => Check::fail(
            "this_bridge",
            "a bridge answered, and not the one on this machine",
            "does the proxy forward to another process or another machine?",
        ),
        None => Check::skipped("this_bridge", "the bridge's admin listener cannot be asked from here"),
    }
}

/// Checks that a proxy lets a large message pass.
fn large(answer: Result<ProbeResponse, String>) -> Check {
    let next = LARGE;
    match answer {
        Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => {
            Check::ok("large", "a body of 200 KiB comes through")
        }
        Ok(answer) if answer.status == StatusCode::PAYLOAD_TOO_LARGE => Check::fail(
            "large",
            "the proxy refuses a body of 200 KiB (HTTP 413): long messages are lost to their agents",
            next,
        ),
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
            Check::skipped("large", "too many wrong tokens for now")
        }
        Ok(answer) => Check::warn("large", format!("HTTP {} to a body of 200 KiB", answer.status.as_u16()), next),
        Err(cause) => Check::warn("large", format!("a body of 200 KiB gets no answer: {cause}"), next),
    }
}
