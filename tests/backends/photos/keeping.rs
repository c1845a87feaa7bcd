//! Removing, listing, answering.

use jiff::Timestamp;
use object_store::{ObjectStoreExt as _, path::Path};
use padron::{domain::registration::StoredPhoto, photos::PhotosError};
use uuid::Uuid;

use super::{Tier, path, small};

const OWNER: Uuid = Uuid::from_u128(7);

async fn assert_missing(tier: &Tier, stored: &StoredPhoto) {
    let opened = tier.photos.open(OWNER, stored).await;
    assert!(
        matches!(&opened, Err(PhotosError::Missing(key)) if *key == stored.key.0),
        "{:?}",
        opened.map(|bytes| bytes.len())
    );
}

pub(super) async fn a_removed_one_is_missing(tier: Tier) {
    let (one, other) = (tier.put(OWNER).await, tier.put(OWNER).await);
    // A second time, it is removed already.
    for _ in 0..2 {
        tier.photos.remove(one.key).await.unwrap();
        assert_missing(&tier, &one).await;
    }
    assert_eq!(tier.paths().await, [path(other.key)]);
    let left = tier.photos.open(OWNER, &other).await.unwrap();
    assert_eq!(left, small().bytes());
}

pub(super) async fn an_empty_store_answers(tier: Tier) {
    tier.photos.ping().await.unwrap();
    assert_eq!(tier.before(Timestamp::MAX).await, []);
    let stored = tier.put(OWNER).await;
    tier.photos.ping().await.unwrap();
    tier.photos.remove(stored.key).await.unwrap();
    tier.photos.ping().await.unwrap();
    assert_eq!(tier.before(Timestamp::MAX).await, []);
}

pub(super) async fn only_what_was_put_before_is_listed(tier: Tier) {
    let old = tier.put(OWNER).await;
    let old_at = tier.put_at(old.key).await;
    let young = tier.put_after(old_at, OWNER).await;
    let young_at = tier.put_at(young.key).await;

    assert_eq!(tier.before(old_at).await, [], "at that time is not before");
    assert_eq!(tier.before(young_at).await, [old.key]);
    let mut both = [old.key, young.key];
    both.sort_by_key(|key| key.0);
    assert_eq!(tier.before(Timestamp::MAX).await, both);
}

pub(super) async fn foreign_objects_are_not_listed(tier: Tier) {
    let ours = tier.put(OWNER).await;
    let key = Uuid::from_u128(0xfeed_beef);
    for foreign in [
        "photos/readme.txt".to_owned(),
        "photos/00/readme.txt".to_owned(),
        format!("photos/00/{key}.jpg"),
        format!("photos/2026/{key}"),
        format!("photos/{key}"),
        format!("photos/01/{key}"),
        format!("photos/00/00/{key}"),
        format!("photos/00/{}", key.simple()),
        format!("photos/00/{}", key.to_string().to_uppercase()),
        format!("photos-{key}"),
        format!("other/{key}"),
        key.to_string(),
    ] {
        let place = Path::from(foreign.as_str());
        tier.objects.put(&place, "theirs".into()).await.unwrap();
        let listed = tier.before(Timestamp::MAX).await;
        assert_eq!(listed, [ours.key], "{foreign} is not a photo's name");
    }
}
