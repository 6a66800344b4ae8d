//! Links to files, in either direction: their legal spelling, and whether they are public. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Which hosts links may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Public hosts only.
    Public,
    /// Public hosts and this machine: if Afilnet's address is on this machine too, as in tests and `bridge demo`.
    ThisMachine,
}

/// Names that are never public: RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation of `internal`.
const PRIVATE_NAMES: &[&str] = &["localhost", "local", "localdomain", "internal", "home.arpa"];

/// Returns whether a file of a customer may be at `url`: https at its default port, without a user, at a global address
/// or a host name of several labels that is not reserved for private networks. Names are not resolved: the bridge does
/// not fetch files.
pub(crate) fn is_public(url: &Url, reach: Reach) -> bool {
    let nobodys = url.username().is_empty() && url.password().is_none();
    let public = || url.scheme() == "https" && url.port().is_none() && url.host().is_some_and(|host| is_global(&host));
    nobodys && (public() || (reach == Reach::ThisMachine && is_loopback(url)))
}

/// Returns whether `url` is on this machine, by http or https.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    here && matches!(url.scheme(), "http" | "https")
}

fn is_global(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_global_v4(*address),
        Host::Ipv6(address) => is_global_v6(*address),
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let within =
                |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            name.contains('.') && !PRIVATE_NAMES.iter().any(|zone| within(zone))
        }
    }
}

/// Returns whether the address is global by IANA's registry of special-purpose addresses (RFC 6890), and not multicast.
fn is_global_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..] // this network, private, loopback, multicast, reserved
            | [100, 64..=127, ..] // shared by carriers (RFC 6598)
            | [169, 254, ..] // link-local, and the clouds' metadata
            | [172, 16..=31, ..]
            | [192, 168, ..] // private
            | [192, 0, 0 | 2, _]
            | [198, 51, 100, _]
            | [203, 0, 113, _] // protocol assignments, documentation
            | [192, 88, 99, _] // 6to4 relays, deprecated
            | [198, 18 | 19, ..] // benchmarks
    )
}

/// Returns whether the address is allocated as global (2000::/3), except for protocol assignments with Teredo
/// (2001::/23), documentation (2001:db8::/32, 3fff::/20) and 6to4 (2002::/16). All forms that embed an IPv4 address are
/// outside or among these.
fn is_global_v6(address: Ipv6Addr) -> bool {
    let special = match address.segments() {
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => true,
        [first, ..] => !(0x2000..0x4000).contains(&first),
    };
    !special
}

/// Returns the spelling of `text`, parsed as `url`, that every program reads alike (RFC 3986): `text` itself byte for
/// byte if it is legal; else with an ASCII host, and with percent escapes for characters that a URL cannot contain.
pub(crate) fn legal(text: &str, url: &Url) -> String {
    if is_legal(text, url) {
        return text.to_owned();
    }
    let serialised = url.as_str();
    let mut out = String::with_capacity(serialised.len());
    for (at, byte) in serialised.bytes().enumerate() {
        if is_legal_byte(serialised.as_bytes(), at) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|nibble| char::from(b"0123456789ABCDEF"[usize::from(nibble)])));
        }
    }
    out
}

/// Returns whether `text` is a legal URL as written, with the same host as `url` for every parser.
fn is_legal(text: &str, url: &Url) -> bool {
    let bytes = text.as_bytes();
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.strip_suffix(|c: char| c.is_ascii_digit()).map_or(authority, |_| {
        authority.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(authority)
    });
    scheme.eq_ignore_ascii_case(url.scheme())
        && url.host_str().is_some_and(|found| found.eq_ignore_ascii_case(host))
        && (0..bytes.len()).all(|at| is_legal_byte(bytes, at))
}

/// Returns whether a URL may contain the byte at `at`. Brackets count as legal: they are common in queries and accepted
/// by programs.
fn is_legal_byte(url: &[u8], at: usize) -> bool {
    match url[at] {
        b'%' => url.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte),
    }
}

#[cfg(test)]
mod tests;
