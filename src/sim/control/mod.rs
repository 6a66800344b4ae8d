//! The control API, under `/control/` on the port of each simulator. Fields come as a form (`curl -d`) or as JSON;
//! answers are JSON. A wrong field answers 400 with what would be right.
//!
//! Afilnet, `A=http://127.0.0.1:7001/control`:
//!
//! ```text
//! curl $A/                                                                        # this list
//! curl -d platform=telegram -d platformid=7 -d name=Bot $A/channel                # add a channel
//! curl -d user=u -d password=p $A/account                                         # add an account, set its password
//! curl -d platformid=100 -d destination=34600 -d text=Hola $A/receive             # the customer writes
//! curl -d platformid=100 -d destination=34600 -d fileurl=https://x.example/a.jpg -d text=Foto $A/receive
//! curl -d platformid=100 -d destination=34600 -d text=Hi $A/operator              # someone answers in Afilnet's panel
//! curl -d platformid=100 -d destination=34600 $A/read                             # someone reads in Afilnet's panel
//! curl -d platformid=100 -d destination=34600 -d status=delivered $A/status       # sent | delivered | read | failed
//! curl -d offset=-2h $A/clock                                                     # set the clock ahead or behind
//! curl -d latency=5ms-50ms $A/latency                                             # wait before each answer
//! curl $A/switches                                                                # the switches as they stand
//! curl -d order=desc -d window=last_20 $A/switches                                # set switches
//! curl -d rule=sendmessage:reset_stored:3 $A/faults                               # order a fault
//! curl -X DELETE $A/faults                                                        # take all orders back
//! curl "$A/sent?destination=34600"                                                # what the bridge sent, in order
//! curl $A/state                                                                   # everything
//! curl -X POST $A/reset                                                           # back to the beginning
//! ```
//!
//! BonyChat, `B=http://127.0.0.1:7002/control`:
//!
//! ```text
//! curl $B/                                                                        # this list
//! curl -d contact_id=+34600111222 -d text=Hola $B/say                             # an agent writes, by the bridge
//! curl --json '{"contact_id":"+34600111222","message":{"type":"text","text":"Hola"}}' $B/say
//! curl "$B/events?contact_id=%2B34600111222"                                      # what the bridge published
//! curl -d rule=message:http_503:1-5 $B/faults                                     # order a fault
//! curl -X DELETE $B/faults                                                        # take all orders back
//! curl -d marker=POISON $B/poison                                                 # refuse events that hold it
//! curl -d on=false $B/rate_limit                                                  # no 429 above 20 a second
//! curl -d latency=20ms $B/latency                                                 # wait before each answer
//! curl $B/state                                                                   # everything
//! curl -X POST $B/reset                                                           # back to the beginning
//! ```
//!
//! AnnA, `N=http://127.0.0.1:7003/control`:
//!
//! ```text
//! curl $N/                                                                        # this list
//! curl -d id=34600111222 -d name=Ana -d active=false $N/user                      # add or change a user
//! curl -d count=5 $N/pending                                                      # open requests of every user
//! curl -X POST $N/expire                                                          # accept no token of before
//! curl -d rule=UserHash:http_500:1-3 $N/faults                                    # order a fault
//! curl -X DELETE $N/faults                                                        # take all orders back
//! curl $N/state                                                                   # everything but secrets
//! curl -X POST $N/reset                                                           # back to the beginning
//! ```
//!
//! `say` also takes `channel_id` and `bridge_url`; without them the first channel and the bridge of the start.

pub(super) mod afilnet;
pub(super) mod anna;
pub(super) mod bonychat;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::form;
use super::wire::{Reply, Request};

/// Why a control call is refused: status and text.
type Refused = (u16, String);

/// Fields of one control call, from query, form or JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn of(request: &Request) -> Result<Self, Refused> {
        let mut fields: Map<String, Value> = Map::new();
        let text = |params: form::Params| params.into_iter().map(|(name, value)| (name, Value::String(value)));
        fields.extend(text(form::urlencoded(request.query().as_bytes())));
        if request.media_type() == "application/json" {
            let body: Map<String, Value> = serde_json::from_slice(&request.body)
                .map_err(|e| (400, format!("the body is not a JSON object: {e}")))?;
            fields.extend(body);
        } else {
            fields.extend(text(form::body(request)));
        }
        Ok(Self(fields))
    }

    /// A field as text; numbers and booleans as they are written.
    fn optional(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    fn need(&self, name: &str) -> Result<String, Refused> {
        self.optional(name).ok_or_else(|| (400, format!("the field `{name}` is missing")))
    }

    /// A field that parses.
    fn parse<T: std::str::FromStr>(&self, name: &str) -> Result<T, Refused>
    where
        T::Err: std::fmt::Display,
    {
        self.need(name)?.parse().map_err(|e: T::Err| (400, e.to_string()))
    }
}

/// For `map_err`: a call that cannot be carried out.
fn refuse(error: impl std::fmt::Display) -> Refused {
    (400, error.to_string())
}

fn unknown(request: &Request) -> Refused {
    (404, format!("there is no {} {}: GET /control/ lists what there is", request.method, request.path()))
}

fn reply(outcome: Result<Value, Refused>) -> Reply {
    match outcome {
        Ok(body) => Reply::json(200, &body),
        Err((status, message)) => Reply::json(status, &json!({"error": {"message": message}})),
    }
}

/// Returns the curl lines of `name` in this page.
fn help(name: &str) -> Reply {
    let page = include_str!("mod.rs").lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start);
    let mut lines: Vec<&str> = page.skip_while(|line| !line.starts_with(name)).collect();
    if let Some(end) = lines.iter().skip(3).position(|line| line.starts_with("```")) {
        lines.truncate(end + 3);
    }
    let mut text = lines.into_iter().filter(|line| !line.starts_with("```")).collect::<Vec<_>>().join("\n");
    text.push('\n');
    Reply::new(200, "text/plain; charset=utf-8", text)
}
