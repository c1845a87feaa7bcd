//! Encryption of photos: what is put comes back byte for byte to its owner, and shows nothing to anybody else.

use std::{collections::HashSet, sync::Arc};

use padron::{
    domain::photo::{Photo, clean},
    domain::registration::{PhotoKey, StoredPhoto},
    foundation::seal::{Keyring, OpenError, TagOf},
    photos::{Photos, PhotosError},
};
use uuid::Uuid;

use super::{Tier, card, path, small};

const OWNER: Uuid = Uuid::from_u128(7);

/// A run of bytes as long as this is not met by chance.
const WINDOW: usize = 16;

fn palette() -> Photo {
    clean(include_bytes!(
        "../../../fixtures/photo/sent/96-trns-bad-crc-palette.png"
    ))
    .unwrap()
}

/// Fails unless the photo is refused as damaged.
async fn assert_damaged(tier: &Tier, stored: &StoredPhoto, what: &str) {
    let opened = tier.photos.open(OWNER, stored).await;
    assert!(
        matches!(&opened, Err(PhotosError::Sealed(key, OpenError::Damaged)) if *key == stored.key.0),
        "{what}: {:?}",
        opened.map(|bytes| bytes.len())
    );
}

pub(super) async fn what_was_put_opens_byte_for_byte(tier: Tier) {
    for make in [card, palette, small] {
        let photo = make();
        let stored = tier.photos.put(OWNER, make()).await.unwrap();
        assert_eq!(stored.media_type, photo.media_type());
        assert_eq!(stored.bytes, photo.bytes().len() as u64);
        assert_eq!(
            (stored.width, stored.height),
            (photo.width(), photo.height())
        );
        let digest = tier.keyring.tag(TagOf::Photo, &[photo.bytes()]);
        assert_eq!(stored.digest, digest);
        let opened = tier.photos.open(OWNER, &stored).await.unwrap();
        assert!(opened == photo.bytes(), "{}", stored.media_type);
    }
}

pub(super) async fn one_photo_put_twice_is_two_photos(tier: Tier) {
    let (one, other) = (tier.put(OWNER).await, tier.put(OWNER).await);
    assert_ne!(one.key, other.key);
    assert_ne!(one.wrapped_key, other.wrapped_key);
    assert_ne!(tier.object(one.key).await, tier.object(other.key).await);
    for stored in [one, other] {
        let opened = tier.photos.open(OWNER, &stored).await.unwrap();
        assert_eq!(opened, small().bytes());
    }
}

pub(super) async fn another_owner_cannot_open_it(tier: Tier) {
    let stored = tier.put(Uuid::from_u128(8)).await;
    assert_damaged(&tier, &stored, "another's").await;
}

pub(super) async fn swapped_objects_do_not_open(tier: Tier) {
    // Of one owner and of one size: only the name tells them apart.
    let (one, other) = (tier.put(OWNER).await, tier.put(OWNER).await);
    let objects = (tier.object(one.key).await, tier.object(other.key).await);
    tier.lay(one.key, objects.1).await;
    tier.lay(other.key, objects.0).await;
    assert_damaged(&tier, &one, "the other's object").await;
    assert_damaged(&tier, &other, "the one's object").await;
}

pub(super) async fn a_moved_object_does_not_open(tier: Tier) {
    let stored = tier.put(OWNER).await;
    let moved = StoredPhoto {
        key: PhotoKey(Uuid::from_u128(9)),
        ..stored.clone()
    };
    tier.lay(moved.key, tier.object(stored.key).await).await;
    assert_damaged(&tier, &moved, "under a name that its record was changed to").await;
}

pub(super) async fn a_record_that_names_anothers_object_does_not_open_it(tier: Tier) {
    let (mine, anothers) = (tier.put(OWNER).await, tier.put(Uuid::from_u128(8)).await);
    let key = StoredPhoto {
        key: anothers.key,
        ..mine.clone()
    };
    assert_damaged(&tier, &key, "its key").await;
    assert_damaged(&tier, &anothers, "its key and its wrapped key").await;
    let wrapped = StoredPhoto {
        wrapped_key: anothers.wrapped_key,
        ..mine
    };
    assert_damaged(&tier, &wrapped, "its wrapped key").await;
}

pub(super) async fn a_changed_object_does_not_open(tier: Tier) {
    let stored = tier.put(OWNER).await;
    let object = tier.object(stored.key).await;
    let mut other = object.clone();
    other[0] = 99;
    tier.lay(stored.key, other).await;
    let opened = tier.photos.open(OWNER, &stored).await;
    assert!(matches!(
        opened,
        Err(PhotosError::Sealed(_, OpenError::Format(99)))
    ));
    for index in 1..object.len() {
        let mut changed = object.clone();
        changed[index] ^= 1 << (index % 8);
        tier.lay(stored.key, changed).await;
        assert_damaged(&tier, &stored, &format!("a flipped bit of byte {index}")).await;
    }
    tier.lay(stored.key, object).await;
    tier.photos.open(OWNER, &stored).await.unwrap();
}

pub(super) async fn a_cut_or_longer_object_does_not_open(tier: Tier) {
    let stored = tier.put(OWNER).await;
    let object = tier.object(stored.key).await;
    for length in 0..object.len() {
        tier.lay(stored.key, object[..length].to_vec()).await;
        assert_damaged(&tier, &stored, &format!("cut to {length} bytes")).await;
    }
    tier.lay(stored.key, [object.as_slice(), b"\0"].concat())
        .await;
    assert_damaged(&tier, &stored, "a byte longer").await;
}

pub(super) async fn what_lies_there_shows_nothing_of_the_photo(tier: Tier) {
    let photo = card();
    let known: HashSet<&[u8]> = photo.bytes().windows(WINDOW).collect();
    let shown = |object: &[u8]| object.windows(WINDOW).any(|window| known.contains(window));

    let stored = tier.photos.put(OWNER, card()).await.unwrap();
    assert_eq!(tier.paths().await, [path(stored.key)], "nothing beside it");
    let object = tier.object(stored.key).await;
    assert!(object.len() > photo.bytes().len(), "it is there, whole");
    assert!(!shown(&object));
    assert!(
        !object
            .windows(WINDOW)
            .any(|window| window == OWNER.as_bytes())
    );

    // The search would have found a single window of it.
    let middle = photo.bytes().len() / 2;
    let leak = [&object, &photo.bytes()[middle..middle + WINDOW], &object].concat();
    assert!(shown(&leak));
}

pub(super) async fn old_photos_open_after_the_keys_were_rotated(tier: Tier) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    tier.keyring.create(&file).unwrap();
    let mut rotated = Keyring::read(&file).unwrap();
    let newest = rotated.rotate();
    let after = Photos::new(tier.objects.clone(), Arc::new(rotated));

    let old = tier.put(OWNER).await;
    let opened = after.open(OWNER, &old).await.unwrap();
    assert_eq!(opened, small().bytes());

    let new = after.put(OWNER, card()).await.unwrap();
    let opened = after.open(OWNER, &new).await.unwrap();
    assert!(opened == card().bytes());
    let refused = tier.photos.open(OWNER, &new).await;
    assert!(
        matches!(refused, Err(PhotosError::Sealed(_, OpenError::MissingKey(key))) if key == newest)
    );
}

pub(super) async fn a_missing_key_is_named(tier: Tier) {
    let stored = tier.put(OWNER).await;
    let stranger = Photos::new(tier.objects.clone(), Arc::new(Keyring::generate()));
    let error = stranger.open(OWNER, &stored).await.unwrap_err();
    let key = stored.wrapped_key.key().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "photo {} cannot be opened: sealed with key {key}, which the key file does not hold",
            stored.key.0
        )
    );
}
