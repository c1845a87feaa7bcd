//! The rows as CSV that spreadsheet programs open right: UTF-8 with a byte order mark, and no cell that they would
//! take for a formula (CSV injection).

use std::sync::Arc;

use futures::TryStreamExt as _;

use super::{
    Report, ReportError,
    feed::{Feed, Segment},
    pool,
    rows::Cells,
    sink::Sink,
};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Writes all of the table but its last chunk: the bytes and how many rows they hold.
///
/// # Errors
/// When the store, the client or a worker fails, or a row cannot be decrypted.
pub(super) async fn write(
    report: &Arc<Report>,
    separator: char,
    feed: Feed,
    sink: &Sink,
) -> Result<(Vec<u8>, u64), ReportError> {
    let mut last = (header(&report.texts().columns(), separator)?, 0);
    let worker = report.clone();
    let mut segments = pool::ordered(feed, move |segment| {
        Ok((
            lines(&worker, separator, segment)?,
            segment.rows.len() as u64,
        ))
    });
    while let Some(next) = segments.try_next().await? {
        let (bytes, rows) = std::mem::replace(&mut last, next);
        sink.send(bytes, rows).await?;
    }
    Ok(last)
}

fn lines(report: &Report, separator: char, segment: &Segment) -> Result<Vec<u8>, ReportError> {
    let mut table = Table::new(separator);
    report.decrypt(segment, |cells| Ok(table.write(cells)?))?;
    Ok(table.into_bytes()?)
}

/// Some lines of the table.
struct Table(::csv::Writer<Vec<u8>>);

impl Table {
    fn new(separator: char) -> Self {
        let writer = ::csv::WriterBuilder::new()
            .delimiter(u8::try_from(separator).unwrap_or(b','))
            .terminator(::csv::Terminator::CRLF)
            .from_writer(Vec::new());
        Self(writer)
    }

    fn write(&mut self, cells: &Cells<'_>) -> Result<(), ::csv::Error> {
        let texts = [
            cells.reference,
            cells.name,
            cells.document_number,
            cells.city,
            cells.department,
        ];
        self.0.write_field(cells.number.to_string())?;
        for text in texts {
            self.0.write_field(&*harmless(text))?;
        }
        self.0.write_field(
            cells
                .registered_at
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
        )?;
        self.0.write_field(&*harmless(cells.email))?;
        self.0.write_field(&*harmless(cells.photo_address))?;
        self.0.write_record(None::<&[u8]>)
    }

    fn into_bytes(self) -> Result<Vec<u8>, ::csv::Error> {
        self.0
            .into_inner()
            .map_err(|error| std::io::Error::from(error.error().kind()).into())
    }
}

/// The byte order mark and the header line.
fn header(columns: &[&str], separator: char) -> Result<Vec<u8>, ::csv::Error> {
    let mut table = Table::new(separator);
    table.0.write_record(columns)?;
    Ok([BYTE_ORDER_MARK.as_bytes(), &table.into_bytes()?].concat())
}

/// Escapes against CSV injection, as OWASP advises: what would start a formula is made text by an apostrophe. Also
/// behind what a spreadsheet of another locale takes for the end of a cell (its delimiter).
fn harmless(text: &str) -> std::borrow::Cow<'_, str> {
    let starts_formula = |symbol| {
        matches!(
            symbol,
            '=' | '+' | '-' | '@' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'
        )
    };
    let ends_cell = |symbol| matches!(symbol, ',' | ';' | '\t');
    let dangerous = |text: &str| {
        text.chars()
            .zip(text.chars().skip(1))
            .any(|(end, start)| ends_cell(end) && starts_formula(start))
    };
    if !text.starts_with(|symbol| starts_formula(symbol) || ends_cell(symbol)) && !dangerous(text) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len() + 2);
    let mut at_start = true;
    for symbol in text.chars() {
        if at_start && (starts_formula(symbol) || ends_cell(symbol)) {
            harmless.push('\'');
        }
        harmless.push(symbol);
        at_start = ends_cell(symbol);
    }
    harmless.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_starts_a_formula() {
        for (text, written) in [
            ("=1+1", "'=1+1"),
            ("+57", "'+57"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("Ana", "Ana"),
            ("", ""),
            ("O'Neill", "O'Neill"),
            ("Ana;=1+1", "Ana;'=1+1"),
            ("Ana; =1", "Ana; =1"),
            (";=1", "';'=1"),
            ("Ana,-1", "Ana,'-1"),
        ] {
            assert_eq!(harmless(text), written);
        }
    }

    #[test]
    fn quotes_and_commas_are_one_cell() {
        let mut table = Table::new(',');
        let cells = Cells {
            number: 1,
            reference: "K7QM-3XPD",
            name: "Ana \"la\" Ñ, hija",
            document_number: "0012",
            city: "Cali",
            department: "Valle del Cauca",
            registered_at: jiff::civil::date(2026, 11, 21).at(6, 30, 5, 0),
            email: "",
            photo_address: "",
        };
        table.write(&cells).unwrap();
        assert_eq!(
            String::from_utf8(table.into_bytes().unwrap()).unwrap(),
            "1,K7QM-3XPD,\"Ana \"\"la\"\" Ñ, hija\",0012,Cali,Valle del Cauca,2026-11-21 06:30:05,,\r\n"
        );
    }
}
