//! The chart of totals: horizontal bars as PNG or SVG, byte for byte the same for the same input.
//!
//! Called by the board, which sorts, cuts to the largest, folds the others into a last "rest" bar, and brings every
//! text in the reader's language. Pure and CPU-bound (milliseconds: call it off the async threads). It never counts,
//! sorts, caches, reads a file or looks for a font.

mod layout;
mod text;

use std::error::Error;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters_backend::{DrawingBackend, DrawingErrorKind};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use layout::Layout;

/// What is drawn. All text is the caller's, in the reader's language.
#[derive(Clone, Debug)]
pub struct Chart {
    /// First line; made smaller, then cut, when it is too long.
    pub title: String,
    /// Second line, such as `Total: 1.234 · a 21/11/2026 06:30`.
    pub subtitle: String,
    /// Said in place of the bars when there are none.
    pub empty: String,
    /// From top to bottom; at most [`rows_that_fit`].
    pub bars: Vec<Bar>,
    /// Between groups of three digits: `.` or `,`.
    pub thousands: char,
}

/// One row of a [`Chart`].
#[derive(Clone, Debug)]
pub struct Bar {
    /// To the left of the bar; cut with an ellipsis at two fifths of the width.
    pub label: String,
    /// Length of the bar, and written at its end.
    pub count: u64,
    /// Whether it stands for all the others: drawn in a muted colour.
    pub rest: bool,
}

/// Width and height of a picture in pixels, within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// Least width, in pixels.
    pub const MIN_WIDTH: u32 = 320;
    /// Least height, in pixels.
    pub const MIN_HEIGHT: u32 = 240;
    /// Greatest width and height, in pixels.
    pub const MAX: u32 = 2000;

    /// # Errors
    /// Names the side that is out of bounds, and its bounds.
    pub fn new(width: u32, height: u32) -> Result<Self, SizeError> {
        let within = |field, value, min| match u16::try_from(value) {
            Ok(side) if (min..=Self::MAX).contains(&value) => Ok(side),
            _ => Err(SizeError {
                field,
                min,
                max: Self::MAX,
            }),
        };
        Ok(Self {
            width: within("width", width, Self::MIN_WIDTH)?,
            height: within("height", height, Self::MIN_HEIGHT)?,
        })
    }

    fn sides(self) -> (u32, u32) {
        (self.width.into(), self.height.into())
    }
}

/// A side of a picture is out of bounds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be between {min} and {max} pixels")]
pub struct SizeError {
    /// `width` or `height`.
    pub field: &'static str,
    /// Least pixels.
    pub min: u32,
    /// Most pixels.
    pub max: u32,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The caller did not fold the bars into [`rows_that_fit`].
    #[error("{bars} bars where {fit} fit")]
    TooManyBars {
        /// Bars in the chart.
        bars: usize,
        /// Bars that the size allows.
        fit: usize,
    },
    /// The plotters backend refused to draw.
    #[error("the chart could not be drawn")]
    Draw(#[source] Box<dyn Error + Send + Sync>),
    /// The PNG encoder failed.
    #[error("the chart could not be encoded")]
    Encode(#[from] png::EncodingError),
    /// The thread that was drawing ended early; only callers that draw on another thread make it.
    #[error("the drawing was interrupted")]
    Interrupted,
}

/// How many bars have legible labels at `size`, the rest bar included: 14 at 320 x 240, 37 at 1000 x 600.
#[must_use]
pub fn rows_that_fit(size: Size) -> usize {
    layout::rows_that_fit(size)
}

/// Draws `chart` as a PNG of `size`, with a palette.
///
/// # Errors
/// [`RenderError::TooManyBars`]; the other ones only by a defect of a library.
pub fn png(chart: &Chart, size: Size) -> Result<Vec<u8>, RenderError> {
    let layout = Layout::new(chart, size)?;
    let (width, height) = size.sides();
    let mut pixels = vec![0; usize::from(size.width) * usize::from(size.height) * 3];
    draw(
        &layout,
        BitMapBackend::with_buffer(&mut pixels, (width, height)),
    )?;
    let (palette, indices) = indexed(&pixels);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.set_compression(Compression::Balanced);
    // Palette indices are names, not quantities: differences between them do not compress.
    encoder.set_filter(Filter::NoFilter);
    encoder.write_header()?.write_image_data(&indices)?;
    Ok(bytes)
}

/// Draws `chart` as an SVG of `size`: the same picture as [`png()`], with every label in full and every count in its
/// description for screen readers.
///
/// # Errors
/// [`RenderError::TooManyBars`]; the other ones only by a defect of a library.
pub fn svg(chart: &Chart, size: Size) -> Result<Vec<u8>, RenderError> {
    let layout = Layout::new(chart, size)?;
    let mut document = String::new();
    draw(
        &layout,
        SVGBackend::with_string(&mut document, size.sides()),
    )?;
    let title = escaped(&chart.title);
    let description = escaped(&layout::description(chart));
    let opening = format!(" role=\"img\">\n<title>{title}</title>\n<desc>{description}</desc>\n");
    // The first tag to end is the root's.
    Ok(document.replacen(">\n", &opening, 1).into_bytes())
}

fn draw<B>(layout: &Layout, backend: B) -> Result<(), RenderError>
where
    B: DrawingBackend<ErrorType: 'static>,
{
    paint(layout, backend).map_err(|error| RenderError::Draw(Box::new(error)))
}

fn paint<B: DrawingBackend>(
    layout: &Layout,
    mut backend: B,
) -> Result<(), DrawingErrorKind<B::ErrorType>> {
    for (place, colour) in &layout.boxes {
        backend.draw_rect(
            (place.left, place.top),
            (place.right, place.bottom),
            colour,
            true,
        )?;
    }
    for text in &layout.texts {
        backend.draw_text(&text.content, text, text.anchor_point())?;
    }
    backend.present()
}

/// RGB pixels as a palette and an index for each pixel.
fn indexed(pixels: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut palette: Vec<[u8; 3]> = Vec::new();
    let mut last = 0;
    let index_of = |pixel: &[u8; 3]| {
        if palette.get(last) != Some(pixel) {
            last = palette
                .iter()
                .position(|colour| colour == pixel)
                .unwrap_or_else(|| {
                    palette.push(*pixel);
                    palette.len() - 1
                });
        }
        u8::try_from(last).expect("two inks of 7 shades and four flat colours are 18")
    };
    let indices = pixels.iter().map(index_of).collect();
    (palette.concat(), indices)
}

fn escaped(text: &str) -> String {
    text::printable(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).expect("within bounds")
    }

    fn chart(bars: usize) -> Chart {
        let names = [
            "Bogotá, D. C.",
            "Medellín",
            "Cali",
            "Cúcuta",
            "Ibagué",
            "Itagüí",
            "El Peñón",
            "<b>&\"x\"'\u{1}",
        ];
        let bar = |row: usize| Bar {
            label: names[row % names.len()].to_owned(),
            count: 1_234_567 / (row as u64 * row as u64 + 1),
            rest: row == 20,
        };
        Chart {
            title: "Inscripciones <por> ciudad".to_owned(),
            subtitle: "Total: 9.876.543 · a 21/11/2026 06:30".to_owned(),
            empty: "Aún no hay inscripciones".to_owned(),
            bars: (0..bars).map(bar).collect(),
            thousands: '.',
        }
    }

    /// Width, height and RGB pixels.
    fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("a whole PNG");
        (info.width, info.height, pixels)
    }

    #[test]
    fn a_png_has_the_size_asked_for_and_a_white_border() {
        for (width, height) in [(320, 240), (1000, 600), (2000, 2000), (321, 1999)] {
            let (wide, high, pixels) =
                decoded(&png(&chart(13), size(width, height)).expect("a picture"));
            assert_eq!((wide, high), (width, height));
            let row = width as usize * 3;
            assert!(pixels[..row * 12].iter().all(|&byte| byte == 0xff));
            assert!(
                pixels[pixels.len() - row * 12..]
                    .iter()
                    .all(|&byte| byte == 0xff)
            );
            assert!(
                pixels
                    .chunks(row)
                    .all(|row| row[..36].iter().all(|&byte| byte == 0xff))
            );
        }
    }

    #[test]
    fn a_png_of_21_bars_is_at_most_20_kilobytes() {
        let bytes = png(&chart(21), size(1000, 600)).expect("a picture").len();
        assert!(bytes <= 20_000, "{bytes}");
    }

    #[test]
    fn the_same_chart_gives_the_same_bytes() {
        for bars in [0, 1, 21] {
            let (chart, size) = (chart(bars), size(1000, 600));
            assert_eq!(
                png(&chart, size).expect("a PNG"),
                png(&chart, size).expect("a PNG")
            );
            assert_eq!(
                svg(&chart, size).expect("an SVG"),
                svg(&chart, size).expect("an SVG")
            );
        }
    }

    #[test]
    fn the_pixels_of_a_bar_are_those_of_its_count() {
        let mut chart = chart(3);
        for (bar, count) in chart.bars.iter_mut().zip([1000, 500, 0]) {
            bar.count = count;
        }
        let (width, _, pixels) = decoded(&png(&chart, size(1000, 600)).expect("a PNG"));
        let accent = [0x00, 0x69, 0x5c];
        let lengths: Vec<usize> = pixels
            .chunks(width as usize * 3)
            .map(|row| row.chunks(3).filter(|&pixel| pixel == accent).count())
            .filter(|&length| length > 0)
            .collect();
        let (longest, shortest) = (lengths[0], lengths[lengths.len() - 1]);
        assert!(
            lengths
                .iter()
                .all(|length| [longest, shortest].contains(length))
        );
        assert!(
            longest.abs_diff(shortest * 2) <= 1,
            "{longest} and {shortest}"
        );
    }

    #[test]
    fn a_size_out_of_bounds_is_refused_by_name() {
        for (width, height, field) in [
            (319, 600, "width"),
            (2001, 600, "width"),
            (70_000, 600, "width"),
            (800, 239, "height"),
            (800, 2001, "height"),
        ] {
            let error = Size::new(width, height).expect_err("out of bounds");
            assert_eq!(error.field, field);
        }
        let message = Size::new(800, 0).expect_err("out of bounds").to_string();
        assert_eq!(message, "height must be between 240 and 2000 pixels");
        assert!(Size::new(320, 240).is_ok() && Size::new(2000, 2000).is_ok());
    }

    #[test]
    fn an_svg_is_xml_with_a_title_every_label_and_every_count() {
        for bars in [0, 1, 21] {
            let chart = chart(bars);
            let document =
                String::from_utf8(svg(&chart, size(1000, 600)).expect("an SVG")).expect("UTF-8");
            let document = roxmltree::Document::parse(&document).expect("well-formed XML");
            let root = document.root_element();
            let text_of = |name| {
                root.children()
                    .find(|node| node.has_tag_name(name))
                    .and_then(|node| node.text())
            };
            assert_eq!(root.attribute("role"), Some("img"));
            assert_eq!(text_of("title"), Some("Inscripciones <por> ciudad"));
            let texts = root.children().filter(|node| node.has_tag_name("text"));
            assert!(
                texts.clone().all(
                    |text| text.attribute("font-family") == Some("\"DejaVu Sans\", sans-serif")
                )
            );
            let drawn: Vec<&str> = texts
                .filter_map(|text| text.text())
                .map(str::trim)
                .collect();
            let description = text_of("desc").expect("a description");
            for bar in &chart.bars {
                let (label, count) = (text::printable(&bar.label), layout::grouped(bar.count, '.'));
                assert!(
                    drawn
                        .windows(2)
                        .any(|pair| pair == [label.as_str(), count.as_str()]),
                    "{label} {count}"
                );
                assert!(description.contains(&format!("{label}: {count}")));
            }
            assert_eq!(drawn.contains(&"Aún no hay inscripciones"), bars == 0);
        }
    }
}
