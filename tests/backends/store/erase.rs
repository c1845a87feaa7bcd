//! Erasing a registration.

use std::sync::Arc;

use padron::store::{Inserted, Scope, Store};

use crate::support::{race, reference, registration};

pub(super) async fn what_is_erased_is_gone_and_its_tags_are_free(store: Arc<dyn Store>) {
    let (first, second) = (registration(1), registration(2));
    store.insert(&first).await.unwrap();
    store.insert(&second).await.unwrap();
    assert_eq!(
        store.erase(first.reference).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(store.erase(first.reference).await.unwrap(), None);
    assert_eq!(store.find(first.reference).await.unwrap(), None);
    assert_eq!(store.find(second.reference).await.unwrap(), Some(second));
    assert_eq!(
        store.totals().await.unwrap().counts.values().sum::<u64>(),
        1
    );
    let snapshot = store.rows(&Scope::default()).await.unwrap();
    assert_eq!(snapshot.counts.values().sum::<u64>(), 1);
    assert_eq!(store.insert(&first).await.unwrap(), Inserted::New);
}

pub(super) async fn a_race_of_erasures_has_one_winner(store: Arc<dyn Store>) {
    store.insert(&registration(1)).await.unwrap();
    let contenders = (0..20).map(|_| {
        let store = store.clone();
        async move { store.erase(reference(1)).await.unwrap() }
    });
    let erased = race(contenders).await;
    assert_eq!(erased.iter().flatten().count(), 1);
}
