//! The promises of `Photos` and of the sweep over them, stamped over the object stores.

mod drafts;
mod keeping;
mod sealing;
mod sweep;

use std::sync::Arc;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{
    ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, memory::InMemory, path::Path,
};
use padron::{
    domain::photo::{Photo, clean},
    domain::registration::{PhotoKey, StoredPhoto},
    foundation::seal::Keyring,
    photos::{DraftArea, Photos, PhotosUrl},
    photos::{S3, S3Style},
};
use tempfile::TempDir;
use testkit::{CARD, S3_KEY};
use uuid::Uuid;

/// The one list of cases; one that is missing here is dead code, which the compiler tells.
macro_rules! every_case {
    ($backend:ident, $start:ident, $attributes:tt) => {
        stamp! { $backend, $start, $attributes,
            sealing {
                what_was_put_opens_byte_for_byte,
                one_photo_put_twice_is_two_photos,
                another_owner_cannot_open_it,
                swapped_objects_do_not_open,
                a_moved_object_does_not_open,
                a_record_that_names_anothers_object_does_not_open_it,
                a_changed_object_does_not_open,
                a_cut_or_longer_object_does_not_open,
                what_lies_there_shows_nothing_of_the_photo,
                old_photos_open_after_the_keys_were_rotated,
                a_missing_key_is_named,
            }
            keeping {
                a_removed_one_is_missing,
                an_empty_store_answers,
                only_what_was_put_before_is_listed,
                foreign_objects_are_not_listed,
            }
            drafts {
                a_form_is_found_as_it_was_written_last,
                a_photo_of_a_draft_is_none_of_the_register,
                what_is_old_goes_and_the_register_stays,
            }
            sweep {
                only_old_photos_that_no_record_names_go,
                more_than_a_batch_is_swept,
            }
        }
    };
}

every_case!(folder, local_folder, []);
every_case!(memory, in_memory, []);
every_case!(versity, versity_bucket, [#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]]);
every_case!(moto, moto_bucket, [#[ignore = "needs moto_server; .ci/run starts one"]]);

/// The photo tier, and the object store behind it as whoever steals or damages it would see it.
pub(crate) struct Tier {
    pub(crate) photos: Photos,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) keyring: Arc<Keyring>,
}

impl Tier {
    /// Puts a photo, of which it does not matter what it shows.
    pub(crate) async fn put(&self, owner: Uuid) -> StoredPhoto {
        self.photos.put(owner, small()).await.unwrap()
    }

    /// When a photo was put, by the store's own clock.
    pub(crate) async fn put_at(&self, key: PhotoKey) -> Timestamp {
        let object = self.objects.head(&path(key)).await.unwrap();
        Timestamp::from_millisecond(object.last_modified.timestamp_millis()).unwrap()
    }

    /// Puts a photo later than `time`, as soon as the store's clock has gone past it.
    pub(crate) async fn put_after(&self, time: Timestamp, owner: Uuid) -> StoredPhoto {
        loop {
            let stored = self.put(owner).await;
            if self.put_at(stored.key).await > time {
                return stored;
            }
            self.objects.delete(&path(stored.key)).await.unwrap();
        }
    }

    /// The object of a photo, encrypted, as it lies there.
    async fn object(&self, key: PhotoKey) -> Vec<u8> {
        let object = self.objects.get(&path(key)).await.unwrap();
        object.bytes().await.unwrap().to_vec()
    }

    /// Overwrites the object of a photo with `content`.
    pub(crate) async fn lay(&self, key: PhotoKey, content: Vec<u8>) {
        let payload = content.into();
        self.objects.put(&path(key), payload).await.unwrap();
    }

    /// Where everything is that lies there, in order.
    pub(crate) async fn paths(&self) -> Vec<Path> {
        let all = self.objects.list(None).map_ok(|object| object.location);
        let mut all: Vec<_> = all.try_collect().await.unwrap();
        all.sort();
        all
    }

    /// The photos put before `time`, in order.
    async fn before(&self, time: Timestamp) -> Vec<PhotoKey> {
        let mut keys: Vec<_> = self.photos.put_before(time).try_collect().await.unwrap();
        keys.sort_by_key(|key: &PhotoKey| key.0);
        keys
    }
}

/// The name of a photo's object, which is part of what is stored.
pub(crate) fn path(key: PhotoKey) -> Path {
    let name = key.0.to_string();
    Path::from(format!("photos/{}/{name}", &name[..2]))
}

/// A photo of 389 bytes.
pub(crate) fn small() -> Photo {
    clean(include_bytes!("../../fixtures/photo/strip.png")).unwrap()
}

/// A photo of an ID card, 34 KB.
pub(crate) fn card() -> Photo {
    clean(CARD).unwrap()
}

/// Photos in a new folder.
async fn local_folder() -> (Tier, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::generate());
    let url = PhotosUrl::File(folder.path().into());
    let tier = Tier {
        photos: Photos::connect(&url, &s3("http://localhost"), keyring.clone()).unwrap(),
        objects: Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
        keyring,
    };
    (tier, folder)
}

#[tokio::test]
async fn unfinished_files_go_and_photos_stay() {
    let (tier, folder) = local_folder().await;
    let stored = tier.put(Uuid::from_u128(7)).await;
    let whole = folder.path().join(path(stored.key).to_string());
    let killed = whole.with_file_name(format!("{}#1", stored.key.0));
    std::fs::write(&killed, "half a pho").unwrap();
    let removed = async |time| tier.photos.remove_unfinished(time).await.unwrap();
    assert_eq!(removed(Timestamp::MIN).await, 0, "one is under way");
    assert_eq!(removed(Timestamp::MAX).await, 1);
    assert!(whole.is_file() && !killed.exists());
}

#[tokio::test]
async fn unfinished_files_of_drafts_go_too() {
    let (tier, folder) = local_folder().await;
    let area = DraftArea::beside(&tier.photos);
    let forms = folder.path().join("drafts/forms");
    std::fs::create_dir_all(&forms).unwrap();
    let killed = forms.join("00ff#1");
    std::fs::write(&killed, "half a fo").unwrap();
    assert_eq!(area.remove_before(Timestamp::MIN).await.unwrap(), 0);
    assert_eq!(area.remove_before(Timestamp::MAX).await.unwrap(), 1);
    assert!(!killed.exists());
}

/// Photos in the bucket of a Versity S3 Gateway.
async fn versity_bucket() -> (Tier, ()) {
    bucket("PADRON_TEST_S3")
}

/// Photos in the bucket of a moto server, whose S3 is another's.
async fn moto_bucket() -> (Tier, ()) {
    bucket("PADRON_TEST_MOTO")
}

/// Photos in the bucket `photos` of the server that `variable` names, under a prefix of their own.
fn bucket(variable: &str) -> (Tier, ()) {
    let endpoint = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable}: set it to the address of an S3 server"));
    let prefix = Path::from(Uuid::new_v4().to_string());
    let url = PhotosUrl::S3 {
        bucket: "photos".into(),
        prefix: prefix.clone(),
    };
    let keyring = Arc::new(Keyring::generate());
    let photos = Photos::connect(&url, &s3(&endpoint), keyring.clone()).unwrap();
    let tier = Tier {
        photos,
        objects: testkit::bucket(&endpoint, prefix),
        keyring,
    };
    (tier, ())
}

/// How the S3 server at `endpoint` is asked.
pub(crate) fn s3(endpoint: &str) -> S3 {
    S3 {
        endpoint: Some(endpoint.parse().unwrap()),
        region: "us-east-1".into(),
        style: S3Style::Path,
        access_key: Some(S3_KEY.into()),
        secret_key: Some(S3_KEY.into()),
    }
}

/// Photos in memory.
pub(crate) async fn in_memory() -> (Tier, ()) {
    let objects = Arc::new(InMemory::new());
    let keyring = Arc::new(Keyring::generate());
    let tier = Tier {
        photos: Photos::new(objects.clone(), keyring.clone()),
        objects,
        keyring,
    };
    (tier, ())
}
