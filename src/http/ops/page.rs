//! What every page has: language, path, person; and how it is served.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::assets;
use crate::domain::Language;

/// In the query of a page that has loaded itself once more.
pub(super) const AGAIN: &str = "again=1";

/// The cookie of the language that was chosen.
pub(super) const LANGUAGE: &str = "bridge_language";

/// The cookie of a session, over plain HTTP and over TLS.
pub(super) const SESSION: &str = "bridge_session";
pub(super) const SECURE_SESSION: &str = "__Secure-bridge_session";

/// What every page has.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) language: Language,
    /// From the page to the folder of all pages: links are relative, so that a proxy may serve them below any path.
    pub(super) root: &'static str,
    /// Path and query of this page, from that folder, without [`AGAIN`].
    pub(super) here: String,
    /// The person, and the form token of the session.
    pub(super) person: Option<String>,
    pub(super) form_token: String,
    pub(super) may_act: bool,
}

impl Page {
    /// Returns the page of a request whose person is not known yet.
    pub(super) fn of(path: &str, query: Option<&str>, headers: &HeaderMap, fallback: Language) -> Self {
        let path = path.trim_start_matches('/');
        let query: Vec<&str> = query.unwrap_or_default().split('&').filter(|pair| *pair != AGAIN).collect();
        let query = query.join("&");
        let here = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let root = ["./", "../", "../../", "../../../"].get(path.matches('/').count()).unwrap_or(&"/");
        let language = language(headers, fallback);
        Self { language, root, here, person: None, form_token: String::new(), may_act: false }
    }

    /// Returns one of two texts.
    pub(super) fn say<'t>(&self, english: &'t str, spanish: &'t str) -> &'t str {
        match self.language {
            Language::En => english,
            Language::Es => spanish,
        }
    }

    /// Returns the language as HTML names it.
    pub(super) fn lang(&self) -> &'static str {
        match self.language {
            Language::En => "en",
            Language::Es => "es",
        }
    }

    /// Returns a string that may be a value of a query.
    pub(super) fn value(text: &str) -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    pub(super) fn style() -> &'static str {
        assets::STYLE.name()
    }

    pub(super) fn script() -> &'static str {
        assets::SCRIPT.name()
    }

    pub(super) fn icon() -> &'static str {
        assets::ICON.name()
    }
}

/// Returns the language that was chosen, else the first of the browser's that there is, else `fallback`.
fn language(headers: &HeaderMap, fallback: Language) -> Language {
    let named = |name: &str| match name {
        "en" => Some(Language::En),
        "es" => Some(Language::Es),
        _ => None,
    };
    if let Some(chosen) = cookies(headers, LANGUAGE).find_map(named) {
        return chosen;
    }
    let wanted = headers.get(header::ACCEPT_LANGUAGE).and_then(|wanted| wanted.to_str().ok()).unwrap_or_default();
    let base = |range: &str| {
        let tag = range.split([';', '-']).next().unwrap_or_default().trim().to_ascii_lowercase();
        named(&tag).filter(|_| !range.ends_with("q=0"))
    };
    wanted.split(',').find_map(base).unwrap_or(fallback)
}

/// Returns the values of a cookie. There may be several, of different paths.
pub(super) fn cookies<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h str> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

/// Returns the response with this page.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Sends the browser on, by a path relative to that of the request.
pub(super) fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// Pages that a sign-in goes on to.
const PAGES: [&str; 9] = ["", "messages", "unconfirmed", "live", "failed", "bulk", "channels", "audit", "settings"];

/// Folders of pages of one thing that it goes on to.
const FOLDERS: [&str; 3] = ["messages/", "bulk/", "channels/"];

/// Returns where `next` is from a page in the folder of all pages, if it is one of this bridge; else the folder itself.
pub(super) fn own(next: &str) -> String {
    let (path, query) = next.split_once('?').unwrap_or((next, ""));
    let one = FOLDERS.iter().find_map(|folder| path.strip_prefix(folder));
    let is_name =
        |name: &str| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let known = PAGES.contains(&path) || one.is_some_and(is_name);
    let fits = known && query.len() <= 2000 && query.bytes().all(|b| b.is_ascii_graphic());
    // A query alone would be one of the page that leads there.
    let folder = if path.is_empty() { "./" } else { "" };
    if fits { format!("{folder}{next}") } else { "./".to_owned() }
}

/// Something to be read instead of a page: what is wrong, and what to do.
#[derive(Template)]
#[template(path = "notice.html", config = "src/http/ops/askama.toml")]
struct Notice<'a> {
    page: &'a Page,
    title: &'a str,
    words: &'a str,
}

/// Returns a page that says what is wrong and what to do.
pub(super) fn notice(page: &Page, status: StatusCode, title: &str, words: &str) -> Response {
    html(status, &Notice { page, title, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_language_is_the_chosen_one_else_the_browsers_else_that_of_the_channels() {
        for (cookie, accepts, expected) in [
            ("bridge_language=es", "en", "es"),
            ("a=b; bridge_language=en; c=d", "es", "en"),
            ("bridge_language=fr", "es-AR,en;q=0.8", "es"),
            ("", "fr, es-419;q=0.9, en;q=0.5", "es"),
            ("", "en-GB", "en"),
            ("", "es;q=0, de", "en"),
            ("", "*", "en"),
            ("", "", "en"),
        ] {
            let headers = headers(&[(header::COOKIE, cookie), (header::ACCEPT_LANGUAGE, accepts)]);
            assert_eq!(Page::of("/", None, &headers, Language::En).lang(), expected, "{cookie:?} {accepts:?}");
        }
    }

    #[test]
    fn no_page_leaves_anything_unescaped() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/ops/pages");
        let pages: Vec<_> = std::fs::read_dir(folder).unwrap().map(|page| page.unwrap().path()).collect();
        assert!(pages.len() > 5 && pages.iter().all(|page| page.extension().is_some_and(|end| end == "html")));
        for page in pages {
            let text: String = std::fs::read_to_string(&page).unwrap().split_whitespace().collect();
            for word in ["|safe", "|escape", "|e}", "{%filter", "<style", "style=", "<script>"] {
                assert!(!text.contains(word), "{}: {word}", page.display());
            }
        }
    }

    #[test]
    fn links_lead_from_each_page_to_the_folder_of_all() {
        let page = |path, query| Page::of(path, query, &HeaderMap::new(), Language::En);
        assert_eq!((page("/", None).root, page("/messages", Some("q=a")).root), ("./", "./"));
        assert_eq!(page("/messages/a1", None).root, "../");
        assert_eq!(page("/messages", Some("q=a%26b")).here, "messages?q=a%26b");
        assert_eq!(page("/messages", Some("q=a&again=1")).here, "messages?q=a");
        assert_eq!(page("/", Some("again=1")).here, "");
    }

    #[test]
    fn only_pages_of_the_bridge_are_gone_on_to() {
        for own_page in [
            "messages",
            "live",
            "unconfirmed?m=a1",
            "messages?q=a%20b&channel=support",
            "messages/0196f0c2a1b27c3d8e4f5a6b7c8d9e0f",
            "failed",
            "bulk?action=retry&state=failed",
            "bulk/3",
            "channels/support_2",
            "audit?about=support",
            "settings",
        ] {
            assert_eq!(own(own_page), own_page);
        }
        assert_eq!(own("?a"), "./?a", "not a query of the page that leads there");
        for foreign in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "messages/../../x",
            "messages/%2e%2e",
            "\\\\evil.example",
            "messages?q=a b",
            "messages?q=a\r\nSet-Cookie: a=b",
            "messages//evil.example",
            "channels//evil.example",
            "bulk/3/cancel",
            "failed/",
        ] {
            assert_eq!(own(foreign), "./", "{foreign}");
        }
    }
}
