//! What the benchmarks share: settings from the environment, tiers in a folder, made-up
//! registrations, medians, tables.

use std::{
    env,
    fmt::Display,
    io,
    num::NonZero,
    path::Path,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Context as _;
use clap::Parser as _;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use padron::{
    domain::city::CityCode,
    domain::photo::MediaType,
    domain::registration::{
        DocumentNumber, Email, Envelope, Person, PersonName, PhotoKey, Reference, Registration,
        StoredPhoto,
    },
    foundation::seal::{Keyring, Tag, TagOf, random},
    foundation::telemetry,
    server::config::Config,
    store::{Inserted, Store},
};
use tempfile::TempDir;
use uuid::{NoContext, Uuid};

const GIVEN_NAMES: &str = include_str!("../../fixtures/given-names.txt");
const SURNAMES: &str = include_str!("../../fixtures/surnames.txt");

/// When the first person was registered; each one after it comes a second later.
const BEGIN: u64 = 1_790_000_000;

/// Inserts under way at once while a store is filled: enough for full group commits.
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
pub(crate) fn config(folder: &Path) -> anyhow::Result<Config> {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }
    let folder = folder.display();
    let cli = Cli::try_parse_from([
        "bench".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        "--ops-listen=127.0.0.1:0".to_owned(),
        format!("--store=sqlite:{folder}/padron.db"),
        format!("--photos=file:{folder}/photos"),
        format!("--keys-file={folder}/keys"),
        "--public-url=https://padron.example".to_owned(),
        "--upload-memory=1024".to_owned(),
    ])?;
    Ok(cli.config)
}

/// Makes registrations up; all threads draw from one, so that no number is drawn twice.
pub(crate) struct People<'a> {
    keyring: &'a Keyring,
    cities: Vec<CityCode>,
    given_names: Vec<&'static str>,
    surnames: Vec<&'static str>,
    drawn: AtomicU64,
}

impl<'a> People<'a> {
    pub(crate) fn new(keyring: &'a Keyring, cities: impl Iterator<Item = CityCode>) -> Self {
        Self {
            keyring,
            cities: cities.collect(),
            given_names: GIVEN_NAMES.lines().collect(),
            surnames: SURNAMES.lines().collect(),
            drawn: AtomicU64::new(0),
        }
    }

    /// The next person as intake hands them to the store, with a photo that lies nowhere. Low cities
    /// are drawn more often than high ones, as people are spread.
    pub(crate) fn draw(&self) -> anyhow::Result<Registration> {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut dice = Dice(number);
        let name = format!(
            "{} {} {}",
            dice.pick(&self.given_names),
            dice.pick(&self.surnames),
            dice.pick(&self.surnames)
        );
        // Odd and no multiple of 5: all different, and in no order that would compress well.
        let document_number = (number.wrapping_mul(7_919_191_917) % 10_000_000_000).to_string();
        let email = number
            .is_multiple_of(4)
            .then(|| format!("persona{document_number}@example.com"));
        let fault = |fault| anyhow::anyhow!("a made-up person is refused: {fault:?}");
        let person = Person {
            name: PersonName::parse(&name).map_err(fault)?,
            document_number: Some(
                DocumentNumber::parse(&format!("{document_number:0>10}")).map_err(fault)?,
            ),
            email: email
                .map(|email| Email::parse(&email))
                .transpose()
                .map_err(fault)?,
        };
        let highest = dice.below(self.cities.len());
        let city = dice.below(highest + 1);
        let registered_at = Timestamp::from_second((BEGIN + number).cast_signed())?;
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, BEGIN + number, 0));
        let key = self.keyring;
        let tag = |of| -> Tag { key.tag(of, &[&number.to_le_bytes()]) };
        let envelope = Envelope {
            id,
            reference: Reference::from_random(random()),
            city: self.cities[city],
            registered_at,
            photo_key: Some(PhotoKey(Uuid::new_v4())),
        };
        Ok(Registration {
            id,
            reference: envelope.reference,
            city: envelope.city,
            registered_at,
            sealed: person.seal(key, &envelope),
            document_tag: Some(tag(TagOf::Document)),
            idempotency_tag: Some(tag(TagOf::IdempotencyKey)),
            content_tag: tag(TagOf::Content),
            photo: envelope.photo_key.map(|photo_key| StoredPhoto {
                key: photo_key,
                media_type: MediaType::Jpeg,
                bytes: 200_000,
                width: 1000,
                height: 630,
                digest: tag(TagOf::Photo),
                wrapped_key: key.seal(id.as_bytes(), &random::<32>()),
            }),
        })
    }

    /// Stores a made-up registration; one whose reference is taken is drawn again, as intake does.
    pub(crate) async fn insert(&self, store: &dyn Store) -> anyhow::Result<()> {
        loop {
            match store.insert(&self.draw()?).await? {
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

/// `SplitMix64`: the same people in every run, without a call to the system for each name.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::from((mixed >> 48) as u16) % bound
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
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
