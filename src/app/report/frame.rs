//! Everything in the workbook but the rows: what `prototype` draws, cut to pieces that can be sent in order.
//!
//! `workbook` sends [`Frame::parts`], then for each city tab the head, its rows and the tail. `rust_xlsxwriter` draws
//! one prototype of the city tabs; the lists that name every tab repeat the prototype's line, as drawing 1,122 tabs
//! would keep the first byte waiting. Some readers find a tab by the name of its part, `sheetN.xml`, and take N for
//! its place.

use jiff::civil::DateTime;
use thiserror::Error;

use super::prototype::{self, DrawError, Part, Texts};
use super::tabs::Tab;
use crate::domain::city::City;

/// The prototype, after the Summary's `sheet1.xml`.
const PROTOTYPE_PART: &str = "xl/worksheets/sheet2.xml";
/// Number of the first city tab's relationship; those below are of parts that every workbook has.
const FIRST_RELATION: usize = 101;

/// Why the frame could not be made. A defect, or a text that a cell or a tab's name cannot hold; never about a
/// registration.
#[derive(Debug, Error)]
pub enum FrameError {
    /// It could not be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// `rust_xlsxwriter` writes something else than the version this was written for.
    #[error("the workbook's frame has no {0:?}")]
    Shape(&'static str),
}

/// The workbook without its rows.
pub(super) struct Frame {
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
}

impl Frame {
    /// Makes the frame for `tabs` (see [`super::tabs::plan`]) of `cities`, each given with its rows; the same arguments
    /// make the same bytes.
    ///
    /// # Errors
    /// When a text is too long for its place, or `rust_xlsxwriter` no longer writes what this module takes apart.
    pub(super) fn new(
        texts: &Texts,
        cities: &[(City, u64)],
        tabs: &[Tab],
        created: DateTime,
    ) -> Result<Self, FrameError> {
        let drawn = prototype::draw(texts, cities, created)?;
        let (prototypes, kept): (Vec<_>, Vec<_>) = drawn
            .into_iter()
            .partition(|part| part.name == PROTOTYPE_PART);
        let [prototype] = prototypes.as_slice() else {
            return Err(FrameError::Shape(PROTOTYPE_PART));
        };
        let (head, rest) = cut(&prototype.content, "<row r=\"2\"")?;
        let (sentinels, tail) = cut(rest, "</sheetData>")?;
        let dimension = element(head, "<dimension ")?;
        Ok(Self {
            parts: kept
                .into_iter()
                .map(|part| name_tabs(part, tabs))
                .collect::<Result<_, _>>()?,
            head: head.replacen(dimension, "", 1),
            tail: tail.to_owned(),
            date_style: style(sentinels, "<c r=\"G2\" s=\"")?,
            total_style: style(sentinels, "<c r=\"A2\" s=\"")?,
        })
    }

    /// Path in the archive of the city tab at `index` of the tabs given to [`Frame::new`].
    #[must_use]
    pub(super) fn tab_part(index: usize) -> String {
        format!("xl/worksheets/sheet{}.xml", index + 2)
    }
}

/// Puts every city tab, after the Summary, in the place of the prototype.
fn name_tabs(part: Part, tabs: &[Tab]) -> Result<Part, FrameError> {
    let content = match part.name.as_str() {
        "[Content_Types].xml" => {
            let mark = r#"<Override PartName="/xl/worksheets/sheet2.xml""#;
            repeat(&part.content, mark, tabs.len())?
        }
        "xl/_rels/workbook.xml.rels" => {
            repeat(&part.content, r#"<Relationship Id="rId2""#, tabs.len())?
        }
        "xl/workbook.xml" => list_tabs(&part.content, tabs)?,
        "docProps/app.xml" => list_titles(&part.content, tabs)?,
        _ => part.content,
    };
    let name = part.name;
    Ok(Part { name, content })
}

/// The prototype's element, once for each city tab.
fn repeat(xml: &str, mark: &'static str, count: usize) -> Result<String, FrameError> {
    let element = element(xml, mark)?;
    let tab = |index| {
        let (id, part) = (relation(index), format!("sheet{}.xml", index + 2));
        let named = element.replace("\"rId2\"", &format!("\"{id}\""));
        named.replace("sheet2.xml", &part)
    };
    Ok(xml.replacen(element, &(0..count).map(tab).collect::<String>(), 1))
}

/// Relationship id of the city tab at `index`.
fn relation(index: usize) -> String {
    format!("rId{}", FIRST_RELATION + index)
}

fn list_tabs(xml: &str, tabs: &[Tab]) -> Result<String, FrameError> {
    let line = |(index, tab): (usize, &Tab)| {
        let (name, sheet, id) = (escape(&tab.name), index + 2, relation(index));
        format!(r#"<sheet name="{name}" sheetId="{sheet}" r:id="{id}"/>"#)
    };
    let lines = tabs.iter().enumerate().map(line).collect::<String>();
    let prototype = r#"<sheet name="Prototype" sheetId="2" r:id="rId2"/>"#;
    swap(xml, prototype, &lines)
}

fn list_titles(xml: &str, tabs: &[Tab]) -> Result<String, FrameError> {
    let line = |tab: &Tab| format!("<vt:lpstr>{}</vt:lpstr>", escape(&tab.name));
    let lines = tabs.iter().map(line).collect::<String>();
    let count = tabs.len() + 1;
    let size = format!(r#"<TitlesOfParts><vt:vector size="{count}""#);
    let xml = swap(xml, "<vt:lpstr>Prototype</vt:lpstr>", &lines)?;
    let xml = swap(&xml, "<vt:i4>2<", &format!("<vt:i4>{count}<"))?;
    swap(&xml, r#"<TitlesOfParts><vt:vector size="2""#, &size)
}

/// `xml` before `mark`, and from it on.
fn cut<'a>(xml: &'a str, mark: &'static str) -> Result<(&'a str, &'a str), FrameError> {
    xml.find(mark)
        .map(|at| xml.split_at(at))
        .ok_or(FrameError::Shape(mark))
}

/// `xml` with `new` for the first `old`.
fn swap(xml: &str, old: &'static str, new: &str) -> Result<String, FrameError> {
    let (before, rest) = cut(xml, old)?;
    Ok([before, new, &rest[old.len()..]].concat())
}

/// The empty element that starts with `mark`.
fn element<'a>(xml: &'a str, mark: &'static str) -> Result<&'a str, FrameError> {
    let (_, rest) = cut(xml, mark)?;
    let end = rest.find("/>").ok_or(FrameError::Shape(mark))?;
    Ok(&rest[..end + 2])
}

/// The number that follows `mark`.
fn style(xml: &str, mark: &'static str) -> Result<u32, FrameError> {
    let (_, rest) = cut(xml, mark)?;
    let digits = rest[mark.len()..].split('"').next().unwrap_or_default();
    digits.parse().map_err(|_| FrameError::Shape(mark))
}

/// Text for XML, inside an attribute or not.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
