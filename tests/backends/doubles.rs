//! A test double of an object store with fault injection: it passes everything on to a real one, but for one thing.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, path::Path,
};

/// What [`FailingObjects`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// All but the first so many removals.
    RemovalsAfter(usize),
    /// A list, after so many objects of it.
    ListAfter(usize),
    /// Everything.
    All,
}

/// An object store with fault injection.
#[derive(Debug)]
pub(crate) struct FailingObjects {
    pub(crate) inner: Arc<dyn ObjectStore>,
    pub(crate) refused: Refused,
    /// Removals that were asked for, refused ones among them.
    pub(crate) removals: Arc<Mutex<usize>>,
}

impl FailingObjects {
    fn up(&self) -> object_store::Result<()> {
        match self.refused {
            Refused::All => Err(away()),
            _ => Ok(()),
        }
    }
}

fn away() -> object_store::Error {
    object_store::Error::Generic {
        store: "double",
        source: "on purpose".into(),
    }
}

impl fmt::Display for FailingObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailingObjects")
    }
}

#[async_trait]
impl ObjectStore for FailingObjects {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.up()?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.up()?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.up()?;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let (refused, removals) = (self.refused, self.removals.clone());
        let allowed = locations.map(move |location| {
            let mut removals = removals.lock().unwrap();
            *removals += 1;
            match refused {
                Refused::All => Err(away()),
                Refused::RemovalsAfter(first) if *removals > first => Err(away()),
                _ => location,
            }
        });
        self.inner.delete_stream(allowed.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let first = match self.refused {
            Refused::RemovalsAfter(_) => return self.inner.list(prefix),
            Refused::ListAfter(first) => first,
            Refused::All => 0,
        };
        let failure = stream::once(async { Err(away()) });
        self.inner.list(prefix).take(first).chain(failure).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.up()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.up()?;
        self.inner.copy_opts(from, to, options).await
    }
}
