//! Everything in the workbook but the rows: drawn by `rust_xlsxwriter`, cut to pieces that can be sent in order.
//!
//! It draws the Summary, then every sheet of the list with its header and one line of styles in place of the rows,
//! where each is cut in two. Never sees a registration.

use std::io::{Cursor, Read as _};

use jiff::{civil::DateTime, tz::TimeZone};
use rust_xlsxwriter::{
    Chart, ChartFormat, ChartSolidFill, ChartType, Color, DocProperties, ExcelDateTime, Format,
    FormatAlign, FormatUnderline, IgnoreError, Url, Workbook, Worksheet, XlsxError,
};
use thiserror::Error;
use zip::{ZipArchive, result::ZipError};

use super::{Report, rows::Styles};
use crate::domain::city::City;

/// Lines of a sheet of the list before its first row.
pub(super) const HEADER_LINES: u64 = 1;
/// Lines from the last row to the total, which stands apart: what is sorted or filtered leaves it alone.
pub(super) const TOTAL_LINES: u64 = 2;

/// Bars in the chart: the cities with the most registrations.
const BARS: usize = 20;
/// In characters, for each column of the list.
const WIDTHS: [f64; 9] = [9.0, 12.0, 34.0, 22.0, 24.0, 22.0, 18.0, 30.0, 56.0];
/// Columns of the list, and those of them that are printed: nobody taps on the address of a photo on paper.
const COLUMNS: u16 = 9;
const PRINTED: u16 = 8;
/// The row of the Summary's table header, from 0.
const TABLE: u32 = 7;
const A4: u8 = 9;
/// padron's green, and a lighter one behind headings.
const GREEN: Color = Color::RGB(0x0000_695C);
const PALE: Color = Color::RGB(0x00DC_EBE8);

/// Why the frame could not be made. A defect, or a text that a cell or a tab's name cannot hold; never about a
/// registration.
#[derive(Debug, Error)]
pub enum FrameError {
    /// `rust_xlsxwriter` refused a text.
    #[error("the workbook's frame could not be drawn")]
    Draw(#[from] XlsxError),
    /// `rust_xlsxwriter`'s file could not be read back.
    #[error("the workbook's frame could not be unpacked")]
    Unpack(#[from] ZipError),
    /// As above, for one part.
    #[error("a part of the workbook's frame could not be read")]
    Read(#[from] std::io::Error),
    /// `rust_xlsxwriter` writes something else than the version this was written for.
    #[error("the workbook's frame has no {0:?}")]
    Shape(&'static str),
}

/// The workbook without its rows.
pub(super) struct Frame {
    /// To be sent first, in this order.
    pub(super) parts: Vec<Part>,
    /// The sheets of the list, of which each but the last is full.
    pub(super) sheets: Vec<Sheet>,
    /// For [`super::rows`].
    pub(super) styles: Styles,
}

/// One whole part of the package.
pub(super) struct Part {
    /// Path in the archive.
    pub(super) name: String,
    /// XML.
    pub(super) content: String,
}

/// A sheet of the list without its rows.
pub(super) struct Sheet {
    /// Path in the archive.
    pub(super) part: String,
    /// Up to and with the header.
    pub(super) head: String,
    /// How many registrations are on it.
    pub(super) rows: u64,
    /// What follows the last row, or the total.
    pub(super) tail: String,
}

impl Frame {
    /// Makes the frame of a report on `cities`, each given with its rows, in the order of the rows; the same arguments
    /// make the same bytes.
    ///
    /// # Errors
    /// When a text is too long for its place, or `rust_xlsxwriter` no longer writes what this module takes apart.
    pub(super) fn new(report: &Report, cities: &[(City, u64)]) -> Result<Self, FrameError> {
        let total = cities.iter().map(|(_, rows)| rows).sum();
        let rows = rows_of_sheets(total, report.max_rows);
        let mut workbook = Workbook::new();
        let created = excel_time(report.as_of.to_zoned(TimeZone::UTC).datetime())?;
        workbook.set_properties(
            &DocProperties::new()
                .set_title(report.texts().report_title)
                .set_creation_datetime(&created),
        );
        draw_summary(workbook.add_worksheet(), report, cities)?;
        for (index, &count) in rows.iter().enumerate() {
            // The total is below the last.
            let lines = if index + 1 == rows.len() {
                count + TOTAL_LINES
            } else {
                count
            };
            draw_list(workbook.add_worksheet(), report, index, (count, lines))?;
        }
        take_apart(unpack(workbook.save_to_buffer()?)?, &rows)
    }
}

/// How many of `total` rows each sheet of the list has, up to `max_rows` on each, so that the total has room on the
/// last.
fn rows_of_sheets(total: u64, max_rows: u64) -> Vec<u64> {
    let mut sheets = Vec::new();
    let mut left = total;
    while left + TOTAL_LINES > max_rows {
        sheets.push(left.min(max_rows));
        left -= left.min(max_rows);
    }
    sheets.push(left);
    sheets
}

/// What a sheet of the list is called.
fn sheet_name(report: &Report, index: usize) -> String {
    let name = report.texts().report_sheet_people;
    match index {
        0 => name.to_owned(),
        _ => format!("{name} ({})", index + 1),
    }
}

fn set_up_page(sheet: &mut Worksheet, report: &Report, header: u32) -> Result<(), XlsxError> {
    let t = report.texts();
    let pages = format!("{} &P {} &N", t.report_page, t.report_page_of);
    let footer = format!("&L{}&R{pages}", t.report_title);
    sheet
        .set_paper_size(A4)
        .set_landscape()
        .set_print_fit_to_pages(1, 0)
        .set_margins(0.4, 0.4, 0.5, 0.6, 0.3, 0.3)
        .set_footer(footer)
        .set_repeat_rows(header, header)?
        .set_freeze_panes(header + 1, 0)?;
    Ok(())
}

/// The line below the header holds the styles of what is written there later.
fn draw_list(
    sheet: &mut Worksheet,
    report: &Report,
    index: usize,
    (rows, lines): (u64, u64),
) -> Result<(), XlsxError> {
    let number = Format::new().set_align(FormatAlign::Right).set_indent(1);
    let bold = Format::new().set_bold();
    sheet.set_name(sheet_name(report, index))?;
    set_up_page(sheet, report, 0)?;
    for ((column, label), width) in (0..).zip(report.texts().columns()).zip(WIDTHS) {
        sheet.set_column_width(column, width)?;
        let style = if column == 0 {
            number.clone().merge(&heading())
        } else {
            heading()
        };
        sheet.write_string_with_format(0, column, label, &style)?;
    }
    let line = |lines: u64| u32::try_from(lines).unwrap_or(u32::MAX);
    sheet.autofilter(0, 0, line(rows), COLUMNS - 1)?;
    sheet.set_print_area(0, 0, line(lines), PRINTED - 1)?;
    // A document number is text on purpose.
    sheet.ignore_error_range(1, 3, 1_048_575, 3, IgnoreError::NumberStoredAsText)?;
    for (column, style) in [&number, &bold, &link(), &time(report)]
        .into_iter()
        .enumerate()
    {
        sheet.write_blank(1, u16::try_from(column).unwrap_or_default(), style)?;
    }
    Ok(())
}

fn heading() -> Format {
    Format::new().set_bold().set_background_color(PALE)
}

fn link() -> Format {
    Format::new()
        .set_font_color(GREEN)
        .set_underline(FormatUnderline::Single)
}

fn time(report: &Report) -> Format {
    Format::new()
        .set_num_format(report.texts().report_time_format)
        .set_align(FormatAlign::Left)
}

fn draw_summary(
    sheet: &mut Worksheet,
    report: &Report,
    cities: &[(City, u64)],
) -> Result<(), XlsxError> {
    let t = report.texts();
    let bold = Format::new().set_bold();
    let count = Format::new().set_num_format("#,##0");
    sheet.set_name(t.report_sheet_summary)?;
    set_up_page(sheet, report, TABLE)?;
    for (column, width) in [(0, 32.0), (1, 30.0), (2, 16.0)] {
        sheet.set_column_width(column, width)?;
    }
    let large = Format::new().set_bold().set_font_size(16);
    sheet.write_string_with_format(0, 0, t.report_title, &large)?;
    let filter = report.spec.city.as_ref();
    let filter = filter.map_or(t.report_all_cities.to_owned(), City::full_name);
    sheet.write_string_with_format(2, 0, t.as_of, &bold)?;
    let as_of = excel_time(report.local(report.as_of))?;
    sheet.write_datetime_with_format(2, 1, &as_of, &time(report))?;
    for (row, label, text) in [
        (3, t.report_filter, filter),
        (4, t.report_period, report.period()),
        (5, t.report_instance, report.spec.instance.to_string()),
    ] {
        sheet.write_string_with_format(row, 0, label, &bold)?;
        sheet.write_string(row, 1, text)?;
    }
    for (column, label) in (0..).zip([t.column_city, t.column_department]) {
        sheet.write_string_with_format(TABLE, column, label, &heading())?;
    }
    let right = heading().set_align(FormatAlign::Right);
    sheet.write_string_with_format(TABLE, 2, t.staff_count, &right)?;

    let mut first = 0;
    let mut lines: Vec<_> = cities
        .iter()
        .map(|(city, rows)| {
            let line = (city, *rows, first);
            first += rows;
            line
        })
        .collect();
    lines.sort_by_key(|(_, rows, _)| std::cmp::Reverse(*rows));
    let mut row = TABLE;
    for (city, rows, first) in lines {
        row += 1;
        if rows == 0 {
            sheet.write_string(row, 0, &city.name)?;
        } else {
            let place = Url::new(place(report, first)).set_text(&city.name);
            sheet.write_url_with_format(row, 0, place, &link())?;
        }
        sheet.write_string(row, 1, &city.department)?;
        sheet.write_number_with_format(row, 2, as_number(rows), &count)?;
    }
    if !cities.is_empty() {
        sheet.autofilter(TABLE, 0, row, 2)?;
        // A line below the header, which is repeated on every page with whatever touches it.
        sheet.insert_chart(TABLE + 2, 4, &chart(report, cities.len()))?;
    }
    let row = row + 2;
    sheet.write_string_with_format(row, 0, t.total, &bold)?;
    sheet.write_number_with_format(row, 2, as_number(first), &count.set_bold())?;
    Ok(())
}

/// Where the row after the first `before` stands.
fn place(report: &Report, before: u64) -> String {
    let sheet = usize::try_from(before / report.max_rows).unwrap_or(usize::MAX);
    let (name, line) = (sheet_name(report, sheet), report.line(before + 1));
    format!("internal:'{name}'!A{line}")
}

/// Bars of the first rows of the Summary's table, the greatest on top.
fn chart(report: &Report, bars: usize) -> Chart {
    let t = report.texts();
    let bars = u32::try_from(bars.min(BARS)).unwrap_or_default();
    let (first, last) = (TABLE + 1, TABLE + bars);
    let mut chart = Chart::new(ChartType::Bar);
    chart
        .add_series()
        .set_name(t.staff_count)
        .set_categories((t.report_sheet_summary, first, 0, last, 0))
        .set_values((t.report_sheet_summary, first, 2, last, 2))
        .set_gap(40)
        .set_format(ChartFormat::new().set_solid_fill(ChartSolidFill::new().set_color(GREEN)))
        .set_data_label(rust_xlsxwriter::ChartDataLabel::new().show_value());
    chart.title().set_name(t.chart_title);
    chart.legend().set_hidden();
    // In a chart of bars the categories are on the y axis; the labels tell the values.
    chart.y_axis().set_reverse();
    chart.x_axis().set_hidden(true).set_major_gridlines(false);
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

fn unpack(workbook: Vec<u8>) -> Result<Vec<Part>, FrameError> {
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

/// Cuts the sheets of the list, which follow the Summary's `sheet1.xml`, where their rows belong.
fn take_apart(mut parts: Vec<Part>, rows: &[u64]) -> Result<Frame, FrameError> {
    let mut sheets = Vec::with_capacity(rows.len());
    let mut styles = Styles::default();
    for (number, &rows) in (2..).zip(rows) {
        let name = format!("xl/worksheets/sheet{number}.xml");
        let at = parts.iter().position(|part| part.name == name);
        let part = parts.remove(at.ok_or(FrameError::Shape("sheet of the list"))?);
        let (head, rest) = cut(&part.content, "<row r=\"2\"")?;
        let (line, tail) = cut(rest, "</sheetData>")?;
        styles = Styles {
            number: style(line, "<c r=\"A2\" s=\"")?,
            total: style(line, "<c r=\"B2\" s=\"")?,
            link: style(line, "<c r=\"C2\" s=\"")?,
            time: style(line, "<c r=\"D2\" s=\"")?,
        };
        // It would tell of the line of styles.
        let (before, dimension) = cut(head, "<dimension ")?;
        let (_, after) = cut(dimension, "<sheetViews>")?;
        sheets.push(Sheet {
            part: name,
            head: [before, after].concat(),
            rows,
            tail: tail.to_owned(),
        });
    }
    Ok(Frame {
        parts,
        sheets,
        styles,
    })
}

/// `xml` before `mark`, and from it on.
fn cut<'a>(xml: &'a str, mark: &'static str) -> Result<(&'a str, &'a str), FrameError> {
    xml.find(mark)
        .map(|at| xml.split_at(at))
        .ok_or(FrameError::Shape(mark))
}

/// The number that follows `mark`.
fn style(xml: &str, mark: &'static str) -> Result<u32, FrameError> {
    let (_, rest) = cut(xml, mark)?;
    let digits = rest[mark.len()..].split('"').next().unwrap_or_default();
    digits.parse().map_err(|_| FrameError::Shape(mark))
}
