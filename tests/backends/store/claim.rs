//! Which key file the records are sealed with.

use std::sync::Arc;

use padron::{
    foundation::seal::{Keyring, Tag},
    store::Store,
};

use crate::support::race;

fn fingerprint() -> Tag {
    Keyring::generate().fingerprint()
}

pub(super) async fn the_first_stays(store: Arc<dyn Store>) {
    let first = fingerprint();
    for keyring in [first, fingerprint(), first, fingerprint()] {
        assert_eq!(store.claim(&keyring).await.unwrap(), first);
    }
}

pub(super) async fn a_race_has_one_answer(store: Arc<dyn Store>) {
    let keyrings: Vec<_> = (0..20).map(|_| fingerprint()).collect();
    let answers = race(keyrings.iter().map(|&keyring| {
        let store = store.clone();
        async move { store.claim(&keyring).await.unwrap() }
    }))
    .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert!(keyrings.contains(&answers[0]));
    let later = store.claim(&fingerprint()).await.unwrap();
    assert_eq!(later, answers[0]);
}
