//! Collections, indexes, and what an error tells.

use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
    error::{ErrorKind, WriteFailure},
    options::IndexOptions,
};
use padron::store::{Inserted, Scope, StoreError, StoreUrl};

use super::{Database, open};
use crate::support::{city, insert_all, of_city, or_hangs, read, registration};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn a_document_that_is_none_of_ours_is_refused() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    store.insert(&registration(1)).await.unwrap();
    let registrations = database.registrations().await;
    let right = registrations.find_one(doc! {}).await.unwrap().unwrap();
    registrations.delete_one(doc! {}).await.unwrap();

    let changed = |name: &str, value: Option<Bson>| {
        let mut document = right.clone();
        document.remove(name);
        document.extend(value.map(|value| (name.to_owned(), value)));
        document
    };
    let wrong = [
        changed("sealed", None),
        changed("sealed", Some("Ana".into())),
        changed("reference", Some("K7QM-3XPD".into())),
        changed("city", Some("1100a".into())),
        changed("registered_at", Some(1_i64.into())),
        changed("document_tag", Some(Bson::Null)),
        changed("photo", Some(doc! {}.into())),
    ];
    for document in wrong {
        let error = registrations.insert_one(&document).await.unwrap_err();
        assert!(
            matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(refused)) if refused.code == 121),
            "{document}: {error}"
        );
    }
    registrations.insert_one(right).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn opening_again_changes_nothing_but_mends_the_rules() {
    let database = Database::new();
    let first = database.open().await.unwrap();
    let one = registration(1);
    first.insert(&one).await.unwrap();
    let driver = database.driver().await;
    let loosen = doc! { "collMod": "registrations", "validator": {} };
    driver.run_command(loosen).await.unwrap();

    let second = database.open().await.unwrap();
    assert_eq!(second.find(one.reference).await.unwrap(), Some(one));
    let registrations = database.registrations().await;
    registrations.insert_one(doc! {}).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn an_index_of_other_options_stops_the_start_and_is_named() {
    let database = Database::new();
    let options = IndexOptions::builder()
        .name("registrations_reference".to_owned())
        .build();
    let index = IndexModel::builder()
        .keys(doc! { "reference": 1 })
        .options(options)
        .build();
    let registrations = database.registrations().await;
    registrations.create_index(index).await.unwrap();
    let error = database.open().await.err().expect("it opens").to_string();
    assert!(error.contains("index registrations_reference"), "{error}");
    assert!(error.contains("drop it"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn what_is_unreadable_is_told_by_its_field_alone() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    store.insert(&registration(1)).await.unwrap();
    let registrations = database.registrations().await;
    registrations
        .update_one(doc! {}, doc! { "$set": { "reference": "PLANTED0" } })
        .bypass_document_validation(true)
        .await
        .unwrap();
    let mut snapshot = store.rows(&Scope::default()).await.unwrap();
    let error = snapshot.blocks.recv().await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    let told = format!("{error} {error:?}");
    assert!(
        told.contains("reference") && !told.contains("PLANTED0"),
        "{told}"
    );
    assert!(snapshot.blocks.recv().await.is_none(), "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn an_error_shows_nothing_of_what_was_written() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    let driver = database.driver().await;
    let one = registration(1);
    let shown = |error: StoreError| {
        let told = format!("{error} {error:?}");
        assert!(!told.contains(one.reference.symbols()), "{told}");
        assert!(!told.contains(one.city.as_str()), "{told}");
        let unsaid = matches!(error, StoreError::Unavailable(_) | StoreError::Uncertain(_));
        assert!(unsaid, "{told}");
        told
    };

    // The server answers with the whole of a document that breaks its rules.
    let narrow = doc! { "collMod": "registrations", "validator": { "city": "99999" } };
    driver.run_command(narrow).await.unwrap();
    let told = shown(store.insert(&one).await.unwrap_err());
    assert!(told.contains("121"), "{told}");

    // And with the key that a unique index holds already.
    let loosen = doc! { "collMod": "registrations", "validator": {} };
    driver.run_command(loosen).await.unwrap();
    let options = IndexOptions::builder().unique(true).build();
    let index = IndexModel::builder()
        .keys(doc! { "city": 1 })
        .options(options)
        .build();
    let registrations = database.registrations().await;
    registrations.create_index(index).await.unwrap();
    assert_eq!(store.insert(&one).await.unwrap(), Inserted::New);
    let told = shown(or_hangs(store.insert(&registration(2))).await.unwrap_err());
    assert!(told.contains("11000"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_never_shows_its_password() {
    let url: StoreUrl = "mongodb://padron:planted@db/padron".parse().unwrap();
    assert!(!format!("{url:?}").contains("planted"));
    for wrong in [
        "mongodb://padron:pla?planted@db/padron",
        "mongodb://padron:planted",
        "mongodb://padron:planted@db/padron?noSuchOption=planted",
    ] {
        let Err(error) = open(wrong).await else {
            panic!("{wrong} is taken");
        };
        assert!(matches!(error, StoreError::Unusable(_)), "{wrong}");
        let told = format!("{error} {error:?}");
        assert!(told.contains("mongodb://USER:PASSWORD@"), "{told}");
        assert!(!told.contains("planted"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn commands_and_connections_are_measured() {
    let metrics = padron::foundation::telemetry::metrics().unwrap();
    let database = Database::new();
    let store = database.open().await.unwrap();
    insert_all(&*store, &[registration(1)]).await;
    read(store.rows(&of_city(city("11001"))).await.unwrap()).await;
    let told = metrics.render();
    for series in [
        "padron_mongodb_command_duration_seconds_count{command=\"insert\",outcome=\"ok\"}",
        "padron_mongodb_command_duration_seconds_count{command=\"aggregate\",outcome=\"ok\"}",
        "padron_mongodb_connections{state=\"open\"}",
        "padron_mongodb_connections{state=\"in_use\"}",
    ] {
        assert!(told.contains(series), "{series} is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn what_a_registration_lacks_is_left_out() {
    let database = Database::new();
    let store = database.open().await.unwrap();
    store.insert(&crate::support::plain(1)).await.unwrap();
    let registrations = database.registrations().await;
    let stored: Document = registrations.find_one(doc! {}).await.unwrap().unwrap();
    let mut fields: Vec<_> = stored.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "_id",
            "city",
            "content_tag",
            "reference",
            "registered_at",
            "sealed"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn a_database_of_a_newer_version_is_refused() {
    let database = Database::new();
    database.open().await.unwrap();
    let driver = database.driver().await;
    let versions = driver.collection::<Document>("register");
    let schema = doc! { "_id": "schema" };
    let known = versions.find_one(schema.clone()).await.unwrap().unwrap();
    assert_eq!(known.get_i64("version").unwrap(), 1);
    let newer = doc! { "$set": { "version": 99_i64 } };
    versions.update_one(schema, newer).await.unwrap();
    let refused = database.open().await.err().expect("it opens");
    assert!(matches!(refused, StoreError::Unusable(_)), "{refused:?}");
    assert!(refused.to_string().contains("version 99"), "{refused}");
}
