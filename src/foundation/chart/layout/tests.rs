use super::*;

const NAMES: [&str; 4] = [
    "Cali",
    "Bogotá, D. C.",
    "San Andrés y Providencia y Santa Catalina (Archipiélago de San Andrés, Providencia y Santa Catalina)",
    "Ñ",
];

fn sizes() -> impl Iterator<Item = Size> {
    const SIDES: [u32; 8] = [240, 320, 333, 600, 601, 1000, 1999, 2000];
    let all = SIDES
        .iter()
        .flat_map(|&width| SIDES.map(|height| Size::new(width, height)));
    all.filter_map(Result::ok)
}

fn chart(bars: usize, largest: u64, title: &str) -> Chart {
    let bar = |row: usize| Bar {
        label: NAMES[row % NAMES.len()].to_owned(),
        count: largest / (row as u64 + 1),
        rest: row + 1 == bars,
    };
    Chart {
        title: title.to_owned(),
        subtitle: "Total: 1.234.567 · a 21/11/2026 06:30".to_owned(),
        empty: "Aún no hay inscripciones".to_owned(),
        bars: (0..bars).map(bar).collect(),
        thousands: '.',
    }
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

fn check(chart: &Chart, size: Size) {
    let layout = Layout::new(chart, size).expect("as many bars as fit");
    let (canvas, rest) = layout.boxes.split_first().expect("a canvas");
    let texts: Vec<Rect> = layout.texts.iter().map(bounds).collect();
    let mut all: Vec<Rect> = rest.iter().map(|(place, _)| *place).collect();
    all.extend(&texts);
    for (index, place) in all.iter().enumerate() {
        let at = format!("{place:?} of {size:?}, {} bars", chart.bars.len());
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
    for size in sizes() {
        let fit = rows_that_fit(size);
        for bars in [0, 1, 2, 5, 13, 20, 21, 50, fit] {
            for largest in [0, 1, 999, 10_000_000, u64::MAX] {
                for title in [
                    "Por ciudad",
                    "Inscripciones para la vacunación por ciudad de residencia",
                ] {
                    if bars <= fit {
                        check(&chart(bars, largest, title), size);
                    }
                }
            }
        }
    }
}

#[test]
fn more_bars_than_fit_are_refused() {
    for size in sizes() {
        let fit = rows_that_fit(size);
        assert!(Layout::new(&chart(fit, 10, ""), size).is_ok());
        let refused = Layout::new(&chart(fit + 1, 10, ""), size).err();
        assert!(
            matches!(refused, Some(RenderError::TooManyBars { bars, fit: room }) if bars == fit + 1 && room == fit)
        );
    }
}

#[test]
fn the_usual_sizes_hold_the_usual_charts() {
    let fit = |width, height| rows_that_fit(Size::new(width, height).expect("within bounds"));
    assert_eq!(fit(320, 240), 14);
    assert_eq!(fit(1000, 600), 37);
    assert!(fit(2000, 2000) >= 101);
}

#[test]
fn bars_keep_the_order_and_are_in_proportion() {
    for size in sizes() {
        let chart = chart(13, 10_000_000, "");
        let layout = Layout::new(&chart, size).expect("13 fit everywhere");
        let bars = &layout.boxes[1..=chart.bars.len()];
        let longest = bars
            .iter()
            .map(|(place, _)| place.right - place.left)
            .max()
            .unwrap_or(0);
        assert!(longest >= 24);
        assert!(bars.is_sorted_by_key(|(place, _)| place.top));
        for (bar, (place, colour)) in chart.bars.iter().zip(bars) {
            let exact = i64::from(longest) * bar.count.cast_signed();
            assert!((i64::from(place.right - place.left) * 10_000_000 - exact).abs() <= 10_000_000);
            assert_eq!(colour.rgb == REST.rgb, bar.rest);
        }
        let labels = layout.texts[2..].iter().step_by(2);
        for (bar, label) in chart.bars.iter().zip(labels) {
            assert!(bar.label.starts_with(label.content.trim_end_matches('…')));
        }
    }
}

#[test]
fn a_count_of_zero_has_a_label_and_no_bar() {
    let size = Size::new(1000, 600).expect("within bounds");
    let layout = Layout::new(&chart(3, 0, ""), size).expect("3 fit");
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

#[test]
fn digits_are_grouped_by_three() {
    let cases = [
        (0, "0"),
        (999, "999"),
        (1000, "1.000"),
        (123_456, "123.456"),
        (10_000_000, "10.000.000"),
    ];
    for (count, text) in cases {
        assert_eq!(grouped(count, '.'), text);
    }
}
