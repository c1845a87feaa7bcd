//! The client of a connection, and whether it keeps up with a minimum upload rate: the read timeout, and the defence
//! against slow clients (slowloris).
//!
//! The accept loop makes one [`Peer`] for each connection and tells it what arrives; here requests and answers tell it
//! what is awaited next. Where connections or memory are short, the longest idle or slowest peer is evicted.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError};
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{
    foundation::clock::now,
    http::problem::{self, Kind, Problem},
};

/// Minimum rate of a body in bytes per second, on average. A sixth of what a phone on 2G reaches.
const LEAST_RATE: u32 = 2 * 1024;

/// Read timeout of a body: how far a client may fall behind the minimum rate, and so its longest pause. What it sent
/// faster earns no credit: otherwise a quick megabyte would pay for minutes of silence.
const BEHIND: Duration = Duration::from_secs(30);

/// How far behind the minimum rate a client must be before it can be evicted, where room is short.
const SLOW: Duration = Duration::from_secs(1);

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A request (an idle keep-alive connection), or the rest of its head.
    Head,
    /// More of a request's body.
    Body,
    /// Nothing from the client: it waits for its answer.
    Nothing,
}

/// The client of one connection.
#[derive(Debug)]
pub struct Peer {
    address: IpAddr,
    gone: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    awaited: Awaited,
    since: Instant,
    /// Whether a byte of the awaited head came.
    begun: bool,
    /// How far it is behind the minimum rate, without the wait that is under way.
    behind: Duration,
    waiting: Option<Instant>,
    /// Whether a body was answered before its end.
    unread: bool,
    /// Whether all of an answer was handed over to be sent, which does not say that it was.
    answered: bool,
}

/// The read error of an evicted connection: others needed the room.
#[derive(Debug, thiserror::Error)]
#[error("evicted to make room for others")]
pub struct Evicted;

impl Peer {
    /// The client at `address`, of whom a request is awaited.
    #[must_use]
    pub fn new(address: IpAddr, now: Instant) -> Self {
        Self {
            address,
            gone: CancellationToken::new(),
            state: Mutex::new(State {
                awaited: Awaited::Head,
                since: now,
                begun: false,
                behind: Duration::ZERO,
                waiting: None,
                unread: false,
                answered: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The remote address of the socket, which may be a proxy's.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// What is awaited of it from now on.
    pub fn awaits(&self, awaited: Awaited, now: Instant) {
        let mut state = self.state();
        state.awaited = awaited;
        state.since = now;
        state.answered = false;
        state.begun = false;
        state.behind = Duration::ZERO;
        state.waiting = None;
    }

    /// What is awaited of it.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        self.state().awaited
    }

    /// Whether a part of a request's head has arrived.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.state().begun
    }

    /// Whether it may still be sending a body that was answered already: the connection cannot be kept alive.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.state().unread
    }

    /// Marks what it still sends as not to be read as a request.
    pub fn leaves_unread(&self) {
        self.state().unread = true;
    }

    /// Notes that all that was handed over is sent: the next request is awaited from now on.
    pub fn sent(&self, now: Instant) {
        let is_answered = self.state().answered;
        if is_answered {
            self.awaits(Awaited::Head, now);
        }
    }

    /// Notes that a read is pending. Returns its deadline, if a body is awaited.
    pub fn waits(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        let waiting = *state.waiting.get_or_insert(now);
        (state.awaited == Awaited::Body).then(|| waiting + (BEHIND.saturating_sub(state.behind)))
    }

    /// Notes that so many bytes arrived.
    pub fn received(&self, bytes: usize, now: Instant) {
        let mut state = self.state();
        let waited = state.waiting.take().map(|since| now - since);
        let sent = u32::try_from(bytes).unwrap_or(u32::MAX);
        let paid = Duration::from_secs(1) * sent / LEAST_RATE;
        state.behind = (state.behind + waited.unwrap_or_default()).saturating_sub(paid);
        state.begun |= bytes > 0;
    }

    /// Eviction priority where room is short, the greatest first: idle keep-alive connections before slow bodies, and
    /// `None` for whoever keeps up or waits for an answer.
    #[must_use]
    pub fn eviction_priority(&self, now: Instant) -> Option<(bool, Duration)> {
        let state = self.state();
        match state.awaited {
            Awaited::Head => Some((true, now - state.since)),
            Awaited::Body => {
                let waiting = state.waiting.map(|since| now - since);
                let behind = state.behind + waiting.unwrap_or_default();
                (behind > SLOW).then_some((false, behind))
            }
            Awaited::Nothing => None,
        }
    }

    /// Evicts it: its connection fails at the next read.
    pub fn evict(&self) {
        self.gone.cancel();
    }

    /// Cancelled when it is evicted.
    #[must_use]
    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }
}

/// Answers one request of a peer.
pub async fn answer<B>(router: Router, peer: Arc<Peer>, request: http::Request<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut parts, body) = request.into_parts();
    let ended = body.is_end_stream();
    let awaited = if ended {
        Awaited::Nothing
    } else {
        Awaited::Body
    };
    peer.awaits(awaited, Instant::now());
    peer.state().unread = !ended;
    parts.extensions.insert(peer.clone());
    let body = Received {
        body,
        peer: peer.clone(),
    };
    let request = Request::from_parts(parts, Body::new(body));
    let Ok(mut response) = router.oneshot(request).await;
    peer.awaits(Awaited::Nothing, Instant::now());
    if peer.is_unread() {
        // No keep-alive: the rest of the body would be parsed as the next request (request smuggling).
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response.map(|body| Body::new(Answered { body, peer }))
}

/// A request body that tells its peer when it is complete.
struct Received<B> {
    body: B,
    peer: Arc<Peer>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Received<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let next = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let failed = matches!(next, Some(Err(_)));
        if next.is_none() || (!failed && self.body.is_end_stream()) {
            self.peer.awaits(Awaited::Nothing, Instant::now());
            self.peer.state().unread = false;
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body that tells its peer when all of it was handed over.
struct Answered {
    body: Body,
    peer: Arc<Peer>,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.peer.state().answered = true;
    }
}

/// The status of what did not arrive in time.
pub const TIMEOUT: StatusCode = problem::TIMEOUT;

/// Timeout of a small body, below that of its answer: a slow line is no fault of the service.
const SMALL_BODY: Duration = Duration::from_secs(20);

/// Middleware: reads a small POST whole before it is answered. Its size is limited outside of this.
pub(super) async fn whole(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let error = match tokio::time::timeout(SMALL_BODY, body.collect()).await {
        Ok(Ok(body)) => {
            let body = Body::from(body.to_bytes());
            return next.run(Request::from_parts(parts, body)).await;
        }
        Ok(Err(error)) => error,
        Err(_) => return Problem::new(Kind::Timeout).into_response(),
    };
    let first: &(dyn std::error::Error + 'static) = &error;
    let mut causes = std::iter::successors(Some(first), |error| error.source());
    let too_large = causes.any(<dyn std::error::Error>::is::<LengthLimitError>);
    let kind = if too_large {
        Kind::TooLarge
    } else {
        Kind::Malformed
    };
    Problem::new(kind).into_response()
}

/// Marks the stand-in for a request that could not be parsed.
#[derive(Clone, Copy)]
struct Refused(StatusCode);

/// The answer to what could not be parsed or admitted as a request, as bytes: the same headers, problem, log line and
/// metrics as every other.
pub async fn refusal(router: Router, status: StatusCode) -> Vec<u8> {
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(Refused(status));
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap_or_default().to_bytes();
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now());
    let mut told = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\ndate: {}\r\n",
        body.len(),
        date.unwrap_or_default(),
    )
    .into_bytes();
    for (name, value) in &parts.headers {
        if name != header::CONTENT_LENGTH {
            told.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    told.extend(b"\r\n");
    told.extend(&body);
    told
}

/// Middleware: refuses what HTTP forbids and hyper lets through.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let refused = request.extensions().get::<Refused>();
    let refused = refused.map(|&Refused(status)| match status {
        TIMEOUT => Problem::new(Kind::Timeout),
        status => Problem::of(status),
    });
    let over_http = request.extensions().get::<Arc<Peer>>().is_some();
    let faulty = || fault(request.version(), request.headers()).filter(|_| over_http);
    match refused.or_else(faulty) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

/// What is wrong with a head by RFC 9112 and 9110.
fn fault(version: Version, headers: &HeaderMap) -> Option<Problem> {
    let malformed = |detail| Some(Problem::new(Kind::Malformed).detail(detail));
    match headers.get_all(header::HOST).iter().count() {
        0 if version >= Version::HTTP_11 => return malformed("the header Host is missing"),
        0 | 1 => {}
        _ => return malformed("the header Host stands twice"),
    }
    let codings = |name| {
        let values = headers.get_all(name).iter();
        values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
    };
    let is = |coding: &[u8], known: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(known);
    if codings(header::TRANSFER_ENCODING).any(|coding| !is(coding, b"chunked")) {
        let problem = Problem::of(StatusCode::NOT_IMPLEMENTED);
        return Some(problem.detail("the only Transfer-Encoding is chunked"));
    }
    if codings(header::CONTENT_ENCODING).any(|coding| !is(coding, b"identity")) {
        let problem = Problem::new(Kind::UnsupportedMedia);
        return Some(problem.detail("send the body without a Content-Encoding"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The read timeout of a client that sends `bytes` at the end of each `pause`; `None` if it keeps up.
    fn borne(bytes: usize, pause: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let peer = Peer::new([192, 0, 2, 1].into(), begun);
        peer.awaits(Awaited::Body, begun);
        // A quick start earns no credit.
        peer.received(10 << 20, begun);
        let mut now = begun;
        while now - begun < 1000 * SECOND {
            let until = peer.waits(now)?;
            now += pause;
            if until < now {
                return Some(until - begun);
            }
            peer.received(bytes, now);
        }
        None
    }

    #[test]
    fn a_slow_phone_is_borne_and_one_that_drips_is_not() {
        // 2G: 12.5 KB/s, in bursts, with a pause of 25 s in between.
        assert_eq!(borne(12_500, SECOND), None);
        assert_eq!(borne(25 * 12_500, 25 * SECOND), None);
        assert_eq!(borne(2048, SECOND), None);
        assert_eq!(borne(1, 31 * SECOND), Some(BEHIND));
        assert!(borne(51, 10 * SECOND).unwrap() <= 31 * SECOND);
        assert!(borne(1024, SECOND).unwrap() <= 61 * SECOND);
    }
}
