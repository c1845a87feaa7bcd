//! The accept loop: connection limits, timeouts, keep-alive, and the graceful shutdown of connections.

use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connections::{Connections, Permit},
    socket::Socket,
};
use crate::http::{
    Router,
    peer::{Awaited, TIMEOUT, answer, refusal},
};

/// Header-read and keep-alive idle timeout.
const HEAD: Duration = Duration::from_secs(30);

/// Limit of a request's line and headers; also hyper's read buffer, so how much of a body is read at once.
const HEAD_BYTES: usize = 16 * 1024;

/// Write timeout of the answer to what could not be parsed as a request.
const REFUSAL: Duration = Duration::from_secs(5);

/// Serves `router` until `stop`, then finishes the requests in flight. Without per-address limits: for a listener that
/// only trusted clients reach.
pub async fn listen(listener: TcpListener, router: Router, stop: CancellationToken) {
    listen_within(listener, router, u64::MAX, |_| true, stop).await;
}

/// The same for the public: as many connections as the file-descriptor limit `files` leaves room for, and a limit for
/// each address but those that `are_shared`.
pub(super) async fn listen_within(
    listener: TcpListener,
    router: Router,
    files: u64,
    are_shared: impl Fn(IpAddr) -> bool + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    let connections = Arc::new(Connections::new(files, are_shared));
    let serving = TaskTracker::new();
    while let Some(accepted) = stop
        .run_until_cancelled(accept(&listener, &connections))
        .await
    {
        let (router, stop) = (router.clone(), stop.clone());
        match accepted {
            (stream, Some(permit)) => {
                serving.spawn(serve(http.clone(), stream, permit, router, stop));
            }
            // One non-blocking write: an address with many connections may read from none of them.
            (stream, None) => {
                let told = refusal(router, StatusCode::TOO_MANY_REQUESTS).await;
                let _ = stream.try_write(&told);
            }
        }
    }
    drop(listener);
    serving.close();
    serving.wait().await;
}

/// The next connection, once there is room for one more; without a permit where its address has too many.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> (TcpStream, Option<Permit>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // TCP_NODELAY: a small answer goes out at once. Where it cannot be set, answers are only slower.
                let _ = stream.set_nodelay(true);
                return (stream, connections.admit(address.ip()).await);
            }
            Err(error) => {
                // Out of file descriptors (EMFILE), most likely: retry once some are closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection, from its first request to its close; at the shutdown an idle one is closed at once.
async fn serve(
    http: http1::Builder,
    stream: TcpStream,
    permit: Permit,
    router: Router,
    stop: CancellationToken,
) {
    let peer = permit.peer.clone();
    let socket = Socket::new(stream, peer.clone());
    let service = {
        let (router, peer) = (router.clone(), peer.clone());
        service_fn(move |request: Request<Incoming>| {
            let answering = answer(router.clone(), peer.clone(), request);
            async { Ok::<_, std::convert::Infallible>(answering.await) }
        })
    };
    let mut connection = http.serve_connection(TokioIo::new(socket), service);
    let mut stopping = pin!(stop.cancelled());
    let ended = tokio::select! {
        // What has arrived already is read before the shutdown asks whether anything has.
        biased;
        ended = &mut connection => ended,
        () = &mut stopping => {
            if peer.awaited() == Awaited::Head && !peer.has_begun() {
                return;
            }
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let mut socket = connection.into_parts().io.into_inner();
    // Connection errors are not logged, because requests have a log line of their own; only a timeout or a parse error
    // in a request's head is answered.
    let refused = socket.take_refused().or_else(|| {
        let error = ended.err()?;
        let late = error.is_timeout() && peer.has_begun();
        let late = late.then_some(TIMEOUT);
        late.or(error.is_parse().then_some(StatusCode::BAD_REQUEST))
    });
    if let Some(status) = refused {
        let told = refusal(router, status).await;
        if let Ok(Ok(())) = tokio::time::timeout(REFUSAL, socket.write_all(&told)).await {
            peer.leaves_unread();
            let _ = socket.shutdown().await;
        }
    }
}
