//! The workbook: its frame, the rows of every tab, the archive around them.

use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt as _;
use jiff::civil::DateTime;

use super::{
    Report, ReportError,
    archive::{Archive, Compressed, Compressor, compress},
    feed::{Feed, Segment},
    frame::Frame,
    pool,
    prototype::Texts,
    rows,
    sink::Sink,
    tabs::Tab,
};
use crate::domain::city::City;

/// Lines of a city tab before its first row.
const HEADER_LINES: u64 = 1;

/// State that the workers share.
struct Worker {
    report: Arc<Report>,
    frame: Frame,
    idle: Mutex<Vec<WorkerBuffers>>,
}

/// Buffers that a worker reuses from segment to segment: hundreds of KiB that would otherwise be allocated and freed
/// for every 512 rows.
#[derive(Default)]
struct WorkerBuffers {
    xml: Vec<u8>,
    compressor: Compressor,
}

/// A segment that is ready to be sent.
struct Ready {
    /// The tab that begins with it.
    opens: Option<usize>,
    rows: u64,
    block: Compressed,
}

/// Writes everything but the archive's central directory, without which it does not open.
///
/// # Errors
/// When the store, the client or a worker fails, or a row cannot be decrypted.
pub(super) async fn write<'a>(
    report: &Arc<Report>,
    cities: &[(City, u64)],
    tabs: &[Tab],
    feed: Feed,
    sink: &'a Sink,
) -> Result<Archive<'a>, ReportError> {
    let as_of = report.local(report.as_of);
    let frame = Frame::new(&texts(report, as_of), cities, tabs, as_of)?;
    let mut archive = Archive::new(sink, as_of);
    for part in &frame.parts {
        archive.begin(&part.name).await?;
        archive.append(compress(part.content.as_bytes()), 0).await?;
    }
    let worker = Worker {
        report: report.clone(),
        frame,
        idle: Mutex::default(),
    };
    let mut segments = pool::ordered(feed, move |segment| worker.ready(segment));
    while let Some(ready) = segments.try_next().await? {
        if let Some(tab) = ready.opens {
            archive.begin(&Frame::tab_part(tab)).await?;
        }
        archive.append(ready.block, ready.rows).await?;
    }
    archive.end().await?;
    Ok(archive)
}

impl Worker {
    fn ready(&self, segment: &Segment) -> Result<Ready, ReportError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = idle().pop().unwrap_or_default();
        buffers.xml.clear();
        self.serialise(segment, &mut buffers.xml)?;
        let block = buffers.compressor.compress(&buffers.xml);
        idle().push(buffers);
        Ok(Ready {
            opens: segment.first.then_some(segment.tab),
            rows: segment.rows.len() as u64,
            block,
        })
    }

    fn serialise(&self, segment: &Segment, xml: &mut Vec<u8>) -> Result<(), ReportError> {
        let frame = &self.frame;
        if segment.first {
            xml.extend_from_slice(frame.head.as_bytes());
        }
        let mut line = HEADER_LINES + segment.before;
        self.report.decrypt(segment, |cells| {
            line += 1;
            rows::write(xml, line, cells, frame.date_style);
            Ok(())
        })?;
        if let Some(total) = segment.total {
            let label = self.report.spec.lang.texts().total;
            rows::write_total(xml, line + 1, label, total, frame.total_style);
        }
        if segment.last {
            xml.extend_from_slice(frame.tail.as_bytes());
        }
        Ok(())
    }
}

fn texts(report: &Report, as_of: DateTime) -> Texts {
    let spec = &report.spec;
    let t = spec.lang.texts();
    let filter = spec.city.as_ref();
    let filter = filter.map_or(t.report_all_cities.to_owned(), City::full_name);
    Texts {
        summary_tab: t.report_sheet_summary.to_owned(),
        title: t.report_title.to_owned(),
        as_of: (t.as_of.to_owned(), as_of),
        filter: (t.report_filter.to_owned(), filter),
        instance: (t.report_instance.to_owned(), spec.instance.to_string()),
        columns: t.columns().map(str::to_owned),
        city: t.column_city.to_owned(),
        department: t.column_department.to_owned(),
        registrations: t.staff_count.to_owned(),
        total: t.total.to_owned(),
        chart_title: t.chart_title.to_owned(),
    }
}
