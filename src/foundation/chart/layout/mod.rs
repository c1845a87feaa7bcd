//! Where everything goes: a chart and a size become boxes and lines of text, in whole pixels.
//!
//! Called by both renderers, so PNG and SVG are the same picture. Pure geometry: it draws nothing. Its promise, kept
//! for every chart that `rows_that_fit` allows: no text meets another text, a bar, or the border.

use plotters_backend::{BackendColor, text_anchor::HPos};

use super::{
    Bar, Chart, RenderError, Size,
    text::{Text, ascent, fitted, half_cap_height, line_height, printable, width},
};

const WHITE: BackendColor = rgb(0xff, 0xff, 0xff);
const INK: BackendColor = rgb(0x1f, 0x29, 0x33);
const MUTED_INK: BackendColor = rgb(0x52, 0x60, 0x6d);
const ACCENT: BackendColor = rgb(0x00, 0x69, 0x5c);
const REST: BackendColor = rgb(0x9a, 0xa5, 0xb1);
const BASELINE: BackendColor = rgb(0xcb, 0xd2, 0xd9);

/// Smallest legible text, and the row it needs.
const MIN_EM: i32 = 9;
const MIN_PITCH: i32 = 12;

/// Pixels; `right` and `bottom` are outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

/// Everything to draw. Bars and texts are in the chart's order.
pub(super) struct Layout {
    pub(super) boxes: Vec<(Rect, BackendColor)>,
    pub(super) texts: Vec<Text>,
}

/// What depends on the size alone.
struct Frame {
    size: Size,
    title_em: i32,
    subtitle_em: i32,
    gap: i32,
    inside: Rect,
    /// Top of the rows; they end at `inside.bottom`.
    rows_top: i32,
}

/// Columns of the rows, from left to right: labels, `axis`, bars of at most `bar_room`, counts.
struct Columns {
    em: i32,
    pitch: i32,
    axis: i32,
    bar_room: i32,
    label_room: i32,
}

impl Layout {
    /// # Errors
    /// [`RenderError::TooManyBars`].
    pub(super) fn new(chart: &Chart, size: Size) -> Result<Self, RenderError> {
        let frame = Frame::new(size);
        let (bars, fit) = (chart.bars.len(), frame.rows());
        if bars > fit {
            return Err(RenderError::TooManyBars { bars, fit });
        }
        let mut layout = Self {
            boxes: vec![(frame.canvas(), WHITE)],
            texts: frame.heading(chart),
        };
        if chart.bars.is_empty() {
            layout.texts.push(frame.empty(&chart.empty));
        } else {
            layout.add_rows(chart, &frame);
        }
        Ok(layout)
    }

    fn add_rows(&mut self, chart: &Chart, frame: &Frame) {
        let counts: Vec<String> = chart
            .bars
            .iter()
            .map(|bar| grouped(bar.count, chart.thousands))
            .collect();
        let columns = frame.columns(&chart.bars, &counts);
        let largest = chart.bars.iter().map(|bar| bar.count).max().unwrap_or(0);
        let mut top = frame.rows_top;
        for (bar, count) in chart.bars.iter().zip(counts) {
            let place = columns.bar(top, bar_length(bar.count, largest, columns.bar_room));
            if bar.count > 0 {
                let colour = if bar.rest { REST } else { ACCENT };
                self.boxes.push((place, colour));
            }
            let line = |content, align, x| Text {
                content,
                em: columns.em,
                align,
                x,
                baseline: top + columns.pitch / 2 + half_cap_height(columns.em),
                ink: if bar.rest { MUTED_INK } else { INK },
            };
            let label = fitted(&bar.label, columns.em, columns.label_room);
            self.texts
                .push(line(label, HPos::Right, columns.axis - frame.gap));
            self.texts
                .push(line(count, HPos::Left, place.right + frame.gap));
            top += columns.pitch;
        }
        let axis = Rect {
            left: columns.axis - 1,
            top: frame.rows_top,
            right: columns.axis,
            bottom: top,
        };
        self.boxes.push((axis, BASELINE));
    }
}

impl Frame {
    fn new(size: Size) -> Self {
        let margin = scaled(size, 36, 12, 64);
        let (title_em, subtitle_em) = (scaled(size, 24, 14, 44), scaled(size, 15, 10, 26));
        let heading = line_height(title_em) + title_em / 4 + line_height(subtitle_em);
        Self {
            size,
            title_em,
            subtitle_em,
            gap: scaled(size, 10, 6, 18),
            inside: Rect {
                left: margin,
                top: margin,
                right: i32::from(size.width) - margin,
                bottom: i32::from(size.height) - margin,
            },
            rows_top: margin + heading + scaled(size, 20, 8, 40),
        }
    }

    fn canvas(&self) -> Rect {
        Rect {
            left: 0,
            top: 0,
            right: self.size.width.into(),
            bottom: self.size.height.into(),
        }
    }

    fn rows(&self) -> usize {
        usize::try_from((self.inside.bottom - self.rows_top) / MIN_PITCH).unwrap_or(0)
    }

    fn heading(&self, chart: &Chart) -> Vec<Text> {
        let room = self.inside.right - self.inside.left;
        let line = |text: &str, em, baseline, ink| Text {
            content: fitted(text, em, room),
            em,
            align: HPos::Left,
            x: self.inside.left,
            baseline,
            ink,
        };
        // A long title is better small than cut.
        let title_em = (self.subtitle_em..self.title_em)
            .rfind(|&em| width(&printable(&chart.title), em + 1) <= room)
            .map_or(self.subtitle_em, |em| em + 1);
        let title = line(
            &chart.title,
            title_em,
            self.inside.top + ascent(self.title_em),
            INK,
        );
        let below = self.inside.top + line_height(self.title_em) + self.title_em / 4;
        let subtitle = line(
            &chart.subtitle,
            self.subtitle_em,
            below + ascent(self.subtitle_em),
            MUTED_INK,
        );
        vec![title, subtitle]
    }

    fn empty(&self, text: &str) -> Text {
        Text {
            content: fitted(text, self.subtitle_em, self.inside.right - self.inside.left),
            em: self.subtitle_em,
            align: HPos::Center,
            x: i32::from(self.size.width) / 2,
            baseline: i32::midpoint(self.rows_top, self.inside.bottom),
            ink: MUTED_INK,
        }
    }

    fn columns(&self, bars: &[Bar], counts: &[String]) -> Columns {
        let rows = i32::try_from(bars.len()).unwrap_or(i32::MAX);
        let pitch =
            ((self.inside.bottom - self.rows_top) / rows).min(scaled(self.size, 52, 26, 100));
        let em = (pitch * 3 / 4).clamp(MIN_EM, scaled(self.size, 16, 11, 28));
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|text| width(text, em)).max().unwrap_or(0)
        };
        let inside = self.inside.right - self.inside.left;
        let count_room = widest(&mut counts.iter());
        let for_bars = scaled(self.size, 60, 24, 120);
        let most = (inside * 2 / 5).min(inside - count_room - 2 * self.gap - for_bars);
        let label_room = widest(&mut bars.iter().map(|bar| &bar.label)).min(most);
        let axis = self.inside.left + label_room + self.gap;
        let bar_room = self.inside.right - count_room - self.gap - axis;
        Columns {
            em,
            pitch,
            axis,
            bar_room,
            label_room,
        }
    }
}

impl Columns {
    fn bar(&self, row_top: i32, length: i32) -> Rect {
        let thickness = self.pitch * 7 / 10;
        let top = row_top + (self.pitch - thickness) / 2;
        Rect {
            left: self.axis,
            top,
            right: self.axis + length,
            bottom: top + thickness,
        }
    }
}

pub(super) fn rows_that_fit(size: Size) -> usize {
    Frame::new(size).rows()
}

/// The chart in words: the subtitle, then each bar's whole label and count.
pub(super) fn description(chart: &Chart) -> String {
    let bars = chart
        .bars
        .iter()
        .map(|bar| format!("{}: {}", bar.label, grouped(bar.count, chart.thousands)));
    let rows = if chart.bars.is_empty() {
        chart.empty.clone()
    } else {
        bars.collect::<Vec<_>>().join("; ")
    };
    format!("{}. {rows}", chart.subtitle)
}

/// A length that is `at` pixels on 1000 x 600, in proportion, within `least..=most`.
fn scaled(size: Size, at: i32, least: i32, most: i32) -> i32 {
    let share = (i32::from(size.width) * 600).min(i32::from(size.height) * 1000);
    (at * share / 600_000).clamp(least, most)
}

/// In proportion to `count`, rounded down, but a count above 0 always shows.
fn bar_length(count: u64, largest: u64, room: i32) -> i32 {
    if count == 0 {
        return 0;
    }
    let exact = i128::from(room) * i128::from(count) / i128::from(largest);
    i32::try_from(exact).unwrap_or(room).max(1)
}

/// `count` in digits, with `thousands` between groups of three.
pub(super) fn grouped(count: u64, thousands: char) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(thousands);
        }
        text.push(digit);
    }
    text
}

const fn rgb(red: u8, green: u8, blue: u8) -> BackendColor {
    BackendColor {
        alpha: 1.0,
        rgb: (red, green, blue),
    }
}

#[cfg(test)]
mod tests;
