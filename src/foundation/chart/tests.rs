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

fn chart(counts: &[(String, u64)]) -> Chart<'_, String> {
    Chart {
        lang: Lang::Es,
        subtitle: "Total: 9.876.543 · Datos al 21/11/2026, 06:30".to_owned(),
        counts,
        label: &String::clone,
    }
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
fn a_png_has_its_geometrys_size_and_a_white_border() {
    for (width, height) in [(320, 240), (1000, 600), (2000, 2000), (320, 2000)] {
        let bytes = png(&chart(&counts(13)), geometry(width, height, 20)).expect("a picture");
        let (wide, high, pixels) = decoded(&bytes);
        assert_eq!((wide, high), (width, height));
        let row = width as usize * 3;
        let white = |pixels: &[u8]| pixels.iter().all(|&byte| byte == 0xff);
        assert!(white(&pixels[..row * 12]));
        assert!(white(&pixels[pixels.len() - row * 12..]));
        assert!(pixels.chunks(row).all(|row| white(&row[..36])));
    }
}

#[test]
fn a_png_of_21_bars_is_at_most_20_kilobytes() {
    for many in [21, 1_121] {
        let bytes = png(&chart(&counts(many)), Geometry::default()).expect("a picture");
        assert!(bytes.len() <= 20_000, "{}", bytes.len());
    }
}

#[test]
fn the_same_chart_gives_the_same_bytes() {
    for many in [0, 1, 21, 1_121] {
        let counts = counts(many);
        let draw = || {
            let (chart, geometry) = (chart(&counts), Geometry::default());
            (
                png(&chart, geometry).expect("a PNG"),
                svg(&chart, geometry).expect("an SVG"),
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
    let (width, _, pixels) = decoded(&png(&chart(&counts), Geometry::default()).expect("a PNG"));
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
    for many in [0, 1, 20] {
        let counts = counts(many);
        let document = svg(&chart(&counts), Geometry::default()).expect("an SVG");
        let document = String::from_utf8(document).expect("UTF-8");
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
        for (label, count) in &counts {
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
    }
}

/// Every text of the chart's own, in both languages.
#[test]
fn the_charts_own_words_can_be_drawn() {
    for lang in [Lang::Es, Lang::En] {
        let t = lang.texts();
        for text in [
            t.chart_title,
            t.chart_empty,
            &lang.rest(1),
            &lang.rest(1_041),
            &lang.chart_subtitle(
                u64::MAX,
                jiff::Timestamp::UNIX_EPOCH,
                &jiff::tz::TimeZone::UTC,
            ),
        ] {
            assert_eq!(undrawable(text), None, "{text}");
        }
    }
}
