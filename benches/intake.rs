//! Throughput of durable registrations: group commit beside one commit for each row.
//!
//! The first table posts a form with a photo of 200 KB to a server in this process, over loopback; there making each
//! photo durable weighs as much as the commit of its row. The second calls the store alone, with records encrypted by
//! the caller, which is what the commits themselves cost. Both ways are measured turn by turn, each in a folder of its
//! own on the disk of the build. The server and its clients share the machine's cores.
//!
//! - `PADRON_BENCH_CLIENTS`: clients that post, default `1,16,64`
//! - `PADRON_BENCH_WRITERS`: tasks that insert, default `1,64,256`
//! - `PADRON_BENCH_SECONDS`: length of each measurement, default `1`
//! - `PADRON_BENCH_ROUNDS`: default 3; rates and percentiles are medians

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use image::{ImageFormat, RgbImage};
use padron::{
    foundation::seal::{Keyring, random},
    http, server,
    server::shutdown::Shutdown,
    server::tiers::Tiers,
    store::{self, StoreUrl},
};
use reqwest::{
    Client, StatusCode,
    multipart::{Form, Part},
};
use tokio::net::TcpListener;
use uuid::Uuid;

use common::People;

const PHOTO_BYTES: usize = 200_000;

/// Records in each store before its first measurement: an empty one has no pages to look for.
const WARM_UP: u32 = 500;

/// The two ways to commit; the first is the baseline.
const WAYS: [&str; 2] = ["one commit per row", "group commit"];

/// What the clients of one measurement saw.
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    common::as_in_production()?;
    let seconds = common::setting("PADRON_BENCH_SECONDS", "1")?;
    let length = Duration::from_secs_f64(seconds.first().copied().context("PADRON_BENCH_SECONDS")?);
    let rounds = common::rounds()?;
    posts(length, rounds).await?;
    inserts(length, rounds).await
}

async fn posts(length: Duration, rounds: usize) -> anyhow::Result<()> {
    let clients: Vec<usize> = common::setting("PADRON_BENCH_CLIENTS", "1,16,64")?;
    let (alone, grouped) = (common::folder()?, common::folder()?);
    let ways = [
        server(alone.path(), false).await?,
        server(grouped.path(), true).await?,
    ];
    let photo = photo()?;
    let client = testkit::client();
    let mut seen: BTreeMap<(usize, usize), Vec<Measured>> = BTreeMap::new();
    for _ in 0..rounds {
        for &clients in &clients {
            for (way, url) in ways.iter().enumerate() {
                let one = measure(clients, length, async || post(&client, url, &photo).await);
                seen.entry((clients, way)).or_default().push(one.await?);
            }
        }
    }
    let title = format!("POST /registrations with a photo of {} bytes", photo.len());
    print(&title, "clients", rounds, &seen);
    Ok(())
}

async fn inserts(length: Duration, rounds: usize) -> anyhow::Result<()> {
    let writers: Vec<usize> = common::setting("PADRON_BENCH_WRITERS", "1,64,256")?;
    let (alone, grouped) = (common::folder()?, common::folder()?);
    let ways = [
        store::connect_without_group_commit(alone.path().join("padron.db")).await?,
        store::connect(&StoreUrl::Sqlite(grouped.path().join("padron.db"))).await?,
    ];
    let keyring = Keyring::generate();
    let cities = padron::domain::city::Cities::embedded()?;
    let people = People::new(&keyring, cities.iter().map(|city| city.code));
    for store in &ways {
        people.fill(&**store, WARM_UP).await?;
    }
    let mut seen: BTreeMap<(usize, usize), Vec<Measured>> = BTreeMap::new();
    for _ in 0..rounds {
        for &writers in &writers {
            for (way, store) in ways.iter().enumerate() {
                let insert = async || people.insert(&**store).await;
                let one = measure(writers, length, insert).await?;
                seen.entry((writers, way)).or_default().push(one);
            }
        }
    }
    print("Store::insert of sealed records", "writers", rounds, &seen);
    for store in ways {
        store.close().await;
    }
    Ok(())
}

/// Repeats `act`, `tasks` of them concurrently, until `length` is over.
async fn measure<A>(tasks: usize, length: Duration, act: A) -> anyhow::Result<Measured>
where
    A: AsyncFn() -> anyhow::Result<()>,
{
    let started = Instant::now();
    let acting = (0..tasks).map(async |_| {
        let mut latencies = Vec::new();
        while started.elapsed() < length {
            let begun = Instant::now();
            act().await?;
            latencies.push(begun.elapsed().as_secs_f64());
        }
        anyhow::Ok(latencies)
    });
    let latencies = futures::future::try_join_all(acting).await?;
    let elapsed = started.elapsed().as_secs_f64();
    let mut latencies = latencies.concat();
    latencies.sort_by(f64::total_cmp);
    let at = |percent: usize| 1e3 * latencies[(latencies.len() - 1) * percent / 100];
    Ok(Measured {
        rate: f64::from(u32::try_from(latencies.len())?) / elapsed,
        p50: at(50),
        p99: at(99),
    })
}

fn print(title: &str, who: &str, rounds: usize, seen: &BTreeMap<(usize, usize), Vec<Measured>>) {
    let rates = |key| -> Vec<f64> { seen[&key].iter().map(|one: &Measured| one.rate).collect() };
    let middle = |all: &[Measured], of: fn(&Measured) -> f64| common::median(all.iter().map(of));
    let lines: Vec<_> = seen
        .iter()
        .map(|(&(tasks, way), all)| {
            vec![
                tasks.to_string(),
                WAYS[way].to_owned(),
                format!("{:.0}", middle(all, |one| one.rate)),
                common::ratio(&rates((tasks, way)), &rates((tasks, 0))),
                format!("{:.2}", middle(all, |one| one.p50)),
                format!("{:.2}", middle(all, |one| one.p99)),
            ]
        })
        .collect();
    let title = format!(
        "{title}, medians of {rounds} rounds; × is against {}",
        WAYS[0]
    );
    common::table(
        &title,
        &[who, "commits", "per s", "×", "p50 ms", "p99 ms"],
        &lines,
    );
}

/// Serves from tiers in `folder` on a free port until the process ends; returns where to post.
async fn server(folder: &Path, grouped: bool) -> anyhow::Result<String> {
    let config = common::config(folder);
    let shutdown = Shutdown::new(Duration::from_secs(30));
    let mut tiers = Tiers::open(&config).await?;
    if !grouped {
        tiers.store.close().await;
        let StoreUrl::Sqlite(path) = &config.store else {
            anyhow::bail!("the bench keeps its records in SQLite");
        };
        tiers.store = store::connect_without_group_commit(path.clone()).await?;
    }
    let app = server::state(&config, tiers, &shutdown)?;
    let listener = TcpListener::bind(config.listen).await?;
    let url = format!("http://{}/registrations", listener.local_addr()?);
    tokio::spawn(server::listen(listener, http::router(app), shutdown.token));
    Ok(url)
}

async fn post(client: &Client, url: &str, photo: &Bytes) -> anyhow::Result<()> {
    let length = photo.len().try_into()?;
    let part = Part::stream_with_length(photo.clone(), length)
        .file_name("card.jpg")
        .mime_str("image/jpeg")?;
    let key = Uuid::new_v4().to_string();
    // The same form would be the same registration.
    let form = Form::new()
        .text("name", format!("Ana {key}"))
        .text("city", "11001")
        .part("photo", part);
    let request = client
        .post(url)
        .header("Idempotency-Key", key)
        .multipart(form);
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    anyhow::ensure!(status == StatusCode::CREATED, "{status}: {body}");
    Ok(())
}

/// Noise, which JPEG cannot compress, as high as it takes.
fn photo() -> anyhow::Result<Bytes> {
    const WIDTH: u32 = 512;
    for height in (64..).step_by(16) {
        let pixels = (0..height).flat_map(|_| random::<{ 3 * WIDTH as usize }>());
        let pixels = pixels.collect();
        let noise = RgbImage::from_raw(WIDTH, height, pixels).context("too few pixels")?;
        let mut jpeg = std::io::Cursor::new(Vec::new());
        noise.write_to(&mut jpeg, ImageFormat::Jpeg)?;
        if jpeg.get_ref().len() >= PHOTO_BYTES {
            return Ok(jpeg.into_inner().into());
        }
    }
    unreachable!("the heights have no end")
}
