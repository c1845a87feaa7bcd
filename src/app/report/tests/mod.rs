//! Whole workbooks as production streams them, read by calamine and compared with those of `rust_xlsxwriter`.

mod register;

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use proptest::prelude::*;

use self::register::{NOW, Register, names, read};
use super::{
    frame::Frame,
    prototype::Texts,
    tabs::{self, Tab},
};
use crate::foundation::lang::Lang;

#[test]
fn cells_equal_those_of_rust_xlsxwriter() {
    let register = Register::new(
        &[
            ("Bogotá, D.C.", 1_300),
            ("La Victoria", 60),
            ("la victoria", 1),
            ("Ñemerá & Hijos'", 0),
            ("[a]", 30),
        ]
        .map(|(name, count)| (name, names(count))),
    );
    for max_rows in [tabs::MAX_ROWS, 650, 30] {
        let mut ours = read(&register.workbook(max_rows));
        assert_eq!(ours.remove(0).0, "Resumen");
        let theirs = read(&register.oracle(max_rows));
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
    let register = Register::new(
        &[("Aracataca", 2), ("Cali", 7), ("Zipaquirá", 2)]
            .map(|(name, count)| (name, names(count))),
    );
    let sheets = read(&register.workbook(tabs::MAX_ROWS));
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
    assert_eq!(rows[0][0], text(Lang::Es.texts().report_title));
    assert_eq!(rows[4][1], text("padron-1"));
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
    let sheets = read(&Register::new::<&str>(&[]).workbook(tabs::MAX_ROWS));
    assert_eq!(sheets.len(), 1);
    assert_eq!(sheets[0].1[7][2], "Float(0.0)");
}

#[test]
fn every_municipality_has_a_tab() {
    let towns: Vec<_> = (0..1_122)
        .map(|number| (format!("Municipio {}", number / 2), names(1)))
        .collect();
    let sheets = read(&Register::new(&towns).workbook(tabs::MAX_ROWS));
    assert_eq!(sheets.len(), 1_123);
    assert!(
        sheets[1..]
            .iter()
            .all(|(_, rows)| rows.len() == 3 && rows[2][1] == "Float(1.0)")
    );
}

/// Every part of a workbook of one city, by name.
fn parts(people: usize, max_rows: u64) -> Vec<(String, String)> {
    let report = Register::new(&[("Cali", names(people))]).workbook(max_rows);
    let mut archive = zip::ZipArchive::new(Cursor::new(report)).expect("opens");
    let count = archive.len();
    let part = |index| {
        let mut part = archive.by_index(index).expect("is there");
        let name = part.name().expect("a name").into_owned();
        (name, std::io::read_to_string(&mut part).expect("text"))
    };
    (0..count).map(part).collect()
}

#[test]
fn every_part_closes_what_it_opens() {
    for (part, xml) in parts(40, 30) {
        let mut open = Vec::new();
        for tag in xml
            .split('<')
            .skip(1)
            .filter_map(|tag| tag.split('>').next())
        {
            let name = tag.split([' ', '/']).next().expect("a name");
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "{part}"),
                None if tag.ends_with(['/', '?']) => {}
                None => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new(), "{part}");
    }
}

#[test]
fn sheets_are_named_by_their_place_and_every_cell_by_its_own() {
    let parts = parts(1_300, 650);
    let sheets = parts
        .iter()
        .filter(|(name, _)| name.starts_with("xl/worksheets/sheet"));
    let sheets: Vec<_> = sheets.collect();
    for (number, (name, xml)) in (1..).zip(&sheets) {
        assert_eq!(*name, format!("xl/worksheets/sheet{number}.xml"));
        for (line, row) in (1..).zip(xml.split("<row ").skip(1)) {
            // The Summary has lines without cells, which are no rows.
            let line: u32 = if number == 1 {
                row[3..]
                    .split('"')
                    .next()
                    .expect("r=")
                    .parse()
                    .expect("a number")
            } else {
                line
            };
            assert!(row.starts_with(&format!("r=\"{line}\"")), "{name}: {row}");
            let row = row.split("</row>").next().expect("a row");
            let cells: Vec<_> = row.split("<c ").skip(1).collect();
            assert!(!cells.is_empty());
            for cell in &cells {
                let place = cell
                    .strip_prefix("r=\"")
                    .and_then(|rest| rest.split('"').next());
                let digits = place
                    .expect("r= comes first")
                    .trim_start_matches(|c: char| c.is_ascii_uppercase());
                assert_eq!(digits, line.to_string(), "{name}: {cell}");
            }
        }
    }
    // The Summary, two full tabs, and one for the total.
    assert_eq!(sheets.len(), 4);
}

#[test]
fn the_same_report_is_the_same_bytes() {
    let register = Register::new(&[("Cali", names(700))]);
    assert_eq!(
        register.workbook(tabs::MAX_ROWS),
        register.workbook(tabs::MAX_ROWS)
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
    let texts = Texts {
        summary_tab: "Resumen".into(),
        title: String::new(),
        as_of: (String::new(), NOW),
        filter: Default::default(),
        instance: Default::default(),
        columns: std::array::from_fn(|_| "N.º".into()),
        city: String::new(),
        department: String::new(),
        registrations: String::new(),
        total: String::new(),
        chart_title: String::new(),
    };
    let frame = Frame::new(&texts, &[], &tabs, NOW).expect("drawn");
    let part = |name| {
        frame
            .parts
            .iter()
            .find(|part| part.name == name)
            .expect("is there")
    };
    let workbook = &part("xl/workbook.xml").content;
    let sheets = concat!(
        r#"<sheets><sheet name="Resumen" sheetId="1" r:id="rId1"/><sheet name="Cali" sheetId="2" r:id="rId101"/>"#,
        r#"<sheet name="&quot;Ñ&quot; &amp; &lt;Z&gt;" sheetId="3" r:id="rId102"/></sheets>"#,
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
    assert!(!frame.head.contains("<dimension"), "{}", frame.head);
    assert!(frame.head.ends_with("</c></row>") && frame.tail.starts_with("</sheetData>"));
}

#[test]
fn no_prefix_of_a_report_opens() {
    let report = Register::new(&[("Cali", names(40))]).workbook(tabs::MAX_ROWS);
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
    let people = usize::try_from(tabs::MAX_ROWS).expect("fits") + 1;
    let register = Register::new(&[("Bogotá", names(people))]);
    let report = register.workbook(tabs::MAX_ROWS);
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
#[ignore = "needs LibreOffice and other readers: .ci/run installs them"]
fn other_readers_see_the_same_cells() {
    let folder = tempfile::tempdir().expect("a folder");
    let register = Register::new(
        &[
            ("Bogotá, D.C.", 1_300),
            ("La Victoria", 60),
            ("Ñemerá & Hijos'", 0),
        ]
        .map(|(name, count)| (name, names(count))),
    );
    let (report, expected) = (
        folder.path().join("report.xlsx"),
        folder.path().join("expected.csv"),
    );
    let mut lines = csv::Writer::from_path(&expected).expect("a file");
    for (tab, rows) in register.tabs(650) {
        let mut line = |cells: [String; 9]| {
            let line = std::iter::once(&tab.name).chain(&cells);
            lines.write_record(line).expect("written");
        };
        line(Lang::Es.texts().columns().map(str::to_owned));
        for row in &rows {
            let mut cells = <[String; 9]>::default();
            cells[0] = row.number.to_string();
            cells[6] = row.at.to_string().replace('T', " ");
            for (column, text) in &row.texts {
                cells[usize::from(*column)].clone_from(text);
            }
            line(cells);
        }
        if tab.last {
            let mut cells = <[String; 9]>::default();
            cells[0] = "Total".to_owned();
            cells[1] = register.towns[tab.city].1.len().to_string();
            line(cells);
        }
    }
    lines.flush().expect("written");
    std::fs::write(&report, register.workbook(650)).expect("written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/check_workbook.py");
    let status = std::process::Command::new("python3")
        .args([script.as_ref(), report.as_os_str(), expected.as_os_str()])
        .status()
        .expect("python3 runs");
    assert!(status.success());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_arrives_unchanged(names in prop::collection::vec(prop_oneof![any::<String>(), "[_x04Fa \t\n\r\u{1}\u{fffe}]{0,12}"], 1..40)) {
        let register = Register::new(&[("Cali", names.clone())]);
        let arrived = &read(&register.workbook(tabs::MAX_ROWS))[1].1;
        for (name, row) in names.iter().zip(&arrived[1..]) {
            let expected = if name.is_empty() { Data::Empty } else { Data::String(name.clone()) };
            prop_assert_eq!(&row[2], &format!("{expected:?}"));
        }
    }
}
