//! The photos: one object for each, sealed with a key of its own.
//!
//! Intake puts, staff open, the sweep lists and removes. Every object name and every byte that lies
//! in a bucket or folder is made here; type, size and key of a photo are in its record.

use std::{fs, io, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path};
use uuid::Uuid;

use crate::{
    photo::Photo,
    registration::{PhotoKey, StoredPhoto},
    seal::{DataKey, Keyring, OpenError, TagOf},
};

const PREFIX: &str = "photos";

/// How long one call to the object store may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Why a photo could not be put, opened or removed.
#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    /// The store cannot be reached or refuses work.
    #[error("the photo store is away: {0}")]
    Unavailable(#[from] object_store::Error),
    /// The local folder cannot be read or written.
    #[error("the photo folder is away: {0}")]
    Folder(#[source] io::Error),
    /// The store took too long.
    #[error("the photo store did not answer within {} s", DEADLINE.as_secs())]
    Late,
    /// The object is gone although a record names it.
    #[error("photo {0} is not in the photo store")]
    Missing(Uuid),
    /// The object is not what was put.
    #[error("photo {0} cannot be opened: {1}")]
    Sealed(Uuid, #[source] OpenError),
}

/// Where photos are, parsed from `PADRON_PHOTOS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhotosUrl {
    /// `file:PATH`: a local folder, made when absent.
    File(PathBuf),
}

impl FromStr for PhotosUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        match url.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err("use file:FOLDER, for example file:data/photos".into()),
        }
    }
}

/// The photo tier.
#[derive(Clone)]
pub struct Photos {
    objects: Arc<dyn ObjectStore>,
    keyring: Arc<Keyring>,
    /// Where a killed process leaves unfinished files, which the object store itself never lists.
    folder: Option<PathBuf>,
}

impl Photos {
    /// Photos in the store that `url` names.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn connect(url: &PhotosUrl, keyring: Arc<Keyring>) -> Result<Self, PhotosError> {
        let PhotosUrl::File(folder) = url;
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            folder: Some(folder.join(PREFIX)),
            ..Self::new(Arc::new(objects), keyring)
        })
    }

    /// Photos in any object store; tests put faulty ones here.
    #[must_use]
    pub fn new(objects: Arc<dyn ObjectStore>, keyring: Arc<Keyring>) -> Self {
        Self {
            objects,
            keyring,
            folder: None,
        }
    }

    /// Seals a photo for the record `owner` and returns once it is durable.
    ///
    /// # Errors
    /// When the store is away or late; an object may then have been left behind, for the sweep.
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
        within(self.objects.put(&path(key), sealed.into())).await?;
        Ok(stored)
    }

    /// The clean image of a stored photo.
    ///
    /// # Errors
    /// When the store is away or late, or the object is missing or not what was put.
    pub async fn open(&self, owner: Uuid, stored: &StoredPhoto) -> Result<Vec<u8>, PhotosError> {
        let key = stored.key;
        let sealed = match within(self.objects.get(&path(key))).await {
            Ok(object) => within(object.bytes()).await?,
            Err(PhotosError::Unavailable(object_store::Error::NotFound { .. })) => {
                return Err(PhotosError::Missing(key.0));
            }
            Err(error) => return Err(error),
        };
        let (keyring, wrapped) = (self.keyring.clone(), stored.wrapped_key.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let associated = associated(key, owner);
            DataKey::unwrap(&keyring, &associated, &wrapped)?.open(&associated, &sealed)
        });
        let opened = opening.await.map_err(object_store::Error::from)?;
        opened.map_err(|error| PhotosError::Sealed(key.0, error))
    }

    /// Removes a photo; one that is not there is removed already.
    ///
    /// # Errors
    /// When the store is away or late.
    pub async fn remove(&self, key: PhotoKey) -> Result<(), PhotosError> {
        match within(self.objects.delete(&path(key))).await {
            Err(PhotosError::Unavailable(object_store::Error::NotFound { .. })) => Ok(()),
            other => other,
        }
    }

    /// The photos that were put before `time`, in no order. Other objects are passed over.
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

    /// Removes what puts that were killed before `time` left in a local folder, `UUID#N`, and returns
    /// how many there were. No record can name one.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub async fn remove_unfinished(&self, time: Timestamp) -> Result<u64, PhotosError> {
        let Some(folder) = self.folder.clone() else {
            return Ok(0);
        };
        let removing = tokio::task::spawn_blocking(move || remove_unfinished(&folder, time));
        let removed = removing.await.map_err(object_store::Error::from)?;
        removed.map_err(PhotosError::Folder)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it is away or late.
    pub async fn ping(&self) -> Result<(), PhotosError> {
        if let Some(root) = self.folder.as_deref().and_then(std::path::Path::parent) {
            // A folder that was unmounted has no object either, and is not there.
            fs::metadata(root).map_err(PhotosError::Folder)?;
        }
        match within(self.objects.head(&path(PhotoKey(Uuid::nil())))).await {
            Ok(_) | Err(PhotosError::Unavailable(object_store::Error::NotFound { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn remove_unfinished(folder: &std::path::Path, time: Timestamp) -> io::Result<u64> {
    if !folder.exists() {
        return Ok(0);
    }
    let mut removed = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().contains('#') {
            continue;
        }
        // A put that is under way renames its file at any moment.
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

fn path(key: PhotoKey) -> Path {
    Path::from_iter([PREFIX, &key.0.to_string()])
}

/// A photo that is moved to another name, or a record that is given another's photo, does not open.
fn associated(key: PhotoKey, owner: Uuid) -> Vec<u8> {
    [b"photo".as_slice(), key.0.as_bytes(), owner.as_bytes()].concat()
}

async fn within<T>(
    call: impl Future<Output = Result<T, object_store::Error>>,
) -> Result<T, PhotosError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(PhotosError::Late),
    }
}
