//! Registrations per city.

use std::{collections::BTreeMap, sync::Arc};

use padron::{
    domain::registration::Registration,
    store::{Scope, Store},
};

use crate::support::{city, insert_all, race, registration};

pub(super) async fn they_are_what_rows_count_and_grow(store: Arc<dyn Store>) {
    assert_eq!(store.totals().await.unwrap().counts, BTreeMap::new());
    let mut expected = BTreeMap::new();
    for (number, code) in (0..).zip(["11001", "05001", "11001", "76001", "11001"]) {
        let one = Registration {
            city: city(code),
            ..registration(number)
        };
        insert_all(&*store, std::slice::from_ref(&one)).await;
        *expected.entry(one.city).or_default() += 1;
        assert_eq!(store.totals().await.unwrap().counts, expected);
        assert_eq!(
            store.rows(&Scope::default()).await.unwrap().counts,
            expected
        );
    }
}

pub(super) async fn every_racing_insert_is_counted_once(store: Arc<dyn Store>) {
    race((0..200).map(|number| {
        let store = store.clone();
        let code = ["11001", "05001"][usize::from(number % 4 == 0)];
        let one = Registration {
            city: city(code),
            ..registration(number)
        };
        async move { store.insert(&one).await.unwrap() }
    }))
    .await;
    let expected = [(city("05001"), 50), (city("11001"), 150)].into();
    assert_eq!(store.totals().await.unwrap().counts, expected);
}

pub(super) async fn their_sequence_grows_with_every_change(store: Arc<dyn Store>) {
    let sequence = async || {
        let counted = store.totals().await.unwrap().sequence;
        let snapshot = store.rows(&Scope::default()).await.unwrap().sequence;
        assert!(snapshot >= counted);
        snapshot
    };
    let mut known = sequence().await;
    for number in 0..5 {
        insert_all(&*store, &[registration(number)]).await;
        let next = sequence().await;
        assert!(next > known, "{next} after {known}");
        known = next;
    }
    store.erase(registration(3).reference).await.unwrap();
    let next = sequence().await;
    assert!(next > known, "{next} after {known}");
}
