//! Addresses: endpoints, the store, the path in front of `/message`.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

use super::StoreUrl;
use super::read::{Leaf, Requirement, Scalar};

/// Returns whether `url` can only mean this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Parses an absolute https URL, or http on this machine: credentials must not cross a network in the clear (afilnet.md
/// 2).
fn safe_url(text: &str) -> Result<Url, Requirement> {
    let url = Url::parse(text).map_err(|_| "must be a whole URL, such as https://www.example.com/path")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password before its host".into());
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("must be https: http is taken on this machine only (localhost, 127.0.0.1, [::1])".into()),
        _ => Err("must be an https URL".into()),
    }
}

fn text_of(scalar: Scalar) -> Result<String, Requirement> {
    match scalar {
        Scalar::Text(text) => Ok(text.trim().to_owned()),
        _ => Err("must be text in quotes".into()),
    }
}

/// `afilnet.url`
impl Leaf for Url {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let url = safe_url(&text_of(scalar)?)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must end with its path: no ? and no #".into());
        }
        Ok(url)
    }
}

/// A webhook URL as written, and as parsed.
#[derive(Debug, Clone)]
pub(super) struct WebhookUrl {
    /// Byte for byte, except for outer white space (bonychat.md A1).
    pub(super) text: String,
    pub(super) loopback: bool,
}

impl Leaf for WebhookUrl {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = text_of(scalar)?;
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("must not hold white space. Copy it again from BonyChat".into());
        }
        let url = safe_url(&text)?;
        Ok(Self { text, loopback: is_loopback(&url) })
    }
}

impl Leaf for jiff::tz::TimeZone {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        Self::get(&text_of(scalar)?).map_err(|_| "must be the name of a time zone, such as \"Europe/Madrid\"".into())
    }
}

/// `server.path_prefix`: "" or "/prefix".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(pub(super) String);

impl Leaf for Prefix {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        let text = text_of(scalar)?;
        let prefix = text.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        if !text.starts_with('/') {
            return Err("must begin with /, such as \"/bridge\"".into());
        }
        if !prefix.chars().all(plain) || prefix.contains("//") {
            return Err("must be made of letters, digits and - . _ ~, parted by single slashes".into());
        }
        if ["/healthz", "/readyz", "/openapi.json", "/message", "/mensaje"].contains(&prefix) {
            return Err("must not be the address of something that the bridge serves itself".into());
        }
        Ok(Self(prefix.to_owned()))
    }
}

/// IP addresses and networks in CIDR notation: a list, or text with commas.
pub(super) struct Networks(pub(super) Vec<IpNet>);

impl Leaf for Networks {
    fn read(scalar: Scalar) -> Result<Self, Requirement> {
        const RULE: Requirement =
            Cow::Borrowed("must be a list of IP addresses or networks, such as [\"127.0.0.1\", \"10.0.0.0/8\"]");
        let items = match scalar {
            Scalar::List(items) => items,
            Scalar::Text(text) => text.split(',').map(|item| Scalar::Text(item.to_owned())).collect(),
            _ => return Err(RULE),
        };
        let network = |item| {
            let Scalar::Text(text) = item else { return Err(RULE) };
            let text = text.trim();
            let network: IpNet = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse()).map_err(|_| RULE)?;
            if network.prefix_len() == 0 {
                return Err("must not hold a network of all addresses: anybody could pass for anybody".into());
            }
            Ok(network)
        };
        items.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// `store.url`, which is a secret and is read as one first.
pub(super) fn store_url(secret: &SecretString) -> Result<StoreUrl, Requirement> {
    const RULE: Requirement = Cow::Borrowed(
        "must be sqlite:PATH, such as \"sqlite:data/bridge.db\", or postgres://USER:PASSWORD@HOST/DATABASE",
    );
    let text = secret.expose_secret().trim();
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains(['?', '\0']) || path.ends_with('/') || path.contains(":memory:") {
            return Err("must name a file after sqlite:, such as \"sqlite:data/bridge.db\", without parameters".into());
        }
        return Ok(StoreUrl::Sqlite(path.into()));
    }
    let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if postgres && Url::parse(text).is_ok() { Ok(StoreUrl::Postgres(text.into())) } else { Err(RULE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    #[test]
    fn credentials_cross_no_network_in_the_clear() {
        for good in [
            "https://www.afilnet.com/api/http/",
            "https://www.pasarelasms.com/api/http/",
            "http://localhost:8081/api/http/",
            "http://127.0.0.2/",
            "http://[::1]:9/",
        ] {
            assert!(Url::read(text(good)).is_ok(), "{good}");
        }
        for bad in [
            "http://www.afilnet.com/api/http/",
            "http://localhost.example.com/",
            "http://127.0.0.1.nip.io/",
            "http://10.0.0.1/",
            "ftp://localhost/",
            "www.afilnet.com/api/http/",
            "https://user:secret@www.afilnet.com/",
            "https://www.afilnet.com/?user=a",
            "https://www.afilnet.com/#a",
            "https://",
        ] {
            assert!(Url::read(text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn webhook_urls_are_kept_to_the_byte() {
        for (given, kept) in [
            ("  https://OkeyBot.com/custom/webhook \n", "https://OkeyBot.com/custom/webhook"),
            ("https://app.respond.io/custom/channel/webhook/", "https://app.respond.io/custom/channel/webhook/"),
            ("https://example.com", "https://example.com"),
            ("https://example.com/a/../b?c=%7e", "https://example.com/a/../b?c=%7e"),
        ] {
            assert_eq!(WebhookUrl::read(text(given)).unwrap().text, kept);
        }
        for bad in ["https://example.com/a b", "https://exam\nple.com/", "http://example.com/", "example.com/webhook"] {
            assert!(WebhookUrl::read(text(bad)).is_err(), "{bad:?}");
        }
        assert!(WebhookUrl::read(text("http://localhost:1/")).unwrap().loopback);
        assert!(!WebhookUrl::read(text("https://example.com/")).unwrap().loopback);
    }

    #[test]
    fn prefixes_are_normal() {
        for (given, kept) in [("/", ""), ("/a", "/a"), ("/a/b/", "/a/b"), ("/a//", "/a"), ("/a/message", "/a/message")]
        {
            assert_eq!(Prefix::read(text(given)).unwrap().0, kept);
        }
        for bad in ["a", "/a b", "/a//b", "/{x}", "/a?b", "/*", "/healthz", "/message/", "/openapi.json"] {
            assert!(Prefix::read(text(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn stores_are_files_or_servers() {
        for (given, path) in [
            ("sqlite:data/bridge.db", "data/bridge.db"),
            ("sqlite://data/bridge.db", "data/bridge.db"),
            ("sqlite:/var/lib/bridge.db", "/var/lib/bridge.db"),
            ("sqlite:///var/lib/bridge.db", "/var/lib/bridge.db"),
        ] {
            assert!(matches!(store_url(&given.into()), Ok(StoreUrl::Sqlite(p)) if p == std::path::Path::new(path)));
        }
        for good in ["postgres://u:p@db/bridge", "postgresql://db/bridge?sslmode=require"] {
            assert!(matches!(store_url(&good.into()), Ok(StoreUrl::Postgres(_))), "{good}");
        }
        for bad in ["", "sqlite:", "sqlite::memory:", "sqlite:a.db?mode=ro", "mysql://a/b", "bridge.db", "postgres:"] {
            assert!(store_url(&bad.into()).is_err(), "{bad}");
        }
    }
}
