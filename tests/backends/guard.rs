//! The guard before every store: every call is refused until the key file is known to be the store's own.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use padron::{
    domain::totals::Totals,
    foundation::seal::Keyring,
    store::{
        Admission, Boards, Expected, Guard, Inserted, Recall, Records, Scope, Session, Sessions,
        Snapshots, Store, StoreError,
    },
};
use testkit::{Call, FailingStore, Fault};

use uuid::Uuid;

use crate::{
    store::sqlite_file,
    support::{KEYRING, admission_of, claim_of, photo_key, read, reference, registration, time},
};

fn foreign<T>(answer: Result<T, StoreError>, call: &str) {
    let refused = matches!(answer.err(), Some(StoreError::ForeignKeys));
    assert!(refused, "{call} gets through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_sealed_with_another_key_file_answers_nothing_else() {
    let metrics = padron::foundation::telemetry::metrics().unwrap();
    let (store, _folder) = sqlite_file().await;
    let own = Guard::new(store.clone(), admission_of(&KEYRING));
    own.admit().await.unwrap();
    let one = registration(1);
    own.insert(&one).await.unwrap();
    let session = Session {
        tag: KEYRING.fingerprint(),
        actor: "admin".into(),
        expires_at: time(1_000),
    };
    own.add_session(&session, time(0)).await.unwrap();

    let keyring = Keyring::generate();
    let other = Guard::new(store.clone(), admission_of(&keyring));
    foreign(other.admit().await, "admit");
    foreign(other.register().await, "register");
    foreign(other.insert(&registration(2)).await, "insert");
    foreign(other.find(one.reference).await, "find");
    foreign(other.erase(one.reference).await, "erase");
    foreign(other.rows(&Scope::default()).await.map(drop), "rows");
    foreign(other.totals().await, "totals");
    foreign(other.unnamed(&[photo_key(7)]).await, "unnamed");
    foreign(other.board(0).await, "board");
    let totals = Totals {
        version: 1,
        cities: BTreeMap::new(),
        sequence: 7,
        as_of: time(7),
    };
    foreign(other.save_board(&totals).await, "save_board");
    foreign(other.add_session(&session, time(0)).await, "add_session");
    foreign(other.session(&session.tag, time(0)).await, "session");
    foreign(
        other.end_session(&session.tag, time(0)).await,
        "end_session",
    );
    foreign(other.claim(&claim_of(&keyring)).await, "claim");
    foreign(other.ping().await, "ping");

    // Told apart from a store that is damaged, of every call.
    let told = metrics.render();
    for operation in ["insert", "rows", "ping"] {
        let counted = |outcome| {
            told.contains(&format!(
                "padron_store_operation_duration_seconds_count{{operation=\"{operation}\",outcome=\"{outcome}\"}}"
            ))
        };
        assert!(counted("refused") && !counted("corrupt"), "{operation}");
    }

    // Nothing is changed, and whoever has the right keys is not disturbed.
    assert_eq!(
        read(own.rows(&Scope::default()).await.unwrap()).await.len(),
        1
    );
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
    let guard = Guard::new(late, admission_of(&KEYRING));
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
    let guard = Guard::new(away, admission_of(&KEYRING));
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

/// A guard over `store` with the keys of all records here, if it holds `register`.
fn expecting(store: &Arc<dyn Store>, register: Expected) -> Guard {
    let admission = Admission {
        register,
        ..admission_of(&KEYRING)
    };
    Guard::new(store.clone(), admission)
}

#[track_caller]
fn unusable<T>(answer: Result<T, StoreError>, because: &str) {
    let told = answer.err().expect("it gets through");
    assert!(matches!(&told, StoreError::Unusable(_)), "{told:?}");
    assert!(told.to_string().contains(because), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_is_not_taken_for_a_register_that_is_known() {
    let (store, _folder) = sqlite_file().await;
    let id = Uuid::from_u128(7);
    let lost = expecting(&store, Expected::This(id));
    unusable(lost.insert(&registration(1)).await, "it is empty");
    assert_eq!(store.register().await.unwrap(), None, "nothing is begun");

    let copied = expecting(&store, Expected::CopyOf(id));
    assert_eq!(copied.admit().await.unwrap().id, id);
    let whole = expecting(&store, Expected::This(id));
    assert_eq!(whole.admit().await.unwrap().id, id);
    for other in [Expected::This, Expected::CopyOf] {
        let other = expecting(&store, other(Uuid::from_u128(8)));
        unusable(other.admit().await, "another register");
    }
    let any = expecting(&store, Expected::Any);
    assert_eq!(any.admit().await.unwrap().id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_is_not_begun_before_it_is_known_that_none_was_lost() {
    let id = Uuid::from_u128(7);
    for answer in [Expected::Any, Expected::Existing, Expected::This(id)] {
        let (store, _folder) = sqlite_file().await;
        let mut away = 2;
        let asked = std::sync::Mutex::new(move || {
            away -= i32::from(away > 0);
            if away > 0 {
                return Err(StoreError::Unavailable("the photo store is away".into()));
            }
            Ok(answer)
        });
        let recall: Recall = Box::new(move || {
            let answer = (asked.lock().unwrap())();
            Box::pin(async move { answer })
        });
        let guard = expecting(&store, Expected::Unknown).recalling(recall);
        let early = guard.insert(&registration(1)).await;
        assert!(
            matches!(early, Err(StoreError::Unavailable(_))),
            "{early:?}"
        );
        assert_eq!(store.register().await.unwrap(), None, "nothing is begun");
        let later = guard.insert(&registration(1)).await;
        if answer == Expected::Any {
            assert_eq!(later.unwrap(), Inserted::New);
            // One that is there needs nobody to tell.
            let other = expecting(&store, Expected::Unknown);
            other.admit().await.unwrap();
            continue;
        }
        unusable(later, "it is empty");
        assert_eq!(store.register().await.unwrap(), None, "nothing is begun");
    }
    let (store, _folder) = sqlite_file().await;
    let nobody = expecting(&store, Expected::Unknown).admit().await;
    assert!(
        matches!(nobody, Err(StoreError::Unavailable(_))),
        "{nobody:?}"
    );
    assert_eq!(store.register().await.unwrap(), None, "nothing is begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_sealed_records_must_be_in_the_key_file() {
    let (store, folder) = sqlite_file().await;
    let file = folder.path().join("keys");
    KEYRING.create(&file).unwrap();
    let mut rotated = Keyring::read(&file).unwrap();
    let first = rotated.keys()[0];
    let newest = rotated.rotate();
    let begun = Guard::new(store.clone(), admission_of(&KEYRING));
    begun.admit().await.unwrap();
    let both = Guard::new(store.clone(), admission_of(&rotated));
    both.admit().await.unwrap();
    let mut known = store.register().await.unwrap().unwrap().keys;
    known.sort();
    let mut expected = vec![first, newest];
    expected.sort();
    assert_eq!(known, expected);
    for lacking in [first, newest] {
        let left = admission_of(&rotated).keys;
        let admission = Admission {
            keys: left.into_iter().filter(|key| *key != lacking).collect(),
            ..admission_of(&rotated)
        };
        let guard = Guard::new(store.clone(), admission);
        unusable(
            guard.admit().await,
            &format!("key {lacking}, which the key file lacks"),
        );
    }
}
