//! AnnA's JSON: paths, bodies, envelopes (anna.md sections 1, 2 and 5). Keys are written as the samples have them and
//! read in any case. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::AnnaError;
use crate::telemetry::harmless;

/// Most characters of AnnA's own words that are repeated.
const MOST_WORDS: usize = 200;
/// Parts of words by which a refusal is one of the token (es, en, pt).
const OF_THE_TOKEN: &[&str] = &["token", "jwt", "expir", "autoriz", "authoriz", "credenc", "credential"];

/// The endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    GetToken,
    UserHash,
    UserHashForced,
    Inactivate,
    Structure,
    AlertCounter,
    Requests,
    Link,
}

/// The name of each endpoint.
pub(crate) const ENDPOINTS: &[&str] =
    &["GetToken", "UserHash", "UserHashForced", "Inactivate", "Structure", "AlertCounter", "Requests", "Link"];

impl Endpoint {
    /// Below the base URL.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::GetToken => "REST/Credentials/GetToken",
            Self::UserHash => "REST/AnnACorporate/User/UserHash",
            Self::UserHashForced => "REST/AnnACorporate/User/UserHashForced",
            Self::Inactivate => "REST/AnnACorporate/User/Inactivate",
            Self::Structure => "REST/AnnACorporate/Messenger/Structure",
            Self::AlertCounter => "REST/AnnACorporate/Messenger/AlertCounter",
            Self::Requests => "REST/AnnACorporate/Messenger/Requests",
            Self::Link => "REST/AnnACorporate/Messenger/Link",
        }
    }

    /// Returns the last segment of its path.
    pub(super) fn name(self) -> &'static str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// Returns the key of its payload; `None` where it has none.
    fn payload(self) -> Option<&'static str> {
        match self {
            Self::GetToken => Some("data"),
            Self::UserHash | Self::UserHashForced => Some("accessData"),
            Self::Inactivate => None,
            Self::Structure => Some("structure"),
            Self::AlertCounter => Some("alertCounter"),
            Self::Requests => Some("userRequests"),
            Self::Link => Some("messengerLink"),
        }
    }
}

/// Who is asked about: by user id, or by a document.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Person<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) doc_type: &'a str,
    pub(crate) doc_value: &'a str,
}

/// What requests are wanted; empty: any. Dates as `dd/MM/yyyy`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filters {
    pub(crate) department_alias: String,
    pub(crate) channel_alias: String,
    pub(crate) data_ini: String,
    pub(crate) data_fim: String,
    pub(crate) status: String,
    pub(crate) pendentes: String,
}

/// A call with the token.
#[derive(Debug, Clone)]
pub(crate) enum Request<'a> {
    UserHash { user_id: &'a str, start_service: &'a str },
    UserHashForced { user_id: &'a str, user_name: &'a str, start_service: &'a str },
    Inactivate { user_id: &'a str },
    Structure,
    AlertCounter(Person<'a>, Filters),
    Requests(Person<'a>, Filters),
    Link(Person<'a>),
}

/// A body. What an endpoint does not take is left out; what it takes is always there.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    hash: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_doc_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_doc_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messenger_filters: Option<&'a Filters>,
}

impl Body<'_> {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // texts and structs of texts always serialize
    }
}

/// Returns the body of GetToken.
pub(super) fn login(hash: &str, user: &str, pass: &str) -> Vec<u8> {
    Body { hash, user: Some(user), pass: Some(pass), ..Body::default() }.bytes()
}

impl<'a> Person<'a> {
    /// Returns a body about this person.
    fn body(&self, hash: &'a str) -> Body<'a> {
        let (user_doc_type, user_doc_value) = (Some(self.doc_type), Some(self.doc_value));
        Body { hash, user_id: Some(self.user_id), user_doc_type, user_doc_value, ..Body::default() }
    }
}

impl Request<'_> {
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::UserHash { .. } => Endpoint::UserHash,
            Self::UserHashForced { .. } => Endpoint::UserHashForced,
            Self::Inactivate { .. } => Endpoint::Inactivate,
            Self::Structure => Endpoint::Structure,
            Self::AlertCounter(..) => Endpoint::AlertCounter,
            Self::Requests(..) => Endpoint::Requests,
            Self::Link(_) => Endpoint::Link,
        }
    }

    /// Returns the user id and document value of its person, which may not be repeated; empty: none.
    pub(super) fn person(&self) -> [&str; 2] {
        match self {
            Self::UserHash { user_id, .. } | Self::UserHashForced { user_id, .. } | Self::Inactivate { user_id } => {
                [user_id, ""]
            }
            Self::Structure => ["", ""],
            Self::AlertCounter(person, _) | Self::Requests(person, _) | Self::Link(person) => {
                [person.user_id, person.doc_value]
            }
        }
    }

    pub(super) fn body(&self, hash: &str) -> Vec<u8> {
        let bare = Body { hash, ..Body::default() };
        match self {
            Self::UserHash { user_id, start_service } => {
                Body { user_id: Some(user_id), start_service: Some(start_service), ..bare }.bytes()
            }
            Self::UserHashForced { user_id, user_name, start_service } => {
                let (user_id, user_name) = (Some(*user_id), Some(*user_name));
                Body { user_id, user_name, start_service: Some(start_service), ..bare }.bytes()
            }
            Self::Inactivate { user_id } => Body { user_id: Some(user_id), ..bare }.bytes(),
            Self::Structure => bare.bytes(),
            Self::AlertCounter(person, filters) | Self::Requests(person, filters) => {
                Body { messenger_filters: Some(filters), ..person.body(hash) }.bytes()
            }
            Self::Link(person) => person.body(hash).bytes(),
        }
    }
}

/// Returns the value of an object's key in any case; the exact key first.
pub(crate) fn key<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    let object: &Map<String, Value> = object.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Returns the payload of a response, or why there is none. None of `private` is repeated.
pub(super) fn classify(
    endpoint: Endpoint,
    status: u16,
    asked: Option<Duration>,
    body: &[u8],
    private: &[&str],
) -> Result<Value, AnnaError> {
    match status {
        300..=399 => return Err(AnnaError::Protocol("it points elsewhere")),
        401 | 403 => return Err(AnnaError::Auth(format!("HTTP {status}"))),
        429 | 503 => return Err(AnnaError::Busy { asked }),
        _ => {}
    }
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let answer: Value = serde_json::from_slice(body).map_err(|_| AnnaError::Protocol("it did not answer in JSON"))?;
    let success = match key(&answer, "success") {
        Some(Value::Bool(success)) => *success,
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => true,
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => false,
        _ => return Err(AnnaError::Protocol("its answer does not say whether it succeeded")),
    };
    if !success {
        let message = key(&answer, "message").and_then(Value::as_str).unwrap_or_default();
        return Err(refusal(message, status, private));
    }
    if !(200..300).contains(&status) {
        return Err(AnnaError::Protocol("its answer and its HTTP status contradict each other"));
    }
    let Some(payload) = endpoint.payload() else { return Ok(Value::Null) };
    match key(&answer, payload) {
        None | Some(Value::Null) => Err(AnnaError::Protocol("its answer lacks what was asked for")),
        Some(payload) => Ok(payload.clone()),
    }
}

/// `success:false`.
fn refusal(message: &str, status: u16, private: &[&str]) -> AnnaError {
    let lower = message.to_lowercase();
    let message = shown(message, private);
    if OF_THE_TOKEN.iter().any(|word| lower.contains(word)) {
        return AnnaError::Auth(message);
    }
    let other_reason = lower.contains("inactiv") || lower.contains("inativ");
    AnnaError::Api { message, other_reason, server: status >= 500 }
}

/// AnnA's words without what is private: its own messages carry the company's hash and the user's id.
fn shown(message: &str, private: &[&str]) -> String {
    let mut private: Vec<&str> = private.iter().copied().filter(|secret| !secret.is_empty()).collect();
    private.sort_by_key(|secret| Reverse(secret.len())); // one may be a part of another
    let message = private.into_iter().fold(message.to_owned(), |message, secret| without(&message, secret));
    harmless(&message.chars().take(MOST_WORDS).collect::<String>())
}

/// `message` with `***` in place of `secret`, whatever the case of its ASCII letters.
fn without(message: &str, secret: &str) -> String {
    let (lower, secret) = (message.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let (mut shown, mut end) = (String::new(), 0);
    for (at, found) in lower.match_indices(&secret) {
        shown.push_str(&message[end..at]);
        shown.push_str("***");
        end = at + found.len();
    }
    shown + &message[end..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(request: &Request<'_>) -> String {
        String::from_utf8(request.body("COMPANY_HASH")).unwrap()
    }

    #[test]
    fn bodies_are_those_of_the_contract_field_for_field() {
        let login = String::from_utf8(login("COMPANY_HASH", "USER_LOGIN", "USER_PASSWORD")).unwrap();
        assert_eq!(login, r#"{"hash":"COMPANY_HASH","user":"USER_LOGIN","pass":"USER_PASSWORD"}"#);
        let person = Person { user_id: "USER_ID", doc_type: "", doc_value: "" };
        let dates = Filters { data_ini: "01/01/2024".into(), data_fim: "31/12/2024".into(), ..Filters::default() };
        let filters = r#""messengerFilters":{"departmentAlias":"","channelAlias":"","dataIni":"01/01/2024","dataFim":"31/12/2024","status":"","pendentes":""}"#;
        for (request, expected) in [
            (
                Request::UserHash { user_id: "USER_ID", start_service: "START_SERVICE" },
                r#"{"hash":"COMPANY_HASH","userId":"USER_ID","startService":"START_SERVICE"}"#.to_owned(),
            ),
            (
                Request::UserHashForced { user_id: "USER_ID", user_name: "USER_NAME", start_service: "" },
                r#"{"hash":"COMPANY_HASH","userId":"USER_ID","userName":"USER_NAME","startService":""}"#.to_owned(),
            ),
            (Request::Inactivate { user_id: "USER_ID" }, r#"{"hash":"COMPANY_HASH","userId":"USER_ID"}"#.to_owned()),
            (Request::Structure, r#"{"hash":"COMPANY_HASH"}"#.to_owned()),
            (
                Request::AlertCounter(person, dates.clone()),
                format!(r#"{{"hash":"COMPANY_HASH","userId":"USER_ID","userDocType":"","userDocValue":"",{filters}}}"#),
            ),
            (
                Request::Requests(person, dates),
                format!(r#"{{"hash":"COMPANY_HASH","userId":"USER_ID","userDocType":"","userDocValue":"",{filters}}}"#),
            ),
            (
                Request::Link(Person { user_id: "USER_ID", doc_type: "CPF", doc_value: "1\"2" }),
                r#"{"hash":"COMPANY_HASH","userId":"USER_ID","userDocType":"CPF","userDocValue":"1\"2"}"#.to_owned(),
            ),
        ] {
            assert_eq!(body(&request), expected);
        }
        let names: Vec<&str> = [
            Endpoint::GetToken,
            Endpoint::UserHash,
            Endpoint::UserHashForced,
            Endpoint::Inactivate,
            Endpoint::Structure,
            Endpoint::AlertCounter,
            Endpoint::Requests,
            Endpoint::Link,
        ]
        .map(Endpoint::name)
        .into();
        assert_eq!(names, ENDPOINTS);
    }

    fn classified(endpoint: Endpoint, status: u16, body: &str) -> Result<Value, AnnaError> {
        classify(endpoint, status, None, body.as_bytes(), &["COMPANY_HASH", "USER_ID"])
    }

    #[test]
    fn answers_are_read_whatever_the_case_of_their_keys() {
        for answer in [
            r#"{"success":true,"message":"","alertCounter":1}"#,
            r#"{"Success":true,"Message":"","AlertCounter":1}"#,
            r#"{"SUCCESS":"True","ALERTCOUNTER":1}"#,
            "\u{feff} {\"success\":true,\"alertcounter\":1,\"other\":null}",
        ] {
            assert_eq!(classified(Endpoint::AlertCounter, 200, answer), Ok(json!(1)), "{answer}");
        }
        assert_eq!(classified(Endpoint::Inactivate, 200, r#"{"success":true,"message":"fin"}"#), Ok(Value::Null));
        let rows = r#"{"success":true,"userRequests":[{"Protocol":7,"odd key":null}]}"#;
        assert_eq!(classified(Endpoint::Requests, 200, rows), Ok(json!([{"Protocol": 7, "odd key": null}])));
    }

    type Is<'a> = &'a dyn Fn(&AnnaError) -> bool;

    #[test]
    fn failures_fall_into_the_classes_of_the_contract() {
        let api = |other_reason, server| move |error: &AnnaError| matches!(error, AnnaError::Api { other_reason: o, server: s, .. } if (*o, *s) == (other_reason, server));
        let auth = |error: &AnnaError| matches!(error, AnnaError::Auth(_));
        let busy = |error: &AnnaError| matches!(error, AnnaError::Busy { .. });
        let protocol = |error: &AnnaError| matches!(error, AnnaError::Protocol(_));
        let table: [(u16, &str, Is<'_>); 20] = [
            (200, r#"{"success":false,"message":"El usuario COMPANY_HASH@USER_ID está inactivo."}"#, &api(true, false)),
            (200, r#"{"success":false,"message":"The user is inactive"}"#, &api(true, false)),
            (200, r#"{"success":false,"message":"Usuário inativo"}"#, &api(true, false)),
            (200, r#"{"success":false,"message":"No existe"}"#, &api(false, false)),
            (200, r#"{"success":false}"#, &api(false, false)),
            (404, r#"{"success":false,"message":"No existe"}"#, &api(false, false)),
            (500, r#"{"success":false,"message":"Error"}"#, &api(false, true)),
            (200, r#"{"success":false,"message":"Token expirado"}"#, &auth),
            (200, r#"{"success":false,"message":"No autorizado"}"#, &auth),
            (401, "", &auth),
            (403, "<html>", &auth),
            (429, "", &busy),
            (503, "<html>", &busy),
            (302, "", &protocol),
            (500, "<html>Error</html>", &protocol),
            (200, r#"{"success":true,"message":"#, &protocol),
            (200, r#"{"success":true,"message":""}"#, &protocol),
            (200, r#"{"success":true,"messengerLink":null}"#, &protocol),
            (200, r#"{"message":"","messengerLink":"https://a.test/"}"#, &protocol),
            (500, r#"{"success":true,"messengerLink":"https://a.test/"}"#, &protocol),
        ];
        for (status, body, is) in table {
            let error = classified(Endpoint::Link, status, body).unwrap_err();
            assert!(is(&error), "{status} {body}: {error:?}");
        }
    }

    #[test]
    fn what_is_private_is_not_repeated() {
        let body = r#"{"success":false,"message":"El usuario COMPANY_HASH@USER_ID está\ninactivo. COMPANY_HASH"}"#;
        let error = classified(Endpoint::UserHash, 200, body).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(r"El usuario ***@*** está\ninactivo. ***"), "{said}");
        let quoting = r#"{"success":false,"message":"ÑUser_id company_hash Company_Hash-2 user_id"}"#;
        let private = ["COMPANY_HASH", "USER_ID", "", "COMPANY_HASH-2"];
        let error = classify(Endpoint::GetToken, 200, None, quoting.as_bytes(), &private).unwrap_err();
        assert!(error.to_string().ends_with(": Ñ*** *** *** ***"), "in any case, the longest first: {error}");
        let person = Person { user_id: "USER_ID", doc_type: "CPF", doc_value: "DOC_VALUE" };
        assert_eq!(Request::Link(person).person(), ["USER_ID", "DOC_VALUE"]);
        let long = format!(r#"{{"success":false,"message":"{}"}}"#, "x".repeat(10_000));
        assert!(classified(Endpoint::UserHash, 200, &long).unwrap_err().to_string().len() < 300);
    }
}
