use super::{
    bars::{Row, Rows},
    *,
};
use crate::foundation::{
    chart::{Bars, DayCount},
    lang::{Lang, Noun},
};

const NAMES: [&str; 4] = [
    "Cali",
    "Bogotá, D. C.",
    "San Andrés y Providencia y Santa Catalina (Archipiélago de San Andrés, Providencia y Santa Catalina)",
    "Ñ",
];

const THEMES: [Theme; 2] = [Theme::Light, Theme::Dark];

fn geometry(width: u32, height: u32, top: u32) -> Geometry {
    Geometry::nearest(Some(width), Some(height), Some(top)).expect("within bounds")
}

fn name(at: usize) -> String {
    NAMES[at % NAMES.len()].to_owned()
}

fn counts(number: usize, largest: u64) -> Vec<u64> {
    (0..number).map(|row| largest / (row as u64 + 1)).collect()
}

fn chart(plot: Plot<'_>, lang: Lang, theme: Theme) -> Chart<'_> {
    Chart {
        lang,
        theme,
        title: lang.texts().chart_title.to_owned(),
        subtitle: vec![
            "Total: 1.234.567".to_owned(),
            "Datos al 21/11/2026, 06:30".to_owned(),
        ],
        plot,
    }
}

fn bars(counts: &[u64]) -> Bars<'_> {
    Bars {
        counts,
        label: &name,
        of: Noun::City,
    }
}

fn layout(counts: &[u64], geometry: Geometry) -> (Vec<Row>, Option<String>, Layout) {
    let bars = bars(counts);
    let chart = chart(Plot::Bars(&bars), Lang::Es, Theme::Light);
    let Rows { rows, note } = Rows::of(&bars, Lang::Es, &Frame::new(&chart, geometry));
    (rows, note, Layout::new(&chart, geometry))
}

fn days(counts: [u64; 30]) -> Vec<DayCount> {
    let day = |(at, count)| DayCount {
        label: format!("{at:02}/11"),
        count,
    };
    (1..).zip(counts).map(day).collect()
}

/// The boxes of bars.
fn bars_of(layout: &Layout) -> Vec<Rect> {
    let bar = |(place, colour): &(Rect, BackendColor)| {
        [LIGHT.bar, DARK.bar]
            .iter()
            .any(|bar| bar.rgb == colour.rgb)
            .then_some(*place)
    };
    layout.boxes.iter().filter_map(bar).collect()
}

/// The box of a text, at the font's full height.
fn bounds(text: &Text) -> Rect {
    let width = width(&text.content, text.em);
    let left = match text.align {
        HPos::Left => text.x,
        HPos::Center => text.x - width / 2,
        HPos::Right => text.x - width,
    };
    let top = text.baseline - ascent(text.em);
    Rect {
        left,
        top,
        right: left + width,
        bottom: top + line_height(text.em),
    }
}

fn meet(a: &Rect, b: &Rect) -> bool {
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

fn check(chart: &Chart, geometry: Geometry, of: &str) {
    let layout = Layout::new(chart, geometry);
    let (canvas, rest) = layout.boxes.split_first().expect("a canvas");
    let texts: Vec<Rect> = layout.texts.iter().map(bounds).collect();
    let panel = chart.theme.colours().panel.rgb;
    let rest = rest.iter().filter(|(_, colour)| colour.rgb != panel);
    let mut all: Vec<Rect> = rest.map(|(place, _)| *place).collect();
    all.extend(&texts);
    for (index, place) in all.iter().enumerate() {
        let at = format!("{place:?} of {geometry:?}, {of}");
        assert!(
            place.left < place.right && place.top < place.bottom,
            "empty: {at}"
        );
        assert!(
            place.left >= 12 && place.right <= canvas.0.right - 12,
            "at a side: {at}"
        );
        assert!(
            place.top >= 12 && place.bottom <= canvas.0.bottom - 12,
            "at top or bottom: {at}"
        );
        if let Some(other) = all[index + 1..].iter().find(|other| meet(place, other)) {
            panic!("meets {other:?}: {at}");
        }
    }
    assert!(
        layout.texts.iter().all(|text| text.em >= MIN_EM),
        "small: {geometry:?}"
    );
}

#[test]
fn nothing_meets_anything_and_every_letter_is_legible() {
    for geometry in Geometry::all() {
        for number in [0, 1, 2, 5, 13, 20, 21, 50, 51, 1_121] {
            for largest in [0, 1, 999, 10_000_000, u64::MAX] {
                let counts = counts(number, largest);
                let bars = bars(&counts);
                for lang in [Lang::Es, Lang::En] {
                    let chart = chart(Plot::Bars(&bars), lang, Theme::Light);
                    check(&chart, geometry, &format!("{number} counts"));
                }
            }
        }
        for counted in [
            [0; 30],
            [1; 30],
            [u64::MAX; 30],
            std::array::from_fn(|at| at as u64 * 999),
        ] {
            let mut turned = counted;
            turned.reverse();
            for days in [days(counted), days(turned)] {
                let chart = chart(Plot::Days(&days), Lang::Es, Theme::Dark);
                check(&chart, geometry, "days");
            }
        }
    }
}

#[test]
fn what_has_no_room_is_told_in_a_line_with_its_share() {
    for geometry in Geometry::all() {
        let none = bars(&[]);
        let frame = Frame::new(&chart(Plot::Bars(&none), Lang::Es, Theme::Light), geometry);
        let (top, fit, above) = (
            usize::from(geometry.top),
            frame.rows(false),
            frame.rows(true),
        );
        assert!(above >= 1, "{geometry:?}");
        for number in [0, 1, top - 1, top, top + 1, fit - 1, fit, fit + 1, 1_121] {
            let counts = counts(number, 10_000_000);
            let (rows, remark, layout) = layout(&counts, geometry);
            let alone = rows.iter().zip(&counts).enumerate();
            for (at, (row, &count)) in alone {
                assert_eq!((row.label.clone(), row.count), (name(at), count));
            }
            let rest = &counts[rows.len()..];
            let sum = |counts: &[u64]| counts.iter().sum::<u64>();
            let told = Lang::Es.rest(Noun::City, rest.len(), sum(rest), sum(&counts));
            assert_eq!(remark, (!rest.is_empty()).then_some(told.clone()));
            if !rest.is_empty() {
                let last = layout.texts.last().expect("a note");
                assert_eq!(last.content, fitted(&told, last.em, 10_000));
                assert!(layout.description.ends_with(&told));
                // No more are without a bar than have to be.
                assert_eq!(rows.len(), top.min(above), "{number} in {geometry:?}");
            }
            assert_eq!(bars_of(&layout).len(), rows.len());
        }
    }
}

#[test]
fn the_usual_sizes_hold_the_usual_charts() {
    let fit = |width, height| {
        let none = bars(&[]);
        let chart = chart(Plot::Bars(&none), Lang::Es, Theme::Light);
        Frame::new(&chart, geometry(width, height, 20)).rows(true)
    };
    assert!(fit(320, 400) >= 8);
    assert!(fit(1000, 600) >= 20);
    assert!(fit(2000, 2000) >= 50);
}

/// The rest takes no room from the cities: the longest bar is as long as the plot, from the axis to the margin.
#[test]
fn the_longest_bar_fills_the_width_of_the_plot_however_many_cities_there_are() {
    for geometry in Geometry::all() {
        for number in [1, 2, 5, 21, 162, 1_121] {
            let (_, _, layout) = layout(&counts(number, 10_000_000), geometry);
            let bars = bars_of(&layout);
            let longest = bars
                .iter()
                .map(|bar| bar.right - bar.left)
                .max()
                .expect("bars");
            let margin = layout.texts[0].x;
            let plot = i32::from(geometry.width) - margin - bars[0].left;
            assert!(
                longest * 100 >= plot * 90,
                "{longest} of {plot} in {geometry:?}"
            );
            // Labels leave the bars at least a third of the picture.
            assert!(
                longest * 3 >= i32::from(geometry.width),
                "{longest} in {geometry:?}"
            );
        }
    }
}

#[test]
fn few_bars_fill_the_height_of_the_plot() {
    for geometry in Geometry::all().filter(|one| one.height <= 600) {
        for number in [1, 2, 3] {
            let (_, _, layout) = layout(&counts(number, 10_000_000), geometry);
            let bars = bars_of(&layout);
            let (first, last) = (bars[0], bars[bars.len() - 1]);
            let heading = layout.texts[..2]
                .iter()
                .map(|text| bounds(text).bottom)
                .max();
            let above = first.top - heading.expect("a heading");
            let below = i32::from(geometry.height) - last.bottom;
            let room = i32::from(geometry.height) / 2;
            assert!(
                above < room && below < room,
                "{above} and {below} in {geometry:?}"
            );
            assert!(first.bottom - first.top >= i32::from(geometry.height) / 20);
        }
    }
}

#[test]
fn bars_keep_the_order_and_are_in_proportion() {
    for geometry in Geometry::all() {
        let (rows, _, layout) = layout(&counts(13, 10_000_000), geometry);
        let bars = bars_of(&layout);
        let widths: Vec<_> = bars.iter().map(|place| place.right - place.left).collect();
        let longest = widths.iter().copied().max().unwrap_or(0);
        let largest = rows.iter().map(|row| row.count).max().unwrap_or(0);
        assert!(bars.is_sorted_by_key(|place| place.top));
        for (row, width) in rows.iter().zip(widths) {
            let exact = i128::from(longest) * i128::from(row.count);
            let largest = i128::from(largest);
            assert!((i128::from(width) * largest - exact).abs() <= largest);
        }
        let heading = layout.texts.len() - 2 * rows.len() - usize::from(rows.len() < 13);
        let labels = layout.texts[heading..].iter().step_by(2);
        for (row, label) in rows.iter().zip(labels) {
            assert!(row.label.starts_with(label.content.trim_end_matches('…')));
        }
    }
}

#[test]
fn the_bar_of_a_day_is_in_proportion_and_stands_on_the_base_line() {
    for geometry in Geometry::all() {
        let days = days(std::array::from_fn(|at| at as u64 * 100));
        let layout = Layout::new(&chart(Plot::Days(&days), Lang::Es, Theme::Light), geometry);
        let bars = bars_of(&layout);
        assert_eq!(bars.len(), 29, "a day without registrations has no bar");
        assert!(bars.iter().all(|bar| bar.bottom == bars[0].bottom));
        assert!(bars.is_sorted_by_key(|bar| bar.left));
        let height = |bar: &Rect| bar.bottom - bar.top;
        let highest = height(&bars[28]);
        assert!(highest >= 60, "{highest} in {geometry:?}");
        for (bar, day) in bars.iter().zip(1..) {
            assert!(
                (height(bar) * 29 - highest * day).abs() <= 29,
                "{day} in {geometry:?}"
            );
        }
    }
}

#[test]
fn a_count_of_zero_has_a_label_and_no_bar() {
    let (_, _, layout) = layout(&counts(3, 0), Geometry::default());
    assert_eq!(layout.boxes.len(), 2, "the canvas and the axis");
    assert_eq!(
        layout
            .texts
            .iter()
            .filter(|text| text.content == "0")
            .count(),
        3
    );
    assert_eq!(bar_length(1, u64::MAX, 500), 1);
}

/// Relative luminance, as WCAG defines it.
fn luminance(colour: BackendColor) -> f64 {
    let part = |byte: u8| {
        let share = f64::from(byte) / 255.0;
        if share <= 0.040_45 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    };
    let (red, green, blue) = colour.rgb;
    0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue)
}

fn contrast(one: BackendColor, other: BackendColor) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn bars_and_texts_stand_out_in_both_themes() {
    for theme in THEMES {
        let colours = theme.colours();
        for line in [colours.bar, colours.axis] {
            assert!(
                contrast(line, colours.ground) >= 3.0,
                "{:?} in {theme:?}",
                line.rgb
            );
        }
        for ink in [colours.ink, colours.muted_ink] {
            for ground in [colours.ground, colours.panel] {
                assert!(contrast(ink, ground) >= 4.5, "{:?} in {theme:?}", ink.rgb);
            }
        }
    }
}
