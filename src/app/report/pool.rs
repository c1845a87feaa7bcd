//! The worker pool: segments are decrypted, serialised and compressed beside each other and keep their order.

use std::{num::NonZero, sync::Arc};

use futures::{Stream, TryStreamExt as _};

use super::{
    ReportError,
    feed::{Feed, Segment},
};

/// What `work` makes of the segments of `feed`, in their order; it runs on the blocking pool, for as many at once as
/// there are processors. A segment is read only when a worker is free, and nothing is read ahead of a client that
/// waits (backpressure).
pub(super) fn ordered<T, F>(
    feed: Feed,
    work: F,
) -> impl Stream<Item = Result<T, ReportError>> + Unpin
where
    T: Send + 'static,
    F: Fn(&Segment) -> Result<T, ReportError> + Send + Sync + 'static,
{
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let work = Arc::new(work);
    let run = move |segment: Segment| {
        let work = work.clone();
        async move { tokio::task::spawn_blocking(move || work(&segment)).await? }
    };
    let segments = futures::stream::try_unfold(feed, async |mut feed| {
        Ok(feed.next().await?.map(|segment| (segment, feed)))
    });
    Box::pin(segments.map_ok(run).try_buffered(workers))
}
