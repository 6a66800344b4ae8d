//! The webhook: token, rate limit, schema, ledger, in this order, and the faults around them.

use serde_json::{Value, json};

use super::schema;
use super::world::{Violation, World};
use super::{ChannelSpec, Options};
use crate::sim::afilnet::machine_ms;
use crate::sim::control;
use crate::sim::faults::Terms;
use crate::sim::switchable_listener::lock;
use crate::sim::wire::{Reply, Request, Service};

/// Largest accepted body, in bytes (bonychat.md section 2.5).
const MAX_BODY: usize = 100_000;

impl Service for World {
    async fn serve(&self, request: Request) -> Reply {
        let path = request.path();
        match path {
            "/custom/webhook" if request.method == "POST" => self.webhook(&request).await,
            "/custom/webhook" => error(405, "POST only"),
            "/elsewhere" => {
                lock(&self.state).redirects_followed += 1;
                Reply::page(200)
            }
            _ if path.starts_with("/control") => control::bonychat::serve(self, &request).await,
            _ => error(404, "no such path: the webhook is /custom/webhook"),
        }
    }
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"message": message}}))
}

/// The type of the first event, as far as it can be read.
fn kind(body: &[u8]) -> String {
    let root: Value = serde_json::from_slice(body).unwrap_or_default();
    root.pointer("/events/0/type").and_then(Value::as_str).unwrap_or("-").to_owned()
}

impl World {
    async fn webhook(&self, request: &Request) -> Reply {
        let (wait, fault) = {
            let mut state = lock(&self.state);
            state.requests += 1;
            let turn = state.requests;
            (state.latency.of(self.options.seed, turn), state.faults.next(&kind(&request.body)))
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let reply = match fault {
            None => self.take(request),
            Some(fault) => {
                let real = fault.stored.then(|| self.take(request));
                let Options { down_for, drip, .. } = self.options;
                let elsewhere = format!("http://localhost:{}/elsewhere", self.port());
                fault.spoil(real.as_ref(), &Terms { down_for, drip, elsewhere, refusal: |code| error(400, code) })
            }
        };
        self.wake();
        reply
    }

    /// Returns the channel of the request's bearer token.
    fn channel_of(&self, request: &Request) -> Option<ChannelSpec> {
        let (scheme, token) = request.header("authorization")?.split_once(' ')?;
        let state = lock(&self.state);
        let own = |channel: &&ChannelSpec| channel.api_token == token.trim();
        state.channels.values().find(own).filter(|_| scheme.eq_ignore_ascii_case("bearer")).cloned()
    }

    fn take(&self, request: &Request) -> Reply {
        let Some(channel) = self.channel_of(request) else {
            lock(&self.state).unauthorized += 1;
            return error(401, "Unauthorized token!");
        };
        if !self.admit(&channel.channel_id) {
            return error(429, "more than 20 requests in a second").with("retry-after", "1");
        }
        let now_ms = machine_ms();
        let read = if request.media_type() != "application/json" {
            Err(vec!["content-type: must be application/json".into()])
        } else if request.body.len() > MAX_BODY {
            Err(vec![format!("body: must be at most {MAX_BODY} bytes")])
        } else {
            schema::read(&request.body, &channel.channel_id, channel.id_type, now_ms)
        };
        let mut state = lock(&self.state);
        let stored = read.and_then(|post| {
            if state.poison.as_ref().is_some_and(|marker| post.content.to_string().contains(marker)) {
                return Ok(false);
            }
            state.store(&channel.channel_id, post, now_ms).map(|()| true).map_err(|broken| vec![broken])
        });
        match stored {
            Ok(true) => Reply::json(200, &json!({})),
            Ok(false) => {
                state.poisoned += 1;
                error(400, "this event cannot be taken")
            }
            Err(broken) => {
                let reply = error(400, &broken.join("; "));
                let body = String::from_utf8_lossy(&request.body).into_owned();
                state.violations.push(Violation { channel_id: channel.channel_id, broken, body, at_ms: now_ms });
                reply
            }
        }
    }
}
