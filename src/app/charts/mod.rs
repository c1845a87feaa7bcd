//! The charts of the board and of the last thirty days: rendered on demand, cached, and given to whoever asks next.
//!
//! Called by the handlers of `/chart.png` and `/chart.svg`. The cache key of a picture is the board's generation and
//! its [`ChartSpec`], of which there are some 2,500. It never counts, and never decides what fits: the drawing does.

mod pictures;

use std::sync::Arc;

use bytes::Bytes;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};

use self::pictures::Pictures;
use crate::{
    app::board::Board,
    app::live::{Live, Tally},
    domain::{
        city::{Cities, CityCode, DepartmentCode},
        totals::Totals,
    },
    foundation::{
        chart::{self, Bars, Chart, DayCount, Geometry, Plot, RenderError, Theme},
        lang::{Lang, Noun},
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

/// What a chart shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The board's cities.
    #[default]
    Cities,
    /// The board's cities of one department.
    CitiesOf(DepartmentCode),
    /// The board's departments.
    Departments,
    /// How many registered on each of the last thirty days: not what the board has, but what is so now.
    Days,
}

/// Which chart: of cities one of 100 geometries, else one of six; in two formats, themes and languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChartSpec {
    /// Kind of picture.
    pub format: Format,
    /// What it shows.
    pub subject: Subject,
    /// Its size, and how many bars it has at most.
    pub geometry: Geometry,
    /// Its colours.
    pub theme: Theme,
    /// Language of its words.
    pub lang: Lang,
}

impl ChartSpec {
    /// The geometry that this subject has.
    fn snapped(mut self) -> Self {
        if self.subject != Subject::Cities {
            self.geometry = self.geometry.plain();
        }
        self
    }

    /// Whether it is what `/chart.png` is without parameters, but for its format, colours and language.
    fn is_default(&self) -> bool {
        self.subject == Subject::Cities && self.geometry == Geometry::default()
    }
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

/// The charts of one register.
pub struct Charts {
    board: Arc<Board>,
    live: Arc<Live>,
    cities: Arc<Cities>,
    zone: TimeZone,
    pictures: Arc<Pictures>,
}

impl Charts {
    /// The charts of `board` and of `live`, with times in `zone`.
    #[must_use]
    pub fn new(board: Arc<Board>, live: Arc<Live>, cities: Arc<Cities>, zone: TimeZone) -> Self {
        Self {
            board,
            live,
            cities,
            zone,
            pictures: Pictures::new(),
        }
    }

    /// The chart of what the board shows now, or of the last thirty days as they were at most a few seconds ago;
    /// single-flight: drawn once however many ask, and only while somebody waits for it.
    ///
    /// # Errors
    /// [`ChartError`].
    pub async fn chart(&self, spec: ChartSpec) -> Result<Picture, ChartError> {
        let spec = spec.snapped();
        let (number, content) = if spec.subject == Subject::Days {
            // Not a generation's picture, but one that expires; the key is looked up before anything is counted.
            if let Some(picture) = self.pictures.kept(&(0, spec)) {
                return Ok(picture);
            }
            let tally = self.live.tally().await.map_err(ChartError::Store)?;
            (0, Content::Days(tally))
        } else {
            let shown = self.board.shown().await.map_err(ChartError::Store)?;
            (shown.number, Content::Totals(shown.totals))
        };
        let key = (number, spec);
        if let Some(picture) = self.pictures.kept(&key) {
            return Ok(picture);
        }
        let (cities, zone) = (self.cities.clone(), self.zone.clone());
        let draw = move || match &content {
            Content::Totals(totals) => draw_totals(totals, &cities, &zone, spec),
            Content::Days(tally) => draw_days(tally, &zone, spec),
        };
        self.pictures.drawn(key, draw).await
    }
}

enum Content {
    Totals(Arc<Totals>),
    Days(Arc<Tally>),
}

fn draw_totals(
    totals: &Totals,
    cities: &Cities,
    zone: &TimeZone,
    spec: ChartSpec,
) -> Result<Picture, RenderError> {
    let t = spec.lang.texts();
    let (title, labels, counts, of) = match spec.subject {
        Subject::Departments => {
            let (codes, counts): (Vec<_>, Vec<_>) = totals.departments().into_iter().unzip();
            let labels = Labels::Departments(codes);
            (
                t.chart_title_departments.to_owned(),
                labels,
                counts,
                Noun::Department,
            )
        }
        Subject::CitiesOf(department) => {
            let (codes, counts): (Vec<_>, Vec<_>) =
                totals.largest_of(department).into_iter().unzip();
            let title = format!("{}: {}", t.chart_title, cities.department_name(department));
            (title, Labels::Cities(codes), counts, Noun::City)
        }
        Subject::Cities | Subject::Days => {
            let (codes, counts): (Vec<_>, Vec<_>) = totals.largest_first().into_iter().unzip();
            (
                t.chart_title.to_owned(),
                Labels::Cities(codes),
                counts,
                Noun::City,
            )
        }
    };
    let label = |at| labels.at(at, cities);
    let bars = Bars {
        counts: &counts,
        label: &label,
        of,
    };
    let subtitle = spec
        .lang
        .chart_subtitle(counts.iter().sum(), totals.as_of, zone);
    picture(title, subtitle, Plot::Bars(&bars), spec)
}

/// What the bars stand for: named only where they are drawn.
enum Labels {
    Cities(Vec<CityCode>),
    Departments(Vec<DepartmentCode>),
}

impl Labels {
    fn at(&self, at: usize, cities: &Cities) -> String {
        match self {
            Self::Cities(codes) => {
                let code = codes.get(at);
                code.map_or_else(String::new, |&code| cities.short_name(code))
            }
            Self::Departments(codes) => {
                let code = codes.get(at);
                code.map_or_else(String::new, |&code| cities.department_name(code))
            }
        }
    }
}

fn draw_days(tally: &Tally, zone: &TimeZone, spec: ChartSpec) -> Result<Picture, RenderError> {
    let days: Vec<_> = tally
        .days
        .iter()
        .map(|&(day, count)| DayCount {
            label: spec.lang.day(day),
            count,
        })
        .collect();
    let title = spec.lang.texts().chart_title_days.to_owned();
    let sum = days.iter().map(|day| day.count).sum();
    let subtitle = spec.lang.days_subtitle(tally.today(), sum, tally.at, zone);
    picture(title, subtitle, Plot::Days(&days), spec)
}

fn picture(
    title: String,
    subtitle: Vec<String>,
    plot: Plot<'_>,
    spec: ChartSpec,
) -> Result<Picture, RenderError> {
    let chart = Chart {
        lang: spec.lang,
        theme: spec.theme,
        title,
        subtitle,
        plot,
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
