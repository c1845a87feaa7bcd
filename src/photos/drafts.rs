//! Where forms that are not sent yet lie: an area of its own beside the photos, `drafts/`, encrypted alike.
//!
//! A draft is a small sealed form and perhaps a photo. No record names either, so the sweep of the photos never sees
//! them; they are removed by their age, by whichever replica looks. It knows nothing of what a form holds.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path, prefix::PrefixStore};
use uuid::Uuid;

use super::{Photos, PhotosError, within};
use crate::{
    domain::photo::Photo,
    domain::registration::StoredPhoto,
    foundation::seal::{Sealed, Tag},
};

/// The area's folder.
const AREA: &str = "drafts";

/// Its folder of forms; photos lie in `photos/`, as elsewhere.
const FORMS: &str = "forms";

/// The area of the drafts.
#[derive(Clone)]
pub struct DraftArea(Photos);

impl DraftArea {
    /// The area beside `photos`.
    #[must_use]
    pub fn beside(photos: &Photos) -> Self {
        let objects: Arc<dyn ObjectStore> =
            Arc::new(PrefixStore::new(photos.objects.clone(), AREA));
        let area = Photos {
            objects,
            ..photos.clone()
        };
        Self(area)
    }

    /// Writes a form under `name`, in place of what lies there, durably.
    ///
    /// # Errors
    /// When the store is unavailable or times out.
    pub async fn put_form(&self, name: &Tag, form: &Sealed) -> Result<(), PhotosError> {
        self.0.is_still_there()?;
        let form = Bytes::copy_from_slice(form.as_bytes());
        within(self.0.objects.put(&path(name), form.into()))
            .await
            .map(drop)
    }

    /// The form under `name`.
    ///
    /// # Errors
    /// When the store is unavailable or times out.
    pub async fn form(&self, name: &Tag) -> Result<Option<Sealed>, PhotosError> {
        let getting = async { self.0.objects.get(&path(name)).await?.bytes().await };
        match within(getting).await {
            Ok(form) => Ok(Some(Sealed::from_bytes(form.into()))),
            Err(error) => self.0.confirm_missing(error).await.map(|()| None),
        }
    }

    /// Encrypts a photo for the draft `owner` and returns once it is durable.
    ///
    /// # Errors
    /// As [`Photos::put`].
    pub async fn put_photo(&self, owner: Uuid, photo: Photo) -> Result<StoredPhoto, PhotosError> {
        self.0.put(owner, photo).await
    }

    /// Fetches and decrypts a photo.
    ///
    /// # Errors
    /// As [`Photos::open`].
    pub async fn photo(&self, owner: Uuid, stored: &StoredPhoto) -> Result<Vec<u8>, PhotosError> {
        self.0.open(owner, stored).await
    }

    /// Removes a photo; idempotent.
    ///
    /// # Errors
    /// When the store is unavailable or times out.
    pub async fn remove_photo(&self, stored: &StoredPhoto) -> Result<(), PhotosError> {
        self.0.remove(stored.key).await
    }

    /// Removes every form and photo that was written before `time`, and returns how many there were.
    ///
    /// # Errors
    /// When the store is unavailable or times out; what was removed by then is gone.
    pub async fn remove_before(&self, time: Timestamp) -> Result<u64, PhotosError> {
        let mut removed = self.0.remove_unfinished_in(&[AREA], time).await?;
        let mut photos = self.0.put_before(time);
        while let Some(key) = photos.try_next().await? {
            self.0.remove(key).await?;
            removed += 1;
        }
        let mut forms = self.0.objects.list(Some(&Path::from(FORMS)));
        while let Some(form) = forms.next().await {
            let form = form?;
            if form.last_modified.timestamp_millis() < time.as_millisecond() {
                match within(self.0.objects.delete(&form.location)).await {
                    Ok(()) => removed += 1,
                    // Another replica was faster.
                    Err(error) => self.0.confirm_missing(error).await?,
                }
            }
        }
        Ok(removed)
    }
}

fn path(name: &Tag) -> Path {
    Path::from_iter([FORMS, &hex::encode(name.as_bytes())])
}
