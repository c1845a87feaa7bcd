//! The workbook as `rust_xlsxwriter` draws it: the Summary, then one prototype of all city tabs.
//!
//! `frame` takes it apart. Never sees a registration.

use std::io::{Cursor, Read as _};

use jiff::civil::DateTime;
use rust_xlsxwriter::{
    Chart, ChartType, DocProperties, ExcelDateTime, Format, IgnoreError, Workbook, Worksheet,
    XlsxError,
};
use thiserror::Error;
use zip::{ZipArchive, result::ZipError};

use crate::domain::city::City;

/// Bars in the chart: the cities with the most registrations.
const BARS: usize = 20;
const DATE_FORMAT: &str = "yyyy-mm-dd hh:mm:ss";
/// In characters, for each column of a city tab.
const WIDTHS: [f64; 9] = [10.0, 12.0, 36.0, 18.0, 24.0, 24.0, 20.0, 32.0, 60.0];
/// The row of the Summary's table header, from 0.
const TABLE: u32 = 6;

/// Why the workbook could not be drawn. A defect, or a text that a cell cannot hold; never about a registration.
#[derive(Debug, Error)]
pub enum DrawError {
    /// `rust_xlsxwriter` refused a text.
    #[error("the workbook's frame could not be drawn")]
    Draw(#[from] XlsxError),
    /// `rust_xlsxwriter`'s file could not be read back.
    #[error("the workbook's frame could not be unpacked")]
    Unpack(#[from] ZipError),
    /// As above, for one part.
    #[error("a part of the workbook's frame could not be read")]
    Read(#[from] std::io::Error),
}

/// Every text of the workbook that is not a registration's, in the reader's language.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// Name of the Summary tab, safe as it stands; give it to [`super::tabs::plan`] as well.
    pub summary_tab: String,
    /// Heading of the Summary and title of the document.
    pub title: String,
    /// Label, and the local time of the report's snapshot.
    pub as_of: (String, DateTime),
    /// Label, and which cities were asked for.
    pub filter: (String, String),
    /// Label, and the replica that wrote the report.
    pub instance: (String, String),
    /// Header of the city tabs, in the order of [`super::rows::Cells`].
    pub columns: [String; 9],
    /// Heading of the cities in the Summary.
    pub city: String,
    /// Heading of the departments in the Summary.
    pub department: String,
    /// Heading of the counts in the Summary.
    pub registrations: String,
    /// Label of a city's total and of the grand total.
    pub total: String,
    /// Title of the chart.
    pub chart_title: String,
}

/// One whole part of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Path in the archive.
    pub name: String,
    /// XML.
    pub content: String,
}

/// The parts of the workbook, in the order `rust_xlsxwriter` packs them.
///
/// # Errors
/// When a text is too long for its place, or the drawn file cannot be read back.
pub(super) fn draw(
    texts: &Texts,
    cities: &[(City, u64)],
    created: DateTime,
) -> Result<Vec<Part>, DrawError> {
    let mut workbook = Workbook::new();
    let created = excel_time(created)?;
    workbook.set_properties(
        &DocProperties::new()
            .set_title(&texts.title)
            .set_creation_datetime(&created),
    );
    draw_summary(workbook.add_worksheet(), texts, cities)?;
    draw_prototype(workbook.add_worksheet(), texts, &created)?;
    unpack(workbook.save_to_buffer()?)
}

/// Row 2 holds the two styles of the rows below the header: the total's in A, the date's in G.
fn draw_prototype(
    sheet: &mut Worksheet,
    texts: &Texts,
    date: &ExcelDateTime,
) -> Result<(), XlsxError> {
    let header = Format::new().set_bold().set_background_color(0x00DD_EBF7);
    sheet.set_name("Prototype")?.set_freeze_panes(1, 0)?;
    for ((column, label), width) in (0..).zip(&texts.columns).zip(WIDTHS) {
        sheet.set_column_width(column, width)?;
        sheet.write_string_with_format(0, column, label, &header)?;
    }
    // A document number is text on purpose.
    sheet.ignore_error_range(1, 3, 1_048_575, 3, IgnoreError::NumberStoredAsText)?;
    sheet.write_blank(1, 0, &Format::new().set_bold())?;
    sheet.write_datetime_with_format(1, 6, date, &Format::new().set_num_format(DATE_FORMAT))?;
    Ok(())
}

fn draw_summary(
    sheet: &mut Worksheet,
    texts: &Texts,
    cities: &[(City, u64)],
) -> Result<(), XlsxError> {
    let bold = Format::new().set_bold();
    let count = Format::new().set_num_format("#,##0");
    let date = Format::new()
        .set_num_format(DATE_FORMAT)
        .set_align(rust_xlsxwriter::FormatAlign::Left);
    sheet.set_name(&texts.summary_tab)?;
    for (column, width) in [(0, 32.0), (1, 28.0), (2, 16.0)] {
        sheet.set_column_width(column, width)?;
    }
    sheet.write_string_with_format(
        0,
        0,
        &texts.title,
        &Format::new().set_bold().set_font_size(16),
    )?;
    for (row, label) in (2..).zip([&texts.as_of.0, &texts.filter.0, &texts.instance.0]) {
        sheet.write_string_with_format(row, 0, label, &bold)?;
    }
    sheet.write_datetime_with_format(2, 1, &excel_time(texts.as_of.1)?, &date)?;
    sheet.write_string(3, 1, &texts.filter.1)?;
    sheet.write_string(4, 1, &texts.instance.1)?;

    let header = Format::new().set_bold().set_background_color(0x00DD_EBF7);
    for (column, label) in (0..).zip([&texts.city, &texts.department, &texts.registrations]) {
        sheet.write_string_with_format(TABLE, column, label, &header)?;
    }
    let mut sorted: Vec<_> = cities.iter().collect();
    sorted.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    let mut row = TABLE;
    for (city, rows) in sorted {
        row += 1;
        sheet.write_string(row, 0, &city.name)?;
        sheet.write_string(row, 1, &city.department)?;
        sheet.write_number_with_format(row, 2, as_number(*rows), &count)?;
    }
    let all = cities.iter().map(|(_, rows)| rows).sum();
    sheet.write_string_with_format(row + 1, 0, &texts.total, &bold)?;
    sheet.write_number_with_format(row + 1, 2, as_number(all), &count.clone().set_bold())?;
    if !cities.is_empty() {
        sheet.insert_chart(TABLE, 4, &chart(texts, cities.len()))?;
    }
    Ok(())
}

/// Bars of the first rows of the Summary's table, the greatest on top.
fn chart(texts: &Texts, bars: usize) -> Chart {
    let bars = u32::try_from(bars.min(BARS)).unwrap_or_default();
    let (first, last) = (TABLE + 1, TABLE + bars);
    let mut chart = Chart::new(ChartType::Bar);
    chart
        .add_series()
        .set_name(texts.registrations.as_str())
        .set_categories((texts.summary_tab.as_str(), first, 0, last, 0))
        .set_values((texts.summary_tab.as_str(), first, 2, last, 2))
        .set_data_label(rust_xlsxwriter::ChartDataLabel::new().show_value());
    chart.title().set_name(texts.chart_title.as_str());
    chart.legend().set_hidden();
    // In a chart of bars the categories are on the y axis; the labels tell the values.
    chart.y_axis().set_reverse();
    chart.x_axis().set_hidden(true);
    chart.set_width(720).set_height(140 + 24 * bars);
    chart
}

fn excel_time(at: DateTime) -> Result<ExcelDateTime, XlsxError> {
    let part = |value: i8| u16::from(value.unsigned_abs());
    ExcelDateTime::from_ymd(
        at.year().unsigned_abs(),
        at.month().unsigned_abs(),
        at.day().unsigned_abs(),
    )?
    .and_hms(
        part(at.hour()),
        at.minute().unsigned_abs(),
        at.second().unsigned_abs(),
    )
}

/// Exact up to 2^53, which no count reaches.
#[expect(
    clippy::cast_precision_loss,
    reason = "no count of registrations reaches 2^53"
)]
fn as_number(count: u64) -> f64 {
    count as f64
}

fn unpack(workbook: Vec<u8>) -> Result<Vec<Part>, DrawError> {
    let mut archive = ZipArchive::new(Cursor::new(workbook))?;
    let mut parts = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.name()?.into_owned();
        let mut content = String::new();
        file.read_to_string(&mut content)?;
        parts.push(Part { name, content });
    }
    Ok(parts)
}
