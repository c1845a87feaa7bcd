//! The sweep, over a SQLite file of records.

use std::time::Duration;

use jiff::Timestamp;
use padron::{
    app::sweep::{SweepError, Swept, sweep_once},
    domain::registration::{Registration, StoredPhoto},
};

use super::{Tier, path};
use crate::{
    store::sqlite_file,
    support::{insert_all, photo_key, registration},
};

/// A registration of which this is the photo.
fn owner_of(photo: &StoredPhoto, number: u32) -> Registration {
    Registration {
        photo: Some(photo.clone()),
        ..registration(number)
    }
}

pub(super) async fn only_old_photos_that_no_record_names_go(tier: Tier) {
    let (store, _folder) = sqlite_file().await;
    let owner = registration(1).id;
    let old_named = tier.put(owner).await;
    let mut old_at = tier.put_at(old_named.key).await;
    for _ in 0..2 {
        let old_unnamed = tier.put(owner).await;
        old_at = old_at.max(tier.put_at(old_unnamed.key).await);
    }
    let young_named = tier.put_after(old_at, owner).await;
    let young_unnamed = tier.put_after(old_at, owner).await;
    let records = [owner_of(&old_named, 1), owner_of(&young_named, 2)];
    insert_all(&*store, &records).await;

    let before = tier.put_at(young_named.key).await;
    let before = before.min(tier.put_at(young_unnamed.key).await);
    let mut kept = [&old_named, &young_named, &young_unnamed].map(|photo| path(photo.key));
    kept.sort();
    for removed in [2, 0] {
        let swept = sweep_once(&*store, &tier.photos, before, Duration::ZERO, None)
            .await
            .unwrap();
        let seen = 1 + removed;
        assert_eq!(swept, Swept { seen, removed });
        assert_eq!(tier.paths().await, kept);
    }
    let opened = tier.photos.open(owner, &old_named).await;
    assert!(opened.is_ok(), "{opened:?}");
}

pub(super) async fn more_than_a_batch_is_swept(tier: Tier) {
    const PHOTOS: u32 = 1_201;
    let (store, _folder) = sqlite_file().await;
    for number in 0..PHOTOS {
        tier.lay(photo_key(number), b"sealed".to_vec()).await;
    }
    let named: Vec<_> = (0..PHOTOS).step_by(4).map(registration).collect();
    insert_all(&*store, &named).await;

    let seen = u64::from(PHOTOS);
    let removed = seen - named.len() as u64;
    // Far more than crashes leave: none goes unless somebody says so.
    for at_most in [None, Some(removed - 1)] {
        let swept = sweep_once(
            &*store,
            &tier.photos,
            Timestamp::MAX,
            Duration::ZERO,
            at_most,
        )
        .await;
        assert!(
            matches!(swept, Err(SweepError::TooMany { unnamed, seen: all }) if (unnamed, all) == (removed, seen)),
            "{swept:?}"
        );
        assert_eq!(tier.paths().await.len(), PHOTOS as usize);
    }
    let at_most = Some(removed);
    let swept = sweep_once(
        &*store,
        &tier.photos,
        Timestamp::MAX,
        Duration::ZERO,
        at_most,
    )
    .await;
    assert_eq!(swept.unwrap(), Swept { seen, removed });
    let mut kept: Vec<_> = (0..PHOTOS).step_by(4).map(photo_key).map(path).collect();
    kept.sort();
    assert_eq!(tier.paths().await, kept);
}
