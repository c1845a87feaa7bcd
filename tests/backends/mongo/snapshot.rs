//! What is asked of the server and `SecantusDB` does not heed: that a report reads one snapshot, that a write waits
//! for a majority (read and write concern).

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use mongodb::bson::doc;
use padron::{
    domain::totals::Totals,
    store::{Scope, Session, Store},
};

use super::{Database, open};
use crate::support::{KEYRING, claim_of, read, registration, time};

/// A recording proxy of `server`.
async fn recorded(server: String) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<u8>>> = Arc::default();
    let keeping = asked.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, keeping) = (TcpStream::connect(&server).await.unwrap(), keeping.clone());
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    keeping.lock().unwrap().extend(&buffer[..length]);
                    to_server.write_all(&buffer[..length]).await.unwrap();
                }
            });
        }
    });
    (port, asked)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn times(bytes: &[u8], word: &str) -> usize {
    let windows = bytes.windows(word.len());
    windows.filter(|window| *window == word.as_bytes()).count()
}

async fn recorded_store() -> (Arc<dyn Store>, Arc<Mutex<Vec<u8>>>, Database) {
    let database = Database::new();
    let (address, rest) = database.address_and_rest();
    let (port, asked) = recorded(address).await;
    let url = format!("mongodb://127.0.0.1:{port}{rest}&directConnection=true");
    (open(&url).await.unwrap(), asked, database)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn rows_are_asked_for_at_the_time_of_their_counts() {
    let (store, asked, _database) = recorded_store().await;
    store.insert(&registration(1)).await.unwrap();
    asked.lock().unwrap().clear();
    assert_eq!(
        read(store.rows(&Scope::default()).await.unwrap())
            .await
            .len(),
        1
    );
    let asked = asked.lock().unwrap().clone();
    assert_eq!(times(&asked, "snapshot"), 2, "the level of counts and rows");
    assert_eq!(times(&asked, "atClusterTime"), 1, "the moment of the rows");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn writes_wait_for_the_journals_of_a_majority_and_no_longer_than_they_may() {
    let (store, asked, _database) = recorded_store().await;
    let session = Session {
        tag: KEYRING.fingerprint(),
        actor: "admin".into(),
        expires_at: time(1_000),
    };
    let first = Totals::first(&store.totals().await.unwrap());
    let next = Totals {
        version: 2,
        ..first.clone()
    };
    let one = registration(1);
    let concern = doc! { "w": "majority", "wtimeout": 5_000, "j": true };
    let concern = concern.to_vec().unwrap();
    for call in [
        "insert",
        "claim",
        "first board",
        "next board",
        "add session",
        "end session",
        "erase",
    ] {
        asked.lock().unwrap().clear();
        match call {
            "insert" => drop(store.insert(&one).await.unwrap()),
            "claim" => drop(store.claim(&claim_of(&KEYRING)).await.unwrap()),
            "first board" => assert!(store.save_board(&first).await.unwrap()),
            "next board" => assert!(store.save_board(&next).await.unwrap()),
            "add session" => store.add_session(&session, time(0)).await.unwrap(),
            "end session" => drop(store.end_session(&session.tag, time(0)).await.unwrap()),
            _ => drop(store.erase(one.reference).await.unwrap()),
        }
        let asked = asked.lock().unwrap().clone();
        assert!(holds(&asked, &concern), "{call}");
    }
    asked.lock().unwrap().clear();
    store.find(one.reference).await.unwrap();
    let level = doc! { "level": "majority" }.to_vec().unwrap();
    let asked = asked.lock().unwrap().clone();
    assert!(holds(&asked, &level), "find");
}
