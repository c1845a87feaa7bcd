//! Vertical bars on a base line: a count for each of some days, the last of them today. Only the highest has its number,
//! because thirty would not fit; the description has them all.

use plotters_backend::text_anchor::HPos;

use super::{Frame, Layout, Rect, bar_length};
use crate::foundation::{
    chart::{
        DayCount,
        text::{Text, ascent, line_height, width},
    },
    lang::Lang,
};

impl Layout {
    pub(super) fn add_days(&mut self, days: &[DayCount], lang: Lang, frame: &Frame) {
        let (plot, em) = (frame.plot, frame.small_em);
        let line = line_height(em);
        // Above the bars the highest one's number, below them the dates.
        let (highest, base) = (plot.top + line, plot.bottom - line - frame.gap / 2);
        let number = i32::try_from(days.len()).unwrap_or(i32::MAX);
        let edge = |at: usize| {
            let at = i32::try_from(at).unwrap_or(i32::MAX);
            plot.left + (plot.right - plot.left) * at / number
        };
        let largest = days.iter().map(|day| day.count).max().unwrap_or(0);
        for (at, day) in days.iter().enumerate() {
            let (left, right) = (edge(at), edge(at + 1));
            let space = (right - left) * 3 / 10;
            let place = Rect {
                left: left + space / 2,
                top: base - bar_length(day.count, largest, base - highest),
                right: right - (space - space / 2),
                bottom: base,
            };
            if day.count > 0 {
                self.boxes.push((place, frame.colours.bar));
            }
        }
        let axis = Rect {
            left: plot.left,
            top: base,
            right: plot.right,
            bottom: base + 1,
        };
        self.boxes.push((axis, frame.colours.axis));
        let mut say = |content: String, align, x, baseline, ink| {
            let text = Text {
                content,
                em,
                align,
                x,
                baseline,
                ink,
            };
            self.texts.push(text);
        };
        if let Some(at) = days.iter().position(|day| day.count == largest) {
            let content = lang.count(largest);
            let half = width(&content, em).div_euclid(2) + 1;
            let middle = i32::midpoint(edge(at), edge(at + 1));
            let x = middle.clamp(plot.left + half, (plot.right - half).max(plot.left + half));
            say(
                content,
                HPos::Center,
                x,
                plot.top + ascent(em),
                frame.colours.ink,
            );
        }
        let below = plot.bottom - line + ascent(em);
        let dates = [
            (days.first(), HPos::Left, plot.left),
            (
                days.get(days.len() / 2),
                HPos::Center,
                i32::midpoint(edge(days.len() / 2), edge(days.len() / 2 + 1)),
            ),
            (days.last(), HPos::Right, plot.right),
        ];
        // With fewer than three days the middle one is one of the others.
        for (at, (day, align, x)) in dates.into_iter().enumerate() {
            if let Some(day) = day.filter(|_| at != 1 || days.len() > 2) {
                say(day.label.clone(), align, x, below, frame.colours.muted_ink);
            }
        }
        let told: Vec<_> = days
            .iter()
            .map(|day| format!("{}: {}", day.label, lang.count(day.count)))
            .collect();
        self.description.push_str(&told.join("; "));
    }
}
