//! Photos in a bucket whose name is the first part of the server's host name (virtual-hosted style).
//!
//! No such name can be resolved here, so that the program asks through a proxy, as `HTTP_PROXY` says.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
};

use reqwest::StatusCode;
use testkit::{Form, Home, S3_KEY, until};

const BY_HOST: [(&str, &str); 5] = [
    ("PADRON_PHOTOS", "s3://photos"),
    ("PADRON_S3_ENDPOINT", "http://s3.example"),
    ("PADRON_S3_STYLE", "host"),
    ("PADRON_S3_ACCESS_KEY", S3_KEY),
    ("PADRON_S3_SECRET_KEY", S3_KEY),
];

#[tokio::test]
async fn the_bucket_is_asked_for_in_the_name_of_the_host() {
    let home = Home::new();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut variables = BY_HOST.to_vec();
    variables.push(("HTTP_PROXY", &address));
    let server = home.spawn(&variables);
    let stream = until("a request", async || proxy.accept().ok()).await.0;
    let request = head(stream);
    let mut lines = request.lines();
    let target = lines.next().unwrap();
    assert!(
        target.starts_with("GET http://photos.s3.example/register "),
        "{request}"
    );
    assert!(
        lines.any(|line| line == "host: photos.s3.example"),
        "{request}"
    );
    drop(server);
}

/// The head of a request.
fn head(mut stream: TcpStream) -> String {
    stream.set_nonblocking(false).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
#[ignore = "needs moto_server; .ci/run starts one"]
async fn a_server_that_goes_by_the_name_of_the_host_keeps_photos() {
    let moto = std::env::var("PADRON_TEST_MOTO")
        .expect("PADRON_TEST_MOTO: set it to the address of a moto server");
    let home = Home::new();
    let mut variables = BY_HOST.to_vec();
    variables.push(("HTTP_PROXY", &moto));
    let server = home.start_with(&variables).await;
    let answer = server.post_form(&Form::whole()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let photo = format!("{}/photo", answer.headers()["location"].to_str().unwrap());
    assert!(!server.fetch(&photo).await.is_empty());
    server.stop().await;
}
