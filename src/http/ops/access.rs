//! Who gets in: each call needs a person, by a bearer token or the cookie of a session; and what changes anything must come
//! from a page of the bridge.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;

use super::form::{self, Form};
use super::page::{AGAIN, Page, SECURE_SESSION, SESSION, cookies, html, notice};
use super::reach::{self, OutOfReach, beyond};
use super::reply::{NO_TOKEN, WRONG_BEARER, refused};
use super::{OperatorState, login, words};
use crate::domain::clock::wall_ms;
use crate::http::client_address::{ClientAddress, is_forwarded};
use crate::http::{admin, auth};
use crate::ops::sign_in::{Person, Session};

/// Only what the bridge serves itself is loaded, nothing inline runs, no other site frames it or gets its forms.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                                       connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Whether anything may change by it.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// For every path: refuses calls that no page of the bridge makes. Adds the [`Page`].
pub(super) async fn guarded(State(state): State<Arc<OperatorState>>, mut request: Request, next: Next) -> Response {
    let uri = request.uri();
    let page = Page::of(uri.path(), uri.query(), request.headers(), state.config().language);
    if let Some(response) = refusal(&state, &request, &page) {
        return response;
    }
    request.extensions_mut().insert(page);
    next.run(request).await
}

/// Returns the response to a call that is refused for every person; `None` if it is not.
fn refusal(state: &OperatorState, request: &Request, page: &Page) -> Option<Response> {
    let bears = request.headers().contains_key(header::AUTHORIZATION);
    if !bears && comes_from_here(state, request) && !admin::names_this_machine(request) {
        return Some(notice(
            page,
            StatusCode::FORBIDDEN,
            page.say("Not under this name", "No con este nombre"),
            page.say(
                "From this machine the bridge answers as localhost, 127.0.0.1 or [::1] alone, so that no other site can take \
                 its place. Call it by one of them. Behind a reverse proxy on this machine: let the proxy send X-Forwarded-For, \
                 and name its address in server.trusted_proxies.",
                "Desde esta máquina el puente solo responde como localhost, 127.0.0.1 o [::1], para que ningún otro sitio \
                 ocupe su lugar. Llámelo por uno de ellos. Tras un proxy inverso en esta máquina: haga que el proxy envíe \
                 X-Forwarded-For, y ponga su dirección en server.trusted_proxies.",
            ),
        ));
    }
    if state.people.is_empty() {
        return Some(notice(
            page,
            StatusCode::FORBIDDEN,
            page.say("The operators' page is off", "La página de operadores está apagada"),
            page.say(
                NO_TOKEN,
                "admin.token no está puesto, o tiene menos de 16 caracteres. Cree uno con `openssl rand -hex 32`, póngalo en \
                 BRIDGE__ADMIN__TOKEN o en un archivo que indique admin.token_file, y reinicie el puente. Los mensajes siguen \
                 mientras tanto.",
            ),
        ));
    }
    if !is_safe(request.method()) && !bears && !is_own(request.headers()) {
        return Some(notice(
            page,
            StatusCode::FORBIDDEN,
            page.say("Not from a page of the bridge", "No desde una página del puente"),
            page.say(
                "Nothing was changed: this did not come from a page of the bridge, as far as the browser tells. Open the page \
                 and do it there. Behind a reverse proxy: let the proxy pass the header Host on as the browser sent it, with \
                 its port.",
                "No se ha cambiado nada: esto no viene de una página del puente, según indica el navegador. Abra la página y \
                 hágalo allí. Tras un proxy inverso: haga que el proxy pase la cabecera Host como la envió el navegador, con \
                 su puerto.",
            ),
        ));
    }
    None
}

/// Returns whether a client is on this machine and calls without a proxy.
fn comes_from_here(state: &OperatorState, request: &Request) -> bool {
    let ClientAddress(client) = ClientAddress::of(request);
    client.is_loopback() && !is_forwarded(request, &state.config().server.trusted_proxies)
}

/// Returns whether a browser that changes something does so from a page of the bridge. `Sec-Fetch-Site` decides; where
/// there is none, as over plain HTTP, `Origin` must name the host of the request.
fn is_own(headers: &HeaderMap) -> bool {
    let one = |name: HeaderName| {
        let mut all = headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(one), None) => one.to_str().map(Some).map_err(drop),
            _ => Err(()),
        }
    };
    match (one(HeaderName::from_static("sec-fetch-site")), one(header::ORIGIN), one(header::HOST)) {
        (Ok(Some(site)), ..) => site == "same-origin" || site == "none",
        (Ok(None), Ok(Some(origin)), Ok(Some(host))) => {
            let of_origin = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            of_origin.is_some_and(|of_origin| of_origin.eq_ignore_ascii_case(host))
        }
        _ => false,
    }
}

/// Returns whether a page asks whether something shall be done: of no use to who may only read. A plan for many messages reads all that
/// it is of, too.
fn asks_to_act(uri: &Uri) -> bool {
    match uri.path().split('/').collect::<Vec<_>>()[..] {
        ["", _, _, "decide" | "pause" | "resume"] => true,
        ["", "bulk"] => Form::parse(uri.query().unwrap_or_default().as_bytes()).filled("action").is_some(),
        _ => false,
    }
}

/// Lets calls of a signed-in person pass and adds the person to them; of a call that changes something by a session,
/// those with the form token of the session. What was sent as a form is added as a [`Form`].
pub(super) async fn signed_in(State(state): State<Arc<OperatorState>>, mut request: Request, next: Next) -> Response {
    let mut page = request
        .extensions()
        .get::<Page>()
        .cloned()
        .unwrap_or_else(|| Page::of(request.uri().path(), None, request.headers(), state.config().language));
    let session = match person(&state, request.headers()) {
        Ok(found) => found,
        Err(Unknown::Bearer) => {
            let mut response = refused(StatusCode::UNAUTHORIZED, WRONG_BEARER);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        Err(Unknown::Nobody) => return ask(&request, &page),
    };
    let (person, form_token) = session;
    if !person.may_act() && (!is_safe(request.method()) || asks_to_act(request.uri())) {
        let (title, words) = (
            page.say("You may read, and change nothing", "Usted puede leer, y no cambiar nada"),
            page.say(
                "Nothing was changed. Whoever keeps the bridge's configuration can let you act (admin.people, `may`).",
                "No se ha cambiado nada. Quien lleva la configuración del puente puede permitirle actuar (admin.people, `may`).",
            ),
        );
        return notice(&page, StatusCode::FORBIDDEN, title, words);
    }
    page.may_act = person.may_act();
    page.person = Some(person.name.clone());
    page.form_token = form_token.clone().unwrap_or_default();
    if !is_safe(request.method()) {
        request = match with_form(request, &page, form_token.as_deref()).await {
            Ok(request) => request,
            Err(response) => return response,
        };
    }
    match beyond(state.store(), &person, reach::PAGES, request.uri().path()).await {
        Ok(None) => {}
        Ok(Some(OutOfReach::NoSuchMessage(m_id))) => return words::missing(&page, &m_id),
        Ok(Some(OutOfReach::AllChannels)) => return of_all_channels(&page),
        Err(error) => return words::unreadable(&page, &error),
    }
    request.extensions_mut().insert(page);
    request.extensions_mut().insert(person);
    next.run(request).await
}

fn of_all_channels(page: &Page) -> Response {
    let words = page.say(
        "Nothing was changed. This page is of all channels together, and you see some of them (admin.people, `channels`).",
        "No se ha cambiado nada. Esta página es de todos los canales juntos, y usted ve algunos (admin.people, `channels`).",
    );
    notice(page, StatusCode::FORBIDDEN, page.say("Not for your channels alone", "No solo de sus canales"), words)
}

/// Who a call is not known to be made by.
enum Unknown {
    /// A program with a wrong token.
    Bearer,
    /// A browser without a session.
    Nobody,
}

/// Returns who makes a call, and the form token of its session: none for a bearer, whom no page of another site can use.
fn person(state: &OperatorState, headers: &HeaderMap) -> Result<(Person, Option<String>), Unknown> {
    if headers.contains_key(header::AUTHORIZATION) {
        let person = auth::bearer(headers).and_then(|token| state.people.by_token(token));
        return person.map(|person| (person, None)).ok_or(Unknown::Bearer);
    }
    let now_s = wall_ms() / 1000;
    let mut given = cookies(headers, SECURE_SESSION).chain(cookies(headers, SESSION));
    let session = given.find_map(|cookie| state.people.session(cookie, now_s));
    session.map(|Session { person, form_token }| (person, Some(form_token))).ok_or(Unknown::Nobody)
}

/// Reads a form, and refuses it without the form token of the session, where there is one.
async fn with_form(request: Request, page: &Page, expected: Option<&str>) -> Result<Request, Response> {
    let is_form = form::is_form(request.headers());
    let (mut request, form) = if is_form {
        let (parts, body) = request.into_parts();
        let form = form::read(&parts, body).await.map_err(|status| {
            let words = page.say("Nothing was changed.", "No se ha cambiado nada.");
            notice(page, status, page.say("The form could not be read", "El formulario no se pudo leer"), words)
        })?;
        (Request::from_parts(parts, Body::empty()), form)
    } else {
        (request, Form::default())
    };
    let given = form.get("token").unwrap_or_default();
    if expected.is_some_and(|expected| !form::is_same(given, expected)) {
        let (title, words) = (
            page.say("This page is from another session", "Esta página es de otra sesión"),
            page.say(
                "Nothing was changed: the form was not made in the session in which it was sent. Open the page again and do \
                 it there.",
                "No se ha cambiado nada: el formulario no se hizo en la sesión en la que se envió. Abra la página otra vez y \
                 hágalo allí.",
            ),
        );
        return Err(notice(page, StatusCode::FORBIDDEN, title, words));
    }
    request.extensions_mut().insert(form);
    Ok(request)
}

/// Answers a browser without a session: the sign-in. Coming from another site, a browser does not send the cookie along; so
/// the page loads itself once more, and then it does.
fn ask(request: &Request, page: &Page) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    let is_cross = matches!(site, Some("cross-site" | "same-site"));
    let again = request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == AGAIN));
    if request.method() == Method::GET && is_cross && !again {
        return login::reload(page);
    }
    no_token_given(html(StatusCode::UNAUTHORIZED, &login::Login::new(page, page.here.clone(), None)))
}

/// Marks a refusal that is no try of a token.
fn no_token_given(mut response: Response) -> Response {
    response.extensions_mut().insert(crate::http::token_limit::NoTokenGiven);
    response
}

/// Adds what each response has, of a page and of the API.
pub(super) async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        // Not `no-referrer`: with that, browsers send `Origin: null` with a form.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Files have their own; the language of a page depends on the browser.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_comes_from_a_page_of_the_bridge() {
        for (site, origin, host, own) in [
            (Some("same-origin"), None, Some("localhost:9090"), true),
            (Some("same-origin"), Some("http://localhost:9090"), Some("localhost:9090"), true),
            (Some("none"), None, Some("localhost:9090"), true),
            (Some("cross-site"), Some("http://localhost:9090"), Some("localhost:9090"), false),
            (Some("same-site"), Some("http://localhost:9090"), Some("localhost:9090"), false),
            (Some(""), Some("http://localhost:9090"), Some("localhost:9090"), false),
            (None, Some("http://localhost:9090"), Some("localhost:9090"), true),
            (None, Some("https://OPS.example"), Some("ops.example"), true),
            (None, Some("http://localhost:9091"), Some("localhost:9090"), false),
            (None, Some("http://localhost"), Some("localhost:9090"), false),
            (None, Some("https://a.ops.example"), Some("ops.example"), false),
            (None, Some("https://ops.example.evil.example"), Some("ops.example"), false),
            (None, Some("null"), Some("localhost:9090"), false),
            (None, Some("localhost:9090"), Some("localhost:9090"), false),
            (None, Some(""), Some(""), false),
            (None, Some("http://localhost:9090"), None, false),
            (None, None, Some("localhost:9090"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin), ("host", host)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(is_own(&headers), own, "{headers:?}");
        }
        let mut twice = HeaderMap::new();
        for site in ["same-origin", "cross-site"] {
            twice.append("sec-fetch-site", HeaderValue::from_static(site));
        }
        assert!(!is_own(&twice));
    }
}
