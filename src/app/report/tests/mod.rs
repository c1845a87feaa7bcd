//! Whole workbooks as production streams them, read by calamine and compared with those of `rust_xlsxwriter`.

mod register;

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use proptest::prelude::*;

use self::register::{Register, names, read, zone};
use super::{Format, MAX_ROWS};
use crate::{domain::registration::Period, foundation::lang::Lang};

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
    // The last of them leave room on a sheet for one line, or for none, but not for the total.
    for max_rows in [MAX_ROWS, 650, 30, 1_391, 1_392, 1_393, 107] {
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
    let sheets = read(&register.workbook(MAX_ROWS));
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
    assert_eq!(rows[5][1], text("padron-1"));
    assert_eq!(
        rows[8..11],
        [
            line("Cali", 7.0),
            line("Aracataca", 2.0),
            line("Zipaquirá", 2.0)
        ]
    );
    assert!(rows[11].iter().all(|cell| cell == "Empty"), "set apart");
    assert_eq!(
        rows[12],
        [text("Total"), "Empty".to_owned(), "Float(11.0)".to_owned()]
    );
}

#[test]
fn a_report_of_nobody_is_a_summary_and_an_empty_list() {
    let sheets = read(&Register::new::<&str>(&[]).workbook(MAX_ROWS));
    let [(_, summary), (name, list)] = &*sheets else {
        panic!("{} sheets", sheets.len());
    };
    assert_eq!(summary.last().expect("a total")[2], "Float(0.0)");
    assert_eq!(name, "Personas");
    assert_eq!(list.len(), 3);
    assert_eq!(list[2][1], "Float(0.0)");
}

#[test]
fn each_city_of_the_summary_leads_to_its_first_row() {
    let register = Register::new(
        &[("Zipaquirá", 2), ("Ñemerá", 40), ("Nobsa", 0), ("Cali", 7)]
            .map(|(name, count)| (name, names(count))),
    );
    for max_rows in [MAX_ROWS, 30] {
        let workbook = register.workbook(max_rows);
        let sheets = read(&workbook);
        let summary = &part_of(&workbook, "xl/worksheets/sheet1.xml");
        let links: Vec<_> = summary.split("<hyperlink ").skip(1).collect();
        assert_eq!(links.len(), 3, "none for nobody");
        for link in links {
            let value = |name: &str| {
                let rest = link.split_once(&format!("{name}=\"")).expect("is there").1;
                rest.split('"').next().expect("a value").to_owned()
            };
            let line: usize = value("ref")[1..].parse().expect("a line");
            let place = value("location");
            let (sheet, cell) = place.split_once('!').expect("a place");
            let row: usize = cell[1..].parse().expect("a row");
            let sheet = sheets.iter().find(|(name, _)| format!("'{name}'") == sheet);
            let (_, rows) = sheet.expect("is there");
            let city = &sheets[0].1[line - 1][0];
            assert_eq!(&rows[row - 1][4], city, "{place}");
            // Within a sheet it is the first of its city.
            assert_ne!(&rows[row - 2][4], city, "{place}");
        }
    }
}

#[test]
fn cities_come_in_the_order_of_the_alphabet_and_numbers_run_over_all() {
    let towns = ["Zipaquirá", "Ábrego", "Ñemerá", "Obando", "Nunchía"];
    let register = Register::new(&towns.map(|name| (name, names(2))));
    let cities = |rows: &[Vec<String>]| -> Vec<_> {
        let rows = rows.iter().step_by(2);
        rows.map(|row| row[4].clone()).collect()
    };
    let expected = ["Ábrego", "Nunchía", "Ñemerá", "Obando", "Zipaquirá"];
    let sheets = read(&register.workbook(MAX_ROWS));
    let list = &sheets[1].1;
    let shown = expected.map(|city| format!("{:?}", Data::String(city.to_owned())));
    assert_eq!(cities(&list[1..11]), shown);

    let csv = register.report(Format::Csv(';'), Period::default(), MAX_ROWS);
    let csv = csv.strip_prefix("\u{feff}".as_bytes()).expect("a mark");
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.delimiter(b';').from_reader(csv).into_records();
    let rows: Vec<Vec<_>> = reader
        .map(|row| row.expect("a row").iter().map(str::to_owned).collect())
        .collect();
    assert_eq!(cities(&rows), expected);
    for (number, (line, row)) in (1..).zip(list[1..].iter().zip(&rows)) {
        assert_eq!(line[0], format!("Float({number}.0)"));
        assert_eq!(row[0], number.to_string());
    }
}

#[test]
fn a_report_of_a_period_says_so() {
    let register = Register::new(&[("Cali", names(1))]);
    let period = Period::parse(Some("2026-11-20"), Some("2026-11-21"), &zone()).expect("a period");
    let text = |text: &str| format!("{:?}", Data::String(text.to_owned()));
    for (period, told) in [
        (
            period,
            "desde el 20/11/2026, 00:00 hasta antes del 22/11/2026, 00:00",
        ),
        (
            Period {
                until: None,
                ..period
            },
            "desde el 20/11/2026, 00:00",
        ),
        (Period::default(), "desde el comienzo"),
    ] {
        let summary = &read(&register.report(Format::Xlsx, period, MAX_ROWS))[0].1;
        assert_eq!(summary[4][..2], [text("Registradas"), text(told)]);
    }
}

#[test]
fn every_sheet_can_be_printed_and_filtered() {
    let workbook = Register::new(&[("Cali", names(47))]).workbook(30);
    for (sheet, filter) in [("1", "A8:C9"), ("2", "A1:I31"), ("3", "A1:I18")] {
        let xml = part_of(&workbook, &format!("xl/worksheets/sheet{sheet}.xml"));
        for part in [
            &format!("<autoFilter ref=\"{filter}\"/>"),
            "orientation=\"landscape\"",
            "paperSize=\"9\"",
            "<pageSetUpPr fitToPage=\"1\"/>",
            "fitToHeight=\"0\"",
            "Página &amp;P de &amp;N",
            "state=\"frozen\"",
        ] {
            assert!(xml.contains(part), "{sheet}: {part} in {xml}");
        }
    }
    let names = part_of(&workbook, "xl/workbook.xml");
    for name in [
        ">Resumen!$8:$8<",
        ">Personas!$1:$1<",
        ">'Personas (2)'!$1:$1<",
        ">Personas!$A$1:$H$31<",
        // With the total.
        ">'Personas (2)'!$A$1:$H$20<",
    ] {
        assert!(names.contains(name), "{name} in {names}");
    }
}

#[test]
fn the_document_was_made_at_the_time_of_the_report() {
    let workbook = Register::new(&[("Cali", names(1))]).workbook(MAX_ROWS);
    let core = part_of(&workbook, "docProps/core.xml");
    assert!(core.contains(">2026-11-21T18:05:59Z<"), "{core}");
}

#[test]
fn every_address_of_a_photo_is_a_link() {
    let workbook = Register::new(&[("Cali", names(20))]).workbook(MAX_ROWS);
    let list = part_of(&workbook, "xl/worksheets/sheet2.xml");
    // Every fifth has no photo.
    assert_eq!(list.matches("<f>HYPERLINK(").count(), 16);
    let one = "<f>HYPERLINK(\"https://padron.example/registrations/";
    assert!(list.contains(one), "{list}");
}

fn part_of(workbook: &[u8], name: &str) -> String {
    let mut archive = zip::ZipArchive::new(Cursor::new(workbook)).expect("opens");
    let part = archive.by_name(name).expect("is there");
    std::io::read_to_string(part).expect("text")
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
            // Lines without cells are no rows.
            let is_total = number == 1 || row.contains(">Total<");
            let line: u32 = if is_total {
                let line = row[3..].split('"').next().expect("r=");
                line.parse().expect("a number")
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
    // The Summary, two full sheets, and one for the total.
    assert_eq!(sheets.len(), 4);
}

#[test]
fn the_same_report_is_the_same_bytes() {
    let register = Register::new(&[("Cali", names(700))]);
    assert_eq!(register.workbook(MAX_ROWS), register.workbook(MAX_ROWS));
}

#[test]
fn no_prefix_of_a_report_opens() {
    let report = Register::new(&[("Cali", names(40))]).workbook(MAX_ROWS);
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
fn the_row_after_the_last_of_a_sheet_is_on_the_next() {
    let people = usize::try_from(MAX_ROWS).expect("fits") + 1;
    let register = Register::new(&[("Bogotá", names(people))]);
    let report = register.workbook(MAX_ROWS);
    let mut report: Xlsx<_> = Xlsx::new(Cursor::new(&report)).expect("opens");
    assert_eq!(
        report.sheet_names(),
        ["Resumen", "Personas", "Personas (2)"]
    );
    for (name, last) in [
        ("Personas", (1_048_575, 1_048_575.0)),
        ("Personas (2)", (1, 1_048_576.0)),
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
    for (name, rows, total) in register.sheets(650) {
        let mut line = |cells: [String; 9]| {
            let line = std::iter::once(&name).chain(&cells);
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
        if let Some(total) = total {
            line(Default::default());
            let mut cells = <[String; 9]>::default();
            cells[0] = "Total".to_owned();
            cells[1] = total.to_string();
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
        let arrived = &read(&register.workbook(MAX_ROWS))[1].1;
        for (name, row) in names.iter().zip(&arrived[1..]) {
            let expected = if name.is_empty() { Data::Empty } else { Data::String(name.clone()) };
            prop_assert_eq!(&row[2], &format!("{expected:?}"));
        }
    }
}
