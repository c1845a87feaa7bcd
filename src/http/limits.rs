//! Rate limits of each client address, on what is expensive or could be guessed by brute force.
//!
//! An office, a campus or a mobile network may be one address (NAT): far above what people do, far below what hurts.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, Method},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{
    DefaultDirectRateLimiter, Quota,
    clock::{Clock as _, DefaultClock},
};
use ipnet::IpNet;
use moka::sync::Cache;

use crate::http::{
    peer::Peer,
    problem::{Kind, Problem},
};

/// Burst of registrations: so many times the rate.
const POSTS_BURST: u32 = 10;

/// Lookups of a reference: rate per second, and burst. Enumeration is hopeless at that rate: a million people have a
/// million of 6.56 · 10^11 references.
const REFERENCES: (u32, u32) = (10, 100);

/// Attempts to sign in: rate per second, and burst.
const SIGN_INS: (u32, u32) = (1, 20);

/// Capacity of the table of addresses; beyond it the least used are evicted, and begin with a full burst again.
const ADDRESSES: u64 = 50_000;

/// Idle time after which an address is evicted; longer than any burst takes to refill.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// The rate limits, and the trusted proxies whose `X-Forwarded-For` is believed.
pub struct Limits {
    trusted: Vec<IpNet>,
    posts: Option<Rate>,
    references: Rate,
    sign_ins: Rate,
}

impl Limits {
    /// `posts` registrations a second, 0 for any number; addresses that `trusted` proxies forward are believed.
    #[must_use]
    pub fn new(trusted: Vec<IpNet>, posts: u32) -> Self {
        let posts = NonZeroU32::new(posts).map(NonZeroU32::get);
        Self {
            trusted,
            posts: posts.map(|posts| Rate::of((posts, posts.saturating_mul(POSTS_BURST)))),
            references: Rate::of(REFERENCES),
            sign_ins: Rate::of(SIGN_INS),
        }
    }

    /// Whether this address is a trusted proxy.
    #[must_use]
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|proxies| proxies.contains(&address))
    }

    /// The client's address: the peer's, or the one that a trusted proxy forwards. Read from the right, the first that
    /// is no trusted proxy is the client, because it can forge whatever stands before it in the header.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.is_proxy(peer) {
            return peer;
        }
        let forwarded = headers.get_all("x-forwarded-for").iter();
        let forwarded: Vec<_> = forwarded
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|address| address.trim().parse::<IpAddr>())
            .collect();
        let client = forwarded.into_iter().rev().map_while(Result::ok);
        let client = client
            .clone()
            .find(|&address| !self.is_proxy(address))
            .or(client.last());
        let real_ip = || headers.get(&X_REAL_IP)?.to_str().ok()?.trim().parse().ok();
        client.or_else(real_ip).unwrap_or(peer)
    }

    fn rate_of(&self, request: &Request) -> Option<&Rate> {
        let route = request.extensions().get::<MatchedPath>();
        match (request.method(), route?.as_str()) {
            (&Method::POST, "/registrations" | "/drafts/{id}") => self.posts.as_ref(),
            (&Method::POST, "/staff/sign-in") => Some(&self.sign_ins),
            (
                &Method::GET | &Method::HEAD,
                "/registrations/{reference}"
                | "/drafts/{id}"
                | "/drafts/{id}/check"
                | "/drafts/{id}/preview",
            ) => Some(&self.references),
            _ => None,
        }
    }
}

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What counts as one address: an IPv6 client has a whole /64, and could change its address with each request.
#[must_use]
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The client address of a request for its rate limits, as a request extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source(pub(super) IpAddr);

/// One rate limiter (GCRA, a leaky bucket) for each address.
struct Rate {
    quota: Quota,
    known: Cache<IpAddr, Arc<DefaultDirectRateLimiter>>,
}

impl Rate {
    fn of((a_second, burst): (u32, u32)) -> Self {
        let count = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self {
            quota: Quota::per_second(count(a_second)).allow_burst(count(burst)),
            known: Cache::builder()
                .max_capacity(ADDRESSES)
                .time_to_idle(FORGOTTEN)
                .build(),
        }
    }

    /// Counts one more request; or fails with the seconds until a retry, for `Retry-After`.
    fn take(&self, from: IpAddr) -> Result<(), u64> {
        let fresh = || Arc::new(DefaultDirectRateLimiter::direct(self.quota));
        let limiter = self.known.get_with(from, fresh);
        limiter.check().map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            wait.as_secs() + 1
        })
    }
}

/// Attaches the client address to a request, and answers 429 when that is over its rate limit.
pub(super) async fn limit(
    State(limits): State<Arc<Limits>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Arc<Peer>>();
    if let Some(address) = peer.map(|peer| peer.address()) {
        let source = source(limits.client(address, request.headers()));
        request.extensions_mut().insert(Source(source));
        if let Some(rate) = limits.rate_of(&request)
            && let Err(seconds) = rate.take(source)
        {
            return Problem::new(Kind::TooMany(seconds)).into_response();
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(forwarded: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        headers
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_named_proxy_says_who_asked() {
        let limits = Limits::new(vec!["10.0.0.0/8".parse().unwrap()], 1);
        let client = |peer, forwarded: &[&str]| limits.client(ip(peer), &headers(forwarded));
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), ip("192.0.2.1"));
        assert_eq!(client("10.1.2.3", &["198.51.100.7"]), ip("198.51.100.7"));
        assert_eq!(
            client("::ffff:10.1.2.3", &["198.51.100.7"]),
            ip("198.51.100.7")
        );
        // What the client forged itself stands first, and is not believed.
        assert_eq!(
            client("10.1.2.3", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]),
            ip("198.51.100.7")
        );
        assert_eq!(
            client("10.1.2.3", &["1.1.1.1", "198.51.100.7"]),
            ip("198.51.100.7")
        );
        assert_eq!(client("10.1.2.3", &["1.1.1.1, nonsense"]), ip("10.1.2.3"));
        assert_eq!(client("10.1.2.3", &[]), ip("10.1.2.3"));
        let mut real = HeaderMap::new();
        real.insert(X_REAL_IP, "2001:db8::1".parse().unwrap());
        assert_eq!(limits.client(ip("10.1.2.3"), &real), ip("2001:db8::1"));
        assert_eq!(limits.client(ip("192.0.2.1"), &real), ip("192.0.2.1"));
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        assert_eq!(source(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn a_burst_is_taken_and_then_one_is_told_when_to_come_back() {
        let rate = Rate::of((1, 3));
        for _ in 0..3 {
            assert_eq!(rate.take(ip("192.0.2.1")), Ok(()));
        }
        assert_eq!(rate.take(ip("192.0.2.1")), Err(1));
        assert_eq!(rate.take(ip("192.0.2.2")), Ok(()));
    }

    #[test]
    fn any_number_of_addresses_takes_a_bounded_memory() {
        let rate = Rate {
            known: Cache::new(10),
            ..Rate::of((1, 1))
        };
        for number in 0..1000_u32 {
            let _ = rate.take(IpAddr::V4(number.into()));
        }
        rate.known.run_pending_tasks();
        assert!(rate.known.entry_count() <= 10);
    }
}
