//! What stands before every store: nothing gets through until the key file is known to be its own.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures::future::join_all;
use padron::{
    domain::totals::Totals,
    foundation::seal::Keyring,
    store::{Guard, Inserted, Session, Store, StoreError},
};
use testkit::{Call, FailingStore, Fault};

use crate::{
    store::sqlite_file,
    support::{KEYRING, photo_key, read, reference, registration, time},
};

fn foreign<T>(answer: Result<T, StoreError>, call: &str) {
    let refused = matches!(answer.err(), Some(StoreError::ForeignKeys));
    assert!(refused, "{call} gets through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_sealed_with_another_key_file_answers_nothing_else() {
    let (store, _folder) = sqlite_file().await;
    let own = Guard::new(store.clone(), KEYRING.fingerprint());
    own.admit().await.unwrap();
    let one = registration(1);
    own.insert(&one).await.unwrap();
    let session = Session {
        tag: KEYRING.fingerprint(),
        actor: "admin".into(),
        expires_at: time(1_000),
    };
    own.add_session(&session, time(0)).await.unwrap();

    let keyring = Keyring::generate().fingerprint();
    let other = Guard::new(store.clone(), keyring);
    foreign(other.admit().await, "admit");
    foreign(other.insert(&registration(2)).await, "insert");
    foreign(other.find(one.reference).await, "find");
    foreign(other.erase(one.reference).await, "erase");
    foreign(other.rows(None).await.map(drop), "rows");
    foreign(other.totals().await, "totals");
    foreign(other.unnamed(&[photo_key(7)]).await, "unnamed");
    foreign(other.board(0).await, "board");
    let totals = Totals {
        version: 1,
        cities: BTreeMap::new(),
        as_of: time(7),
    };
    foreign(other.save_board(&totals).await, "save_board");
    foreign(other.add_session(&session, time(0)).await, "add_session");
    foreign(other.session(&session.tag, time(0)).await, "session");
    foreign(
        other.end_session(&session.tag, time(0)).await,
        "end_session",
    );
    foreign(other.claim(&keyring).await, "claim");
    foreign(other.ping().await, "ping");

    // Nothing is changed, and whoever has the right keys is not disturbed.
    assert_eq!(read(own.rows(None).await.unwrap()).await.len(), 1);
    assert_eq!(own.board(0).await.unwrap(), None);
    let found = own.session(&session.tag, time(0)).await.unwrap();
    assert_eq!(found, Some(session));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_first_is_asked_again_before_anything_gets_through() {
    let (inner, _folder) = sqlite_file().await;
    let mut claims = 0;
    let late = FailingStore::over(inner.clone(), move |call| {
        claims += u32::from(matches!(call, Call::Claim));
        (claims <= 2).then_some(Fault::Away(Duration::ZERO))
    });
    let guard = Guard::new(late, KEYRING.fingerprint());
    let away = guard.admit().await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    let one = registration(1);
    let away = guard.insert(&one).await;
    assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
    assert_eq!(inner.find(reference(1)).await.unwrap(), None);
    assert_eq!(guard.insert(&one).await.unwrap(), Inserted::New);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_all_who_asked_before() {
    let (inner, _folder) = sqlite_file().await;
    let away = FailingStore::over(inner, |call| {
        matches!(call, Call::Claim).then_some(Fault::Away(Duration::from_secs(3)))
    });
    let guard = Guard::new(away, KEYRING.fingerprint());
    let begun = Instant::now();
    let calls = join_all((0..50).map(|_| guard.find(reference(1)))).await;
    assert!(
        calls
            .iter()
            .all(|call| matches!(call, Err(StoreError::Unavailable(_))))
    );
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "{:?}",
        begun.elapsed()
    );
}
