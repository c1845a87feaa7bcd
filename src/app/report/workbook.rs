//! The workbook: its frame, the rows of the list, the archive around them.

use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt as _;

use super::{
    Report, ReportError,
    archive::{Archive, Compressed, Compressor, compress},
    feed::{Feed, Segment},
    frame::{Frame, HEADER_LINES, TOTAL_LINES},
    pool,
    rows::{self, Styles},
    sink::Sink,
};
use crate::domain::city::City;

/// State that the workers share.
struct Worker {
    report: Arc<Report>,
    styles: Styles,
    idle: Mutex<Vec<WorkerBuffers>>,
}

/// Buffers that a worker reuses from segment to segment: hundreds of KiB that would otherwise be allocated and freed
/// for every 512 rows.
#[derive(Default)]
struct WorkerBuffers {
    xml: Vec<u8>,
    compressor: Compressor,
}

/// Writes everything but the archive's central directory, without which it does not open.
///
/// # Errors
/// When the store, the client or a worker fails, or a row cannot be decrypted.
pub(super) async fn write<'a>(
    report: &Arc<Report>,
    cities: &[(City, u64)],
    feed: Feed,
    sink: &'a Sink,
) -> Result<Archive<'a>, ReportError> {
    let frame = Frame::new(report, cities)?;
    let mut archive = Archive::new(sink, report.local(report.as_of));
    for part in &frame.parts {
        archive.begin(&part.name).await?;
        archive.append(compress(part.content.as_bytes()), 0).await?;
    }
    let worker = Worker {
        report: report.clone(),
        styles: frame.styles,
        idle: Mutex::default(),
    };
    let mut segments = pool::ordered(feed, move |segment| worker.compressed(segment));
    for (index, sheet) in frame.sheets.iter().enumerate() {
        archive.begin(&sheet.part).await?;
        archive.append(compress(sheet.head.as_bytes()), 0).await?;
        let mut left = sheet.rows;
        while left > 0 {
            let (block, rows) = segments.try_next().await?.ok_or(ReportError::Torn)?;
            archive.append(block, rows).await?;
            left = left.saturating_sub(rows);
        }
        let mut end = Vec::new();
        if index + 1 == frame.sheets.len() {
            let total = cities.iter().map(|(_, rows)| rows).sum();
            let line = HEADER_LINES + sheet.rows + TOTAL_LINES;
            rows::write_total(&mut end, line, report.texts().total, total, frame.styles);
        }
        end.extend_from_slice(sheet.tail.as_bytes());
        archive.append(compress(&end), 0).await?;
    }
    // The end of the feed says that no row is left.
    if segments.try_next().await?.is_some() {
        return Err(ReportError::Torn);
    }
    archive.end().await?;
    Ok(archive)
}

impl Worker {
    /// The rows of a segment, and how many there are.
    fn compressed(&self, segment: &Segment) -> Result<(Compressed, u64), ReportError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = idle().pop().unwrap_or_default();
        buffers.xml.clear();
        self.report.decrypt(segment, |cells| {
            let line = self.report.line(cells.number);
            rows::write(&mut buffers.xml, line, cells, self.styles);
            Ok(())
        })?;
        let block = buffers.compressor.compress(&buffers.xml);
        idle().push(buffers);
        Ok((block, segment.rows.len() as u64))
    }
}
