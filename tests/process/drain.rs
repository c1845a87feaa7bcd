//! The drain of a graceful shutdown: a registration whose client has gone is finished before the process closes its
//! tiers.
//!
//! [`padron::serve`] itself is called, as `main` calls it, because fifty processes would take minutes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    response::IntoResponse as _,
};
use bytes::Bytes;
use futures::future::join_all;
use padron::{
    Listeners,
    server::{config::Config, shutdown::Shutdown, tiers::Tiers},
};
use testkit::Form;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

const RUNS: usize = 50;

/// How long the photo server takes for a photo: longer than everything else of a run together.
const SLOW: Duration = Duration::from_millis(1500);

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_whose_client_has_gone_is_finished() {
    let runs = join_all((0..RUNS).map(|_| tokio::spawn(kept_by_the_drain()))).await;
    let kept = runs.into_iter().filter(|kept| *kept.as_ref().unwrap());
    assert_eq!(kept.count(), RUNS);
}

/// Whether a server kept the registration of a client that sent it, hung up, and saw no answer.
async fn kept_by_the_drain() -> bool {
    let folder = tempfile::tempdir().unwrap();
    let putting = Arc::new(Notify::new());
    let s3 = slow_s3(putting.clone()).await;
    let config = config(folder.path(), &s3);
    let listeners = Listeners::bind(&config).await.unwrap();
    let address = listeners.public.local_addr().unwrap();
    let shutdown = Shutdown::new(Duration::from_secs(30));
    let serving = tokio::spawn(padron::serve(config.clone(), listeners, shutdown.clone()));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&registration()).await.unwrap();
    putting.notified().await;
    drop(client);
    // Long enough for the server to see the disconnect: no connection is open when the drain begins.
    tokio::time::sleep(Duration::from_millis(100)).await;
    shutdown.token.cancel();
    serving.await.unwrap().unwrap();

    let tiers = Tiers::open(&config).await.unwrap();
    let totals = tiers.store.totals().await.unwrap();
    tiers.store.close().await;
    totals.counts.values().sum::<u64>() == 1
}

fn config(folder: &std::path::Path, s3: &str) -> Config {
    let folder = folder.display();
    testkit::config([
        "--listen=127.0.0.1:0".to_owned(),
        "--ops-listen=127.0.0.1:0".to_owned(),
        format!("--store=sqlite:{folder}/padron.db"),
        format!("--keys-file={folder}/keys"),
        "--photos=s3://photos".to_owned(),
        format!("--s3-endpoint={s3}"),
        "--s3-access-key=padron".to_owned(),
        "--s3-secret-key=padron".to_owned(),
    ])
}

/// A slow S3 server: it takes its time for photos, and tells when one has begun to arrive.
async fn slow_s3(putting: Arc<Notify>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let objects = Arc::new(Mutex::new(HashMap::<String, Bytes>::new()));
    let answer = async move |method: Method, uri: Uri, body: Bytes| {
        let path = uri.path().to_owned();
        if method == Method::PUT {
            if path.starts_with("/photos/photos/") {
                putting.notify_one();
                tokio::time::sleep(SLOW).await;
            }
            objects.lock().unwrap().insert(path, body);
            return ([("etag", "\"1\"")], Bytes::new()).into_response();
        }
        if uri.query().is_some_and(|query| query.contains("list-type")) {
            let none = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
            return none.into_response();
        }
        match objects.lock().unwrap().get(&path) {
            Some(object) => ([("etag", "\"1\"")], object.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(padron::server::listen(
        listener,
        router,
        CancellationToken::new(),
    ));
    format!("http://{address}")
}

/// A whole request.
fn registration() -> Vec<u8> {
    let body = Form::whole().body();
    let mut request = format!(
        "POST /registrations HTTP/1.1\r\nHost: padron\r\nContent-Type: {}\r\n\
         Content-Length: {}\r\n\r\n",
        Form::CONTENT_TYPE,
        body.len()
    )
    .into_bytes();
    request.extend(body);
    request
}
