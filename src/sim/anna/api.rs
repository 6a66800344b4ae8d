//! The eight endpoints of anna.md section 2, and what their answers are like on order.

use serde_json::{Map, Value, json};

use super::faults::Oddity;
use super::world::{AnnaCall, State, User};
use super::{Options, PREFIX, TokenForm, World};
use crate::sim::control;
use crate::sim::switchable_listener::lock;
use crate::sim::wire::{Ending, Reply, Request, Service};

/// Path and fields of each endpoint; all of them are texts, but for the filters.
const ENDPOINTS: &[(&str, &[&str])] = &[
    ("/REST/Credentials/GetToken", &["hash", "user", "pass"]),
    ("/REST/AnnACorporate/User/UserHash", &["hash", "userId", "startService"]),
    ("/REST/AnnACorporate/User/UserHashForced", &["hash", "userId", "userName", "startService"]),
    ("/REST/AnnACorporate/User/Inactivate", &["hash", "userId"]),
    ("/REST/AnnACorporate/Messenger/Structure", &["hash"]),
    (
        "/REST/AnnACorporate/Messenger/AlertCounter",
        &["hash", "userId", "userDocType", "userDocValue", "messengerFilters"],
    ),
    ("/REST/AnnACorporate/Messenger/Requests", &["hash", "userId", "userDocType", "userDocValue", "messengerFilters"]),
    ("/REST/AnnACorporate/Messenger/Link", &["hash", "userId", "userDocType", "userDocValue"]),
];

/// Keys of the filters.
const FILTERS: &[&str] = &["departmentAlias", "channelAlias", "dataIni", "dataFim", "status", "pendentes"];

/// A payload under its key, or why there is none.
type AnnaResult = Result<(&'static str, Value), String>;

impl Service for World {
    async fn serve(&self, request: Request) -> Reply {
        let path = request.path().to_owned();
        if path.starts_with("/control") {
            return control::anna::serve(self, &request);
        }
        if path == "/elsewhere/" {
            lock(&self.state).redirects_followed += 1;
            return Reply::page(200);
        }
        let below = path.strip_prefix(PREFIX).unwrap_or(&path);
        let Some((known, fields)) = ENDPOINTS.iter().find(|(known, _)| *known == below) else {
            return Reply::page(404);
        };
        let endpoint = known.rsplit('/').next().unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let call = AnnaCall {
            endpoint: endpoint.to_owned(),
            content_type: header("content-type"),
            accept: header("accept"),
            bearer: bearer.map(str::to_owned),
            body,
            path,
        };
        let oddity = {
            let mut state = lock(&self.state);
            state.calls.push(call.clone());
            state.oddities.next(endpoint)
        };
        self.wake();
        if oddity == Some(Oddity::Slow) {
            tokio::time::sleep(self.options.slow).await;
        }
        let real = || {
            let mut state = lock(&self.state);
            if request.method != "POST" {
                return envelope(Err("Método no permitido".to_owned()));
            }
            envelope(state.answer(&call, fields, &self.options))
        };
        let reply = self.spoil(oddity, real, &call);
        self.wake();
        reply
    }
}

fn envelope(answer: AnnaResult) -> Value {
    match answer {
        Ok(("", message)) => json!({"success": true, "message": message}),
        Ok((key, payload)) => json!({"success": true, "message": "", key: payload}),
        Err(message) => json!({"success": false, "message": message}),
    }
}

impl World {
    /// The answer as it is ordered.
    fn spoil(&self, oddity: Option<Oddity>, real: impl Fn() -> Value, call: &AnnaCall) -> Reply {
        let json = |body: &Value| Reply::new(200, "application/json; charset=utf-8", body.to_string());
        let refused = |message: String| json(&json!({"success": false, "message": message}));
        let Some(oddity) = oddity else { return json(&real()) };
        let user_id = call.body["userId"].as_str().unwrap_or_default();
        let with_link = |change: &dyn Fn(&str) -> String| {
            let mut body = real();
            let access = body.pointer("/accessData/ChatURL").map(|_| "/accessData/ChatURL");
            if let Some(link) = body.pointer_mut(access.unwrap_or("/messengerLink")) {
                *link = change(link.as_str().unwrap_or_default()).into();
            }
            json(&body)
        };
        match oddity {
            Oddity::Refused(message) => refused(message.to_owned()),
            Oddity::Inactive(ending) => refused(format!("El usuario {}@{user_id} {ending}", self.options.company_hash)),
            Oddity::TokenExpired => {
                refused(format!("El token {} ha expirado.", call.bearer.as_deref().unwrap_or_default()))
            }
            Oddity::ServerRefused => Reply { status: 500, ..refused("Error interno.".to_owned()) },
            Oddity::Http(status @ 300..=399) => {
                let port = self.port.get().copied().unwrap_or_default();
                Reply::page(status).with("location", format!("http://localhost:{port}/elsewhere/"))
            }
            Oddity::Http(status @ (429 | 503)) => Reply::page(status).with("retry-after", "1"),
            Oddity::Http(status) => Reply::page(status),
            Oddity::Slow => json(&real()),
            Oddity::Hang => Reply::nothing(Ending::Hang),
            Oddity::Reset => Reply::nothing(Ending::Reset),
            Oddity::Closed => Reply::nothing(Ending::Refused(self.options.down_for)),
            Oddity::CutOff => Reply { ending: Ending::Truncated, ..json(&real()) },
            Oddity::HalfJson => {
                let whole = real().to_string();
                Reply::new(200, "application/json", &whole.as_bytes()[..whole.len() / 2])
            }
            Oddity::NoPayload => json(&json!({"success": true, "message": ""})),
            Oddity::OtherCase => json(&other_case(real())),
            Oddity::CountAsText => {
                let mut body = real();
                if let Some(count) = body.get_mut("alertCounter") {
                    *count = count.to_string().into();
                }
                json(&body)
            }
            Oddity::LinkNewline => with_link(&|link| format!("{link}\nhttps://evil.test/")),
            Oddity::LinkHttp => with_link(&|link| link.replacen("https://", "http://", 1)),
            Oddity::LinkEmpty => with_link(&|_| String::new()),
            Oddity::Huge => {
                let mut body = real();
                body["padding"] = "x".repeat(1 << 20).into();
                json(&body)
            }
        }
    }
}

/// The same with every key in another case.
fn other_case(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let turned = |key: String| {
                let turn =
                    |c: char| if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
                key.chars().map(turn).collect::<String>()
            };
            Value::Object(
                object.into_iter().map(|(key, value)| (turned(key), other_case(value))).collect::<Map<_, _>>(),
            )
        }
        other => other,
    }
}

impl State {
    fn answer(&mut self, call: &AnnaCall, fields: &[&str], options: &Options) -> AnnaResult {
        for field in fields {
            let there = match *field {
                "messengerFilters" => FILTERS.iter().all(|filter| call.body[field][filter].is_string()),
                _ => call.body[field].is_string(),
            };
            if !there {
                return Err(format!("Falta el campo {field}"));
            }
        }
        let text = |name: &str| call.body[name].as_str().unwrap_or_default().to_owned();
        if text("hash") != options.company_hash {
            return Err("Empresa no encontrada".to_owned());
        }
        if call.endpoint == "GetToken" {
            return self.token(&text("user"), &text("pass"), options);
        }
        if !call.bearer.as_ref().is_some_and(|bearer| self.tokens.contains(bearer)) {
            return Err("Token inválido".to_owned());
        }
        let named = if text("userId").is_empty() { text("userDocValue") } else { text("userId") };
        match call.endpoint.as_str() {
            "UserHash" => {
                self.active(&named, options)?;
                Ok(("accessData", self.access(options)))
            }
            "UserHashForced" => {
                let name = text("userName");
                if name.is_empty() {
                    return Err("Falta el nombre".to_owned());
                }
                self.users.insert(named.clone(), User { id: named, name, active: true });
                Ok(("accessData", self.access(options)))
            }
            "Inactivate" => {
                let user = User { id: named.clone(), name: named.clone(), active: false };
                self.users.entry(named.clone()).or_insert(user).active = false;
                Ok(("", format!("Usuario {}@{named} inactivado exitosamente", options.company_hash).into()))
            }
            "Structure" => {
                let departments = json!([{"Alias": "ventas", "Name": "Ventas", "Channels": []}]);
                let (hash, name) = (&options.company_hash, "Empresa");
                Ok(("structure", json!({"CompaniesHash": hash, "CompaniesName": name, "Departments": departments})))
            }
            "AlertCounter" => {
                self.active(&named, options)?;
                Ok(("alertCounter", self.pending.into()))
            }
            "Requests" => {
                self.active(&named, options)?;
                let link = self.link("requests.aspx?r", options);
                Ok((
                    "userRequests",
                    json!([{"Protocol": "2026-1", "Status": "A", "Description": "caso", "Link": link}]),
                ))
            }
            _ => {
                self.active(&named, options)?;
                Ok(("messengerLink", self.link("messenger.aspx?m", options).into()))
            }
        }
    }

    /// Whether a user is there and may sign in.
    fn active(&self, id: &str, options: &Options) -> Result<(), String> {
        match self.users.get(id) {
            Some(user) if user.active => Ok(()),
            Some(_) => Err(format!("El usuario {}@{id} está inactivo.", options.company_hash)),
            None if self.everybody && !id.is_empty() => Ok(()),
            None => Err(format!("El usuario {}@{id} no existe.", options.company_hash)),
        }
    }

    fn token(&mut self, user: &str, password: &str, options: &Options) -> AnnaResult {
        if user != options.user || password != self.password {
            return Err(format!("Usuario {user} o contraseña incorrectos"));
        }
        let secret = self.fresh("tk", options.seed);
        let (token, expires) = match &self.token_form {
            TokenForm::Jwt(seconds) => {
                let claims = json!({"iat": 1_700_000_000, "exp": 1_700_000_000 + i64::from(*seconds), "jti": secret});
                (format!("e30.{}.{secret}", base64_url(claims.to_string().as_bytes())), "EXPIRATION_TIME".to_owned())
            }
            TokenForm::Opaque(expires) => (secret, expires.clone()),
        };
        self.given.push(token.clone());
        self.tokens.push(token.clone());
        Ok(("data", json!({"Token": token, "ExpiresIn": expires})))
    }

    fn link(&mut self, page: &str, options: &Options) -> String {
        let hash = self.fresh("uh", options.seed);
        let link = format!("https://{}/w5/{page}={hash}&lang=es&x=a+b%2Bc", options.link_host);
        self.links.push(link.clone());
        link
    }

    fn access(&mut self, options: &Options) -> Value {
        let chat = self.link("chat.aspx?u", options);
        let embedded = self.link("embedded.aspx?u", options);
        let hash = self.fresh("ua", options.seed);
        json!({"Hash": hash, "ChatURL": chat, "EmbeddedURL": embedded, "Expires": "20991231235959"})
    }
}

/// Base64 for URLs, without padding.
fn base64_url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}
