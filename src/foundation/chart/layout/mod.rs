//! The layout: a chart and a size become boxes and lines of text, in whole pixels.
//!
//! Called by both renderers, so PNG and SVG are the same picture. `bars` and `days` lay out the two kinds of plot; here
//! are the frame that both have and the colours. It never draws. Its promise for every chart: no text overlaps another
//! text, a bar, or the border, and no letter is smaller than [`MIN_EM`].

mod bars;
mod days;

use plotters_backend::{BackendColor, text_anchor::HPos};

use super::{
    Chart, Geometry, Plot, Theme,
    text::{Text, ascent, fitted, line_height, printable, width},
};

/// Smallest text: at least 11 CSS pixels where a picture is shown at 0.85 of its size or more.
const MIN_EM: i32 = 13;

/// Below so many pixels between the margins, labels stand above their bars instead of beside them.
const NARROW: i32 = 400;

/// The colours of a [`Theme`]. Bars and axis have a contrast of 3:1 or more to the ground, texts of 4.5:1.
struct Colours {
    ground: BackendColor,
    /// Ground of the panel that says that there is nothing to show.
    panel: BackendColor,
    ink: BackendColor,
    muted_ink: BackendColor,
    bar: BackendColor,
    axis: BackendColor,
}

const LIGHT: Colours = Colours {
    ground: rgb(0xff, 0xff, 0xff),
    panel: rgb(0xf0, 0xf4, 0xf3),
    ink: rgb(0x1f, 0x29, 0x33),
    muted_ink: rgb(0x52, 0x60, 0x6d),
    bar: rgb(0x00, 0x69, 0x5c),
    axis: rgb(0x7b, 0x87, 0x94),
};

/// The ground is the one of a panel in Grafana's dark theme.
const DARK: Colours = Colours {
    ground: rgb(0x18, 0x1b, 0x1f),
    panel: rgb(0x22, 0x27, 0x2c),
    ink: rgb(0xe8, 0xec, 0xf1),
    muted_ink: rgb(0xb4, 0xbe, 0xc8),
    bar: rgb(0x4d, 0xb6, 0xa4),
    axis: rgb(0x7f, 0x8b, 0x98),
};

impl Theme {
    fn colours(self) -> &'static Colours {
        match self {
            Self::Light => &LIGHT,
            Self::Dark => &DARK,
        }
    }
}

/// Pixels; `right` and `bottom` are outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

/// Everything to draw. Bars and their texts are in the chart's order.
pub(super) struct Layout {
    pub(super) boxes: Vec<(Rect, BackendColor)>,
    pub(super) texts: Vec<Text>,
    /// The chart in words: the subtitle, then every label in whole and its count.
    pub(super) description: String,
}

impl Layout {
    pub(super) fn new(chart: &Chart, geometry: Geometry) -> Self {
        let frame = Frame::new(chart, geometry);
        let mut layout = Self {
            boxes: vec![(frame.canvas(), frame.colours.ground)],
            texts: frame.heading.clone(),
            description: format!("{}. ", chart.subtitle.join(" · ")),
        };
        match chart.plot {
            _ if chart.is_empty() => layout.add_nothing(chart, &frame),
            Plot::Bars(bars) => layout.add_bars(bars, chart.lang, &frame),
            Plot::Days(days) => layout.add_days(days, chart.lang, &frame),
        }
        layout
    }

    /// A panel in place of the plot: that there is nothing yet, and when there will be.
    fn add_nothing(&mut self, chart: &Chart, frame: &Frame) {
        let t = chart.lang.texts();
        let plot = frame.plot;
        self.boxes.push((plot, frame.colours.panel));
        let room = plot.right - plot.left - 2 * frame.gap;
        let said = wrapped(&words(t.chart_empty), " ", frame.title_em, room);
        let hint = match chart.plot {
            Plot::Bars(_) => t.chart_empty_hint,
            Plot::Days(_) => t.chart_empty_days_hint,
        };
        let hint = wrapped(&words(hint), " ", frame.small_em, room);
        let lines =
            |lines: Vec<String>, em, ink| lines.into_iter().map(move |line| (line, em, ink));
        let lines: Vec<_> = lines(said, frame.title_em, frame.colours.ink)
            .chain(lines(hint, frame.small_em, frame.colours.muted_ink))
            .collect();
        let height: i32 = lines.iter().map(|&(_, em, _)| line_height(em)).sum();
        let mut top = i32::midpoint(plot.top, plot.bottom) - height / 2;
        for (content, em, ink) in lines {
            self.texts.push(Text {
                content,
                em,
                align: HPos::Center,
                x: i32::midpoint(plot.left, plot.right),
                baseline: top + ascent(em),
                ink,
            });
            top += line_height(em);
        }
        self.description.push_str(t.chart_empty);
    }
}

/// What both kinds of plot have: colours, sizes, the heading, and the place that is left for the plot.
struct Frame {
    geometry: Geometry,
    colours: &'static Colours,
    title_em: i32,
    /// Of the subtitle and of notes.
    small_em: i32,
    gap: i32,
    heading: Vec<Text>,
    plot: Rect,
}

impl Frame {
    fn new(chart: &Chart, geometry: Geometry) -> Self {
        let colours = chart.theme.colours();
        let margin = scaled(geometry, 32, 12, 64);
        let (left, right) = (margin, i32::from(geometry.width) - margin);
        let room = right - left;
        let small_em = scaled(geometry, 15, MIN_EM, 26);
        let most = scaled(geometry, 24, 17, 44);
        // A long title is better small than truncated.
        let title_em = (small_em..most)
            .rfind(|&em| width(&printable(&chart.title), em + 1) <= room)
            .map_or(small_em, |em| em + 1);
        let subtitle = wrapped(&chart.subtitle, " · ", small_em, room);
        let mut top = margin;
        let mut line = |content, em, ink| {
            let line = Text {
                content,
                em,
                align: HPos::Left,
                x: left,
                baseline: top + ascent(em),
                ink,
            };
            top += line_height(em);
            line
        };
        let mut heading = vec![line(
            fitted(&chart.title, title_em, room),
            title_em,
            colours.ink,
        )];
        heading.extend(
            subtitle
                .into_iter()
                .map(|content| line(content, small_em, colours.muted_ink)),
        );
        Self {
            geometry,
            colours,
            title_em,
            small_em,
            gap: scaled(geometry, 10, 6, 18),
            heading,
            plot: Rect {
                left,
                top: top + scaled(geometry, 18, 8, 40),
                right,
                bottom: i32::from(geometry.height) - margin,
            },
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

    fn is_narrow(&self) -> bool {
        self.plot.right - self.plot.left < NARROW
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

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// `parts` in as few lines as they need, `joint` between those that share one; what is too long for a line of its own
/// is truncated.
fn wrapped(parts: &[String], joint: &str, em: i32, room: i32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let joined = lines.last().map(|line| format!("{line}{joint}{part}"));
        match (lines.last_mut(), joined) {
            (Some(line), Some(joined)) if width(&printable(&joined), em) <= room => *line = joined,
            _ => lines.push(part.clone()),
        }
    }
    lines.iter().map(|line| fitted(line, em, room)).collect()
}

const fn rgb(red: u8, green: u8, blue: u8) -> BackendColor {
    BackendColor {
        alpha: 1.0,
        rgb: (red, green, blue),
    }
}

#[cfg(test)]
mod tests;
