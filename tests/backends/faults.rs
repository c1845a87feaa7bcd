//! Fault injection: what photos and the sweep do when a tier fails is nothing that could lose a photo.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::TryStreamExt as _;
use jiff::Timestamp;
use padron::{
    app::sweep::{SweepError, Swept, sweep_once},
    domain::marker::Marker,
    domain::registration::PhotoKey,
    foundation::seal::Keyring,
    photos::{Photos, PhotosError},
    store::Store,
};
use tempfile::TempDir;
use testkit::{Call, FailingStore, Fault};
use uuid::Uuid;

use crate::{
    doubles::{FailingObjects, Refused},
    photos::{Tier, in_memory, path, small},
    store::sqlite_file,
    support::{claim_of, photo_key, plain, registration},
};

/// However many have no record.
const ANY: Option<u64> = Some(u64::MAX);

/// Several batches of the sweep, with one that is not full.
const PHOTOS: u32 = 1_201;

/// A tier of [`PHOTOS`] photos that no record names, and their keys.
async fn unnamed_photos() -> (Tier, HashSet<PhotoKey>) {
    let (tier, ()) = in_memory().await;
    let keys: HashSet<_> = (0..PHOTOS).map(photo_key).collect();
    for &key in &keys {
        tier.lay(key, b"sealed".to_vec()).await;
    }
    (tier, keys)
}

/// A store that the sweep may believe: one without records is taken for the wrong one.
async fn store_with_a_record() -> (Arc<dyn Store>, TempDir) {
    let (store, folder) = sqlite_file().await;
    // Its photo is none of those that are laid.
    store.insert(&plain(1)).await.unwrap();
    (store, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_refuses_to_believe_an_empty_store() {
    let (store, _folder) = sqlite_file().await;
    let (tier, keys) = unnamed_photos().await;
    let swept = sweep_once(&*store, &tier.photos, Timestamp::MAX, Duration::ZERO, ANY).await;
    assert!(matches!(swept, Err(SweepError::Empty)), "{swept:?}");
    assert_eq!(left(&tier, &keys).await, keys);
}

/// The same tier, which refuses some of what it is asked.
fn refusing(tier: &Tier, refused: Refused) -> (Photos, Arc<FailingObjects>) {
    let objects = Arc::new(FailingObjects {
        inner: tier.objects.clone(),
        refused,
        removals: Arc::default(),
    });
    (Photos::new(objects.clone(), tier.keyring.clone()), objects)
}

/// Those of `keys` whose object is still there.
async fn left(tier: &Tier, keys: &HashSet<PhotoKey>) -> HashSet<PhotoKey> {
    let paths: HashSet<_> = tier.paths().await.into_iter().collect();
    let keys = keys.iter().copied();
    keys.filter(|&key| paths.contains(&path(key))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_removes_nothing_when_the_store_is_away() {
    let (store, _folder) = store_with_a_record().await;
    let (tier, keys) = unnamed_photos().await;
    let away = FailingStore::over(store, |call| {
        matches!(call, Call::Unnamed(_)).then_some(Fault::Away(Duration::ZERO))
    });
    let swept = sweep_once(&*away, &tier.photos, Timestamp::MAX, Duration::ZERO, ANY).await;
    assert!(matches!(swept, Err(SweepError::Store(_))), "{swept:?}");
    assert_eq!(left(&tier, &keys).await, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_removes_nothing_before_it_has_asked_about_everything() {
    let (store, _folder) = store_with_a_record().await;
    let (tier, keys) = unnamed_photos().await;
    let asked = Arc::new(Mutex::new(HashSet::<PhotoKey>::new()));
    let failing = FailingStore::over(store, {
        let asked = asked.clone();
        move |call| {
            let Call::Unnamed(keys) = call else {
                return None;
            };
            let mut asked = asked.lock().unwrap();
            if !asked.is_empty() {
                return Some(Fault::Away(Duration::ZERO));
            }
            asked.extend(keys);
            None
        }
    });
    let swept = sweep_once(&*failing, &tier.photos, Timestamp::MAX, Duration::ZERO, ANY).await;
    assert!(matches!(swept, Err(SweepError::Store(_))), "{swept:?}");
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    assert!(!asked.is_empty() && asked.len() < keys.len());
    assert_eq!(left(&tier, &keys).await, keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_asks_again_before_it_removes_anything() {
    let (store, _folder) = store_with_a_record().await;
    let (tier, ()) = in_memory().await;
    let late = registration(7);
    let photo = late.photo.as_ref().unwrap().key;
    tier.lay(photo, b"sealed".to_vec()).await;
    tier.lay(photo_key(8), b"sealed".to_vec()).await;
    let register = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.insert(&late).await.unwrap();
    };
    let sweep = sweep_once(
        &*store,
        &tier.photos,
        Timestamp::MAX,
        Duration::from_secs(1),
        None,
    );
    let (swept, ()) = tokio::join!(sweep, register);
    assert_eq!(
        swept.unwrap(),
        Swept {
            seen: 2,
            removed: 1
        }
    );
    assert!(tier.paths().await.contains(&path(photo)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_leaves_the_photos_of_another_register_and_of_one_that_lost_records() {
    let (store, _folder) = store_with_a_record().await;
    let (tier, keys) = unnamed_photos().await;
    let register = store.claim(&claim_of(&tier.keyring)).await.unwrap().id;
    let sweep = async |photos: &Photos| {
        sweep_once(&*store, photos, Timestamp::MAX, Duration::ZERO, ANY).await
    };
    let mark = async |register: Uuid, registered: u64| {
        let marker = Marker {
            register,
            registered,
        };
        tier.photos.put_marker(&marker).await.unwrap();
    };
    mark(register, 2).await;
    let swept = sweep(&tier.photos).await;
    assert!(matches!(swept, Err(SweepError::Fewer(1))), "{swept:?}");
    let others = Photos::new(tier.objects.clone(), Arc::new(Keyring::generate()));
    let swept = sweep(&others).await;
    assert!(matches!(swept, Err(SweepError::Foreign)), "{swept:?}");
    mark(Uuid::new_v4(), 1).await;
    let swept = sweep(&tier.photos).await;
    assert!(matches!(swept, Err(SweepError::Foreign)), "{swept:?}");
    assert_eq!(left(&tier, &keys).await, keys);

    mark(register, 1).await;
    let swept = sweep(&tier.photos).await.unwrap();
    assert_eq!(swept.removed, u64::from(PHOTOS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_stops_when_a_photo_cannot_be_removed() {
    let (store, _folder) = store_with_a_record().await;
    let (tier, keys) = unnamed_photos().await;
    let (photos, objects) = refusing(&tier, Refused::RemovalsAfter(10));
    let swept = sweep_once(&*store, &photos, Timestamp::MAX, Duration::ZERO, ANY).await;
    assert!(matches!(swept, Err(SweepError::Photos(_))), "{swept:?}");
    assert_eq!(*objects.removals.lock().unwrap(), 11, "it went on");
    assert_eq!(left(&tier, &keys).await.len(), keys.len() - 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_stops_when_the_photos_cannot_be_listed() {
    let (store, _folder) = store_with_a_record().await;
    let (tier, keys) = unnamed_photos().await;
    for listed in [0, 1, keys.len() - 1] {
        let (photos, _) = refusing(&tier, Refused::ListAfter(listed));
        let swept = sweep_once(&*store, &photos, Timestamp::MAX, Duration::ZERO, ANY).await;
        assert!(matches!(swept, Err(SweepError::Photos(_))), "{swept:?}");
        assert!(left(&tier, &keys).await.len() >= keys.len() - listed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_say_when_their_store_is_away() {
    let (tier, ()) = in_memory().await;
    let stored = tier.put(Uuid::nil()).await;
    let (photos, _) = refusing(&tier, Refused::All);
    let errors = [
        photos.put(Uuid::nil(), small()).await.err(),
        photos.open(Uuid::nil(), &stored).await.err(),
        photos.remove(stored.key).await.err(),
        photos.ping().await.err(),
        photos.put_before(Timestamp::MAX).try_next().await.err(),
    ];
    for (call, error) in errors.into_iter().enumerate() {
        let away = matches!(error, Some(PhotosError::Unavailable(_)));
        assert!(away, "call {call}: {error:?}");
    }
    // What was only unavailable is still there later.
    let opened = tier.photos.open(Uuid::nil(), &stored).await.unwrap();
    assert_eq!(opened, small().bytes());
}
