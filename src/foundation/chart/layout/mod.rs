//! The layout: a chart and a size become boxes and lines of text, in whole pixels.
//!
//! Called by both renderers, so PNG and SVG are the same picture. It never draws. Its promise for every chart: no text
//! overlaps another text, a bar, or the border.

use plotters_backend::{BackendColor, text_anchor::HPos};

use super::{
    Chart, Geometry,
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

/// One bar.
struct Row {
    label: String,
    count: u64,
    /// The count in digits.
    number: String,
    /// Whether it stands for all the others: drawn in a muted colour.
    rest: bool,
}

/// What a chart says: its words, and a row for each bar that has room.
pub(super) struct Rows<'a> {
    pub(super) title: &'static str,
    subtitle: &'a str,
    empty: &'static str,
    all: Vec<Row>,
}

impl<'a> Rows<'a> {
    /// The first `top` counts and, where there are more or these do not fit, a last row for the rest.
    pub(super) fn of<L>(chart: &'a Chart<L>, geometry: Geometry) -> Self {
        let (counts, lang) = (chart.counts, chart.lang);
        let (fit, top) = (Frame::new(geometry).rows(), usize::from(geometry.top));
        let shown = if counts.len() <= top.min(fit) {
            counts.len()
        } else {
            top.min(fit.saturating_sub(1))
        };
        let (shown, rest) = counts.split_at(shown);
        let row = |label, count, rest| Row {
            label,
            count,
            number: lang.count(count),
            rest,
        };
        let mut rows: Vec<_> = shown
            .iter()
            .map(|(of, count)| row((chart.label)(of), *count, false))
            .collect();
        if !rest.is_empty() {
            let count = rest
                .iter()
                .fold(0, |sum: u64, (_, count)| sum.saturating_add(*count));
            rows.push(row(lang.rest(rest.len()), count, true));
        }
        Self {
            title: lang.texts().chart_title,
            subtitle: &chart.subtitle,
            empty: lang.texts().chart_empty,
            all: rows,
        }
    }

    /// The chart in words: the subtitle, then each bar's whole label and count.
    pub(super) fn description(&self) -> String {
        let rows = self
            .all
            .iter()
            .map(|row| format!("{}: {}", row.label, row.number));
        let rows = if self.all.is_empty() {
            self.empty.to_owned()
        } else {
            rows.collect::<Vec<_>>().join("; ")
        };
        format!("{}. {rows}", self.subtitle)
    }
}

/// What depends on the geometry alone.
struct Frame {
    geometry: Geometry,
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
    pub(super) fn new(rows: &Rows, geometry: Geometry) -> Self {
        let frame = Frame::new(geometry);
        let mut layout = Self {
            boxes: vec![(frame.canvas(), WHITE)],
            texts: frame.heading(rows),
        };
        if rows.all.is_empty() {
            layout.texts.push(frame.empty(rows.empty));
        } else {
            layout.add_rows(&rows.all, &frame);
        }
        layout
    }

    fn add_rows(&mut self, rows: &[Row], frame: &Frame) {
        let columns = frame.columns(rows);
        let largest = rows.iter().map(|row| row.count).max().unwrap_or(0);
        let mut top = frame.rows_top;
        for row in rows {
            let place = columns.bar(top, bar_length(row.count, largest, columns.bar_room));
            if row.count > 0 {
                let colour = if row.rest { REST } else { ACCENT };
                self.boxes.push((place, colour));
            }
            let line = |content, align, x| Text {
                content,
                em: columns.em,
                align,
                x,
                baseline: top + columns.pitch / 2 + half_cap_height(columns.em),
                ink: if row.rest { MUTED_INK } else { INK },
            };
            let label = fitted(&row.label, columns.em, columns.label_room);
            self.texts
                .push(line(label, HPos::Right, columns.axis - frame.gap));
            self.texts.push(line(
                row.number.clone(),
                HPos::Left,
                place.right + frame.gap,
            ));
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
    fn new(geometry: Geometry) -> Self {
        let margin = scaled(geometry, 36, 12, 64);
        let (title_em, subtitle_em) = (scaled(geometry, 24, 14, 44), scaled(geometry, 15, 10, 26));
        let heading = line_height(title_em) + title_em / 4 + line_height(subtitle_em);
        Self {
            geometry,
            title_em,
            subtitle_em,
            gap: scaled(geometry, 10, 6, 18),
            inside: Rect {
                left: margin,
                top: margin,
                right: i32::from(geometry.width) - margin,
                bottom: i32::from(geometry.height) - margin,
            },
            rows_top: margin + heading + scaled(geometry, 20, 8, 40),
        }
    }

    fn canvas(&self) -> Rect {
        Rect {
            left: 0,
            top: 0,
            right: self.geometry.width.into(),
            bottom: self.geometry.height.into(),
        }
    }

    /// How many rows have legible labels, the one for the rest included: 14 at 320 × 240, 37 at 1000 × 600.
    fn rows(&self) -> usize {
        usize::try_from((self.inside.bottom - self.rows_top) / MIN_PITCH).unwrap_or(0)
    }

    fn heading(&self, rows: &Rows) -> Vec<Text> {
        let room = self.inside.right - self.inside.left;
        let line = |text: &str, em, baseline, ink| Text {
            content: fitted(text, em, room),
            em,
            align: HPos::Left,
            x: self.inside.left,
            baseline,
            ink,
        };
        // A long title is better small than truncated.
        let title_em = (self.subtitle_em..self.title_em)
            .rfind(|&em| width(&printable(rows.title), em + 1) <= room)
            .map_or(self.subtitle_em, |em| em + 1);
        let title = line(
            rows.title,
            title_em,
            self.inside.top + ascent(self.title_em),
            INK,
        );
        let below = self.inside.top + line_height(self.title_em) + self.title_em / 4;
        let subtitle = line(
            rows.subtitle,
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
            x: i32::from(self.geometry.width) / 2,
            baseline: i32::midpoint(self.rows_top, self.inside.bottom),
            ink: MUTED_INK,
        }
    }

    fn columns(&self, rows: &[Row]) -> Columns {
        let number = i32::try_from(rows.len()).unwrap_or(i32::MAX);
        let pitch =
            ((self.inside.bottom - self.rows_top) / number).min(scaled(self.geometry, 52, 26, 100));
        let em = (pitch * 3 / 4).clamp(MIN_EM, scaled(self.geometry, 16, 11, 28));
        let widest = |text: fn(&Row) -> &String| {
            let widths = rows.iter().map(|row| width(text(row), em));
            widths.max().unwrap_or(0)
        };
        let inside = self.inside.right - self.inside.left;
        let count_room = widest(|row| &row.number);
        let for_bars = scaled(self.geometry, 60, 24, 120);
        let most = (inside * 2 / 5).min(inside - count_room - 2 * self.gap - for_bars);
        let label_room = widest(|row| &row.label).min(most);
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

/// A length that is `at` pixels on 1000 x 600, in proportion, within `least..=most`.
fn scaled(geometry: Geometry, at: i32, least: i32, most: i32) -> i32 {
    let share = (i32::from(geometry.width) * 600).min(i32::from(geometry.height) * 1000);
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

const fn rgb(red: u8, green: u8, blue: u8) -> BackendColor {
    BackendColor {
        alpha: 1.0,
        rgb: (red, green, blue),
    }
}

#[cfg(test)]
mod tests;
