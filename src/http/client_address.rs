//! Which address a request comes from. Behind a reverse proxy every connection is the proxy's, and `X-Forwarded-For`
//! holds the caller's address; it is used only from configured proxies, since any client can send such a header.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use super::listener::Peer;

/// The address for limits and log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientAddress(pub(super) IpAddr);

impl ClientAddress {
    /// Returns the address that [`identify`] has stored in the request.
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get().copied().unwrap_or(Self(Ipv4Addr::UNSPECIFIED.into()))
    }
}

/// Gives each request its [`ClientAddress`].
pub(super) async fn identify(State(proxies): State<Arc<[IpNet]>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(Peer(peer))) = request.extensions().get() {
        let address = client_address(peer.ip(), request.headers(), &proxies);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// Returns whether a trusted proxy has passed the request on.
pub(super) fn is_forwarded(request: &Request, proxies: &[IpNet]) -> bool {
    let is_trusted = |ConnectInfo(Peer(peer)): &ConnectInfo<Peer>| {
        let peer = peer.ip().to_canonical();
        proxies.iter().any(|proxy| proxy.contains(&peer))
    };
    request.extensions().get().is_some_and(is_trusted) && request.headers().contains_key("x-forwarded-for")
}

/// Returns the last address of `X-Forwarded-For` that is not a trusted proxy's, if a trusted proxy sent it: each proxy
/// appends its own client, so addresses further left may be forged.
fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(&address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    while is_trusted(client)
        && let Some(address) = hops.next().and_then(address)
    {
        client = address.to_canonical();
    }
    client
}

/// Parses an address, with or without a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    hop.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_alone() {
        let proxies = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|proxy| proxy.parse().unwrap());
        for (peer, forwarded, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:127.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1", "198.51.100.1 ,10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", &["1.1.1.1", "10.1.2.3"], "1.1.1.1"),
            ("127.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["198.51.100.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1, unknown, 10.1.2.3"], "10.1.2.3"),
            ("127.0.0.1", &["198.51.100.1, "], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1", "ñ"], "127.0.0.1"),
            ("127.0.0.1", &["10.1.1.1, 10.1.2.3"], "10.1.1.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", axum::http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            let found = client_address(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}
