//! The charts: horizontal bars of totals, or a bar for each day, as PNG or SVG, byte for byte the same for the same
//! input.
//!
//! Called by the charts of the board, which bring the counts and say how a label is written. Here the counts that have
//! no room become a line of text, because only the geometry knows how many fit. Pure and CPU-bound (milliseconds: call
//! it on the blocking pool). It never counts, sorts, caches, reads a file or looks for a font.

mod geometry;
mod layout;
mod text;

use std::error::Error;

use plotters::backend::{BitMapBackend, SVGBackend};
use plotters_backend::{DrawingBackend, DrawingErrorKind};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

pub use self::{
    geometry::{Geometry, OutOfBounds},
    text::undrawable,
};
use super::lang::{Lang, Noun};
use layout::Layout;

/// The colours of a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Theme {
    /// Dark on white.
    #[default]
    Light,
    /// Light on the ground of a panel in Grafana's dark theme.
    Dark,
}

/// What is drawn.
pub struct Chart<'a> {
    /// Language of its words and numbers.
    pub lang: Lang,
    /// Its colours.
    pub theme: Theme,
    /// The first line.
    pub title: String,
    /// What stands below it, such as `Total: 1.234` and `Datos al 21/11/2026, 06:30`: in one line where it fits.
    pub subtitle: Vec<String>,
    /// What is shown.
    pub plot: Plot<'a>,
}

/// The two kinds of plot.
#[derive(Clone, Copy)]
pub enum Plot<'a> {
    /// Horizontal bars.
    Bars(&'a Bars<'a>),
    /// A vertical bar for each day, oldest first.
    Days(&'a [DayCount]),
}

/// Horizontal bars.
pub struct Bars<'a> {
    /// How many people, from top to bottom, largest first.
    pub counts: &'a [u64],
    /// The label of the bar at a place; truncated with an ellipsis at two fifths of the width.
    pub label: &'a dyn Fn(usize) -> String,
    /// What each of them is.
    pub of: Noun,
}

/// How many people on a day.
pub struct DayCount {
    /// The day as people write it, short: `28/11`.
    pub label: String,
    /// Registrations.
    pub count: u64,
}

impl Chart<'_> {
    fn is_empty(&self) -> bool {
        match self.plot {
            Plot::Bars(bars) => bars.counts.is_empty(),
            Plot::Days(days) => days.iter().all(|day| day.count == 0),
        }
    }
}

/// Why rendering failed: a bug in a library.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The plotters backend refused to draw.
    #[error("the chart could not be drawn")]
    Draw(#[source] Box<dyn Error + Send + Sync>),
    /// The PNG encoder failed.
    #[error("the chart could not be encoded")]
    Encode(#[from] png::EncodingError),
}

/// Draws `chart` as a PNG, with a palette.
///
/// # Errors
/// [`RenderError`].
pub fn png(chart: &Chart, geometry: Geometry) -> Result<Vec<u8>, RenderError> {
    let layout = Layout::new(chart, geometry);
    let (width, height) = geometry.sides();
    let mut pixels = vec![0; usize::from(geometry.width) * usize::from(geometry.height) * 3];
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

/// Draws `chart` as an SVG: the same picture as [`png()`], with every count and its whole label in its description for
/// screen readers.
///
/// # Errors
/// [`RenderError`].
pub fn svg(chart: &Chart, geometry: Geometry) -> Result<Vec<u8>, RenderError> {
    let layout = Layout::new(chart, geometry);
    let mut document = String::new();
    draw(
        &layout,
        SVGBackend::with_string(&mut document, geometry.sides()),
    )?;
    let title = escaped(&chart.title);
    let description = escaped(&layout.description);
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
        u8::try_from(last)
            .expect("two inks of 7 shades on two grounds and three flat colours are fewer than 40")
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
mod tests;
