//! Graceful shutdown: requests in flight are finished, nothing acknowledged is lost, and a second signal ends it at
//! once.

use futures::{StreamExt as _, future::join};
use reqwest::{Response, StatusCode};
use testkit::{Form, Home, Server, random, until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use crate::{
    crowd::{Crowd, POSTERS, is_reported, is_served},
    report,
};

/// Enough people that their report fits into no socket's buffers.
const MANY: u64 = 60_000;

/// Exit status of a process that a second signal ended.
const INTERRUPTED: i32 = 130;

#[tokio::test(flavor = "multi_thread")]
async fn posts_under_way_are_answered_or_can_be_sent_again() {
    let home = Home::new();
    let mut random = random();
    let crowd = Crowd::default();
    for _ in 0..5 {
        let mut server = home.start().await;
        let before_the_end = random.u64(..10);
        crowd.grow(before_the_end + 3 * POSTERS as u64);
        let end = async {
            crowd.acknowledges(before_the_end).await;
            server.terminate();
        };
        join(crowd.post_together(&server), end).await;
        assert_eq!(server.ended().await.code(), Some(0));
        let clients = crowd.clients.lock().unwrap();
        assert!(
            !clients.waiting.is_empty(),
            "the signal came after the last post"
        );
    }
    let server = home.start().await;
    crowd.post_together(&server).await;
    let clients = std::mem::take(&mut *crowd.clients.lock().unwrap());
    assert_eq!(clients.kept.len(), clients.born as usize);
    is_served(&server, &clients.kept).await;
    is_reported(&server, &clients.kept).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_under_way_is_finished_unless_the_signal_is_repeated() {
    let home = Home::new();
    let seeded = home.run(&["seed", "--count", &MANY.to_string(), "--no-photos"]);
    assert!(seeded.status.success(), "{seeded:?}");

    let mut server = home.start().await;
    assert_eq!(health(&home, &server), Some(0));
    let report = begun_report(&server).await;
    server.terminate();
    drains(&server).await;
    assert_eq!(health(&home, &server), Some(1));
    // The client has read nothing meanwhile: backpressure keeps the report from being finished.
    assert!(!server.stdout().contains("report finished"));
    let report = report::workbook(report.bytes().await.unwrap().to_vec());
    assert_eq!(report.total, MANY);
    assert_eq!(report.lines.len() as u64, MANY);
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(server.stdout().contains("report finished"));
    assert_eq!(health(&home, &server), Some(1));

    let mut server = home.start().await;
    let mut report = begun_report(&server).await.bytes_stream();
    server.terminate();
    drains(&server).await;
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(INTERRUPTED));
    assert!(!server.stdout().contains("report finished"));
    let cut = async {
        while report.next().await.transpose()?.is_some() {}
        reqwest::Result::Ok(())
    };
    assert!(cut.await.is_err(), "a cut report must not look whole");
}

/// A report of which the client has read no more than the head.
async fn begun_report(server: &Server) -> Response {
    let report = server.get_as_staff("/report.xlsx").send().await.unwrap();
    assert_eq!(report.status(), StatusCode::OK);
    report
}

/// Waits until a load balancer would send no more requests here.
async fn drains(server: &Server) {
    until("the drain", async || {
        match server.get("/readyz").send().await {
            Ok(answer) if answer.status() == StatusCode::OK => None,
            Ok(answer) => {
                assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
                Some(())
            }
            Err(_) => Some(()),
        }
    })
    .await;
}

fn health(home: &Home, server: &Server) -> Option<i32> {
    home.run(&["healthcheck", "--listen", &server.listen])
        .status
        .code()
}

#[tokio::test]
async fn requests_that_never_come_to_an_end_do_not_hold_up_the_end() {
    use std::io::Write as _;
    let home = Home::new();
    let mut server = home.start_with(&[("PADRON_DRAIN_SECONDS", "1")]).await;
    let half_sent = [&server.listen, &server.ops_listen].map(|address| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .write_all(b"POST /registrations HTTP/1.1\r\nhost: x\r\n")
            .unwrap();
        stream
    });
    server.terminate();
    let begun = std::time::Instant::now();
    assert_eq!(server.ended().await.code(), Some(0));
    // The timeout of a head is 30 s.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
    drop(half_sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_read_slowly_is_sent_whole() {
    let home = Home::new();
    let mut server = home.start().await;
    let form = Form::whole()
        .without("photo")
        .file("photo", "a.jpg", &crate::cost::large_photo());
    let answer = server.post_form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let registered: serde_json::Value = answer.json().await.unwrap();
    let reference = registered["reference"].as_str().unwrap();

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut reader = socket
        .connect(server.listen.parse().unwrap())
        .await
        .unwrap();
    let head = format!(
        "GET /registrations/{reference}/photo HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        server.listen,
        server.admin_token()
    );
    reader.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    reader.read_exact(&mut answer).await.unwrap();
    // Handed over long ago, and most of it in no socket yet.
    server.terminate();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    reader.read_to_end(&mut answer).await.unwrap();
    assert_eq!(server.ended().await.code(), Some(0));

    let at = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.unwrap().parse().unwrap();
    assert!(length > 8 << 20);
    assert_eq!(answer.len() - at - 4, length);
}
