//! Horizontal bars: the largest counts, from top to bottom. The longest bar is as long as the plot, and what has no bar
//! of its own is told as a line of text below, because a bar for it would dwarf the others.

use plotters_backend::text_anchor::HPos;

use super::{Frame, Layout, Rect, bar_length, scaled};
use crate::foundation::{
    chart::{
        Bars,
        text::{Text, ascent, fitted, half_cap_height, line_height, width},
    },
    lang::Lang,
};

/// One bar.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) count: u64,
    /// The count in digits.
    number: String,
}

/// The rows that have room, and the line that stands for the others.
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) note: Option<String>,
}

impl Rows {
    /// The first `top` counts that fit, and a note where there are more.
    pub(super) fn of(bars: &Bars, lang: Lang, frame: &Frame) -> Self {
        let top = usize::from(frame.geometry.top);
        let shown = if bars.counts.len() <= top.min(frame.rows(false)) {
            bars.counts.len()
        } else {
            top.min(frame.rows(true)).max(1)
        };
        let (alone, rest) = bars.counts.split_at(shown.min(bars.counts.len()));
        let sum = |counts: &[u64]| counts.iter().fold(0_u64, |sum, &n| sum.saturating_add(n));
        let note = (!rest.is_empty()).then(|| {
            let (rest, all) = ((rest.len(), sum(rest)), sum(bars.counts));
            lang.rest(bars.of, rest.0, rest.1, all)
        });
        let row = |(at, &count)| Row {
            label: (bars.label)(at),
            count,
            number: lang.count(count),
        };
        Self {
            rows: alone.iter().enumerate().map(row).collect(),
            note,
        }
    }
}

/// How the rows lie: beside each other label, count and bar, or where that is narrow the bar below the two.
struct Columns {
    em: i32,
    pitch: i32,
    /// From the top of a row to that of what is in it.
    inset: i32,
    thickness: i32,
    /// From left to right: labels, counts, bars.
    label_room: i32,
    axis: i32,
    bar_room: i32,
}

impl Layout {
    pub(super) fn add_bars(&mut self, bars: &Bars, lang: Lang, frame: &Frame) {
        let Rows { rows, note } = Rows::of(bars, lang, frame);
        let plot = frame.plot_above(note.is_some());
        let columns = frame.columns(&rows, plot);
        let largest = rows.iter().map(|row| row.count).max().unwrap_or(0);
        let narrow = frame.is_narrow();
        let mut top = plot.top;
        for row in &rows {
            let bar_top = top + columns.inset + if narrow { line_height(columns.em) } else { 0 };
            let place = Rect {
                left: columns.axis,
                top: bar_top,
                right: columns.axis + bar_length(row.count, largest, columns.bar_room),
                bottom: bar_top + columns.thickness,
            };
            if row.count > 0 {
                self.boxes.push((place, frame.colours.bar));
            }
            let baseline = if narrow {
                top + columns.inset + ascent(columns.em)
            } else {
                top + columns.pitch / 2 + half_cap_height(columns.em)
            };
            let line = |content, align, x| Text {
                content,
                em: columns.em,
                align,
                x,
                baseline,
                ink: frame.colours.ink,
            };
            let label = fitted(&row.label, columns.em, columns.label_room);
            let (label_at, number_at) = if narrow {
                ((HPos::Left, plot.left), plot.right)
            } else {
                let labels = (HPos::Right, plot.left + columns.label_room);
                (labels, columns.axis - frame.gap)
            };
            self.texts.push(line(label, label_at.0, label_at.1));
            self.texts
                .push(line(row.number.clone(), HPos::Right, number_at));
            top += columns.pitch;
        }
        if !narrow {
            let axis = Rect {
                left: columns.axis - 1,
                top: plot.top,
                right: columns.axis,
                bottom: top,
            };
            self.boxes.push((axis, frame.colours.axis));
        }
        let told = rows
            .iter()
            .map(|row| format!("{}: {}", row.label, row.number));
        let told: Vec<_> = told.chain(note.clone()).collect();
        self.description.push_str(&told.join("; "));
        if let Some(note) = note {
            self.texts.push(Text {
                content: fitted(&note, frame.small_em, plot.right - plot.left),
                em: frame.small_em,
                align: HPos::Left,
                x: plot.left,
                baseline: frame.plot.bottom - line_height(frame.small_em) + ascent(frame.small_em),
                ink: frame.colours.muted_ink,
            });
        }
    }
}

impl Frame {
    /// The plot, without the line for the note.
    fn plot_above(&self, note: bool) -> Rect {
        let below = line_height(self.small_em) + self.gap / 2;
        Rect {
            bottom: self.plot.bottom - if note { below } else { 0 },
            ..self.plot
        }
    }

    /// Height of the lowest row with legible labels.
    fn least_pitch(&self) -> i32 {
        let line = line_height(super::MIN_EM);
        if self.is_narrow() {
            line + STACKED_BAR + STACKED_GAP
        } else {
            line
        }
    }

    /// How many rows have legible labels, above a note or without one.
    pub(super) fn rows(&self, note: bool) -> usize {
        let plot = self.plot_above(note);
        usize::try_from((plot.bottom - plot.top) / self.least_pitch()).unwrap_or(0)
    }

    /// The rows share the whole height, so that few fill it as many do.
    fn columns(&self, rows: &[Row], plot: Rect) -> Columns {
        let number = i32::try_from(rows.len()).unwrap_or(i32::MAX);
        let pitch = (plot.bottom - plot.top) / number;
        let (narrow, inside) = (self.is_narrow(), plot.right - plot.left);
        let em = if narrow { pitch / 3 } else { pitch * 3 / 4 };
        let em = em.clamp(super::MIN_EM, scaled(self.geometry, 24, 18, 40));
        let widest = |text: fn(&Row) -> &String| {
            let widths = rows.iter().map(|row| width(text(row), em));
            widths.max().unwrap_or(0)
        };
        let count_room = widest(|row| &row.number);
        let thickest = scaled(self.geometry, 180, 90, 360);
        if narrow {
            let most = pitch - line_height(em) - STACKED_GAP;
            let thickness = most.clamp(1, thickest);
            return Columns {
                em,
                pitch,
                inset: (pitch - line_height(em) - thickness) / 2,
                thickness,
                label_room: inside - count_room - self.gap,
                axis: plot.left,
                bar_room: inside,
            };
        }
        let for_bars = scaled(self.geometry, 60, 24, 120);
        let most = (inside * 2 / 5).min(inside - count_room - 2 * self.gap - for_bars);
        let label_room = widest(|row| &row.label).min(most);
        let axis = plot.left + label_room + count_room + 2 * self.gap;
        let thickness = (pitch * 7 / 10).clamp(1, thickest);
        Columns {
            em,
            pitch,
            inset: (pitch - thickness) / 2,
            thickness,
            label_room,
            axis,
            bar_room: plot.right - axis,
        }
    }
}

/// Least height of a bar below its label, and the space to the next label.
const STACKED_BAR: i32 = 7;
const STACKED_GAP: i32 = 5;
