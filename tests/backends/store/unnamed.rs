//! What the sweep asks: which photos no record names.

use std::{collections::HashSet, sync::Arc};

use padron::{domain::registration::PhotoKey, store::Store};

use crate::support::{insert_all, photo_key, plain, registration};

pub(super) async fn only_keys_that_no_record_names_are_given(store: Arc<dyn Store>) {
    assert_eq!(store.unnamed(&[]).await.unwrap(), []);
    let named: Vec<_> = (0..300).map(registration).collect();
    insert_all(&*store, &named).await;
    insert_all(&*store, &[plain(1_000)]).await;

    let keys: Vec<PhotoKey> = (0..600).rev().map(photo_key).collect();
    let given = store.unnamed(&keys).await.unwrap();
    assert_eq!(given.len(), 300, "none is given twice");
    let expected: HashSet<_> = (300..600).map(photo_key).collect();
    assert_eq!(given.into_iter().collect::<HashSet<_>>(), expected);

    assert_eq!(store.unnamed(&keys[300..]).await.unwrap(), []);
    // A record without a photo names none.
    let lone = photo_key(1_000);
    assert_eq!(store.unnamed(&[lone]).await.unwrap(), [lone]);
}
