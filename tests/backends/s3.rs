//! What is an S3 server's own: buckets and keys that are wrong, a server that is unavailable, connections that break.

use std::{
    error::Error,
    fmt::Write as _,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{TryStreamExt as _, future::join_all};
use jiff::Timestamp;
use object_store::path::Path;
use padron::{
    domain::registration::{PhotoKey, StoredPhoto},
    foundation::seal::Keyring,
    photos::S3,
    photos::{Photos, PhotosError, PhotosUrl},
};
use serde_json::{Value, json};
use testkit::S3_KEY;
use uuid::Uuid;

use crate::{
    photos::{card, s3},
    programs::{Proxy, Server},
    support::or_hangs,
};

const OWNER: Uuid = Uuid::from_u128(7);

/// Secret key of a server of one test's own, which is not its access key.
const SECRET: &str = "secret-for-tests";

/// The timeout of a call with its retries, and a little more on a busy machine.
const DEADLINE: Duration = Duration::from_secs(17);

/// How soon a server that is back is found.
const FOUND: Duration = Duration::from_secs(5);

fn connect(server: &S3, bucket: &str) -> Photos {
    let url = PhotosUrl::S3 {
        bucket: bucket.into(),
        prefix: Path::from(Uuid::new_v4().to_string()),
    };
    Photos::connect(&url, server, Keyring::generate().into()).unwrap()
}

/// The server of [`versity`], or a proxy of it, at `address`.
fn at(address: &str) -> S3 {
    S3 {
        secret_key: Some(SECRET.into()),
        ..s3(&format!("http://{address}"))
    }
}

/// The server that `variable` names.
fn of_environment(variable: &str) -> S3 {
    let endpoint = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable}: set it to the address of an S3 server"));
    s3(&endpoint)
}

/// A Versity S3 Gateway of one test's own with a bucket `photos`, not started yet.
fn versity() -> Server {
    Server::stopped("versitygw", |port, folder| {
        std::fs::create_dir(format!("{folder}/photos")).unwrap();
        let port = format!("127.0.0.1:{port}");
        let arguments = [
            "--port", &port, "--access", S3_KEY, "--secret", SECRET, "posix", folder,
        ];
        arguments.map(str::to_owned).into()
    })
}

/// Awaits a call, which must come to an end within the timeout.
async fn in_time<T>(call: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let ended = or_hangs(call).await;
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    ended
}

async fn put(photos: &Photos) -> Result<StoredPhoto, PhotosError> {
    in_time(photos.put(OWNER, card())).await
}

async fn opens(photos: &Photos, stored: &StoredPhoto) {
    let opened = photos.open(OWNER, stored).await.unwrap();
    assert!(opened == card().bytes());
}

async fn comes_back(photos: &Photos) {
    let begun = Instant::now();
    while let Err(error) = photos.ping().await {
        assert!(begun.elapsed() < FOUND, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn assert_away(error: &PhotosError) {
    let away = matches!(error, PhotosError::Unavailable(_) | PhotosError::Late);
    assert!(away, "{error:?}");
}

async fn an_absent_bucket_is_away(server: &S3) {
    let photos = connect(server, "absent");
    assert_away(&photos.ping().await.unwrap_err());
    assert_away(&put(&photos).await.unwrap_err());
    connect(server, "photos").ping().await.unwrap();
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn versity_tells_that_a_bucket_is_not_there() {
    an_absent_bucket_is_away(&of_environment("PADRON_TEST_S3")).await;
}

#[tokio::test]
#[ignore = "needs moto_server; .ci/run starts one"]
async fn moto_tells_that_a_bucket_is_not_there() {
    an_absent_bucket_is_away(&of_environment("PADRON_TEST_MOTO")).await;
}

/// All that an error says, in its whole chain of sources.
fn told(error: &PhotosError) -> String {
    let mut told = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(told, " {error} {error:?}").unwrap();
        source = error.source();
    }
    told
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn a_wrong_secret_is_refused_and_not_told() {
    const WRONG: &str = "planted-secret-of-nobody";
    let server = S3 {
        secret_key: Some(WRONG.into()),
        ..of_environment("PADRON_TEST_S3")
    };
    assert!(!format!("{server:?}").contains(WRONG));
    let photos = connect(&server, "photos");
    let stored = StoredPhoto {
        key: PhotoKey(Uuid::nil()),
        ..in_memory_photo().await
    };
    let errors = [
        photos.put(OWNER, card()).await.unwrap_err(),
        photos.open(OWNER, &stored).await.unwrap_err(),
        photos.remove(stored.key).await.unwrap_err(),
        photos.ping().await.unwrap_err(),
        photos
            .put_before(Timestamp::MAX)
            .try_next()
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_away(&error);
        let told = told(&error);
        assert!(!told.contains(WRONG), "{told}");
    }
}

/// The record of a photo, of which it does not matter where it is.
async fn in_memory_photo() -> StoredPhoto {
    let (tier, ()) = crate::photos::in_memory().await;
    tier.put(OWNER).await
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn a_server_that_is_away_is_told_in_time_and_found_when_it_is_back() {
    let mut server = versity();
    let photos = connect(&at(&server.address()), "photos");
    assert_away(&in_time(photos.ping()).await.unwrap_err());
    assert_away(&put(&photos).await.unwrap_err());
    server.start();
    comes_back(&photos).await;
    let stored = put(&photos).await.unwrap();

    server.kill();
    assert_away(&put(&photos).await.unwrap_err());
    let opened = Box::pin(in_time(photos.open(OWNER, &stored))).await;
    assert_away(&opened.unwrap_err());
    assert_away(&in_time(photos.remove(stored.key)).await.unwrap_err());
    server.start();
    comes_back(&photos).await;
    opens(&photos, &stored).await;
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn a_put_outlasts_a_short_absence() {
    let mut server = versity().started();
    let photos = connect(&at(&server.address()), "photos");
    put(&photos).await.unwrap();
    server.kill();
    let back = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.start();
    };
    let (stored, ()) = tokio::join!(put(&photos), back);
    opens(&photos, &stored.unwrap()).await;
}

/// Puts amid network faults, and decrypts what was acknowledged once they are over.
async fn puts_amid(kind: &str, stream: &str, attributes: Value) -> usize {
    let server = versity().started();
    let proxy = Proxy::of(&server).await;
    let photos = connect(&at(proxy.address()), "photos");
    let mut kept = vec![put(&photos).await.unwrap()];
    proxy.spoil(kind, stream, attributes).await;
    let amid = join_all((0..8).map(|_| put(&photos))).await;
    let amid = amid.into_iter().filter_map(|stored| match stored {
        Ok(stored) => Some(stored),
        Err(error) => {
            assert_away(&error);
            None
        }
    });
    let amid: Vec<_> = amid.collect();
    let acknowledged = amid.len();
    kept.extend(amid);
    proxy.heal(kind, stream).await;
    comes_back(&photos).await;
    for stored in &kept {
        opens(&photos, stored).await;
    }
    acknowledged
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn puts_whose_connections_are_cut_are_whole_or_refused() {
    // Within the head of a request, within its body, and within the answer.
    for (stream, bytes) in [("upstream", 100), ("upstream", 20_000), ("downstream", 1)] {
        let cut = puts_amid("limit_data", stream, json!({ "bytes": bytes })).await;
        assert_eq!(cut, 0, "{stream} {bytes}: none can be acknowledged");
    }
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn puts_that_are_delayed_succeed_within_their_time_only() {
    assert_eq!(
        puts_amid("latency", "downstream", json!({ "latency": 500 })).await,
        8
    );
    assert_eq!(
        puts_amid("latency", "downstream", json!({ "latency": 20_000 })).await,
        0
    );
}

#[tokio::test]
#[ignore = "needs the Versity S3 Gateway; .ci/run starts one"]
async fn puts_into_a_connection_that_went_dumb_are_given_up() {
    for stream in ["upstream", "downstream"] {
        let dumb = puts_amid("timeout", stream, json!({ "timeout": 0 })).await;
        assert_eq!(dumb, 0, "{stream}");
    }
}

/// The first bytes that a server is sent whose address begins with `scheme`.
async fn first_bytes(scheme: &str) -> [u8; 12] {
    use tokio::io::AsyncReadExt as _;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let photos = connect(&s3(&format!("{scheme}://{address}")), "photos");
    let sent = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = [0; 12];
        stream.read_exact(&mut sent).await.unwrap();
        sent
    };
    tokio::select! {
        sent = sent => sent,
        asked = photos.ping() => panic!("{asked:?}"),
    }
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_unless_the_address_says_http() {
    const TLS_HANDSHAKE: u8 = 22;
    assert_eq!(&first_bytes("http").await, b"PUT /photos/");
    assert_eq!(first_bytes("https").await[0], TLS_HANDSHAKE);
}

/// Answers every request with an empty success, and keeps its head.
async fn record(listener: tokio::net::TcpListener, heads: Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
    loop {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let (mut head, mut length) = (String::new(), 0);
        while stream.read_line(&mut head).await.unwrap() > 2 {
            let line = head.lines().last().unwrap().to_lowercase();
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().unwrap();
            }
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        heads.lock().unwrap().push(head.to_lowercase());
        let answer =
            "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_asked_that_servers_differ_in() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::default());
    let recording = tokio::spawn(record(listener, heads.clone()));
    let photos = connect(&s3(&format!("http://{address}")), "photos");
    let stored = photos.put(OWNER, card()).await.unwrap();
    photos.remove(stored.key).await.unwrap();
    recording.abort();
    let heads = heads.lock().unwrap();
    let name = stored.key.0.to_string();
    let [put, delete] = &heads[..] else {
        panic!("{heads:?}");
    };
    for (head, method) in [(put, "put"), (delete, "delete")] {
        let line = head.lines().next().unwrap();
        assert!(line.starts_with(&format!("{method} /photos/")), "{line}");
        assert!(line.ends_with(&format!("/{name} http/1.1")), "{line}");
        for differs in ["if-none-match", "if-match", "x-amz-tagging", "x-amz-meta"] {
            assert!(!head.contains(differs), "{head}");
        }
    }
}
