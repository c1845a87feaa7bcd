//! One registration as the XML of a sheet row.
//!
//! `workbook` calls [`write()`] for each registration and [`write_total`] once a city. Rows and cells carry their
//! `r=` reference: the format makes it optional, but several readers see no row without it. Text is always marked as
//! text, so no value can start a formula. Never fails.

use jiff::civil::{DateTime, date};

/// What Excel lets a cell hold, in UTF-16 code units; longer text is truncated, as the whole file would be refused.
const MAX_UNITS: usize = 32_767;

/// What Excel lets a text within a formula hold.
const MAX_FORMULA_TEXT: usize = 255;

/// Day 0 of the serial dates, true for dates from 1900-03-01.
const EPOCH: DateTime = date(1899, 12, 30).at(0, 0, 0, 0);

/// The values of one row, in the order of the columns.
#[derive(Clone, Debug)]
pub(super) struct Cells<'a> {
    /// Position in the report, from 1. Readers hold numbers as floats: exact up to 2^53.
    pub number: u64,
    /// What the citizen keeps.
    pub reference: &'a str,
    /// Full name.
    pub name: &'a str,
    /// Empty when not given.
    pub document_number: &'a str,
    /// City as the catalogue spells it.
    pub city: &'a str,
    /// Department as the catalogue spells it.
    pub department: &'a str,
    /// Local time, from 1900-03-01; shown to the second.
    pub registered_at: DateTime,
    /// Empty when not given.
    pub email: &'a str,
    /// Where staff open the photo.
    pub photo_address: &'a str,
}

/// The frame's styles of cells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Styles {
    pub(super) number: u32,
    pub(super) time: u32,
    pub(super) link: u32,
    /// Of the total and its label.
    pub(super) total: u32,
}

/// Appends the row of `cells` as line `line` of its sheet, from 1.
pub(super) fn write(out: &mut Vec<u8>, line: u64, cells: &Cells<'_>, styles: Styles) {
    let mut row = Row::open(out, line);
    row.number(Some(styles.number), cells.number);
    for value in [
        cells.reference,
        cells.name,
        cells.document_number,
        cells.city,
        cells.department,
    ] {
        row.text(None, value);
    }
    row.moment(styles.time, cells.registered_at);
    row.text(None, cells.email);
    row.link(styles.link, cells.photo_address);
    row.close();
}

/// Appends the report's total: `label`, then how many rows there are.
pub(super) fn write_total(out: &mut Vec<u8>, line: u64, label: &str, total: u64, styles: Styles) {
    let mut row = Row::open(out, line);
    row.text(Some(styles.total), label);
    row.number(Some(styles.total), total);
    row.close();
}

/// Where the column's letter stands in [`Row::start`].
const LETTER: usize = CELL.len();
const CELL: &[u8] = b"<c r=\"";

/// A row that is being written, cell after cell.
struct Row<'a> {
    out: &'a mut Vec<u8>,
    /// `<c r="A7"`, the start of the next cell: only its letter changes within a row.
    start: [u8; 32],
    start_len: usize,
}

impl<'a> Row<'a> {
    fn open(out: &'a mut Vec<u8>, line: u64) -> Self {
        out.extend_from_slice(b"<row r=\"");
        let digits = out.len();
        decimal(out, line, 1);
        let mut start = [0; 32];
        let cell = [CELL, b"A", &out[digits..], b"\""];
        let mut start_len = 0;
        for part in cell {
            start[start_len..][..part.len()].copy_from_slice(part);
            start_len += part.len();
        }
        out.extend_from_slice(b"\">");
        Self {
            out,
            start,
            start_len,
        }
    }

    fn close(self) {
        self.out.extend_from_slice(b"</row>");
    }

    fn cell(&mut self, style: Option<u32>) {
        self.out.extend_from_slice(&self.start[..self.start_len]);
        self.skip();
        if let Some(style) = style {
            self.out.extend_from_slice(b" s=\"");
            decimal(self.out, style.into(), 1);
            self.out.push(b'"');
        }
    }

    fn skip(&mut self) {
        self.start[LETTER] += 1;
    }

    fn number(&mut self, style: Option<u32>, value: u64) {
        self.cell(style);
        self.out.extend_from_slice(b"><v>");
        decimal(self.out, value, 1);
        self.out.extend_from_slice(b"</v></c>");
    }

    /// A serial date: days, and the time as six decimals of a day, rounded up so that a reader which cuts still
    /// shows the second.
    fn moment(&mut self, style: u32, at: DateTime) {
        let seconds = u64::try_from(at.duration_since(EPOCH).as_secs()).unwrap_or(0);
        self.cell(Some(style));
        self.out.extend_from_slice(b"><v>");
        decimal(self.out, seconds / 86_400, 1);
        self.out.push(b'.');
        let part = (seconds % 86_400 * 1_000_000).div_ceil(86_400);
        decimal(self.out, part, 6);
        self.out.extend_from_slice(b"</v></c>");
    }

    /// An address that a tap opens. It is a formula, because a sheet may have 65,530 hyperlinks only and formulas
    /// without bound; one that no formula can hold is a text.
    fn link(&mut self, style: u32, address: &str) {
        if address.is_empty() || address.len() > MAX_FORMULA_TEXT || address.contains('"') {
            self.text(None, address);
            return;
        }
        self.cell(Some(style));
        self.out.extend_from_slice(br#" t="str"><f>HYPERLINK(""#);
        escape(self.out, address.as_bytes());
        self.out.extend_from_slice(br#"")</f><v>"#);
        escape(self.out, address.as_bytes());
        self.out.extend_from_slice(b"</v></c>");
    }

    /// Nothing for an empty text: the references say where the next one belongs.
    fn text(&mut self, style: Option<u32>, value: &str) {
        if value.is_empty() {
            self.skip();
            return;
        }
        self.cell(style);
        let value = cut(value).as_bytes();
        let preserve: &[u8] = if has_fragile_blanks(value) {
            br#" xml:space="preserve""#
        } else {
            b""
        };
        // Not every reader takes inline text, and `LibreOffice` reads escapes in it alone.
        let (open, close): (&[u8], &[u8]) = if needs_escapes(value) {
            (br#" t="inlineStr"><is><t"#, b"</t></is></c>")
        } else {
            (br#" t="str"><v"#, b"</v></c>")
        };
        self.out.extend_from_slice(open);
        self.out.extend_from_slice(preserve);
        self.out.push(b'>');
        escape(self.out, value);
        self.out.extend_from_slice(close);
    }
}

/// Blanks that a reader may strip: at either end, tabs and line ends.
fn has_fragile_blanks(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| byte == Some(&b' ');
    blank(value.first())
        || blank(value.last())
        || value.iter().any(|byte| matches!(byte, b'\t' | b'\n'))
}

/// Whether [`escape`] writes a `_xHHHH_`.
fn needs_escapes(value: &[u8]) -> bool {
    value.iter().enumerate().any(|(at, &byte)| match byte {
        b'_' => matches!(&value[at..], [_, b'x', rest @ ..] if reads_as_escape(rest)),
        0xEF => matches!(&value[at..], [_, 0xBF, 0xBE | 0xBF, ..]),
        _ => is_illegal(byte),
    })
}

/// The longest start of `value` that a cell may hold, whole characters only.
fn cut(value: &str) -> &str {
    // Every UTF-16 unit takes at least one byte.
    if value.len() <= MAX_UNITS {
        return value;
    }
    let mut units = 0;
    let end = value.char_indices().find_map(|(at, symbol)| {
        units += symbol.len_utf16();
        (units > MAX_UNITS).then_some(at)
    });
    &value[..end.unwrap_or(value.len())]
}

/// Copies UTF-8 text; what XML cannot carry becomes `_xHHHH_` as in Excel, and text that looks like that has its `_`
/// escaped.
fn escape(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|&byte| is_special(byte)) {
        let (plain, rest) = text.split_at(at);
        out.extend_from_slice(plain);
        let taken = match rest {
            [b'&', ..] => put(out, b"&amp;", 1),
            [b'<', ..] => put(out, b"&lt;", 1),
            [b'>', ..] => put(out, b"&gt;", 1),
            [b'_', b'x', rest @ ..] if reads_as_escape(rest) => put(out, b"_x005F_", 1),
            [0xEF, 0xBF, 0xBE, ..] => put(out, b"_xFFFE_", 3),
            [0xEF, 0xBF, 0xBF, ..] => put(out, b"_xFFFF_", 3),
            [control @ 0..0x20, ..] => put(out, format!("_x{control:04X}_").as_bytes(), 1),
            [other, ..] => put(out, &[*other], 1),
            [] => 0,
        };
        text = &rest[taken..];
    }
    out.extend_from_slice(text);
}

/// Whether `_x` and this decode to something else: Excel wants four digits, `LibreOffice` 7.4 takes fewer. What
/// follows the digits may be a `_` only once it is escaped.
fn reads_as_escape(rest: &[u8]) -> bool {
    let digits = rest
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let closes = |&byte: &u8| byte == b'_' || is_illegal(byte);
    (1..=4).contains(&digits) && rest.get(digits).is_some_and(closes)
}

fn is_special(byte: u8) -> bool {
    is_illegal(byte) || matches!(byte, b'&' | b'<' | b'>' | b'_')
}

/// Control characters that XML cannot carry or would change, and the first byte of U+FFFE and U+FFFF.
fn is_illegal(byte: u8) -> bool {
    matches!(byte, 0..=8 | 11..=31 | 0xEF)
}

fn put(out: &mut Vec<u8>, bytes: &[u8], taken: usize) -> usize {
    out.extend_from_slice(bytes);
    taken
}

/// Decimal digits, at least `width` (up to 20) of them.
fn decimal(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while value > 0 || digits.len() - start < width {
        start -= 1;
        digits[start] = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: &str) -> String {
        let mut out = Vec::new();
        let mut row = Row::open(&mut out, 7);
        row.text(None, value);
        row.close();
        let out = String::from_utf8(out).expect("whole characters");
        let cell = out.strip_prefix("<row r=\"7\">").expect("a row");
        cell.strip_suffix("</row>").expect("a row").to_owned()
    }

    fn at(cell: &str, value: &str) -> String {
        format!("<c r=\"{cell}\" t=\"str\"><v>{value}</v></c>")
    }

    fn plain(value: &str) -> String {
        at("A7", value)
    }

    fn inline(value: &str) -> String {
        format!("<c r=\"A7\" t=\"inlineStr\"><is><t>{value}</t></is></c>")
    }

    #[test]
    fn a_row_says_where_each_cell_stands() {
        let cells = Cells {
            number: 7,
            reference: "K7QM-3XPD",
            name: "Ana <3",
            document_number: "",
            city: "Cali",
            department: "Valle",
            registered_at: date(2026, 11, 21).at(12, 0, 0, 999_999_999),
            email: "",
            photo_address: "/p",
        };
        let mut out = Vec::new();
        let styles = Styles {
            number: 2,
            time: 3,
            link: 4,
            total: 5,
        };
        write(&mut out, 1_048_576, &cells, styles);
        let [reference, name, city, department] = [
            ("B1048576", "K7QM-3XPD"),
            ("C1048576", "Ana &lt;3"),
            ("E1048576", "Cali"),
            ("F1048576", "Valle"),
        ]
        .map(|(cell, value)| at(cell, value));
        let expected = format!(
            "<row r=\"1048576\"><c r=\"A1048576\" s=\"2\"><v>7</v></c>{reference}{name}{city}{department}\
             <c r=\"G1048576\" s=\"3\"><v>46347.500000</v></c>\
             <c r=\"I1048576\" s=\"4\" t=\"str\"><f>HYPERLINK(\"/p\")</f><v>/p</v></c></row>"
        );
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn a_total_is_a_label_and_a_number() {
        let mut out = Vec::new();
        let styles = Styles {
            total: 2,
            ..Styles::default()
        };
        write_total(&mut out, 9, "Total", 1_048_575, styles);
        let expected = "<row r=\"9\"><c r=\"A9\" s=\"2\" t=\"str\"><v>Total</v></c><c r=\"B9\" s=\"2\"><v>1048575</v></c></row>";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn what_xml_cannot_carry_is_escaped() {
        assert_eq!(written("a&b<c>d\"'"), plain("a&amp;b&lt;c&gt;d\"'"));
        assert_eq!(written("\u{0}\u{1f}\r"), inline("_x0000__x001F__x000D_"));
        assert_eq!(
            written("\u{fffe}\u{ffff}\u{feff}ï"),
            inline("_xFFFE__xFFFF_\u{feff}ï")
        );
        assert_eq!(written("\u{feff}ï"), plain("\u{feff}ï"));
        let (literal, escaped) = ("_x0041_ _xe_", "_x005F_x0041_ _x005F_xe_");
        assert_eq!(written(literal), inline(escaped));
        for literal in [
            "_x0041", "_X0041_", "_x_", "_x00041_", "_xavier_", "_x004g_",
        ] {
            assert_eq!(written(literal), plain(literal));
        }
        // Without its own escape `_x0041` would borrow the `_` of the control character and arrive as `A`.
        assert_eq!(written("_x0041\u{1}"), inline("_x005F_x0041_x0001_"));
    }

    #[test]
    fn fragile_blanks_are_preserved() {
        for blanks in [" a", "a ", "a\tb", "a\nb", " ", "\u{1} "] {
            assert!(
                written(blanks).contains("xml:space=\"preserve\""),
                "{blanks:?}"
            );
        }
        assert_eq!(written("a  b c"), plain("a  b c"));
    }

    #[test]
    fn text_is_cut_at_what_a_cell_holds() {
        let whole = "a".repeat(MAX_UNITS);
        assert_eq!(cut(&whole), whole);
        assert_eq!(cut(&format!("{whole}a")), whole);
        let accents = "ñ".repeat(MAX_UNITS);
        assert_eq!(cut(&format!("{accents}ñ")), accents);
        // An emoji takes two units and 32,767 is odd.
        assert_eq!(cut(&"💉".repeat(20_000)), "💉".repeat(16_383));
    }

    #[test]
    fn every_second_of_a_day_is_kept_whole() {
        let serial = |at| {
            let mut out = Vec::new();
            Row::open(&mut out, 1).moment(1, at);
            let out = String::from_utf8(out).expect("text");
            let value = out.split_once("<v>").expect("a value").1;
            value.split_once("</v>").expect("a value").0.to_owned()
        };
        let midnight = date(2026, 11, 21).at(0, 0, 0, 0);
        for second in 0..86_400 {
            let out = serial(midnight + jiff::SignedDuration::from_secs(second));
            let shown = (out.parse::<f64>().expect("a number") - 46_347.0) * 86_400.0;
            // Between the second and 90 ms after it, whether a reader cuts or rounds.
            let late = shown - f64::from(i32::try_from(second).expect("small"));
            assert!((-1e-6..0.09).contains(&late), "{second}: {out}");
        }
        assert_eq!(serial(date(1850, 1, 1).at(0, 0, 0, 0)), "0.000000");
    }

    proptest! {
        #[test]
        fn decimals_are_the_numbers(value: u64) {
            let mut out = Vec::new();
            decimal(&mut out, value, 1);
            prop_assert_eq!(out, value.to_string().into_bytes());
        }

        #[test]
        fn xml_is_well_formed_and_never_longer_than_seven_bytes_a_unit(value: String) {
            let xml = written(&value);
            let illegal = |symbol| matches!(symbol, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
            prop_assert!(!xml.contains(illegal), "{:?}", xml);
            let text = [" t=\"str\"><v", "<is><t"].iter().find_map(|open| xml.split_once(open));
            let text = text.map_or("", |(_, text)| text);
            prop_assert_eq!(text.is_empty(), value.is_empty());
            let text = text.strip_prefix(" xml:space=\"preserve\"").unwrap_or(text);
            let text = text.strip_prefix('>').unwrap_or(text);
            let body = text.trim_end_matches("</c>").trim_end_matches("</is>").trim_end_matches("</t>").trim_end_matches("</v>");
            prop_assert_eq!(xml.contains("inlineStr"), body.contains("_x") && needs_escapes(value.as_bytes()));
            prop_assert!(!body.contains(['<', '>']));
            for tail in body.split('&').skip(1) {
                prop_assert!(["amp;", "lt;", "gt;"].iter().any(|entity| tail.starts_with(entity)));
            }
            prop_assert!(body.len() <= 7 * value.encode_utf16().count());
        }
    }
}
