//! Limits wrong tokens per client address. A valid token is never refused here: a guesser must not be able to lock out
//! a caller with the same address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::client_address::ClientAddress;

/// Wrong tokens of one address within [`WINDOW`]; further ones get 429.
const MOST_WRONG: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that are remembered, of about 60 bytes each.
const MOST_ADDRESSES: usize = 4096;
/// Stands for every address that there is no room for.
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The limit of one listener, and how it refuses.
pub(super) struct TokenLimit {
    refusal: Box<dyn Fn() -> Response + Send + Sync>,
    windows: Mutex<HashMap<IpAddr, Window>>,
}

/// An extension of a 401 to a call that gave no token, as of a browser that is not signed in: it is not counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoTokenGiven;

/// An extension of a 401: the body of the response in its place where its address is over the limit.
#[derive(Debug, Clone)]
pub(super) struct OverLimit(pub(super) String);

struct Window {
    began: Instant,
    wrong: u32,
}

impl TokenLimit {
    /// `refusal` answers a wrong token beyond the limit.
    pub(super) fn new(refusal: impl Fn() -> Response + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { refusal: Box::new(refusal), windows: Mutex::default() })
    }

    /// Counts a wrong token. Returns true if its address is over the limit.
    fn is_over(&self, client: IpAddr, now: Instant) -> bool {
        let is_current = |window: &Window| now.saturating_duration_since(window.began) < WINDOW;
        let mut network = network(client);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if !windows.contains_key(&network) && windows.len() >= MOST_ADDRESSES {
            windows.retain(|_, window| is_current(window));
            if windows.len() >= MOST_ADDRESSES {
                network = OTHERS;
            }
        }
        let window = windows.entry(network).or_insert(Window { began: now, wrong: 0 });
        if !is_current(window) {
            *window = Window { began: now, wrong: 0 };
        }
        window.wrong = window.wrong.saturating_add(1);
        window.wrong > MOST_WRONG
    }
}

/// Returns what one internet user has: an IPv4 address, or an IPv6 network of 64 bits.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// Responds 429 in place of 401 to an address over its limit.
pub(super) async fn limit_wrong_tokens(State(limit): State<Arc<TokenLimit>>, request: Request, next: Next) -> Response {
    let ClientAddress(client) = ClientAddress::of(&request);
    let mut response = next.run(request).await;
    let is_wrong =
        response.status() == StatusCode::UNAUTHORIZED && response.extensions().get::<NoTokenGiven>().is_none();
    if !is_wrong || !limit.is_over(client, Instant::now()) {
        return response;
    }
    let Some(OverLimit(body)) = response.extensions_mut().remove() else { return (limit.refusal)() };
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.map(|_| Body::from(body))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    fn limit() -> Arc<TokenLimit> {
        TokenLimit::new(|| StatusCode::TOO_MANY_REQUESTS.into_response())
    }

    #[test]
    fn an_address_is_over_its_limit_until_its_minute_ends() {
        let (limit, start) = (limit(), Instant::now());
        let over = |client: &str, seconds| limit.is_over(client.parse().unwrap(), start + Duration::from_secs(seconds));
        for _ in 0..20 {
            assert!(!over("198.51.100.1", 0) && !over("2001:db8::1", 0));
        }
        assert!(over("198.51.100.1", 59) && !over("198.51.100.2", 59));
        assert!(over("2001:db8::ffff:1", 59), "an IPv6 caller has a whole network");
        assert!(!over("2001:db8:0:1::1", 59));
        assert!(!over("198.51.100.1", 60));
    }

    #[test]
    fn more_addresses_than_are_remembered_share_one_limit_and_the_table_does_not_grow() {
        let (limit, start) = (limit(), Instant::now());
        let address = |n: u32| IpAddr::from(Ipv4Addr::from_bits(0x0A00_0000 + n));
        let most = u32::try_from(MOST_ADDRESSES).unwrap();
        let over = (0..most + 100).filter(|n| limit.is_over(address(*n), start)).count();
        assert_eq!(over, 80, "of 100 that there is no room for, 20 are not over the limit that they share");
        assert!(limit.windows.lock().unwrap().len() <= MOST_ADDRESSES + 1);
        assert!(!limit.is_over(address(most + 200), start + WINDOW), "room again");
        assert_eq!(limit.windows.lock().unwrap().len(), 1);
    }
}
