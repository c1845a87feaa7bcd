//! The photo tier: one object for each photo, encrypted with a data key of its own.
//!
//! Intake puts, staff open, the sweep lists and removes, `padron copy` copies. Owns every object name and every byte
//! that lies in a bucket or folder; type, size and wrapped data key of a photo are in its record. `url` says where
//! photos are, `s3` configures the S3 client, `drafts` is an area of its own for forms that are not sent yet. Never writes a photo in plaintext, and never asks the record store.

mod drafts;
mod s3;
mod url;

use std::{fs, io, iter, os::unix::fs::MetadataExt as _, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use jiff::Timestamp;
use object_store::{
    ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path, prefix::PrefixStore,
};
use uuid::Uuid;

pub use self::drafts::DraftArea;
use self::s3::bucket_of;
pub use self::s3::{S3, S3Style};
pub use self::url::PhotosUrl;
use crate::{
    domain::marker::{Marker, NotOurs},
    domain::photo::Photo,
    domain::registration::{PhotoKey, StoredPhoto},
    foundation::seal::{DataKey, Keyring, OpenError, TagOf},
    foundation::telemetry,
};

const PREFIX: &str = "photos";

/// Object name of the marker of the register whose photos lie beside it.
const MARKER: &str = "register";

/// Object name of what a ping (health check) writes.
const PING: &str = "ping";

/// Deadline of one call to the object store, its retries included.
const DEADLINE: Duration = Duration::from_secs(15);

/// Why a photo could not be put, opened or removed.
#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    /// The store cannot be reached or refuses work. Its own error message is never shown: it may hold addresses and
    /// names of keys.
    #[error("the photo store is away: {}", told(.0))]
    Unavailable(object_store::Error),
    /// The local folder cannot be read or written.
    #[error("the photo folder is away: {0}")]
    Folder(#[source] io::Error),
    /// The call ran into its deadline.
    #[error("the photo store did not answer within {} s", DEADLINE.as_secs())]
    Late,
    /// The object is gone although a record names it.
    #[error("photo {0} is not in the photo store")]
    Missing(Uuid),
    /// The object does not decrypt: it is not what was put.
    #[error("photo {0} cannot be opened: {1}")]
    Sealed(Uuid, #[source] OpenError),
    /// The photos are another register's, or the marker that says so is damaged.
    #[error("the photo store is another register's, or its marker is damaged")]
    Foreign,
}

/// The photo tier.
#[derive(Clone)]
pub struct Photos {
    objects: Arc<dyn ObjectStore>,
    keyring: Arc<Keyring>,
    /// The local folder, where a killed process leaves temporary files, which the object store itself never lists.
    folder: Option<Folder>,
}

/// The open folder, by its device and inode.
#[derive(Clone)]
struct Folder {
    path: PathBuf,
    identity: (u64, u64),
}

impl Photos {
    /// Photos in the store that `url` names.
    ///
    /// Sends no request to an S3 server yet, so that one that is unreachable can come back later.
    ///
    /// # Errors
    /// When the folder cannot be opened, or the settings in `s3` cannot be used.
    pub fn connect(url: &PhotosUrl, s3: &S3, keyring: Arc<Keyring>) -> Result<Self, PhotosError> {
        match url {
            PhotosUrl::File(folder) => {
                let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
                let found = fs::metadata(folder).map_err(PhotosError::Folder)?;
                Ok(Self {
                    folder: Some(Folder {
                        path: folder.clone(),
                        identity: (found.dev(), found.ino()),
                    }),
                    ..Self::new(Arc::new(objects), keyring)
                })
            }
            PhotosUrl::S3 { bucket, prefix } => {
                let bucket = PrefixStore::new(bucket_of(s3, bucket)?, prefix.clone());
                Ok(Self::new(Arc::new(bucket), keyring))
            }
        }
    }

    /// Photos in any object store; tests inject faulty ones here.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, keyring: Arc<Keyring>) -> Self {
        Self {
            objects,
            keyring,
            folder: None,
        }
    }

    /// Encrypts a photo for the record `owner`, on the blocking pool, and returns once it is durable.
    ///
    /// # Errors
    /// When the store is unavailable or times out; an orphaned object may then have been left behind, for the sweep.
    pub async fn put(&self, owner: Uuid, photo: Photo) -> Result<StoredPhoto, PhotosError> {
        let key = PhotoKey(Uuid::new_v4());
        let keyring = self.keyring.clone();
        let sealing = tokio::task::spawn_blocking(move || {
            let associated = associated(key, owner);
            let data_key = DataKey::generate();
            let stored = StoredPhoto {
                key,
                media_type: photo.media_type(),
                bytes: photo.bytes().len() as u64,
                width: photo.width(),
                height: photo.height(),
                digest: keyring.tag(TagOf::Photo, &[photo.bytes()]),
                wrapped_key: data_key.wrap(&keyring, &associated),
            };
            (data_key.seal(&associated, photo.bytes()), stored)
        });
        let (sealed, stored) = sealing.await.map_err(object_store::Error::from)?;
        self.put_sealed(key, sealed.into()).await?;
        Ok(stored)
    }

    /// Fetches and decrypts the clean image of a stored photo.
    ///
    /// # Errors
    /// When the store is unavailable or times out, or the object is missing or does not decrypt.
    pub async fn open(&self, owner: Uuid, stored: &StoredPhoto) -> Result<Vec<u8>, PhotosError> {
        measured("open", self.get_and_open(owner, stored)).await
    }

    async fn get_and_open(
        &self,
        owner: Uuid,
        stored: &StoredPhoto,
    ) -> Result<Vec<u8>, PhotosError> {
        let sealed = self.get(stored.key).await?;
        self.unseal(owner, stored, sealed).await
    }

    /// Copies a photo to another store as ciphertext, once it has been decrypted as a check.
    ///
    /// # Errors
    /// When either store is unavailable or times out, or the object is missing or does not decrypt.
    pub async fn copy(
        &self,
        owner: Uuid,
        stored: &StoredPhoto,
        to: &Self,
    ) -> Result<(), PhotosError> {
        let sealed = self.get(stored.key).await?;
        self.unseal(owner, stored, sealed.clone()).await?;
        to.put_sealed(stored.key, sealed).await
    }

    async fn put_sealed(&self, key: PhotoKey, sealed: Bytes) -> Result<(), PhotosError> {
        let putting = async {
            // Before, so that nothing is written beside it; after, because it may have gone meanwhile.
            self.is_still_there()?;
            within(self.objects.put(&path(key), sealed.into())).await?;
            self.is_still_there()
        };
        measured("put", putting).await
    }

    async fn get(&self, key: PhotoKey) -> Result<Bytes, PhotosError> {
        let getting = async { self.objects.get(&path(key)).await?.bytes().await };
        match within(getting).await {
            Ok(sealed) => Ok(sealed),
            Err(error) => {
                self.confirm_missing(error).await?;
                Err(PhotosError::Missing(key.0))
            }
        }
    }

    async fn unseal(
        &self,
        owner: Uuid,
        stored: &StoredPhoto,
        sealed: Bytes,
    ) -> Result<Vec<u8>, PhotosError> {
        let key = stored.key;
        let (keyring, wrapped) = (self.keyring.clone(), stored.wrapped_key.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let associated = associated(key, owner);
            DataKey::unwrap(&keyring, &associated, &wrapped)?.open(&associated, &sealed)
        });
        let opened = opening.await.map_err(object_store::Error::from)?;
        opened.map_err(|error| PhotosError::Sealed(key.0, error))
    }

    /// Removes a photo; idempotent: one that is not there is removed already.
    ///
    /// # Errors
    /// When the store is unavailable or times out.
    pub async fn remove(&self, key: PhotoKey) -> Result<(), PhotosError> {
        let removing = async {
            match within(self.objects.delete(&path(key))).await {
                Ok(()) => Ok(()),
                Err(error) => self.confirm_missing(error).await,
            }
        };
        measured("remove", removing).await
    }

    /// `Ok` when `error` says that an object is not there. A missing bucket and, with some servers, an unknown access
    /// key are `NotFound` as well, and stay errors.
    async fn confirm_missing(&self, error: PhotosError) -> Result<(), PhotosError> {
        match error {
            PhotosError::Unavailable(object_store::Error::NotFound { .. }) => self.look().await,
            error => Err(error),
        }
    }

    /// The photos that were put (last modified) before `time`, in no order. Other objects are skipped.
    #[must_use]
    pub fn put_before(&self, time: Timestamp) -> BoxStream<'_, Result<PhotoKey, PhotosError>> {
        self.objects
            .list(Some(&Path::from(PREFIX)))
            .err_into()
            .try_filter_map(move |object| async move {
                let old = object.last_modified.timestamp_millis() < time.as_millisecond();
                let name = object.location.filename();
                let key = name.and_then(|name| name.parse().ok()).map(PhotoKey);
                Ok(key.filter(|&key| old && path(key) == object.location))
            })
            .boxed()
    }

    /// Removes the temporary files, `UUID#N`, of puts that were killed before `time` in a local folder, and returns
    /// how many there were. No record can name one.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub async fn remove_unfinished(&self, time: Timestamp) -> Result<u64, PhotosError> {
        self.remove_unfinished_in(&[PREFIX], time).await
    }

    async fn remove_unfinished_in(
        &self,
        below: &[&str],
        time: Timestamp,
    ) -> Result<u64, PhotosError> {
        let Some(folder) = self.folder.clone() else {
            return Ok(0);
        };
        let below: PathBuf = folder
            .path
            .iter()
            .chain(below.iter().map(AsRef::as_ref))
            .collect();
        let removing = tokio::task::spawn_blocking(move || remove_unfinished(&below, time));
        let removed = removing.await.map_err(object_store::Error::from)?;
        removed.map_err(PhotosError::Folder)
    }

    /// The marker of the register whose photos these are.
    ///
    /// # Errors
    /// [`PhotosError::Foreign`], or when the store is unavailable or times out.
    pub async fn marker(&self) -> Result<Option<Marker>, PhotosError> {
        let path = Path::from(MARKER);
        match within(async { self.objects.get(&path).await?.bytes().await }).await {
            Ok(text) => Marker::parse(&text, &self.keyring)
                .map(Some)
                .map_err(|NotOurs| PhotosError::Foreign),
            Err(error) => self.confirm_missing(error).await.map(|()| None),
        }
    }

    /// Writes the marker beside the photos.
    ///
    /// # Errors
    /// When the store is unavailable or times out.
    pub async fn put_marker(&self, marker: &Marker) -> Result<(), PhotosError> {
        self.is_still_there()?;
        let text = marker.to_text(&self.keyring).into();
        let path = Path::from(MARKER);
        within(self.objects.put(&path, text)).await.map(drop)
    }

    /// Health check: whether the store answers and takes photos. A byte is put, always under one name.
    ///
    /// # Errors
    /// When it is unavailable, full or times out, or the folder was removed or replaced.
    pub async fn ping(&self) -> Result<(), PhotosError> {
        let pinging = async {
            self.is_still_there()?;
            let path = Path::from(PING);
            within(self.objects.put(&path, "1".into())).await.map(drop)
        };
        measured("ping", pinging).await
    }

    /// Fails once the folder was unmounted, removed or replaced: what is written to it then is lost.
    fn is_still_there(&self) -> Result<(), PhotosError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let found = fs::metadata(&folder.path).map_err(PhotosError::Folder)?;
        if (found.dev(), found.ino()) == folder.identity {
            return Ok(());
        }
        Err(PhotosError::Folder(io::Error::other(
            "it was replaced; put it back, or restart padron",
        )))
    }

    async fn look(&self) -> Result<(), PhotosError> {
        self.is_still_there()?;
        // A missing bucket has no object either: only a list request tells the two apart.
        let nothing = Path::from_iter([PREFIX, "none"]);
        let listing = async { self.objects.list(Some(&nothing)).try_next().await };
        within(listing).await.map(drop)
    }
}

fn remove_unfinished(folder: &std::path::Path, time: Timestamp) -> io::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut removed = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove_unfinished(&entry.path(), time)?;
            continue;
        }
        if !entry.file_name().to_string_lossy().contains('#') {
            continue;
        }
        // A concurrent put may rename its temporary file at any moment.
        let old = match entry.metadata().and_then(|metadata| metadata.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            modified => Timestamp::try_from(modified?).is_ok_and(|at| at < time),
        };
        if old {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

impl From<object_store::Error> for PhotosError {
    fn from(error: object_store::Error) -> Self {
        Self::Unavailable(error)
    }
}

/// What may be logged of an error: its kind, never the server's message.
fn told(error: &object_store::Error) -> String {
    use object_store::Error;
    let kind = match error {
        Error::NotFound { .. } => "there is no such bucket, folder or access key",
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => "access is denied",
        _ => "it fails or cannot be reached",
    };
    let mut sources = iter::successors(Some(error as &dyn std::error::Error), |error| {
        error.source()
    });
    let io = sources.find_map(|error| error.downcast_ref::<io::Error>());
    io.map_or_else(|| kind.to_owned(), |io| format!("{kind} ({})", io.kind()))
}

/// Object name, `photos/ab/abcdef01-…`: sharded over 256 prefixes by the first two digits, because one folder of a
/// million files makes backups crawl, and uploads would wait for its lock.
fn path(key: PhotoKey) -> Path {
    let name = key.0.to_string();
    Path::from_iter([PREFIX, &name[..2], &name])
}

/// Associated data (AAD): a photo that is moved to another name, or given to another record, does not decrypt.
fn associated(key: PhotoKey, owner: Uuid) -> Vec<u8> {
    [b"photo".as_slice(), key.0.as_bytes(), owner.as_bytes()].concat()
}

/// Runs one call of the object store under the deadline.
async fn within<T>(
    call: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, PhotosError> {
    let answer = tokio::time::timeout(DEADLINE, call).await;
    Ok(answer.map_err(|_| PhotosError::Late)??)
}

/// Measures latency and outcome of a call; `open` includes decryption, while encryption comes before `put`.
async fn measured<T>(
    operation: &'static str,
    call: impl Future<Output = Result<T, PhotosError>>,
) -> Result<T, PhotosError> {
    let failure = |error: &PhotosError| match error {
        PhotosError::Unavailable(_) | PhotosError::Folder(_) => "unavailable",
        PhotosError::Late => "late",
        PhotosError::Missing(_) => "missing",
        PhotosError::Sealed(..) => "corrupt",
        PhotosError::Foreign => "refused",
    };
    let histogram = "padron_photos_operation_duration_seconds";
    telemetry::measured(histogram, operation, failure, Box::pin(call)).await
}
