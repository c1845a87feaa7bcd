//! Which register it is, and with which keys its records are sealed.

use std::sync::Arc;

use padron::{
    foundation::seal::Keyring,
    store::{Claim, Inserted, Store},
};
use uuid::Uuid;

use crate::support::{claim_of, race, reference, registration};

fn claim() -> Claim {
    claim_of(&Keyring::generate())
}

pub(super) async fn the_first_stays(store: Arc<dyn Store>) {
    assert_eq!(store.register().await.unwrap(), None);
    let first = claim();
    for other in [first, claim(), first, claim()] {
        let register = store.claim(&other).await.unwrap();
        assert_eq!((register.id, register.keyring), (first.id, first.keyring));
        assert_eq!(register.keys, [first.key]);
        assert_eq!(store.register().await.unwrap(), Some(register));
    }
}

pub(super) async fn every_sealing_key_of_the_register_is_remembered_once(store: Arc<dyn Store>) {
    let first = claim();
    let next = Claim {
        key: claim().key,
        ..first
    };
    for claim in [first, next, first, next] {
        store.claim(&claim).await.unwrap();
    }
    for anothers in [
        Claim {
            id: Uuid::new_v4(),
            key: claim().key,
            ..first
        },
        Claim {
            keyring: claim().keyring,
            key: claim().key,
            ..first
        },
    ] {
        store.claim(&anothers).await.unwrap();
    }
    let mut keys = store.register().await.unwrap().unwrap().keys;
    keys.sort();
    let mut expected = [first.key, next.key];
    expected.sort();
    assert_eq!(keys, expected);
}

pub(super) async fn a_race_has_one_answer(store: Arc<dyn Store>) {
    let claims: Vec<_> = (0..20).map(|_| claim()).collect();
    let answers = race(claims.iter().map(|&claim| {
        let store = store.clone();
        async move { store.claim(&claim).await.unwrap() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert!(claims.iter().any(|claim| claim.id == answers[0].id));
    let later = store.claim(&claim()).await.unwrap();
    assert_eq!(later, answers[0]);
}

pub(super) async fn erasures_are_counted_once(store: Arc<dyn Store>) {
    store.claim(&claim()).await.unwrap();
    let erased = async || store.register().await.unwrap().unwrap().erased;
    for number in 1..=3 {
        let stored = store.insert(&registration(number)).await.unwrap();
        assert_eq!(stored, Inserted::New);
    }
    assert_eq!(erased().await, 0);
    for (number, expected) in [(1, 1), (1, 1), (9, 1), (2, 2)] {
        store.erase(reference(number)).await.unwrap();
        assert_eq!(erased().await, expected);
    }
}
