//! That a report is read of one moment: what is asked of the server, because `SecantusDB` does not heed it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Database, open};
use crate::support::{read, registration};

/// A way to `server` that keeps what is asked.
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

fn times(bytes: &[u8], word: &str) -> usize {
    let windows = bytes.windows(word.len());
    windows.filter(|window| *window == word.as_bytes()).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB server; .ci/run starts one"]
async fn rows_are_asked_for_at_the_time_of_their_counts() {
    let database = Database::new();
    let (address, rest) = database.address_and_rest();
    let (port, asked) = recorded(address).await;
    let store = open(&format!(
        "mongodb://127.0.0.1:{port}{rest}&directConnection=true"
    ))
    .await
    .unwrap();
    store.insert(&registration(1)).await.unwrap();
    asked.lock().unwrap().clear();
    assert_eq!(read(store.rows(None).await.unwrap()).await.len(), 1);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(times(&asked, "snapshot"), 2, "the level of counts and rows");
    assert_eq!(times(&asked, "atClusterTime"), 1, "the moment of the rows");
}
