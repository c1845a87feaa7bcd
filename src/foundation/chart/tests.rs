use super::*;

const NAMES: [&str; 8] = [
    "Bogotá, D. C.",
    "Medellín",
    "Cali",
    "Cúcuta",
    "Ibagué",
    "Itagüí",
    "El Peñón",
    "<b>&\"x\"'\u{1}",
];

fn counts(number: u64) -> Vec<(String, u64)> {
    let count = |row: u64| {
        let name = NAMES[usize::try_from(row).unwrap() % NAMES.len()];
        (name.to_owned(), 1_234_567 / (row * row + 1))
    };
    (0..number).map(count).collect()
}

/// Gives `use_it` the chart of these counts.
fn with_chart<T>(counts: &[(String, u64)], theme: Theme, use_it: impl FnOnce(&Chart) -> T) -> T {
    let numbers: Vec<u64> = counts.iter().map(|(_, count)| *count).collect();
    let bars = Bars {
        counts: &numbers,
        label: &|at| counts[at].0.clone(),
        of: Noun::City,
    };
    use_it(&Chart {
        lang: Lang::Es,
        theme,
        title: Lang::Es.texts().chart_title.to_owned(),
        subtitle: vec![
            "Total: 9.876.543".to_owned(),
            "Datos al 21/11/2026, 06:30".to_owned(),
        ],
        plot: Plot::Bars(&bars),
    })
}

fn png_of(counts: &[(String, u64)], theme: Theme, geometry: Geometry) -> Vec<u8> {
    with_chart(counts, theme, |chart| png(chart, geometry).expect("a PNG"))
}

fn svg_of(counts: &[(String, u64)], geometry: Geometry) -> String {
    let document = with_chart(counts, Theme::Light, |chart| svg(chart, geometry));
    String::from_utf8(document.expect("an SVG")).expect("UTF-8")
}

fn days(counts: [u64; 30]) -> Vec<DayCount> {
    let day = |(at, count)| DayCount {
        label: format!("{at:02}/11"),
        count,
    };
    (1..).zip(counts).map(day).collect()
}

fn with_days<T>(days: &[DayCount], use_it: impl FnOnce(&Chart) -> T) -> T {
    use_it(&Chart {
        lang: Lang::Es,
        theme: Theme::Light,
        title: Lang::Es.texts().chart_title_days.to_owned(),
        subtitle: vec!["Hoy: 3".to_owned(), "Datos al 21/11/2026, 06:30".to_owned()],
        plot: Plot::Days(days),
    })
}

fn geometry(width: u32, height: u32, top: u32) -> Geometry {
    Geometry::nearest(Some(width), Some(height), Some(top)).expect("within bounds")
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
fn a_png_has_its_geometrys_size_and_a_border_of_its_themes_ground() {
    for (theme, ground) in [(Theme::Light, [0xff; 3]), (Theme::Dark, [0x18, 0x1b, 0x1f])] {
        for (width, height) in [(320, 240), (1000, 600), (2000, 2000), (320, 2000)] {
            let bytes = png_of(&counts(13), theme, geometry(width, height, 20));
            let (wide, high, pixels) = decoded(&bytes);
            assert_eq!((wide, high), (width, height));
            let row = width as usize * 3;
            let bare = |pixels: &[u8]| pixels.chunks(3).all(|pixel| pixel == ground);
            assert!(bare(&pixels[..row * 12]));
            assert!(bare(&pixels[pixels.len() - row * 12..]));
            assert!(pixels.chunks(row).all(|row| bare(&row[..36])));
        }
    }
}

#[test]
fn a_picture_of_the_default_size_is_at_most_20_kilobytes() {
    for theme in [Theme::Light, Theme::Dark] {
        for many in [0, 1, 5, 20, 21, 1_121] {
            let picture = png_of(&counts(many), theme, Geometry::default());
            assert!(picture.len() <= 20_000, "{} for {many}", picture.len());
            let document = svg_of(&counts(many), Geometry::default());
            assert!(document.len() <= 20_000, "{} for {many}", document.len());
        }
    }
    let days = days(std::array::from_fn(|at| at as u64 * 1_234));
    let (picture, document) = with_days(&days, |chart| {
        let geometry = Geometry::default();
        (
            png(chart, geometry).expect("a PNG"),
            svg(chart, geometry).expect("an SVG"),
        )
    });
    assert!(picture.len() <= 20_000 && document.len() <= 20_000);
}

#[test]
fn the_same_chart_gives_the_same_bytes() {
    for many in [0, 1, 21, 1_121] {
        let counts = counts(many);
        let draw = || {
            let geometry = Geometry::default();
            (
                png_of(&counts, Theme::Dark, geometry),
                svg_of(&counts, geometry),
            )
        };
        assert_eq!(draw(), draw());
    }
}

#[test]
fn the_pixels_of_a_bar_are_those_of_its_count() {
    let counts: Vec<_> = NAMES
        .map(str::to_owned)
        .into_iter()
        .zip([1000, 500, 0])
        .collect();
    let (width, _, pixels) = decoded(&png_of(&counts, Theme::Light, Geometry::default()));
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
fn an_svg_is_xml_with_a_title_every_label_and_every_count() {
    for many in [0, 1, 20, 21] {
        let counts = counts(many);
        let document = svg_of(&counts, Geometry::default());
        let document = roxmltree::Document::parse(&document).expect("well-formed XML");
        let root = document.root_element();
        let text_of = |name| {
            root.children()
                .find(|node| node.has_tag_name(name))
                .and_then(|node| node.text())
        };
        assert_eq!(root.attribute("role"), Some("img"));
        assert_eq!(text_of("title"), Some(Lang::Es.texts().chart_title));
        let texts = root.children().filter(|node| node.has_tag_name("text"));
        assert!(
            texts
                .clone()
                .all(|text| text.attribute("font-family") == Some("\"DejaVu Sans\", sans-serif"))
        );
        let drawn: Vec<&str> = texts
            .filter_map(|text| text.text())
            .map(str::trim)
            .collect();
        let description = text_of("desc").expect("a description");
        for (label, count) in &counts[..counts.len().min(20)] {
            let (label, count) = (text::printable(label), Lang::Es.count(*count));
            assert!(
                drawn
                    .windows(2)
                    .any(|pair| pair == [label.as_str(), count.as_str()]),
                "{label} {count}"
            );
            assert!(description.contains(&format!("{label}: {count}")));
        }
        let said = drawn.contains(&Lang::Es.texts().chart_empty);
        assert_eq!(said, many == 0);
        let rest = drawn.iter().find(|text| text.starts_with("1 ciudad más: "));
        assert_eq!(rest.is_some(), many == 21);
        assert!(rest.is_none_or(|rest| description.ends_with(rest)));
    }
}

#[test]
fn an_svg_of_days_tells_every_day() {
    let mut counted = [0; 30];
    counted[3] = 1_234;
    counted[29] = 3;
    let document = with_days(&days(counted), |chart| svg(chart, Geometry::default()));
    let document = String::from_utf8(document.expect("an SVG")).expect("UTF-8");
    let document = roxmltree::Document::parse(&document).expect("well-formed XML");
    let text_of = |name| {
        let mut nodes = document
            .descendants()
            .filter(move |node| node.has_tag_name(name));
        nodes.next().and_then(|node| node.text())
    };
    assert_eq!(text_of("title"), Some(Lang::Es.texts().chart_title_days));
    let told = text_of("desc").expect("a description");
    for part in ["Hoy: 3", "03/11: 0", "04/11: 1.234", "30/11: 3"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let nothing = with_days(&days([0; 30]), |chart| svg(chart, Geometry::default()));
    let nothing = String::from_utf8(nothing.expect("an SVG")).expect("UTF-8");
    assert!(
        nothing.contains(
            Lang::Es
                .texts()
                .chart_empty_days_hint
                .split(' ')
                .next()
                .unwrap()
        )
    );
    assert!(nothing.contains(Lang::Es.texts().chart_empty));
}

/// Every text of the charts' own, in both languages.
#[test]
fn the_charts_own_words_can_be_drawn() {
    for lang in [Lang::Es, Lang::En] {
        let t = lang.texts();
        let zone = jiff::tz::TimeZone::UTC;
        let at = jiff::Timestamp::UNIX_EPOCH;
        let mut texts = vec![
            t.chart_title.to_owned(),
            t.chart_title_departments.to_owned(),
            t.chart_title_days.to_owned(),
            t.chart_empty.to_owned(),
            t.chart_empty_hint.to_owned(),
            t.chart_empty_days_hint.to_owned(),
            lang.rest(Noun::City, 1, 1, 1_000),
            lang.rest(Noun::Department, 1_041, 999, 1_000),
            lang.day(at.to_zoned(zone.clone()).date()),
        ];
        texts.extend(lang.chart_subtitle(u64::MAX, at, &zone));
        texts.extend(lang.days_subtitle(1, u64::MAX, at, &zone));
        for text in texts {
            assert_eq!(undrawable(&text), None, "{text}");
        }
    }
}
