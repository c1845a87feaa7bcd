//! *An anonymous client pays for what it costs*: denial of service by whoever is slow (slow loris), idle, large or
//! insistent takes nothing from others.
//!
//! Every address below 127.0.0.0/8 is one of this machine's: they stand for different clients of the rate limits.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use testkit::{CARD, Home, PATIENCE, Server, until};

const MIB: usize = 1024 * 1024;

/// What the process may take beside the memory budget of uploads.
const BESIDE: u64 = 128 * MIB as u64;

/// A connection from an address of one's own.
async fn connect(server: &Server, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(server.listen.parse().unwrap()).await
}

/// Sends it all and returns what is answered until the server closes the connection or a read times out.
async fn answer(mut stream: TcpStream, request: &[u8]) -> std::io::Result<String> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    // A keep-alive connection has no end.
    let closes = memchr::memmem::find(request, b"Connection: close").is_some();
    let patience = if closes {
        PATIENCE
    } else {
        Duration::from_secs(2)
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(Err(error)) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

async fn ask(server: &Server, from: u8, request: &[u8]) -> String {
    let stream = connect(server, [127, 0, 0, from]).await.unwrap();
    answer(stream, request).await.unwrap()
}

/// The start of a registration whose photo has as many bytes as it says, and comes to nothing.
fn upload(host: &str, photo: usize) -> Vec<u8> {
    let head = "--X\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a\"\r\n\r\n";
    let length = head.len() + photo;
    let request = format!(
        "POST /registrations HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=X\r\n\
         Content-Length: {length}\r\n\r\n{head}"
    );
    request.into_bytes()
}

/// A whole registration, from another address for each.
async fn register(server: &Server, person: u8) -> u16 {
    // The same form would be the same registration.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut body = Vec::new();
    let name = format!("Persona {}", NEXT.fetch_add(1, Ordering::Relaxed));
    for (field, value) in [
        ("name", name.as_bytes()),
        ("city", b"11001"),
        ("photo", CARD),
    ] {
        let file = if field == "photo" {
            "; filename=\"a.jpg\""
        } else {
            ""
        };
        let head = format!("--X\r\nContent-Disposition: form-data; name=\"{field}\"{file}\r\n\r\n");
        body.extend([head.as_bytes(), value, b"\r\n"].concat());
    }
    body.extend(b"--X--\r\n");
    let head = format!(
        "POST /registrations HTTP/1.1\r\nHost: {}\r\nContent-Type: multipart/form-data; boundary=X\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        server.listen,
        body.len()
    );
    let answering = async {
        let stream = connect(server, [127, 0, 9, person]).await?;
        answer(stream, &[head.as_bytes(), &body].concat()).await
    };
    match tokio::time::timeout(Duration::from_secs(20), answering).await {
        Ok(Ok(answer)) => status(&answer),
        _ => 0,
    }
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or(0)
}

/// Registers people one after the other; how many got in.
async fn honest(server: &Server, people: u8) -> Vec<u16> {
    let mut answers = Vec::new();
    for person in 1..=people {
        answers.push(register(server, person).await);
    }
    answers
}

/// Slow-loris connections: they stay open, and send another byte from time to time.
fn drip(streams: Vec<TcpStream>, pause: Duration) -> JoinSet<()> {
    let mut dripping = JoinSet::new();
    for mut stream in streams {
        dripping.spawn(async move {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        });
    }
    dripping
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_drip_keep_nobody_out() {
    let home = Home::new();
    let server = home.start_with(&[("PADRON_UPLOAD_MEMORY", "40")]).await;
    // From one address, and then from as many as there are uploads.
    for many in [0, 1] {
        // Large ones, and then smaller ones until nothing is left.
        let sizes = [3 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 10];
        let mut uploads = Vec::new();
        for number in 0..36_u8 {
            let from = [127, 0, 2 + many, 1 + many * number];
            let mut stream = connect(&server, from).await.unwrap();
            let mut start = upload(&server.listen, 9 * MIB);
            start.resize(start.len() + sizes[usize::from(number / 6)], b'x');
            // Some are shed at once, which is right.
            let _ = stream.write_all(&start).await;
            uploads.push(stream);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let dripping = drip(uploads, Duration::from_millis(500));
        // Whoever falls behind the minimum rate by a second makes room.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let answers = honest(&server, 20).await;
        assert!(
            answers.iter().all(|&status| status == 201),
            "{many}: {answers:?}"
        );
        drop(dripping);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_hold_on_keep_nobody_out() {
    let home = Home::new();
    // 150 connections, of which one address has 38.
    let server = home.start_under(300, &[]).await;
    let connected = connect(&server, [127, 0, 8, 1]).await.unwrap();
    let mut kept = Vec::new();
    for number in 0..400_u16 {
        let from = [127, 0, 3, u8::try_from(number % 10).unwrap() + 1];
        let Ok(mut stream) = connect(&server, from).await else {
            continue;
        };
        // A third is idle, a third sends half a head, a third drips a body (slow loris).
        let _ = match number % 3 {
            0 => Ok(()),
            1 => stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await,
            _ => stream.write_all(&upload(&server.listen, MIB)).await,
        };
        kept.push(stream);
    }
    let dripping = drip(kept, Duration::from_millis(500));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answers = honest(&server, 20).await;
    assert!(answers.iter().all(|&status| status == 201), "{answers:?}");
    drop((dripping, connected));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_take_no_file_from_store_and_photos() {
    let home = Home::new();
    let server = home.start_under(300, &[]).await;
    let mut idle = Vec::new();
    // More than the file-descriptor limit, from enough addresses that none has too many.
    for number in 0..600_u16 {
        let from = [127, 0, 4, u8::try_from(number % 100).unwrap() + 1];
        idle.extend(connect(&server, from).await);
        if number % 30 == 0 {
            let answers = honest(&server, 1).await;
            assert_eq!(answers, [201], "with {number} idle");
        }
    }
    assert!(idle.len() > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_least_rate_is_asked_of_bodies_and_whoever_is_too_slow_is_told() {
    let home = Home::new();
    let server = home.start().await;
    let sign_in = format!(
        "POST /staff/sign-in HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 100\r\n\r\ntoken=",
        server.listen
    );
    let head = format!("GET / HTTP/1.1\r\nHost: {}\r\n", server.listen);
    let slow = [
        upload(&server.listen, MIB),
        sign_in.into_bytes(),
        head.into_bytes(),
    ];
    let answers = slow.iter().map(async |begun| {
        let mut slow = connect(&server, [127, 0, 0, 2]).await.unwrap();
        slow.write_all(begun).await.unwrap();
        let mut answer = Vec::new();
        let reading = slow.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, reading)
            .await
            .unwrap()
            .unwrap();
        String::from_utf8(answer).unwrap()
    });
    for answer in join_all(answers).await {
        // On 408 a browser would send again by itself.
        assert_eq!(status(&answer), 422, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("\"type\":\"timeout\""), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_by_the_setting() {
    let home = Home::new();
    let settings = [("PADRON_UPLOAD_MEMORY", "64"), ("PADRON_POST_RATE", "0")];
    let server = home.start_with(&settings).await;
    // A picture of ten megabytes, as a phone makes it: a comment is what it is padded with.
    let photo = large_photo();
    for round in 0..3 {
        let posts = (0..40_u8).map(async |number| {
            let request = whole(&server, &format!("Ana {round} {number}"), &photo);
            let stream = connect(&server, [127, 0, 5, number + 1]).await.unwrap();
            status(&answer(stream, &request).await.unwrap_or_default())
        });
        let answers = join_all(posts).await;
        assert!(answers.contains(&201), "{answers:?}");
    }
    let bound = 64 * MIB as u64 + BESIDE;
    let after_uploads = server.peak_memory();
    println!("peak after uploads: {} MiB", after_uploads / MIB as u64);
    assert!(after_uploads <= bound, "{after_uploads}");

    // Sign-ins and heads that never end, of as many connections as there may be.
    let mut held = Vec::new();
    for number in 0..2000_u16 {
        let from = [127, 0, 6, u8::try_from(number % 8).unwrap() + 1];
        let Ok(mut stream) = connect(&server, from).await else {
            continue;
        };
        let start = if number % 2 == 0 {
            let start = format!("GET / HTTP/1.1\r\nHost: {}\r\nX: ", server.listen);
            let mut start = start.into_bytes();
            start.resize(15_000, b'a');
            start
        } else {
            let start = format!(
                "POST /staff/sign-in HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n20000\r\ntoken=",
                server.listen
            );
            let mut start = start.into_bytes();
            start.resize(start.len() + 100_000, b'a');
            start
        };
        let writing = stream.write_all(&start);
        let _ = tokio::time::timeout(Duration::from_secs(1), writing).await;
        held.push(stream);
    }
    let peak = server.peak_memory();
    println!("peak in the end: {} MiB", peak / MIB as u64);
    assert!(peak <= bound, "{peak}");
    server.stop().await;
}

/// A valid JPEG of nearly ten megabytes that stays as large when it is cleaned.
pub(crate) fn large_photo() -> Vec<u8> {
    let mut noise = fastrand::Rng::with_seed(7);
    let picture = image::RgbImage::from_fn(1900, 1900, |_, _| {
        image::Rgb([noise.u8(..), noise.u8(..), noise.u8(..)])
    });
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 96);
    picture.write_with_encoder(encoder).unwrap();
    assert!((8 * MIB..10 * MIB).contains(&jpeg.len()), "{}", jpeg.len());
    jpeg
}

fn whole(server: &Server, name: &str, photo: &[u8]) -> Vec<u8> {
    let part = |field: &str, file: &str| {
        format!("--X\r\nContent-Disposition: form-data; name=\"{field}\"{file}\r\n\r\n")
    };
    let body = [
        part("name", "").as_bytes(),
        name.as_bytes(),
        b"\r\n",
        part("city", "").as_bytes(),
        b"11001\r\n",
        part("photo", "; filename=\"a.jpg\"").as_bytes(),
        photo,
        b"\r\n--X--\r\n",
    ]
    .concat();
    let head = format!(
        "POST /registrations HTTP/1.1\r\nHost: {}\r\nContent-Type: multipart/form-data; boundary=X\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n",
        server.listen,
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_early_can_still_read_why() {
    let home = Home::new();
    let server = home.start().await;
    let body = vec![b'x'; 10 * MIB];
    for (path, headers, expected) in [
        (
            "/registrations",
            "Content-Type: multipart/form-data; boundary=X\r\nSec-Fetch-Site: cross-site",
            403,
        ),
        ("/registrations", "Content-Type: application/json", 415),
        (
            "/staff/sign-in",
            "Content-Type: application/x-www-form-urlencoded",
            413,
        ),
        ("/nowhere", "Content-Type: text/plain", 404),
    ] {
        let posts = (0..15_u8).map(async |number| {
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\nContent-Length: {}\r\n\r\n",
                server.listen,
                body.len()
            );
            // Everything is written before anything is read.
            let stream = connect(&server, [127, 0, 7, number + 1]).await.unwrap();
            answer(stream, &[head.as_bytes(), &body].concat()).await
        });
        for told in join_all(posts).await {
            let told = told.unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(status(&told), expected, "{told}");
            assert!(told.contains("connection: close"), "{told}");
            assert!(told.contains("\"request_id\":"), "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_like_one_and_logged() {
    let home = Home::new();
    let server = home.start().await;
    let long = "a".repeat(20_000);
    let host = "Host: a\r\n";
    for (request, expected) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        (
            format!("GET / HTTP/1.1\r\n{host}Bad Header: x\r\n\r\n"),
            400,
        ),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{host}X: {long}\r\n\r\n"), 431),
        (
            format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(200)),
            431,
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
            400,
        ),
        (
            format!(
                "POST /registrations HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
            ),
            501,
        ),
        (
            format!(
                "POST /registrations HTTP/1.1\r\n{host}Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"
            ),
            415,
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        (
            "GET / HTTP/1.0\r\nConnection: close\r\n\r\n".to_owned(),
            200,
        ),
    ] {
        let shown = &request[..request.len().min(80)];
        let told = ask(&server, 1, request.as_bytes()).await;
        assert_eq!(status(&told), expected, "{shown}: {told}");
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        for header in [
            "x-request-id: ",
            "x-served-by: ",
            "x-content-type-options: nosniff",
            "content-security-policy: ",
        ] {
            assert!(head.contains(header), "{shown}: no {header} in {head}");
        }
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("x-request-id: "))
            .unwrap();
        if expected != 200 {
            assert!(
                head.contains("content-type: application/problem+json"),
                "{head}"
            );
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                (&problem["status"], &problem["request_id"]),
                (&expected.into(), &id.into())
            );
        }
        until("its line in the log", async || {
            server
                .stdout()
                .lines()
                .any(|line| line.contains(id))
                .then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_is_limited_and_others_are_not() {
    let home = Home::new();
    let settings = [
        ("PADRON_POST_RATE", "3"),
        ("PADRON_TRUSTED_PROXIES", "127.0.7.0/24, 10.0.0.1"),
    ];
    let server = home.start_with(&settings).await;
    let sign_in = |forwarded: &str| {
        format!(
            "POST /staff/sign-in HTTP/1.1\r\nHost: a\r\n{forwarded}Content-Type: application/x-www-form-urlencoded\r\n\
             Connection: close\r\nContent-Length: 7\r\n\r\ntoken=x"
        )
    };
    let look =
        "GET /registrations/K7QM-3XPD HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned();
    let post =
        "POST /registrations HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            .to_owned();
    let [mut address, mut limited] = [1, 0];
    for (request, burst) in [(sign_in(""), 20), (look, 100), (post, 30)] {
        address += 1;
        let asks = (0..burst + 40).map(|_| ask(&server, address, request.as_bytes()));
        let answers = join_all(asks).await;
        let refused: Vec<_> = answers
            .iter()
            .filter(|answer| status(answer) == 429)
            .collect();
        // The token bucket refills while it is asked.
        assert!(
            (20..=40).contains(&refused.len()),
            "{} of {request}",
            refused.len()
        );
        assert!(
            refused[0].contains("\"type\":\"too-many\""),
            "{}",
            refused[0]
        );
        let wait = refused[0]
            .lines()
            .find_map(|line| line.strip_prefix("retry-after: "));
        assert!(wait.unwrap().parse::<u64>().unwrap() >= 1);
        assert_ne!(
            status(&ask(&server, 100, request.as_bytes()).await),
            429,
            "from elsewhere"
        );
        limited += 1;
    }
    assert_eq!(limited, 3);
    // `X-Forwarded-For` of a client counts for nothing; that of a trusted proxy counts.
    let forged = (0..40_u8).map(async |number| {
        let request = sign_in(&format!("X-Forwarded-For: 198.51.100.{number}\r\n"));
        status(&ask(&server, 50, request.as_bytes()).await)
    });
    assert!(join_all(forged).await.contains(&429));
    let forwarded = (0..40_u8).map(async |number| {
        let request = sign_in(&format!("X-Forwarded-For: 198.51.100.{number}\r\n"));
        let stream = connect(&server, [127, 0, 7, 1]).await.unwrap();
        status(&answer(stream, request.as_bytes()).await.unwrap())
    });
    assert!(!join_all(forwarded).await.contains(&429));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_a_request_causes_carries_its_id() {
    let home = Home::new();
    let server = home
        .start_with(&[("RUST_LOG", "warn,padron::audit=info")])
        .await;
    let registered = ask(&server, 1, &whole(&server, "Ana", CARD)).await;
    let body = registered.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let path = format!(
        "/registrations/{}/photo",
        body["reference"].as_str().unwrap()
    );
    let answer = server.get_as_staff(&path).send().await.unwrap();
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let line = until("the audit line", async || {
        let log = server.stdout();
        log.lines()
            .find(|line| line.contains("photo opened"))
            .map(str::to_owned)
    })
    .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["request_id"], id.as_str());
    assert_eq!(line["route"], "/registrations/{reference}/photo");
}
