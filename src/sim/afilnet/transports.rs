//! The transports: form, Basic, JSON with a bearer token (afilnet.md 2.6), SOAP 1.1 (afilnet.md 2.5). Of the last two only
//! their existence is published; this is the guess of the contract.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;
use serde_json::{Value, json};

use super::state::{OAUTH_CLIENT, State};
use crate::sim::form::{self, Params};
use crate::sim::wire::{Reply, Request};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Form,
    Basic,
    Json,
    Soap,
}

impl Transport {
    /// Returns the parameters of a call, and its bearer token if it has one.
    pub(super) fn read(self, request: &Request) -> (Params, Option<String>) {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let params = match self {
            Self::Form | Self::Basic => match request.method.as_str() {
                "GET" => form::urlencoded(request.query().as_bytes()),
                _ => form::body(request),
            },
            Self::Json => {
                let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let object = body.as_object().cloned().unwrap_or_default();
                object.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
            }
            Self::Soap => elements(&String::from_utf8_lossy(&request.body)).unwrap_or_default(),
        };
        (params, bearer.filter(|_| self == Self::Json).map(str::to_owned))
    }

    /// Returns whether the headers of a call are those that this transport needs.
    pub(super) fn accepts(self, request: &Request) -> bool {
        let typed = |wanted: &str| request.header("content-type").is_some_and(|kind| kind.starts_with(wanted));
        match self {
            Self::Form | Self::Basic => true,
            Self::Json => typed("application/json"),
            // SOAP 1.1: the action is there, quoted, and may be empty.
            Self::Soap => {
                typed("text/xml") && request.header("soapaction").is_some_and(|action| action.starts_with('"'))
            }
        }
    }

    /// Returns a response as this transport carries it.
    pub(super) fn carry(self, reply: Reply) -> Reply {
        let text = String::from_utf8_lossy(&reply.body);
        let json = text.trim_start_matches('\u{feff}');
        if self != Self::Soap || !json.starts_with('{') {
            return reply;
        }
        let content =
            format!("<ns1:callResponse xmlns:ns1=\"urn:afilnet\"><return>{}</return></ns1:callResponse>", escape(json));
        let mut carried = Reply::new(reply.status, "text/xml; charset=utf-8", soap_envelope(&content));
        carried.ending = reply.ending;
        carried
    }

    /// As [`Self::carry`] for the response of a fault on order: over SOAP, a refusal and the status 500 come as a SOAP fault
    /// (SOAP 1.1 over HTTP).
    pub(super) fn carry_fault(self, reply: Reply) -> Reply {
        if self != Self::Soap || !reply.body.starts_with(b"{") && reply.status != 500 {
            return self.carry(reply);
        }
        let envelope: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let words = envelope["error"].as_str().unwrap_or("Internal error");
        let content = format!(
            "<SOAP-ENV:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>{}</faultstring></SOAP-ENV:Fault>",
            escape(words)
        );
        let mut carried = Reply::new(500, "text/xml; charset=utf-8", soap_envelope(&content));
        carried.ending = reply.ending;
        carried
    }
}

fn soap_envelope(content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope \
         xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Body>{content}</SOAP-ENV:Body>\
         </SOAP-ENV:Envelope>\n"
    )
}

/// Returns the elements of the operation, which are three levels below the envelope.
fn elements(body: &str) -> Option<Params> {
    let mut reader = Reader::from_str(body);
    let (mut params, mut path) = (Params::new(), Vec::<String>::new());
    let add = |params: &mut Params, path: &[String], words: &str| {
        if let [_, _, _, name] = path {
            params.entry(name.clone()).or_default().push_str(words);
        }
    };
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => path.push(element.local_name().as_ref().to_owned()),
            Event::End(_) => drop(path.pop()?),
            Event::Text(words) => add(&mut params, &path, &words.xml10_content()),
            Event::CData(words) => add(&mut params, &path, &words.xml10_content()),
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref().ok()? {
                    Some(c) => c.to_string(),
                    None => resolve_predefined_entity(&reference)?.to_owned(),
                };
                add(&mut params, &path, &known);
            }
            Event::Eof => return Some(params),
            _ => {}
        }
    }
}

/// The token endpoint.
pub(super) fn token(state: &mut State, request: &Request) -> Reply {
    let refused = |status, error: &str| Reply::json(status, &json!({"error": error}));
    let client = form::basic(request);
    if client.as_ref().is_none_or(|(id, secret)| (id.as_str(), secret) != (OAUTH_CLIENT.0, &state.client_secret)) {
        return refused(401, "invalid_client");
    }
    let params = form::body(request);
    let user = match params.get("grant_type").map(String::as_str) {
        Some("client_credentials") => state.accounts.keys().next_back().cloned().unwrap_or_default(),
        Some("password") => {
            let user = params.get("username").cloned().unwrap_or_default();
            if state.accounts.get(&user) != params.get("password") {
                return refused(400, "invalid_grant");
            }
            user
        }
        _ => return refused(400, "unsupported_grant_type"),
    };
    state.tokens_given += 1;
    let token = format!("access-token-{}", state.tokens_given);
    state.tokens.insert(token.clone(), user);
    Reply::json(200, &json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}))
}
