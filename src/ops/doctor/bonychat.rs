//! BonyChat: whether each webhook is where it should be. Nothing is posted, and no token is sent.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use url::Url;

use super::certificate;
use super::check::{Check, Time};
use super::probe::{self, ProbeRequest, ProbeResponse};
use crate::config::Config;
use crate::domain::clock;

const COPY: &str = "copy webhook_url anew from the channel's page in BonyChat, byte for byte";

pub(super) async fn section(config: &Config, time: Time, calls: &AtomicU32) -> Vec<Check> {
    let mut found = Vec::new();
    let mut asked = BTreeSet::new();
    for channel in config.channels.values() {
        let written = channel.bonychat.webhook_url.trim();
        if !asked.insert(written) {
            continue;
        }
        let subject = format!("webhook of `{}`", channel.name);
        let Some(limit) = time.next() else {
            found.push(Time::over("webhook").of(&subject));
            continue;
        };
        let (Ok(url), Ok(client)) = (Url::parse(written), probe::client(limit, &channel.bonychat.ca)) else {
            found.push(Check::fail("webhook", "its address cannot be called", COPY).of(&subject));
            continue;
        };
        calls.fetch_add(1, Ordering::Relaxed);
        let answer = probe::call(&client, Method::OPTIONS, &url, ProbeRequest::default()).await;
        found.extend(webhook(&url, answer).into_iter().map(|check| check.of(&subject)));
    }
    found
}

/// Returns what a question without a token shows.
fn webhook(url: &Url, answer: Result<ProbeResponse, String>) -> Vec<Check> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(cause) => {
            let next = "check webhook_url, this machine's DNS and its firewall; until it answers, what customers write waits here \
                        and none is lost";
            return vec![Check::fail("webhook", cause, next)];
        }
    };
    let (code, host) = (answer.status.as_u16(), url.host_str().unwrap_or_default());
    let check = match code {
        300..=399 => {
            let to = answer.location.map_or_else(|| "elsewhere".to_owned(), |to| format!("to {to}"));
            Check::fail("webhook", format!("{host} redirects {to}: it is not the address that BonyChat shows"), COPY)
        }
        404 | 410 => Check::fail("webhook", format!("{host} has nothing at that address (HTTP {code})"), COPY),
        500.. => {
            let next = "is BonyChat out of order? Events wait here and none is lost; ask BonyChat if it lasts";
            Check::fail("webhook", format!("{host} is out of order (HTTP {code})"), next)
        }
        _ => {
            let seen =
                format!("{host} answers in {} ms (HTTP {code} to a question without a token)", answer.took.as_millis());
            Check::ok("webhook", seen)
        }
    };
    let whose = "Nothing of yours: tell BonyChat if it is still there in a few days";
    vec![check, certificate::check(url, answer.certificate_until, clock::wall(), whose)]
}
