//! One connection's socket: what arrives counts for its peer's minimum rate and read timeout, hyper's own error answers
//! are held back for ones of ours, and a close before the client has sent all lingers, so that it reads the answer.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::http::peer::{Awaited, Evicted, Peer};

/// Lingering close: timeout, in all and between two reads, while what still arrives after the last answer is read and
/// dropped. Closing with unread bytes sends a TCP reset, upon which the client's system throws the answer away.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// Limit of the bytes drained so; above the largest body that is read.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Socket {
    stream: TcpStream,
    peer: Arc<Peer>,
    gone: Pin<Box<WaitForCancellationFutureOwned>>,
    timer: Pin<Box<Sleep>>,
    refused: Option<StatusCode>,
    lingering: Option<Lingering>,
}

struct Lingering {
    until: Instant,
    left: usize,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, peer: Arc<Peer>) -> Self {
        Self {
            stream,
            gone: Box::pin(peer.gone().clone().cancelled_owned()),
            peer,
            timer: Box::pin(tokio::time::sleep(LINGER)),
            refused: None,
            lingering: None,
        }
    }

    /// The status of hyper's own error answer to a malformed request, which was not sent.
    pub(super) fn take_refused(&mut self) -> Option<StatusCode> {
        self.refused.take()
    }

    /// Whether these bytes are hyper's own error answer, recognised by headers that no handler's answer has.
    fn hold_back(&mut self, bytes: &[u8]) -> bool {
        let own = self.peer.awaited() == Awaited::Head
            && bytes.starts_with(b"HTTP/1.1 4")
            && bytes.ends_with(b"\r\n\r\n")
            && memchr::memmem::find(bytes, b"\r\nconnection: close\r\ncontent-length: 0\r\n")
                .is_some()
            && memchr::memmem::find(bytes, b"\r\nx-request-id: ").is_none();
        if own {
            self.refused = bytes
                .get(9..12)
                .and_then(|code| StatusCode::from_bytes(code).ok());
        }
        own
    }

    /// Drains what still arrives: the lingering close.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lingering = self.lingering.get_or_insert_with(|| {
            // From now on it can be evicted like an idle one.
            self.peer.awaits(Awaited::Head, Instant::now());
            self.timer.as_mut().reset(Instant::now() + LINGER_PAUSE);
            Lingering {
                until: Instant::now() + LINGER,
                left: LINGER_BYTES,
            }
        });
        loop {
            if self.gone.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut dropped = [0; 8 * 1024];
            let mut dropped = ReadBuf::new(&mut dropped);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut dropped);
            if read.is_pending() {
                return self.timer.as_mut().poll(cx).map(Ok);
            }
            let bytes = dropped.filled().len();
            if bytes == 0 || bytes > lingering.left {
                return Poll::Ready(Ok(()));
            }
            lingering.left -= bytes;
            let pause = Instant::now() + LINGER_PAUSE;
            self.timer.as_mut().reset(pause.min(lingering.until));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.gone.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::other(Evicted)));
        }
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buffer) {
            this.peer
                .received(buffer.filled().len() - before, Instant::now());
            return Poll::Ready(read);
        }
        if let Some(deadline) = this.peer.waits(Instant::now()) {
            this.timer.as_mut().reset(deadline);
            ready!(this.timer.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hold_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match parts {
            [bytes] if self.hold_back(bytes) => Poll::Ready(Ok(bytes.len())),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once it has written everything.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.peer.sent(Instant::now());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.refused.is_some() {
            // Our own answer is written first, and its shutdown comes here again.
            return Poll::Ready(Ok(()));
        }
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        if this.peer.is_unread() && !this.peer.gone().is_cancelled() {
            ready!(this.poll_linger(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}
