//! Signing in and out, and the choice of a language: what is served without a session.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;

use super::OperatorState;
use super::form::{self, Form};
use super::page::{AGAIN, LANGUAGE, Page, SECURE_SESSION, SESSION, html, own, see_other};
use crate::domain::clock::wall_ms;
use crate::http::token_limit::OverLimit;
use crate::ops::sign_in::SESSION_SECONDS;

/// The form in which a token is given.
#[derive(Template)]
#[template(path = "login.html", config = "src/http/ops/askama.toml")]
pub(super) struct Login<'a> {
    page: &'a Page,
    /// Where to go on.
    next: String,
    /// Why it is shown again.
    wrong: Option<&'a str>,
}

impl<'a> Login<'a> {
    pub(super) fn new(page: &'a Page, next: String, wrong: Option<&'a str>) -> Self {
        Self { page, next, wrong }
    }
}

/// A page that loads itself once more.
#[derive(Template)]
#[template(path = "reload.html", config = "src/http/ops/askama.toml")]
struct Reload<'a> {
    page: &'a Page,
    query: String,
}

pub(super) fn reload(page: &Page) -> Response {
    let query = page.here.split_once('?').map_or("", |(_, query)| query);
    let query = if query.is_empty() { AGAIN.to_owned() } else { format!("{query}&{AGAIN}") };
    html(StatusCode::OK, &Reload { page, query })
}

/// `GET /login`: the form; with a link of `bridge page`, a session.
pub(super) async fn form(
    State(state): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    request: Request,
) -> Response {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    // HEAD is what programs ask that look at a link before a person follows it.
    let Some(link) = query.get("link").filter(|_| request.method() == Method::GET) else {
        return html(StatusCode::OK, &Login::new(&page, String::new(), None));
    };
    // A link of another site would sign its visitor in as somebody else.
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    let is_followed = !matches!(site, Some("cross-site" | "same-site"));
    match is_followed.then(|| state.follow(link)).flatten() {
        Some(cookie) => signed_in(&cookie, request.headers(), "./"),
        None => refuse(
            &page,
            "",
            page.say(
                "This link does not sign in: it was used before, is older than 60 seconds, or is of another token. Make a new \
                 one with `bridge page`, and paste it into the address bar.",
                "Este enlace no inicia sesión: ya se usó, tiene más de 60 segundos, o es de otro token. Cree uno nuevo con \
                 `bridge page`, y péguelo en la barra de direcciones.",
            ),
        ),
    }
}

/// `POST /login`
pub(super) async fn sign_in(
    State(state): State<Arc<OperatorState>>,
    Extension(page): Extension<Page>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(form) = form::read(&parts, body).await else {
        return html(StatusCode::BAD_REQUEST, &Login::new(&page, String::new(), None));
    };
    let next = form.get("next").unwrap_or_default();
    let token = form.get("token").unwrap_or_default().trim();
    match state.people.open(token, wall_ms() / 1000) {
        Some(cookie) => signed_in(&cookie, &parts.headers, &own(next)),
        None => refuse(
            &page,
            next,
            page.say(
                "This is not the token. It is your own of admin.people in the bridge's configuration, or the value of admin.token.",
                "Este no es el token. Es el suyo de admin.people en la configuración del puente, o el valor de admin.token.",
            ),
        ),
    }
}

/// Shows the form again. An address with too many wrong tokens gets another page in its place.
fn refuse(page: &Page, next: &str, wrong: &str) -> Response {
    let mut response = html(StatusCode::UNAUTHORIZED, &Login::new(page, next.to_owned(), Some(wrong)));
    let too_many = page.say(
        "This is not the token, as in many tries of the last minute. Try again in a minute; the right token is taken at any \
         time.",
        "Este no es el token, como en muchos intentos del último minuto. Pruebe dentro de un minuto; el token correcto se \
         acepta siempre.",
    );
    if let Ok(text) = Login::new(page, next.to_owned(), Some(too_many)).render() {
        response.extensions_mut().insert(OverLimit(text));
    }
    response
}

/// Sets the cookie. It has no path: that is the folder of the request as the browser knows it, below whatever prefix.
fn signed_in(cookie: &str, headers: &HeaderMap, next: &str) -> Response {
    let mut response = see_other(next);
    let (name, secure) = if is_https(headers) { (SECURE_SESSION, "; Secure") } else { (SESSION, "") };
    let cookie = format!("{name}={cookie}; Max-Age={SESSION_SECONDS}; HttpOnly; SameSite=Strict{secure}");
    set_cookie(&mut response, &cookie);
    response
}

/// Returns whether the browser came over TLS, by the proxy's header. A wrong header makes a cookie that the browser drops.
fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn set_cookie(response: &mut Response, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// `POST /logout`
pub(super) async fn sign_out(headers: HeaderMap) -> Response {
    let mut response = see_other("login");
    set_cookie(&mut response, &format!("{SESSION}=; Max-Age=0; HttpOnly; SameSite=Strict"));
    if is_https(&headers) {
        set_cookie(&mut response, &format!("{SECURE_SESSION}=; Max-Age=0; HttpOnly; SameSite=Strict; Secure"));
    }
    response
}

/// `GET /language?to=es&next=…`
pub(super) async fn language(request: Request) -> Response {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let mut response = see_other(&own(query.get("next").unwrap_or_default()));
    if let Some(to @ ("en" | "es")) = query.get("to") {
        set_cookie(&mut response, &format!("{LANGUAGE}={to}; Max-Age=31536000; SameSite=Lax"));
    }
    response
}
