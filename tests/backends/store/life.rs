//! The health of the store, and its shutdown.

use std::sync::Arc;

use padron::{
    domain::totals::Totals,
    foundation::seal::Keyring,
    store::{Inserted, Scope, Session, Store, StoreError},
};

use crate::support::{KEYRING, claim_of, photo_key, race, reference, registration, time};

pub(super) async fn it_answers_a_ping(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
    store.insert(&registration(1)).await.unwrap();
    store.ping().await.unwrap();
}

pub(super) async fn after_its_end_every_call_fails(store: Arc<dyn Store>) {
    store.insert(&registration(1)).await.unwrap();
    let tag = Keyring::generate().fingerprint();
    let session = Session {
        tag,
        actor: "admin".into(),
        expires_at: time(1),
    };
    let totals = Totals::first(&store.totals().await.unwrap());
    store.close().await;

    let calls: [(&str, Option<StoreError>); 15] = [
        ("insert", store.insert(&registration(2)).await.err()),
        ("find", store.find(reference(1)).await.err()),
        ("erase", store.erase(reference(1)).await.err()),
        ("rows", store.rows(&Scope::default()).await.err()),
        ("totals", store.totals().await.err()),
        ("recent", store.recent(time(0)).await.err()),
        ("unnamed", store.unnamed(&[photo_key(1)]).await.err()),
        ("board", store.board(0).await.err()),
        ("save_board", store.save_board(&totals).await.err()),
        (
            "add_session",
            store.add_session(&session, time(0)).await.err(),
        ),
        ("session", store.session(&tag, time(0)).await.err()),
        ("end_session", store.end_session(&tag, time(0)).await.err()),
        ("register", store.register().await.err()),
        ("claim", store.claim(&claim_of(&KEYRING)).await.err()),
        ("ping", store.ping().await.err()),
    ];
    let answered = calls.iter().filter(|(_, error)| error.is_none());
    let answered: Vec<_> = answered.map(|(call, _)| *call).collect();
    assert!(answered.is_empty(), "{answered:?} still answered");
}

pub(super) async fn its_end_amid_writes_leaves_nobody_waiting(store: Arc<dyn Store>) {
    let answers = race((0..100).map(|number| {
        let store = store.clone();
        async move {
            if number == 50 {
                store.close().await;
                return None;
            }
            Some(store.insert(&registration(number)).await)
        }
    }))
    .await;
    for answer in answers.into_iter().flatten() {
        // Stored, or refused as a whole: a store that is closing is not one that forgets.
        assert!(
            matches!(answer, Ok(Inserted::New) | Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }
}
