//! Links to files, whichever way they go: their legal spelling, and whether they lead to something public. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Where the files that links lead to may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// In the public internet alone.
    Public,
    /// There, or on this machine: where Afilnet's address is on this machine too, as for tests and `bridge demo`.
    ThisMachine,
}

/// Names that are never public: RFC 6761, RFC 6762, RFC 8375, and ICANN's reservation of `internal`.
const PRIVATE_NAMES: &[&str] = &["localhost", "local", "localdomain", "internal", "home.arpa"];

/// Whether a stranger's file may be at `url`: https at its own port, without a user in it, at a global address or under a
/// name of several labels that is not reserved for private networks. Nothing is resolved: the bridge fetches no file.
pub(crate) fn is_public(url: &Url, reach: Reach) -> bool {
    let nobodys = url.username().is_empty() && url.password().is_none();
    let public = || url.scheme() == "https" && url.port().is_none() && url.host().is_some_and(|host| is_global(&host));
    nobodys && (public() || (reach == Reach::ThisMachine && is_loopback(url)))
}

/// Whether `url` leads to this machine, by http or https.
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

/// Not in IANA's registry of special-purpose addresses (RFC 6890) as anything but global, nor multicast.
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

/// Within what is allocated as global (2000::/3), but for protocol assignments with Teredo (2001::/23), documentation
/// (2001:db8::/32, 3fff::/20) and 6to4 (2002::/16). All forms that embed an IPv4 address are outside or among these.
fn is_global_v6(address: Ipv6Addr) -> bool {
    let special = match address.segments() {
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => true,
        [first, ..] => !(0x2000..0x4000).contains(&first),
    };
    !special
}

/// The spelling of `text`, which was read as `url`, that every program reads alike (RFC 3986): `text` itself byte for byte
/// where it is legal; else with an ASCII host, and with percent escapes for what no URL may hold.
pub(crate) fn legal(text: &str, url: &Url) -> String {
    if is_legal(text, url) {
        return text.to_owned();
    }
    let serialised = url.as_str();
    let mut out = String::with_capacity(serialised.len());
    for (at, byte) in serialised.bytes().enumerate() {
        if may_be_committed(serialised.as_bytes(), at) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|nibble| char::from(b"0123456789ABCDEF"[usize::from(nibble)])));
        }
    }
    out
}

/// Whether `text` is a URL as it stands, whose host every program finds where `url` has it.
fn is_legal(text: &str, url: &Url) -> bool {
    let bytes = text.as_bytes();
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let host = authority.strip_suffix(|c: char| c.is_ascii_digit()).map_or(authority, |_| {
        authority.trim_end_matches(|c: char| c.is_ascii_digit()).strip_suffix(':').unwrap_or(authority)
    });
    scheme.eq_ignore_ascii_case(url.scheme())
        && url.host_str().is_some_and(|found| found.eq_ignore_ascii_case(host))
        && (0..bytes.len()).all(|at| may_be_committed(bytes, at))
}

/// Whether the byte at `at` may stand in a URL. Brackets may: they are common in queries, and no program minds.
fn may_be_committed(url: &[u8], at: usize) -> bool {
    match url[at] {
        b'%' => url.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte),
    }
}

#[cfg(test)]
mod tests;
