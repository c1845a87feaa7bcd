//! The markers by which a lost register is noticed.

use std::{path::PathBuf, sync::Arc};

use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use padron::{
    app::markers::{Markers, MarkersError},
    foundation::seal::Keyring,
    photos::Photos,
    store::Store,
};

use crate::{
    store::sqlite_file,
    support::{claim_of, registration},
};

/// A register with one person, its photo store, and its markers with the file at `file`.
async fn register(store: &dyn Store, file: Option<PathBuf>) -> (Arc<InMemory>, Markers) {
    let keyring = Arc::new(Keyring::generate());
    store.claim(&claim_of(&keyring)).await.unwrap();
    store.insert(&registration(1)).await.unwrap();
    let objects = Arc::new(InMemory::new());
    let photos = Photos::new(objects.clone() as Arc<dyn ObjectStore>, keyring.clone());
    (objects, Markers::new(file, photos, keyring))
}

#[tokio::test]
async fn a_photo_store_that_lost_its_marker_is_told_and_not_marked_anew() {
    let (store, _folder) = sqlite_file().await;
    let (objects, markers) = register(&*store, None).await;
    assert_eq!(markers.raise(&*store).await.unwrap(), 0);
    let marker = Path::from("register");
    objects.delete(&marker).await.unwrap();
    for _ in 0..2 {
        let raised = markers.raise(&*store).await;
        assert!(
            matches!(raised, Err(MarkersError::PhotosLost)),
            "{raised:?}"
        );
    }
    assert!(objects.get(&marker).await.is_err());
}

#[tokio::test]
async fn the_photos_are_marked_where_the_keys_lie_in_a_folder_that_cannot_be_written() {
    let (store, folder) = sqlite_file().await;
    let absent = folder.path().join("absent/register");
    let (_objects, markers) = register(&*store, Some(absent)).await;
    let raised = markers.raise(&*store).await;
    assert!(matches!(raised, Err(MarkersError::File(..))), "{raised:?}");
    assert_eq!(markers.read().await.unwrap().unwrap().registered, 1);
}
