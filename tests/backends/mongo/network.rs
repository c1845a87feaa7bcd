//! Network faults: connections that break, stall (half-open), or lose an answer.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use padron::{
    domain::registration::Registration,
    store::{Inserted, Scope, Store, StoreError},
};
use serde_json::json;

use super::{
    away::{comes_back, fails},
    open, secantus, url,
};
use crate::{
    programs::{Proxy, Server},
    support::{insert_all, or_hangs, read, reference, registration},
};

async fn behind_a_proxy() -> (Arc<dyn Store>, Proxy, Server) {
    let server = secantus().started();
    let proxy = Proxy::of(&server).await;
    let store = open(&url(proxy.address())).await.unwrap();
    store.insert(&registration(0)).await.unwrap();
    (store, proxy, server)
}

/// As a client that follows the retry rule: what is uncertain is retried, idempotently, until it is certain.
async fn insert_until_certain(store: &dyn Store, one: &Registration) {
    loop {
        match store.insert(one).await {
            Ok(inserted) => return assert_eq!(inserted, Inserted::New),
            Err(StoreError::Unavailable(_) | StoreError::Uncertain(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB and Toxiproxy in PATH; .ci/run installs them"]
async fn connections_that_went_dumb_hold_nobody_and_are_given_up() {
    let (store, proxy, _server) = behind_a_proxy().await;
    let people: Vec<_> = (1..100).map(registration).collect();
    insert_all(&*store, &people).await;

    proxy
        .spoil("timeout", "downstream", json!({ "timeout": 0 }))
        .await;
    let late: Vec<_> = (1_000..1_100).map(registration).collect();
    let inserts = join_all(late.iter().map(|one| fails(store.insert(one))));
    let finds = join_all((0..300).map(|_| fails(store.find(reference(1)))));
    let (inserts, finds) = tokio::join!(inserts, finds);
    for error in &inserts {
        let told = matches!(error, StoreError::Unavailable(_) | StoreError::Uncertain(_));
        assert!(told, "{error}");
    }
    for error in finds {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    }

    proxy.heal("timeout", "downstream").await;
    comes_back(&*store).await;
    let found = join_all((0..100).map(|_| store.find(reference(1)))).await;
    assert!(found.iter().all(|found| matches!(found, Ok(Some(_)))));
    for (one, error) in late.iter().zip(inserts) {
        // The requests went through, only the answers were lost. Who is told that nothing was stored
        // removes the photo.
        if matches!(error, StoreError::Unavailable(_)) {
            assert_eq!(store.find(one.reference).await.unwrap(), None);
        }
        insert_until_certain(&*store, one).await;
    }
    let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
    assert_eq!(rows.len(), 1 + people.len() + late.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB and Toxiproxy in PATH; .ci/run installs them"]
async fn an_insert_whose_answer_is_lost_is_stored_once() {
    let (store, proxy, _server) = behind_a_proxy().await;
    for number in 1..=10 {
        let one = registration(number);
        // The request goes through, and the connection ends with the first byte of the answer.
        proxy
            .spoil("limit_data", "downstream", json!({ "bytes": 1 }))
            .await;
        let heal = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            proxy.heal("limit_data", "downstream").await;
        };
        tokio::join!(insert_until_certain(&*store, &one), heal);
    }
    assert_eq!(
        read(store.rows(&Scope::default()).await.unwrap())
            .await
            .len(),
        11
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB and Toxiproxy in PATH; .ci/run installs them"]
async fn connections_cut_amid_inserts_lose_and_double_nothing() {
    const WRITERS: u32 = 8;
    const EACH: u32 = 25;
    let (store, proxy, _server) = behind_a_proxy().await;
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                insert_until_certain(&*store, &registration(1 + writer * EACH + number)).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy
            .spoil("reset_peer", "downstream", json!({ "timeout": 0 }))
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.heal("reset_peer", "downstream").await;
    }
    for writer in or_hangs(join_all(writers)).await {
        writer.unwrap();
    }
    let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
    assert_eq!(rows.len(), 1 + (WRITERS * EACH) as usize);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SecantusDB and Toxiproxy in PATH; .ci/run installs them"]
async fn a_report_whose_connection_breaks_is_told_once() {
    let (store, proxy, _server) = behind_a_proxy().await;
    let people: Vec<_> = (1..8_000).map(registration).collect();
    insert_all(&*store, &people).await;
    let mut snapshot = store.rows(&Scope::default()).await.unwrap();
    snapshot.blocks.recv().await.unwrap().unwrap();
    proxy
        .spoil("reset_peer", "downstream", json!({ "timeout": 0 }))
        .await;
    let mut failures = 0;
    while let Some(block) = or_hangs(snapshot.blocks.recv()).await {
        failures += usize::from(block.is_err());
    }
    assert_eq!(failures, 1);
}
