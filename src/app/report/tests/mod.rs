//! Whole workbooks, read by calamine and compared with those of `rust_xlsxwriter`.

mod driver;

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use proptest::prelude::*;

use self::driver::{NOW, Row, cells, city, oracle, read, rows_of, texts, workbook};
use super::tabs::{self, City, Tab};
use super::template::{self, Error, Total};

#[test]
fn cells_equal_those_of_rust_xlsxwriter() {
    let cities: Vec<(City, Vec<Row>)> = [
        ("Bogotá, D.C.", 1_300),
        ("La Victoria", 60),
        ("la victoria", 1),
        ("Ñemerá & Hijos'", 0),
        ("[a]", 30),
    ]
    .map(|(name, count)| (city(name, count), rows_of(count)))
    .into();
    for max_rows in [tabs::MAX_ROWS, 650, 30] {
        let mut ours = read(&workbook(&cities, max_rows));
        assert_eq!(ours.remove(0).0, "Resumen");
        let theirs = read(&oracle(&cities, max_rows));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.0, theirs.0);
            for (line, (ours, theirs)) in ours.1.iter().zip(&theirs.1).enumerate() {
                assert_eq!(ours, theirs, "line {line}, at most {max_rows} rows");
            }
        }
        assert_eq!(ours, theirs);
    }
}

#[test]
fn the_summary_counts_what_was_written() {
    let cities = [
        (city("Aracataca", 2), rows_of(2)),
        (city("Cali", 7), rows_of(7)),
        (city("Zipaquirá", 2), rows_of(2)),
    ];
    let sheets = read(&workbook(&cities, tabs::MAX_ROWS));
    let text = |text: &str| format!("{:?}", Data::String(text.to_owned()));
    let line = |city: &str, rows: f64| {
        vec![
            text(city),
            text(&format!("Depto. {city}")),
            format!("{:?}", Data::Float(rows)),
        ]
    };
    let (name, rows) = &sheets[0];
    assert_eq!(name, "Resumen");
    assert_eq!(rows[0][0], text("Registros de \"vacunación\" <1> & más"));
    assert_eq!(rows[4][..2], [text("Instancia"), text("padron-1")]);
    assert_eq!(
        rows[7..10],
        [
            line("Cali", 7.0),
            line("Aracataca", 2.0),
            line("Zipaquirá", 2.0)
        ]
    );
    assert_eq!(
        rows[10],
        [text("Total"), "Empty".to_owned(), "Float(11.0)".to_owned()]
    );
}

#[test]
fn a_report_of_no_city_is_a_summary() {
    let sheets = read(&workbook(&[], tabs::MAX_ROWS));
    assert_eq!(sheets.len(), 1);
    assert_eq!(sheets[0].1[7][2], "Float(0.0)");
}

#[test]
fn every_municipality_has_a_tab() {
    let cities: Vec<_> = (0..1_122)
        .map(|number| (city(&format!("Municipio {}", number / 2), 1), rows_of(1)))
        .collect();
    let sheets = read(&workbook(&cities, tabs::MAX_ROWS));
    assert_eq!(sheets.len(), 1_123);
    assert!(
        sheets[1..]
            .iter()
            .all(|(_, rows)| rows.len() == 3 && rows[2][1] == "Float(1.0)")
    );
}

#[test]
fn every_part_closes_what_it_opens() {
    let report = workbook(&[(city("Cali", 40), rows_of(40))], 30);
    let mut parts = zip::ZipArchive::new(Cursor::new(report)).expect("opens");
    for index in 0..parts.len() {
        let mut part = parts.by_index(index).expect("is there");
        let xml = std::io::read_to_string(&mut part).expect("text");
        let mut open = Vec::new();
        for tag in xml
            .split('<')
            .skip(1)
            .filter_map(|tag| tag.split('>').next())
        {
            let name = tag.split([' ', '/']).next().expect("a name");
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "part {index}"),
                None if tag.ends_with(['/', '?']) => {}
                None => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "part {index}");
    }
}

#[test]
fn the_same_report_is_the_same_bytes() {
    let cities = [(city("Cali", 700), rows_of(700))];
    assert_eq!(
        workbook(&cities, tabs::MAX_ROWS),
        workbook(&cities, tabs::MAX_ROWS)
    );
}

#[test]
fn tabs_are_listed_after_the_summary() {
    let tab = |name: &str| Tab {
        name: name.to_owned(),
        city: 0,
        last: true,
    };
    let tabs = [tab("Cali"), tab("\"Ñ\" & <Z>")];
    let template = template::build(texts(), &tabs, NOW).expect("drawn");
    let part = |name| {
        template
            .parts
            .iter()
            .find(|part| part.name == name)
            .expect("is there")
    };
    let workbook = &part("xl/workbook.xml").content;
    let sheets = concat!(
        r#"<sheets><sheet name="Resumen" sheetId="2" r:id="rId2"/><sheet name="Cali" sheetId="3" r:id="city1"/>"#,
        r#"<sheet name="&quot;Ñ&quot; &amp; &lt;Z&gt;" sheetId="4" r:id="city2"/></sheets>"#,
    );
    assert!(workbook.contains(sheets), "{workbook}");
    assert!(!workbook.contains("activeTab"), "{workbook}");
    let titles = &part("docProps/app.xml").content;
    assert!(titles.contains("<vt:i4>3</vt:i4>"), "{titles}");
    assert!(
        titles.contains(r#"<vt:vector size="3" baseType="lpstr"><vt:lpstr>Resumen<"#),
        "{titles}"
    );
    // The size of a tab is not known when its head leaves.
    assert!(!template.head.contains("<dimension"), "{}", template.head);
    assert!(template.head.ends_with("</c></row>") && template.tail.starts_with("</sheetData>"));
}

#[test]
fn totals_change_no_part_that_was_sent() {
    let tab = Tab {
        name: "Cali".to_owned(),
        city: 0,
        last: true,
    };
    let template = template::build(texts(), &[tab], NOW).expect("drawn");
    let total = |rows| Total {
        city: "N.º",
        department: "Foto",
        rows,
    };
    for totals in [vec![total(0)], vec![total(u64::from(u32::MAX)); 2_000]] {
        let late = template.summary(&totals).expect("unchanged");
        assert_eq!(late.len(), 4);
        assert!(
            late.iter()
                .all(|late| template.parts.iter().all(|part| part.name != late.name))
        );
    }
    assert!(matches!(template.summary(&[]), Err(Error::Changed)));
}

#[test]
fn no_prefix_of_a_report_opens() {
    let report = workbook(&[(city("Cali", 40), rows_of(40))], tabs::MAX_ROWS);
    for end in (0..report.len())
        .step_by(97)
        .chain(report.len() - 30..report.len())
    {
        assert!(
            Xlsx::new(Cursor::new(&report[..end])).is_err(),
            "opens at {end} of {}",
            report.len()
        );
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs an optimised build")]
fn the_row_after_the_last_of_a_sheet_is_on_the_next_tab() {
    let cities = [(
        city("Bogotá", tabs::MAX_ROWS + 1),
        rows_of(tabs::MAX_ROWS + 1),
    )];
    let report = workbook(&cities, tabs::MAX_ROWS);
    let mut report: Xlsx<_> = Xlsx::new(Cursor::new(&report)).expect("opens");
    assert_eq!(report.sheet_names(), ["Resumen", "Bogotá", "Bogotá (2)"]);
    for (name, last) in [
        ("Bogotá", (1_048_575, 1_048_575.0)),
        ("Bogotá (2)", (1, 1_048_576.0)),
    ] {
        let mut cells = report.worksheet_cells_reader(name).expect("is there");
        let mut seen = (0, 0.0);
        while let Some(cell) = cells.next_cell().expect("well formed") {
            if let (calamine::DataRef::Float(number), 0) = (cell.get_value(), cell.get_position().1)
            {
                seen = (cell.get_position().0, *number);
            }
        }
        assert_eq!(seen, last, "{name}");
    }
}

/// Cells as `check_workbook.py` expects them: tab, then the values as text.
#[test]
#[ignore = "needs LibreOffice and openpyxl: .ci/run installs them"]
fn other_readers_see_the_same_cells() {
    let folder = tempfile::tempdir().expect("a folder");
    let cities = [
        ("Bogotá, D.C.", 1_300),
        ("La Victoria", 60),
        ("Ñemerá & Hijos'", 0),
    ]
    .map(|(name, count)| (city(name, count), rows_of(count)));
    let quoted = |values: &[&str]| {
        let values = values
            .iter()
            .map(|value| format!("\"{}\"", value.replace('"', "\"\"")));
        values.collect::<Vec<_>>().join(",") + "\n"
    };
    let mut csv = String::new();
    let (mut last_city, mut number) = (None, 0);
    let plain = cities.each_ref().map(|(city, _)| city.clone());
    for tab in tabs::plan(&plain, 650, "Resumen") {
        let (city, rows) = &cities[tab.city];
        if last_city.replace(tab.city) != Some(tab.city) {
            number = 0;
        }
        let columns = texts().columns;
        let header: Vec<&str> = [&tab.name]
            .into_iter()
            .chain(&columns)
            .map(String::as_str)
            .collect();
        csv += &quoted(&header);
        for row in rows.iter().skip(number).take(650) {
            number += 1;
            let cells = cells(number as u64, city, row);
            let (line, at) = (
                number.to_string(),
                cells.registered_at.to_string().replace('T', " "),
            );
            csv += &quoted(&[
                &tab.name,
                &line,
                cells.reference,
                cells.name,
                cells.document_number,
                cells.city,
                cells.department,
                &at,
                cells.email,
                cells.photo_address,
            ]);
        }
        if tab.last {
            csv += &quoted(&[
                &tab.name,
                "Total",
                &rows.len().to_string(),
                "",
                "",
                "",
                "",
                "",
                "",
                "",
            ]);
        }
    }
    let (report, expected) = (
        folder.path().join("report.xlsx"),
        folder.path().join("expected.csv"),
    );
    std::fs::write(&report, workbook(&cities, 650)).expect("written");
    std::fs::write(&expected, csv).expect("written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/check_workbook.py");
    let status = std::process::Command::new("/usr/bin/python3")
        .args([script.as_ref(), report.as_os_str(), expected.as_os_str()])
        .status()
        .expect("python3 runs");
    assert!(status.success());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_arrives_unchanged(names in prop::collection::vec(prop_oneof![any::<String>(), "[_x04Fa \t\n\r\u{1}\u{fffe}]{0,12}"], 1..40)) {
        let rows: Vec<Row> = names.iter().map(|name| Row { name: name.clone(), at: NOW }).collect();
        let report = workbook(&[(city("Cali", rows.len() as u64), rows)], tabs::MAX_ROWS);
        let arrived = &read(&report)[1].1;
        for (name, row) in names.iter().zip(&arrived[1..]) {
            let expected = if name.is_empty() { Data::Empty } else { Data::String(name.clone()) };
            prop_assert_eq!(&row[2], &format!("{expected:?}"));
        }
    }
}
