//! The two forms of a report, made of the same pieces: a workbook and a table.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, TryStreamExt as _};
use jiff::{Timestamp, civil::DateTime};

use super::{
    Format, ReportError, ReportSpec,
    archive::{Archive, Deflated, Deflater, deflate},
    csv,
    feed::{Feed, Piece},
    rows::{self, Cells},
    sink::Sink,
    template::{self, Template, Total},
};
use crate::{
    domain::city::{City, CityCode},
    domain::registration::Person,
    domain::totals::Counted,
    store::{Row, Snapshot, StoreError},
};

/// What the workers share.
pub(super) struct Report {
    spec: ReportSpec,
    as_of: Timestamp,
    idle: Mutex<Vec<Workplace>>,
}

/// What a worker needs for a piece and keeps for the next: hundreds of KiB that would otherwise be
/// allocated and freed for every 512 rows.
#[derive(Default)]
struct Workplace {
    xml: Vec<u8>,
    deflater: Deflater,
}

/// A piece that is ready to be sent.
struct Made<T> {
    piece: Place,
    bytes: T,
}

/// Where a piece belongs.
#[derive(Clone, Copy)]
struct Place {
    tab: usize,
    city: CityCode,
    rows: u64,
    first: bool,
}

impl Report {
    pub(super) fn new(spec: ReportSpec, as_of: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            spec,
            as_of,
            idle: Mutex::default(),
        })
    }

    pub(super) async fn write<D, F>(
        self: Arc<Self>,
        snapshot: Snapshot,
        sink: &Sink,
        done: D,
    ) -> Result<u64, ReportError>
    where
        D: FnOnce(Counted) -> F,
        F: Future<Output = Result<(), StoreError>>,
    {
        let mut cities = snapshot.counts;
        if let Some(city) = &self.spec.city {
            // A city without registrations has its tab all the same.
            cities.entry(city.code).or_insert(0);
        }
        let cities: Vec<_> = cities
            .into_iter()
            .map(|(code, rows)| (self.spec.cities.named(code), rows))
            .collect();
        let feed = Feed::new(&cities, snapshot.blocks, self.summary_tab());
        let counted = async |counts: BTreeMap<CityCode, u64>| {
            let rows = counts.values().sum();
            let counted = Counted {
                as_of: self.as_of,
                city: self.spec.city.as_ref().map(|city| city.code),
                counts,
            };
            if let Err(error) = done(counted).await {
                // The report is right all the same; the next one refreshes the chart.
                tracing::error!(%error, "the board could not be refreshed");
            }
            rows
        };
        match self.spec.format {
            Format::Xlsx => {
                let (archive, counts) = self.workbook(feed, &cities, sink).await?;
                let rows = counted(counts).await;
                sink.send(archive.finish()).await?;
                Ok(rows)
            }
            Format::Csv => {
                let (held, counts) = self.table(feed, sink).await?;
                let rows = counted(counts).await;
                sink.send(held).await?;
                Ok(rows)
            }
        }
    }

    /// Everything of the workbook but the archive's end.
    async fn workbook(
        self: &Arc<Self>,
        feed: Feed,
        cities: &[(City, u64)],
        sink: &Sink,
    ) -> Result<(Archive, BTreeMap<CityCode, u64>), ReportError> {
        let as_of = self.local(self.as_of);
        let template = template::build(self.texts(as_of), feed.tabs(), as_of)?;
        let mut archive = Archive::new(as_of);
        for part in &template.parts {
            let mut bytes = archive.begin(&part.name);
            bytes.extend(archive.append(deflate(part.content.as_bytes())));
            sink.send(bytes).await?;
        }
        let template = Arc::new(template);
        let mut counts: BTreeMap<_, _> = cities.iter().map(|(city, _)| (city.code, 0)).collect();
        let frame = template.clone();
        let mut made = self.pieces(feed, move |report, piece| report.xml(&piece, &frame));
        while let Some(Made { piece, bytes }) = made.try_next().await? {
            let mut chunk = Vec::new();
            if piece.first {
                chunk = archive.begin(&Template::tab_part(piece.tab));
            }
            chunk.extend(archive.append(bytes));
            *counts.entry(piece.city).or_default() += piece.rows;
            sink.send(chunk).await?;
        }
        let totals: Vec<_> = cities
            .iter()
            .map(|(city, _)| Total {
                city: &city.name,
                department: &city.department,
                rows: counts.get(&city.code).copied().unwrap_or_default(),
            })
            .collect();
        for part in template.summary(&totals)? {
            let mut bytes = archive.begin(&part.name);
            bytes.extend(archive.append(deflate(part.content.as_bytes())));
            sink.send(bytes).await?;
        }
        sink.send(archive.end()).await?;
        Ok((archive, counts))
    }

    /// All of the table but its last piece, which is held back until the board knows.
    async fn table(
        self: &Arc<Self>,
        feed: Feed,
        sink: &Sink,
    ) -> Result<(Vec<u8>, BTreeMap<CityCode, u64>), ReportError> {
        let mut held = csv::header(&self.spec.lang.texts().columns())?;
        let mut counts = BTreeMap::new();
        let mut made = self.pieces(feed, |report, piece| report.csv(&piece));
        while let Some(Made { piece, bytes }) = made.try_next().await? {
            *counts.entry(piece.city).or_default() += piece.rows;
            sink.send(std::mem::replace(&mut held, bytes)).await?;
        }
        Ok((held, counts))
    }

    /// Makes the pieces of `feed`, as many at once as there are processors, in their order.
    fn pieces<T, F>(
        self: &Arc<Self>,
        feed: Feed,
        make: F,
    ) -> impl Stream<Item = Result<Made<T>, ReportError>> + Unpin
    where
        T: Send + 'static,
        F: Fn(&Self, Piece) -> Result<T, ReportError> + Send + Sync + 'static,
    {
        let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
        let make = Arc::new(make);
        let report = self.clone();
        let making = move |piece: Piece| {
            let (report, make) = (report.clone(), make.clone());
            async move {
                tokio::task::spawn_blocking(move || {
                    let place = Place {
                        tab: piece.tab,
                        city: piece.city,
                        rows: piece.rows.len() as u64,
                        first: piece.first,
                    };
                    let bytes = make(&report, piece)?;
                    Ok(Made {
                        piece: place,
                        bytes,
                    })
                })
                .await?
            }
        };
        let pieces = futures::stream::try_unfold(feed, async |mut feed| {
            Ok(feed.next().await?.map(|piece| (piece, feed)))
        });
        Box::pin(pieces.map_ok(making).try_buffered(workers))
    }

    fn xml(&self, piece: &Piece, template: &Template) -> Result<Deflated, ReportError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut workplace = idle().pop().unwrap_or_default();
        let xml = &mut workplace.xml;
        xml.clear();
        if piece.first {
            xml.extend_from_slice(template.head.as_bytes());
        }
        self.each(piece, |cells| {
            rows::write(xml, cells, template.date_style);
            Ok(())
        })?;
        if let Some(total) = piece.total {
            let label = self.spec.lang.texts().total;
            rows::write_total(xml, label, total, template.total_style);
        }
        if piece.last {
            xml.extend_from_slice(template.tail.as_bytes());
        }
        let deflated = workplace.deflater.deflate(&workplace.xml);
        idle().push(workplace);
        Ok(deflated)
    }

    fn csv(&self, piece: &Piece) -> Result<Vec<u8>, ReportError> {
        let mut table = csv::Table::default();
        self.each(piece, |cells| Ok(table.write(cells)?))?;
        Ok(table.into_bytes()?)
    }

    /// Opens the rows of a piece one after the other.
    fn each(
        &self,
        piece: &Piece,
        mut write: impl FnMut(&Cells<'_>) -> Result<(), ReportError>,
    ) -> Result<(), ReportError> {
        let city = self.spec.cities.named(piece.city);
        for (number, row) in (piece.number..).zip(&piece.rows) {
            let person = Person::open(&self.spec.keyring, row.id, &row.sealed)
                .map_err(|error| ReportError::Sealed(row.reference, error))?;
            let reference = row.reference.to_string();
            write(&Cells {
                number,
                reference: &reference,
                name: person.name.as_str(),
                document_number: person
                    .document_number
                    .as_ref()
                    .map_or("", |number| number.as_str()),
                city: &city.name,
                department: &city.department,
                registered_at: self.local(row.registered_at),
                email: person.email.as_ref().map_or("", |email| email.as_str()),
                photo_address: &self.photo_address(row, &reference),
            })?;
        }
        Ok(())
    }

    fn photo_address(&self, row: &Row, reference: &str) -> String {
        if row.has_photo {
            format!("{}/registrations/{reference}/photo", self.spec.origin)
        } else {
            String::new()
        }
    }

    fn local(&self, time: Timestamp) -> DateTime {
        time.to_zoned(self.spec.zone.clone()).datetime()
    }

    fn summary_tab(&self) -> &'static str {
        self.spec.lang.texts().report_sheet_summary
    }

    fn texts(&self, as_of: DateTime) -> template::Texts {
        let t = self.spec.lang.texts();
        let filter = self
            .spec
            .city
            .as_ref()
            .map_or(t.report_all_cities.to_owned(), City::full_name);
        template::Texts {
            summary_tab: self.summary_tab().to_owned(),
            title: t.report_title.to_owned(),
            as_of: (t.as_of.to_owned(), as_of),
            filter: (t.report_filter.to_owned(), filter),
            instance: (t.report_instance.to_owned(), self.spec.instance.to_string()),
            columns: t.columns().map(str::to_owned),
            city: t.column_city.to_owned(),
            department: t.column_department.to_owned(),
            registrations: t.staff_count.to_owned(),
            total: t.total.to_owned(),
            chart_title: t.chart_title.to_owned(),
        }
    }
}
