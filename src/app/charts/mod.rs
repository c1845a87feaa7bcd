//! The charts of the board: rendered on demand, cached, and given to whoever asks next.
//!
//! Called by the handlers of `/chart.png` and `/chart.svg`. The cache key of a picture is the board's generation and
//! its [`ChartSpec`], of which there are 400. It never counts, and never decides what fits: the drawing does.

mod pictures;

use std::sync::Arc;

use bytes::Bytes;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use self::pictures::Pictures;
use crate::{
    app::board::Board,
    domain::{city::Cities, city::CityCode, totals::Totals},
    foundation::{
        chart::{self, Chart, Geometry, RenderError},
        lang::Lang,
    },
    store::StoreError,
};

/// The two kinds of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Raster.
    Png,
    /// Vector.
    Svg,
}

/// Which chart: one of 100 geometries, in two formats and two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChartSpec {
    /// Kind of picture.
    pub format: Format,
    /// Its size, and its bars beside the one for the rest.
    pub geometry: Geometry,
    /// Language of its words.
    pub lang: Lang,
}

/// A drawn chart.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// Strong `ETag` of `bytes`, with its quotes.
    pub etag: String,
}

/// Why there is no picture.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChartError {
    /// The store, which the board starts from, failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The queue is full: no more charts may wait to be drawn.
    #[error("too many charts wait to be drawn")]
    Busy,
    /// The chart cannot be drawn.
    #[error("the chart cannot be drawn: {0}")]
    Render(Arc<RenderError>),
    /// The blocking task that was drawing panicked or was cancelled.
    #[error("the drawing was interrupted")]
    Interrupted,
}

/// The charts of one board.
pub struct Charts {
    board: Arc<Board>,
    cities: Arc<Cities>,
    zone: TimeZone,
    pictures: Arc<Pictures>,
}

impl Charts {
    /// The charts of `board`, with times in `zone`.
    #[must_use]
    pub fn new(board: Arc<Board>, cities: Arc<Cities>, zone: TimeZone) -> Self {
        Self {
            board,
            cities,
            zone,
            pictures: Pictures::new(),
        }
    }

    /// The chart of what the board shows now; single-flight: drawn once however many ask, and only while somebody
    /// waits for it.
    ///
    /// # Errors
    /// [`ChartError`].
    pub async fn chart(&self, spec: ChartSpec) -> Result<Picture, ChartError> {
        let shown = self.board.shown().await.map_err(ChartError::Store)?;
        let key = (shown.number, spec);
        if let Some(picture) = self.pictures.kept(&key) {
            return Ok(picture);
        }
        let (cities, zone) = (self.cities.clone(), self.zone.clone());
        let draw = move || draw(&shown.totals, &cities, &zone, spec);
        self.pictures.drawn(key, draw).await
    }
}

fn draw(
    totals: &Totals,
    cities: &Cities,
    zone: &TimeZone,
    spec: ChartSpec,
) -> Result<Picture, RenderError> {
    let label = |&code: &CityCode| {
        let city = cities.named(code);
        let namesakes = cities.iter().filter(|other| other.name == city.name);
        if namesakes.count() > 1 {
            city.full_name()
        } else {
            city.name
        }
    };
    let chart = Chart {
        lang: spec.lang,
        subtitle: spec.lang.chart_subtitle(totals.total(), totals.as_of, zone),
        counts: &totals.largest_first(),
        label: &label,
    };
    let bytes = match spec.format {
        Format::Png => chart::png(&chart, spec.geometry)?,
        Format::Svg => chart::svg(&chart, spec.geometry)?,
    };
    let digest = Sha256::digest(&bytes);
    let tag = hex::encode(&digest[..16]);
    Ok(Picture {
        bytes: bytes.into(),
        etag: format!("\"{tag}\""),
    })
}
