use super::*;
use crate::foundation::lang::Lang;

const NAMES: [&str; 4] = [
    "Cali",
    "Bogotá, D. C.",
    "San Andrés y Providencia y Santa Catalina (Archipiélago de San Andrés, Providencia y Santa Catalina)",
    "Ñ",
];

fn geometry(width: u32, height: u32, top: u32) -> Geometry {
    Geometry::nearest(Some(width), Some(height), Some(top)).expect("within bounds")
}

fn counts(number: usize, largest: u64) -> Vec<(&'static str, u64)> {
    let count = |row: usize| (NAMES[row % NAMES.len()], largest / (row as u64 + 1));
    (0..number).map(count).collect()
}

fn chart<'a>(counts: &'a [(&'a str, u64)], lang: Lang) -> Chart<'a, &'a str> {
    Chart {
        lang,
        subtitle: "Total: 1.234.567 · Datos al 21/11/2026, 06:30".to_owned(),
        counts,
        label: &|name| (*name).to_owned(),
    }
}

fn layout(counts: &[(&str, u64)], geometry: Geometry) -> (Vec<Row>, Layout) {
    let chart = chart(counts, Lang::Es);
    let rows = Rows::of(&chart, geometry);
    let layout = Layout::new(&rows, geometry);
    (rows.all, layout)
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

fn check(chart: &Chart<&str>, geometry: Geometry) {
    let layout = Layout::new(&Rows::of(chart, geometry), geometry);
    let (canvas, rest) = layout.boxes.split_first().expect("a canvas");
    let texts: Vec<Rect> = layout.texts.iter().map(bounds).collect();
    let mut all: Vec<Rect> = rest.iter().map(|(place, _)| *place).collect();
    all.extend(&texts);
    for (index, place) in all.iter().enumerate() {
        let at = format!("{place:?} of {geometry:?}, {} counts", chart.counts.len());
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
}

#[test]
fn nothing_meets_anything() {
    for geometry in Geometry::all() {
        for number in [0, 1, 2, 5, 13, 20, 21, 50, 51, 1_121] {
            for largest in [0, 1, 999, 10_000_000, u64::MAX] {
                for lang in [Lang::Es, Lang::En] {
                    check(&chart(&counts(number, largest), lang), geometry);
                }
            }
        }
    }
}

#[test]
fn what_has_no_room_shares_the_last_bar() {
    for geometry in Geometry::all() {
        let (top, fit) = (usize::from(geometry.top), Frame::new(geometry).rows());
        for number in [0, 1, top - 1, top, top + 1, fit - 1, fit, fit + 1, 1_121] {
            let counts = counts(number, 10_000_000);
            let (rows, _) = layout(&counts, geometry);
            assert!(rows.len() <= fit.min(top + 1), "{number} in {geometry:?}");
            let alone: Vec<_> = rows.iter().filter(|row| !row.rest).collect();
            assert!(alone.iter().zip(&counts).all(|(row, (name, count))| {
                (row.label.as_str(), row.count) == (*name, *count)
            }));
            let rest = &counts[alone.len()..];
            let sum: u64 = rest.iter().map(|(_, count)| count).sum();
            match rows.get(alone.len()) {
                Some(row) => assert_eq!(
                    (row.label.clone(), row.count),
                    (Lang::Es.rest(rest.len()), sum)
                ),
                None => assert!(rest.is_empty(), "{number} in {geometry:?}"),
            }
            // No more share it than have to.
            assert!(rest.is_empty() || alone.len() == top.min(fit - 1));
        }
    }
}

#[test]
fn the_usual_sizes_hold_the_usual_charts() {
    let fit = |width, height| Frame::new(geometry(width, height, 20)).rows();
    assert_eq!(fit(320, 240), 14);
    assert_eq!(fit(1000, 600), 37);
    assert!(fit(2000, 2000) >= 101);
}

#[test]
fn bars_keep_the_order_and_are_in_proportion() {
    for geometry in Geometry::all() {
        let (rows, layout) = layout(&counts(13, 10_000_000), geometry);
        let bars = &layout.boxes[1..=rows.len()];
        let widths: Vec<_> = bars
            .iter()
            .map(|(place, _)| place.right - place.left)
            .collect();
        let longest = widths.iter().copied().max().unwrap_or(0);
        let largest = rows.iter().map(|row| row.count).max().unwrap_or(0);
        assert!(longest >= 24);
        assert!(bars.is_sorted_by_key(|(place, _)| place.top));
        for ((row, (_, colour)), width) in rows.iter().zip(bars).zip(widths) {
            let exact = i128::from(longest) * i128::from(row.count);
            let largest = i128::from(largest);
            assert!((i128::from(width) * largest - exact).abs() <= largest);
            assert_eq!(colour.rgb == REST.rgb, row.rest);
        }
        let labels = layout.texts[2..].iter().step_by(2);
        for (row, label) in rows.iter().zip(labels) {
            assert!(row.label.starts_with(label.content.trim_end_matches('…')));
        }
    }
}

#[test]
fn a_count_of_zero_has_a_label_and_no_bar() {
    let (_, layout) = layout(&counts(3, 0), Geometry::default());
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
