//! The chart from the cache beside a bare handler that returns the same bytes.
//!
//! The bare handler is axum alone: no cache to ask, no `ETag`, no middleware, no log line, no metrics. Over loopback
//! the servers have one thread and the clients another, so that on two cores neither takes from the other; the second
//! table calls the routers without a socket, which shows what padron adds to a request and nothing else.
//!
//! - `PADRON_BENCH_CLIENTS`: keep-alive connections, default `16`
//! - `PADRON_BENCH_SECONDS`: length of each measurement, default `1`
//! - `PADRON_BENCH_ROUNDS`: default 3; all figures are medians

mod common;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use padron::{
    http, http::state::AppState, server, server::shutdown::Shutdown, server::tiers::Tiers,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use common::People;

/// Registrations behind the chart, and the cities that they are in: more than have a bar.
const PEOPLE: u32 = 1_000;
const CITIES: usize = 200;

/// The two servers; the first is the baseline.
const WAYS: [&str; 2] = ["bare axum handler", "padron /chart.png"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    common::as_in_production()?;
    let seconds = common::setting("PADRON_BENCH_SECONDS", "1")?;
    let length = Duration::from_secs_f64(seconds.first().copied().context("PADRON_BENCH_SECONDS")?);
    let rounds = common::rounds()?;
    let folder = common::folder()?;
    let app = app(folder.path()).await?;

    let padron = http::router(app);
    let started = Instant::now();
    let chart = call(&padron).await?;
    println!(
        "{} bytes of PNG, drawn and sent at the first request in {:.1} ms",
        chart.len(),
        1e3 * started.elapsed().as_secs_f64()
    );
    let routers = [bare(chart.clone()), padron];

    for clients in common::setting("PADRON_BENCH_CLIENTS", "16")? {
        loopback(&routers, clients, chart.len(), length, rounds).await?;
    }
    within(&routers, length, rounds).await
}

async fn app(folder: &std::path::Path) -> anyhow::Result<std::sync::Arc<AppState>> {
    let config = common::config(folder);
    let shutdown = Shutdown::new(Duration::from_secs(30));
    let tiers = Tiers::open(&config).await?;
    let cities = tiers.cities.iter().map(|city| city.code).take(CITIES);
    People::new(&tiers.keyring, cities)
        .fill(&*tiers.store, PEOPLE)
        .await?;
    server::state(&config, tiers, &shutdown)
}

fn bare(chart: Bytes) -> Router {
    let answer = async move || ([(header::CONTENT_TYPE, "image/png")], chart.clone());
    Router::new().route("/chart.png", get(answer))
}

/// Requests a second of each router behind a socket.
async fn loopback(
    routers: &[Router; 2],
    clients: usize,
    bytes: usize,
    length: Duration,
    rounds: usize,
) -> anyhow::Result<()> {
    let mut addresses = Vec::new();
    for router in routers {
        addresses.push(serve(router.clone())?);
    }
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (address, rates) in addresses.iter().zip(&mut rates) {
            rates.push(ask(*address, clients, bytes, length).await?);
        }
    }
    let title =
        format!("GET over loopback, {clients} keep-alive connections, medians of {rounds} rounds");
    print(&title, "requests/s", &rates, |rate| format!("{rate:.0}"));
    Ok(())
}

/// Serves on a free port, on a thread of its own, until the process ends.
fn serve(router: Router) -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _runtime = runtime.enter();
        TcpListener::from_std(listener)?
    };
    std::thread::spawn(move || {
        runtime.block_on(server::listen(listener, router, CancellationToken::new()));
    });
    Ok(address)
}

/// The load generator: requests on `clients` keep-alive connections; returns answers a second.
async fn ask(
    address: SocketAddr,
    clients: usize,
    bytes: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        connections.push(sender);
    }
    let host = address.to_string();
    let started = Instant::now();
    let asking = connections.into_iter().map(async |mut sender| {
        let mut answers: u32 = 0;
        while started.elapsed() < length {
            sender.ready().await?;
            let request = Request::get("/chart.png").header(header::HOST, &host);
            let answer = sender
                .send_request(request.body(Empty::<Bytes>::new())?)
                .await?;
            anyhow::ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
            anyhow::ensure!(length_of(answer.into_body()).await? == bytes, "a cut chart");
            answers += 1;
        }
        Ok(answers)
    });
    let answers: u32 = futures::future::try_join_all(asking).await?.iter().sum();
    Ok(f64::from(answers) / started.elapsed().as_secs_f64())
}

/// Counts a body without joining its chunks.
async fn length_of(mut body: hyper::body::Incoming) -> anyhow::Result<usize> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(length)
}

/// Requests a second of each router without a socket.
async fn within(routers: &[Router; 2], length: Duration, rounds: usize) -> anyhow::Result<()> {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (router, rates) in routers.iter().zip(&mut rates) {
            let started = Instant::now();
            let mut answers: u32 = 0;
            while started.elapsed() < length {
                std::hint::black_box(call(router).await?);
                answers += 1;
            }
            rates.push(f64::from(answers) / started.elapsed().as_secs_f64());
        }
    }
    let title = format!("GET within the process, one after the other, medians of {rounds} rounds");
    print(&title, "µs/request", &rates, |rate| {
        format!("{:.2}", 1e6 / rate)
    });
    Ok(())
}

async fn call(router: &Router) -> anyhow::Result<Bytes> {
    let request = Request::get("/chart.png").body(Body::empty())?;
    let answer = router.clone().oneshot(request).await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    Ok(answer.into_body().collect().await?.to_bytes())
}

fn print(title: &str, unit: &str, rates: &[Vec<f64>; 2], shown: fn(f64) -> String) {
    let lines: Vec<_> = WAYS
        .iter()
        .zip(rates)
        .map(|(way, of_way)| {
            vec![
                (*way).to_owned(),
                shown(common::median(of_way.iter().copied())),
                common::ratio(of_way, &rates[0]),
            ]
        })
        .collect();
    common::table(title, &["server", unit, "rate ×"], &lines);
}
