//! A database that is dropped, replaced or restored under a running server.

use mongodb::bson::{Document, doc};
use padron::store::{Inserted, Store, StoreError};
use uuid::Uuid;

use super::{
    Database,
    away::{comes_back, fails},
};
use crate::support::{KEYRING, claim_of, photo_key, reference, registration, time};

#[track_caller]
fn missed(error: &StoreError, because: &str) {
    assert!(error.to_string().contains(because), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn nothing_is_acknowledged_by_a_database_that_was_dropped() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    let claimed = store.claim(&claim_of(&KEYRING)).await.unwrap();
    let one = registration(1);
    store.insert(&one).await.unwrap();
    let driver = database.driver().await;
    let register = driver.collection::<Document>("register");
    let kept = register.find_one(doc! { "_id": "register" }).await.unwrap();

    // The very first write after it, before anything else has looked.
    driver.drop().await.unwrap();
    let error = fails(store.insert(&registration(2))).await;
    assert!(matches!(error, StoreError::Uncertain(_)), "{error:?}");
    missed(&error, "holds no register any more");
    driver.drop().await.unwrap();
    missed(&fails(store.insert(&registration(3))).await, "no register");
    missed(&fails(store.find(one.reference)).await, "no register");
    missed(&fails(store.unnamed(&[photo_key(1)])).await, "no register");
    missed(&fails(store.erase(one.reference)).await, "no register");
    missed(&fails(store.ping()).await, "no register");
    missed(&fails(store.totals()).await, "no register");
    let left = driver.list_collection_names().await.unwrap();
    assert!(left.is_empty(), "in the place of a restore: {left:?}");

    // It comes back with its indexes.
    register.insert_one(kept.unwrap()).await.unwrap();
    comes_back(&*store).await;
    assert_eq!(store.insert(&one).await.unwrap(), Inserted::New);
    let other = padron::domain::registration::Registration {
        id: registration(2).id,
        ..one
    };
    let inserted = store.insert(&other).await.unwrap();
    assert!(matches!(inserted, Inserted::SameKey(_)), "{inserted:?}");
    assert_eq!(store.register().await.unwrap().unwrap().id, claimed.id);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn a_read_of_a_database_that_was_dropped_finds_no_absence() {
    let calls: [fn(&dyn Store) -> futures::future::BoxFuture<'_, StoreError>; 5] = [
        |store| Box::pin(fails(store.find(reference(1)))),
        |store| Box::pin(fails(store.unnamed(std::slice::from_ref(&UNNAMED)))),
        |store| Box::pin(fails(store.totals())),
        |store| {
            Box::pin(async {
                store
                    .rows(&padron::store::Scope::default())
                    .await
                    .err()
                    .expect("it reads")
            })
        },
        |store| Box::pin(fails(store.session(&TAG, time(0)))),
    ];
    for call in calls {
        let database = Database::new();
        let store = database.open().await.unwrap();
        store.claim(&claim_of(&KEYRING)).await.unwrap();
        database.driver().await.drop().await.unwrap();
        let error = call(&*store).await;
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}

static UNNAMED: padron::domain::registration::PhotoKey =
    padron::domain::registration::PhotoKey(Uuid::nil());
static TAG: std::sync::LazyLock<padron::foundation::seal::Tag> =
    std::sync::LazyLock::new(|| KEYRING.fingerprint());

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn another_register_in_its_place_is_not_written_to() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    store.claim(&claim_of(&KEYRING)).await.unwrap();
    let driver = database.driver().await;
    driver.drop().await.unwrap();
    let other = database.open().await.unwrap();
    other.claim(&claim_of(&KEYRING)).await.unwrap();
    missed(&fails(store.ping()).await, "another register");
    missed(
        &fails(store.insert(&registration(1))).await,
        "another register",
    );
    assert_eq!(other.find(reference(1)).await.unwrap(), None);
    other.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn an_index_that_was_dropped_is_told_and_made_again() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    store.claim(&claim_of(&KEYRING)).await.unwrap();
    let registrations = database.registrations().await;
    let before = registrations.list_index_names().await.unwrap().len();
    for whole in [true, false] {
        if whole {
            registrations.drop().await.unwrap();
        } else {
            let index = "registrations_document_tag";
            registrations.drop_index(index).await.unwrap();
        }
        missed(&fails(store.ping()).await, "lack an index");
        store.ping().await.unwrap();
        let found = registrations.list_index_names().await.unwrap();
        assert_eq!(found.len(), before, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn an_erasure_that_fails_is_not_counted() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    store.claim(&claim_of(&KEYRING)).await.unwrap();
    let one = registration(1);
    store.insert(&one).await.unwrap();
    let driver = database.driver().await;
    let loosen = doc! { "collMod": "registrations", "validator": {} };
    driver.run_command(loosen).await.unwrap();
    let registrations = database.registrations().await;
    let right = registrations.find_one(doc! {}).await.unwrap().unwrap();
    let spoil = doc! { "$set": { "sealed": 7 } };
    registrations.update_one(doc! {}, spoil).await.unwrap();

    let error = store.erase(one.reference).await;
    assert!(matches!(error, Err(StoreError::Corrupt(_))), "{error:?}");
    assert_eq!(store.register().await.unwrap().unwrap().erased, 0);
    let left = registrations.find_one(doc! {}).await.unwrap();
    assert!(left.is_some(), "what failed is taken back");

    registrations.replace_one(doc! {}, right).await.unwrap();
    assert_eq!(store.erase(one.reference).await.unwrap(), Some(one));
    assert_eq!(store.register().await.unwrap().unwrap().erased, 1);
}
