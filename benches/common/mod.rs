//! What the benchmarks share: settings from the environment, tiers in a folder, made-up
//! registrations, medians, tables.

use std::{
    env,
    fmt::Display,
    io,
    num::NonZero,
    path::Path,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use padron::{
    domain::city::CityCode,
    domain::registration::{Reference, Registration},
    foundation::seal::{Keyring, random},
    foundation::telemetry,
    server::config::Config,
    store::{Inserted, Store},
};
use tempfile::TempDir;

/// Concurrent inserts while a store is filled: enough for full group commits.
const AT_ONCE: usize = 512;

/// The values of `variable`, separated by commas, or those of `default`.
pub(crate) fn setting<T>(variable: &str, default: &str) -> anyhow::Result<Vec<T>>
where
    T: FromStr<Err: Display>,
{
    let text = env::var(variable).unwrap_or_else(|_| default.to_owned());
    text.split(',')
        .map(|value| {
            let value = value.trim();
            value
                .parse()
                .map_err(|error| anyhow::anyhow!("{variable}: `{value}`: {error}"))
        })
        .collect()
}

/// How often everything is measured: `PADRON_BENCH_ROUNDS`.
pub(crate) fn rounds() -> anyhow::Result<usize> {
    let rounds: Vec<NonZero<usize>> = setting("PADRON_BENCH_ROUNDS", "3")?;
    let first = rounds.first().context("PADRON_BENCH_ROUNDS: none")?;
    Ok(first.get())
}

/// Makes logs and metrics cost what they cost in production; the lines end nowhere, as the table is
/// on standard output.
pub(crate) fn as_in_production() -> anyhow::Result<()> {
    telemetry::metrics()?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter("info")
        .with_writer(io::sink)
        .init();
    Ok(())
}

/// A folder on the disk of the build, because `/tmp` may be memory, on which `fsync` costs nothing.
pub(crate) fn folder() -> io::Result<TempDir> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
}

/// The settings of embedded tiers in `folder`.
pub(crate) fn config(folder: &Path) -> Config {
    let folder = folder.display();
    testkit::config([
        "--listen=127.0.0.1:0".to_owned(),
        "--ops-listen=127.0.0.1:0".to_owned(),
        format!("--store=sqlite:{folder}/padron.db"),
        format!("--photos=file:{folder}/photos"),
        format!("--keys-file={folder}/keys"),
        "--public-url=https://padron.example".to_owned(),
        "--upload-memory=1024".to_owned(),
    ])
}

/// Makes registrations up; all threads draw from one, so that no number is drawn twice.
pub(crate) struct People<'a> {
    keyring: &'a Keyring,
    cities: Vec<CityCode>,
    drawn: AtomicU32,
}

impl<'a> People<'a> {
    pub(crate) fn new(keyring: &'a Keyring, cities: impl Iterator<Item = CityCode>) -> Self {
        Self {
            keyring,
            cities: cities.collect(),
            drawn: AtomicU32::new(0),
        }
    }

    /// The next person. Low cities are drawn more often than high ones, as people are spread.
    pub(crate) fn draw(&self) -> Registration {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut dice = fastrand::Rng::with_seed(number.into());
        let highest = dice.usize(..self.cities.len());
        let city = self.cities[dice.usize(..=highest)];
        let reference = Reference::from_random(random());
        testkit::registration(self.keyring, number, reference, city)
    }

    /// Stores a made-up registration; retried with another reference when that is taken, as intake does.
    pub(crate) async fn insert(&self, store: &dyn Store) -> anyhow::Result<()> {
        loop {
            match store.insert(&self.draw()).await? {
                Inserted::New => return Ok(()),
                Inserted::SameReference => {}
                other => anyhow::bail!("not inserted: {other:?}"),
            }
        }
    }

    /// Puts `count` people into `store`.
    pub(crate) async fn fill(&self, store: &dyn Store, count: u32) -> anyhow::Result<()> {
        futures::stream::iter(0..count)
            .map(async |_| self.insert(store).await)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many times faster, round by round: what else the machine does in a round slows both.
pub(crate) fn ratio(rates: &[f64], baseline: &[f64]) -> String {
    let ratio = median(rates.iter().zip(baseline).map(|(rate, base)| rate / base));
    format!("{ratio:.2}")
}

/// Prints a table, its columns as wide as they need to be.
pub(crate) fn table(title: &str, header: &[&str], rows: &[Vec<String>]) {
    let header: Vec<_> = header.iter().map(ToString::to_string).collect();
    let lines = || std::iter::once(&header).chain(rows);
    println!("\n{title}");
    for line in lines() {
        let cells = line.iter().enumerate().map(|(column, cell)| {
            let width = lines().map(|line| line[column].chars().count()).max();
            format!("{cell:>width$}", width = width.unwrap_or(0))
        });
        println!("  {}", cells.collect::<Vec<_>>().join("  "));
    }
}
