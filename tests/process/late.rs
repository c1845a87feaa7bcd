//! A photo store that answers late: what it knows of a register is waited for before one is begun.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::StatusCode;
use rusqlite::Connection;
use testkit::{Home, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A test double of an S3 server: silent until it is given a list of objects, then it has those, takes whatever is put
/// and has nothing else.
struct Late {
    address: String,
    list: Arc<Mutex<Option<&'static str>>>,
}

const NOTHING: &str = "";
const A_PHOTO: &str = "<Contents><Key>photos/00/00000000-0000-4000-8000-000000000000</Key>\
    <LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>\"1\"</ETag><Size>1</Size></Contents>";

impl Late {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let list = Arc::<Mutex<Option<&str>>>::default();
        tokio::spawn({
            let list = list.clone();
            async move {
                while let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(answer(connection, list.clone()));
                }
            }
        });
        Self { address, list }
    }

    fn answer_with(&self, list: &'static str) {
        *self.list.lock().unwrap() = Some(list);
    }
}

async fn answer(mut connection: TcpStream, list: Arc<Mutex<Option<&'static str>>>) {
    let mut reader = BufReader::new(&mut connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let Ok(byte) = reader.read_u8().await else {
            return;
        };
        head.push(byte.into());
    }
    let length = head.to_ascii_lowercase();
    let length = length.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).await.unwrap();
    let list = loop {
        let list = *list.lock().unwrap();
        match list {
            Some(list) => break list,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let (status, body) = match head.split(' ').take(2).collect::<Vec<_>>()[..] {
        ["PUT", _] => ("200 OK", String::new()),
        [_, path] if path.contains("list-type=2") => (
            "200 OK",
            format!("<ListBucketResult><IsTruncated>false</IsTruncated>{list}</ListBucketResult>"),
        ),
        _ => (
            "404 Not Found",
            "<Error><Code>NoSuchKey</Code></Error>".to_owned(),
        ),
    };
    let length = body.len();
    let told = format!(
        "HTTP/1.1 {status}\r\netag: \"1\"\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    // Whoever asked may have gone.
    let _ = connection.write_all(told.as_bytes()).await;
}

fn registers(home: &Home) -> i64 {
    let database = Connection::open(home.path("data/padron.db")).unwrap();
    let count = "SELECT count(*) FROM register";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_register_is_begun_before_the_photo_store_says_that_none_was_lost() {
    for list in [NOTHING, A_PHOTO] {
        let late = Late::start().await;
        let home = Home::new();
        let endpoint = format!("http://{}", late.address);
        let server = home
            .start_without_tiers(&[
                ("PADRON_PHOTOS", "s3://photos"),
                ("PADRON_S3_ENDPOINT", &endpoint),
                ("PADRON_S3_ACCESS_KEY", "padron"),
                ("PADRON_S3_SECRET_KEY", "padron"),
            ])
            .await;
        let ready = async || server.get("/readyz").send().await.unwrap().status();
        assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(registers(&home), 0, "nothing is begun");
        late.answer_with(list);
        if list == NOTHING {
            until("readiness", async || {
                (ready().await == StatusCode::OK).then_some(())
            })
            .await;
            assert_eq!(registers(&home), 1);
        } else {
            until("the reason", async || {
                let said = server.stderr() + &server.stdout();
                said.contains("photos of a register are here").then_some(())
            })
            .await;
            assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(registers(&home), 0, "nothing is begun");
        }
    }
}
