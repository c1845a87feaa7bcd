//! The memory tier: the current totals and the charts drawn of them.
//!
//! Handlers ask it for charts and totals; a finished report refreshes it. It is the same on every
//! replica because it is saved in the store under the next version and followed from there. It never
//! counts by itself, except once for a store that has no saved board.

use std::{
    num::NonZero,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::city::Cities,
    domain::totals::{Counted, Totals},
    foundation::chart::{self, Bar, Chart, RenderError, Size},
    foundation::clock::now,
    foundation::lang::Lang,
    store::{Store, StoreError},
};

/// Bars of a chart unless the client asks for fewer or more.
pub const DEFAULT_TOP: usize = 20;

/// How often the saved board is looked at for what other replicas refreshed.
const FOLLOW: Duration = Duration::from_millis(500);

/// Bytes of drawn charts that are kept.
const CHART_BYTES: u64 = 16 * 1024 * 1024;

/// The two kinds of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Raster.
    Png,
    /// Vector.
    Svg,
}

/// Which chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChartSpec {
    /// Kind of picture.
    pub format: Format,
    /// Its size, in pixels.
    pub size: Size,
    /// Cities with a bar of their own, at most; the rest share one.
    pub top: usize,
    /// Language of its words.
    pub lang: Lang,
}

/// A drawn chart.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// Strong entity tag of `bytes`, with its quotes.
    pub etag: String,
}

/// Why the board has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BoardError {
    /// The store, which it starts from, failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The chart cannot be drawn.
    #[error("the chart cannot be drawn: {0}")]
    Render(Arc<RenderError>),
}

/// Totals and charts in memory.
pub struct Board {
    store: Arc<dyn Store>,
    cities: Arc<Cities>,
    zone: TimeZone,
    current: RwLock<Option<Arc<Totals>>>,
    /// One refresh or first count at a time; charts are served meanwhile.
    writing: tokio::sync::Mutex<()>,
    charts: Cache<(u64, ChartSpec), Picture>,
    drawn: AtomicU64,
    /// Charts that may be drawn at once: each takes a processor and up to 16 MiB.
    drawing: Semaphore,
}

impl Board {
    /// A board over `store` that prints times in `zone`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, cities: Arc<Cities>, zone: TimeZone) -> Arc<Self> {
        let charts = Cache::builder()
            .max_capacity(CHART_BYTES)
            .weigher(|_, picture: &Picture| u32::try_from(picture.bytes.len()).unwrap_or(u32::MAX))
            .build();
        Arc::new(Self {
            store,
            cities,
            zone,
            current: RwLock::default(),
            writing: tokio::sync::Mutex::default(),
            charts,
            drawn: AtomicU64::new(0),
            drawing: Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)),
        })
    }

    /// Charts drawn since the start: one for each version and specification that was asked for.
    #[must_use]
    pub fn charts_drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// What the chart shows now.
    ///
    /// # Errors
    /// When nothing is known yet and the store does not answer.
    pub async fn totals(&self) -> Result<Arc<Totals>, StoreError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let _writing = self.writing.lock().await;
        match self.known() {
            Some(known) => Ok(known),
            None => self.load().await,
        }
    }

    /// The chart of what is known now, drawn once per version however many ask.
    ///
    /// # Errors
    /// [`BoardError`].
    pub async fn chart(self: &Arc<Self>, spec: ChartSpec) -> Result<Picture, BoardError> {
        let totals = self
            .totals()
            .await
            .map_err(|error| BoardError::Store(Arc::new(error)))?;
        let key = (totals.version, spec);
        if let Some(picture) = self.charts.get(&key).await {
            return Ok(picture);
        }
        // In a task of its own: whoever asked first may hang up while the others still wait.
        let board = self.clone();
        let drawing = tokio::spawn(async move {
            let draw = async {
                let _turn = board.drawing.acquire().await;
                board.drawn.fetch_add(1, Ordering::Relaxed);
                let chart = chart_of(&totals, &board.cities, &board.zone, spec);
                let drawn = tokio::task::spawn_blocking(move || draw(&chart, spec)).await;
                drawn.unwrap_or_else(|_| Err(RenderError::Interrupted))
            };
            board.charts.try_get_with(key, draw).await
        });
        drawing
            .await
            .unwrap_or_else(|_| Err(Arc::new(RenderError::Interrupted)))
            .map_err(BoardError::Render)
    }

    /// Takes in what a report counted, and saves it for the other replicas before returning.
    ///
    /// # Errors
    /// When the store does not answer; the board is then as before.
    pub async fn refresh(&self, counted: &Counted) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        loop {
            let next = match self.newest().await? {
                Some(known) => known.merge(counted),
                None if counted.city.is_none() => Totals::first(counted),
                None => {
                    self.load().await?;
                    continue;
                }
            };
            if self.store.save_board(&next).await? {
                self.keep(next);
                return Ok(());
            }
            self.fall_back().await?;
        }
    }

    /// Takes over the saved board where it is older than what is known: a restored store would refuse
    /// every next version.
    async fn fall_back(&self) -> Result<(), StoreError> {
        let known = self.known().map_or(0, |known| known.version);
        let saved = self.store.board(0).await?;
        if saved.as_ref().is_none_or(|saved| saved.version < known) {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = saved.map(Arc::new);
        }
        Ok(())
    }

    /// Takes over what other replicas saved, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut away = false;
        while stop
            .run_until_cancelled(tokio::time::sleep(FOLLOW))
            .await
            .is_some()
        {
            match self.newest().await {
                Ok(_) => away = false,
                Err(error) if !away => {
                    away = true;
                    tracing::warn!(%error, "the board cannot be followed; the chart shows what is known");
                }
                Err(_) => {}
            }
        }
    }

    fn known(&self) -> Option<Arc<Totals>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, totals: Totals) -> Arc<Totals> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(known) if known.version >= totals.version => known.clone(),
            _ => {
                measure(&totals, &self.cities);
                current.insert(Arc::new(totals)).clone()
            }
        }
    }

    async fn newest(&self) -> Result<Option<Arc<Totals>>, StoreError> {
        let known = self.known();
        let version = known.as_ref().map_or(0, |known| known.version);
        let newer = self.store.board(version).await?;
        metrics::gauge!("padron_board_checked_timestamp_seconds").set(seconds(now()));
        Ok(newer.map(|newer| self.keep(newer)).or(known))
    }

    /// Starts from the saved board or, where none is saved, from a count.
    async fn load(&self) -> Result<Arc<Totals>, StoreError> {
        loop {
            if let Some(saved) = self.newest().await? {
                return Ok(saved);
            }
            let first = Totals::first(&self.store.totals().await?);
            if self.store.save_board(&first).await? {
                return Ok(self.keep(first));
            }
        }
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

/// The same as the chart, for whoever draws their own.
#[expect(clippy::cast_precision_loss, reason = "they stay far below 2^53")]
fn measure(totals: &Totals, cities: &Cities) {
    metrics::gauge!("padron_board_version").set(totals.version as f64);
    metrics::gauge!("padron_board_as_of_timestamp_seconds").set(seconds(totals.as_of));
    for (&code, city) in &totals.cities {
        let labels = [
            ("city", code.to_string()),
            ("name", cities.named(code).name),
        ];
        metrics::gauge!("padron_board_registrations", &labels).set(city.count as f64);
    }
}

fn draw(chart: &Chart, spec: ChartSpec) -> Result<Picture, RenderError> {
    let bytes = match spec.format {
        Format::Png => chart::png(chart, spec.size)?,
        Format::Svg => chart::svg(chart, spec.size)?,
    };
    let digest = Sha256::digest(&bytes);
    let tag = hex::encode(&digest[..16]);
    Ok(Picture {
        bytes: bytes.into(),
        etag: format!("\"{tag}\""),
    })
}

/// The largest cities, each with a bar, and the rest in one.
fn chart_of(totals: &Totals, cities: &Cities, zone: &TimeZone, spec: ChartSpec) -> Chart {
    let lang = spec.lang;
    let largest = totals.largest_first();
    let rows = chart::rows_that_fit(spec.size).max(2);
    let mut shown = spec.top.min(rows);
    if largest.len() > shown && shown == rows {
        shown -= 1;
    }
    let (top, rest) = largest.split_at(shown.min(largest.len()));
    let mut bars: Vec<_> = top
        .iter()
        .map(|&(code, count)| {
            let city = cities.named(code);
            let shared = cities
                .iter()
                .filter(|other| other.name == city.name)
                .count()
                > 1;
            Bar {
                label: if shared { city.full_name() } else { city.name },
                count,
                rest: false,
            }
        })
        .collect();
    if !rest.is_empty() {
        bars.push(Bar {
            label: lang.rest(rest.len()),
            count: rest.iter().map(|&(_, count)| count).sum(),
            rest: true,
        });
    }
    Chart {
        title: lang.texts().chart_title.to_owned(),
        subtitle: lang.chart_subtitle(totals.total(), totals.as_of, zone),
        empty: lang.texts().chart_empty.to_owned(),
        bars,
        thousands: lang.thousands(),
    }
}
