//! Everything in the workbook but the rows, made by `rust_xlsxwriter` and cut to pieces that can be sent in order.
//!
//! `report` calls [`build`], sends [`Template::parts`], then for each city tab the head, its rows, the tail, and at the end what
//! [`Template::summary`] makes of the rows it wrote. `rust_xlsxwriter` draws one prototype of the city tabs; the lists that
//! name every tab repeat the prototype's line, as drawing 1,122 tabs would keep the first byte waiting.

use jiff::civil::DateTime;
use rust_xlsxwriter::XlsxError;
use thiserror::Error;
use zip::result::ZipError;

use super::skeleton;
use super::tabs::Tab;

const PROTOTYPE_PART: &str = "xl/worksheets/sheet1.xml";
/// The parts that hold the totals. All others are the same before the rows and after them.
const LATE_PARTS: [&str; 4] = [
    "xl/worksheets/sheet2.xml",
    "xl/drawings/drawing1.xml",
    "xl/charts/chart1.xml",
    "xl/sharedStrings.xml",
];

/// Why the template could not be made. A defect, or a text that a cell or a tab's name cannot hold; never about a registration.
#[derive(Debug, Error)]
pub enum Error {
    /// `rust_xlsxwriter` refused a text.
    #[error("the workbook's template could not be drawn")]
    Draw(#[from] XlsxError),
    /// `rust_xlsxwriter`'s file could not be read back.
    #[error("the workbook's template could not be unpacked")]
    Unpack(#[from] ZipError),
    /// As above, for one part.
    #[error("a part of the workbook's template could not be read")]
    Read(#[from] std::io::Error),
    /// `rust_xlsxwriter` writes something else than the version this was written for.
    #[error("the workbook's template has no {0:?}")]
    Shape(&'static str),
    /// The Summary's totals change a part that was already sent.
    #[error("the workbook's template changed while rows were written")]
    Changed,
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

/// What was written of one city, over all its tabs.
#[derive(Clone, Debug)]
pub(super) struct Total<'a> {
    /// As the catalogue spells it.
    pub city: &'a str,
    /// As the catalogue spells it.
    pub department: &'a str,
    /// Rows written.
    pub rows: u64,
}

/// One whole part of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Path in the archive.
    pub name: String,
    /// XML.
    pub content: String,
}

/// The workbook without its rows.
pub(super) struct Template {
    /// To be sent first, in this order.
    pub parts: Vec<Part>,
    /// Start of every city tab, up to and with the header row.
    pub head: String,
    /// End of every city tab, after its last row.
    pub tail: String,
    /// Style of the date column, for [`super::rows::write`].
    pub date_style: u32,
    /// Style of the total row, for [`super::rows::write_total`].
    pub total_style: u32,
    texts: Texts,
    created: DateTime,
    /// The first drawing's parts that must not change.
    drawn: Vec<Part>,
}

/// Makes the template for `tabs` (see [`super::tabs::plan`]); the same arguments make the same bytes.
///
/// # Errors
/// When a text is too long for its place, or `rust_xlsxwriter` no longer writes what this module takes apart.
pub(super) fn build(texts: Texts, tabs: &[Tab], created: DateTime) -> Result<Template, Error> {
    // Whether there is a chart must be the same in both drawings; what it shows need not be.
    let placeholder = Total {
        city: "",
        department: "",
        rows: 0,
    };
    let totals = &[placeholder][..usize::from(!tabs.is_empty())];
    let (drawn, _) = split(skeleton::draw(&texts, totals, created)?);
    let prototype = drawn
        .iter()
        .find(|part| part.name == PROTOTYPE_PART)
        .ok_or(Error::Shape(PROTOTYPE_PART))?;
    let (head, rest) = cut(&prototype.content, "<row r=\"2\"")?;
    let (sentinels, tail) = cut(rest, "</sheetData>")?;
    let dimension = element(head, "<dimension ")?;
    let kept = drawn.iter().filter(|part| part.name != PROTOTYPE_PART);
    Ok(Template {
        parts: kept
            .map(|part| name_tabs(part, tabs))
            .collect::<Result<_, _>>()?,
        head: head.replacen(dimension, "", 1),
        tail: tail.to_owned(),
        date_style: style(sentinels, "<c r=\"G2\" s=\"")?,
        total_style: style(sentinels, "<c r=\"A2\" s=\"")?,
        texts,
        created,
        drawn,
    })
}

impl Template {
    /// Path in the archive of the city tab at `index` of the tabs given to [`build`].
    #[must_use]
    pub(super) fn tab_part(index: usize) -> String {
        format!("xl/worksheets/city{}.xml", index + 1)
    }

    /// The parts to send last, with the rows actually written: one total for each city, none if and only if there are no tabs.
    ///
    /// # Errors
    /// As [`build`], and when the totals would change a part that was already sent.
    pub(super) fn summary(&self, totals: &[Total<'_>]) -> Result<Vec<Part>, Error> {
        let (drawn, late) = split(skeleton::draw(&self.texts, totals, self.created)?);
        if drawn == self.drawn {
            Ok(late)
        } else {
            Err(Error::Changed)
        }
    }
}

/// The parts that stay, and [`LATE_PARTS`].
fn split(parts: Vec<Part>) -> (Vec<Part>, Vec<Part>) {
    parts
        .into_iter()
        .partition(|part| !LATE_PARTS.contains(&part.name.as_str()))
}

/// Puts every city tab, after the Summary, in the place of the prototype.
fn name_tabs(part: &Part, tabs: &[Tab]) -> Result<Part, Error> {
    let content = match part.name.as_str() {
        "[Content_Types].xml" => {
            let mark = r#"<Override PartName="/xl/worksheets/sheet1.xml""#;
            repeat(&part.content, mark, tabs.len())?
        }
        "xl/_rels/workbook.xml.rels" => {
            repeat(&part.content, r#"<Relationship Id="rId1""#, tabs.len())?
        }
        "xl/workbook.xml" => list_tabs(&part.content, tabs)?,
        "docProps/app.xml" => list_titles(&part.content, tabs)?,
        _ => part.content.clone(),
    };
    let name = part.name.clone();
    Ok(Part { name, content })
}

/// The prototype's element, once for each city tab.
fn repeat(xml: &str, mark: &'static str, count: usize) -> Result<String, Error> {
    let element = element(xml, mark)?;
    let tab = |number| {
        let city = format!("city{number}");
        element.replace("rId1", &city).replace("sheet1", &city)
    };
    Ok(xml.replacen(element, &(1..=count).map(tab).collect::<String>(), 1))
}

/// The Summary keeps its sheet id, 2, and becomes the first tab, so the active one.
fn list_tabs(xml: &str, tabs: &[Tab]) -> Result<String, Error> {
    let line = |(number, tab): (usize, &Tab)| {
        let (name, id) = (escape(&tab.name), number + 2);
        format!(r#"<sheet name="{name}" sheetId="{id}" r:id="city{number}"/>"#)
    };
    let lines = (1..).zip(tabs).map(line).collect::<String>() + "</sheets>";
    let prototype = r#"<sheet name="Prototype" sheetId="1" r:id="rId1"/>"#;
    let xml = swap(xml, prototype, "")?;
    let xml = swap(&xml, "</sheets>", &lines)?;
    swap(&xml, r#" activeTab="1""#, "")
}

fn list_titles(xml: &str, tabs: &[Tab]) -> Result<String, Error> {
    const END: &str = "</vt:vector></TitlesOfParts>";
    let line = |tab: &Tab| format!("<vt:lpstr>{}</vt:lpstr>", escape(&tab.name));
    let lines = tabs.iter().map(line).collect::<String>() + END;
    let count = tabs.len() + 1;
    let size = format!(r#"<TitlesOfParts><vt:vector size="{count}""#);
    let xml = swap(xml, "<vt:lpstr>Prototype</vt:lpstr>", "")?;
    let xml = swap(&xml, END, &lines)?;
    let xml = swap(&xml, "<vt:i4>2<", &format!("<vt:i4>{count}<"))?;
    swap(&xml, r#"<TitlesOfParts><vt:vector size="2""#, &size)
}

/// `xml` before `mark`, and from it on.
fn cut<'a>(xml: &'a str, mark: &'static str) -> Result<(&'a str, &'a str), Error> {
    xml.find(mark)
        .map(|at| xml.split_at(at))
        .ok_or(Error::Shape(mark))
}

/// `xml` with `new` for the first `old`.
fn swap(xml: &str, old: &'static str, new: &str) -> Result<String, Error> {
    let (before, rest) = cut(xml, old)?;
    Ok([before, new, &rest[old.len()..]].concat())
}

/// The empty element that starts with `mark`.
fn element<'a>(xml: &'a str, mark: &'static str) -> Result<&'a str, Error> {
    let (_, rest) = cut(xml, mark)?;
    let end = rest.find("/>").ok_or(Error::Shape(mark))?;
    Ok(&rest[..end + 2])
}

/// The number that follows `mark`.
fn style(xml: &str, mark: &'static str) -> Result<u32, Error> {
    let (_, rest) = cut(xml, mark)?;
    let digits = rest[mark.len()..].split('"').next().unwrap_or_default();
    digits.parse().map_err(|_| Error::Shape(mark))
}

/// Text for XML, inside an attribute or not.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
