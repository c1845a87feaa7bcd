//! A server that is unavailable at the start, goes, and comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use padron::store::{Inserted, Scope, Store, StoreError};

use super::{open, secantus, url};
use crate::support::{insert_all, or_hangs, read, reference, registration};

/// The timeout of a call, and a little more on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);

/// How soon the driver's server monitoring finds a server that is back.
const FOUND: Duration = Duration::from_secs(15);

/// Waits until the store answers.
pub(super) async fn comes_back(store: &dyn Store) {
    let begun = Instant::now();
    while let Err(error) = store.ping().await {
        assert!(begun.elapsed() < FOUND, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Awaits a call that must fail within the timeout.
pub(super) async fn fails<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> StoreError {
    let begun = Instant::now();
    let error = or_hangs(call).await.unwrap_err();
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    error
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB in PATH; .ci/run installs it"]
async fn a_store_may_be_opened_before_its_server_is_there() {
    let mut server = secantus();
    let store = or_hangs(open(&url(&server.address()))).await.unwrap();
    let one = registration(1);
    let calls = tokio::join!(fails(store.ping()), fails(store.insert(&one)));
    for error in <[_; 2]>::from(calls) {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    server.start();
    comes_back(&*store).await;
    assert_eq!(store.insert(&one).await.unwrap(), Inserted::New);
    // Its collections and indexes were created late, and are as they would have been.
    let other = padron::domain::registration::Registration {
        id: registration(2).id,
        ..one
    };
    let inserted = store.insert(&other).await.unwrap();
    assert!(matches!(inserted, Inserted::SameKey(_)), "{inserted:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB in PATH; .ci/run installs it"]
async fn a_server_that_was_killed_and_returns_has_what_was_acknowledged() {
    let mut server = secantus().started();
    let store = open(&url(&server.address())).await.unwrap();
    let people: Vec<_> = (0..200).map(registration).collect();
    insert_all(&*store, &people).await;
    server.kill();
    let late = registration(1_000);
    let (insert, find, rows) = tokio::join!(
        fails(store.insert(&late)),
        fails(store.find(reference(1))),
        async {
            or_hangs(store.rows(&Scope::default()))
                .await
                .err()
                .expect("it reads")
        },
    );
    assert!(
        matches!(
            insert,
            StoreError::Unavailable(_) | StoreError::Uncertain(_)
        ),
        "{insert}"
    );
    for error in [find, rows] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }
    server.start();
    comes_back(&*store).await;
    assert_eq!(store.insert(&late).await.unwrap(), Inserted::New);
    let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
    assert_eq!(rows.len(), people.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB in PATH; .ci/run installs it"]
async fn an_insert_outlasts_a_short_absence() {
    let mut server = secantus().started();
    let store = open(&url(&server.address())).await.unwrap();
    store.insert(&registration(1)).await.unwrap();
    server.kill();
    let inserts = (2..10).map(|number| {
        let store: Arc<dyn Store> = store.clone();
        tokio::spawn(async move { store.insert(&registration(number)).await })
    });
    let inserts: Vec<_> = inserts.collect();
    server.start();
    for insert in inserts {
        assert_eq!(insert.await.unwrap().unwrap(), Inserted::New);
    }
    assert_eq!(
        read(store.rows(&Scope::default()).await.unwrap())
            .await
            .len(),
        9
    );
}
