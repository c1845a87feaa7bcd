//! A report of the running program, opened by the programs and libraries that people read spreadsheets with.

use std::{fs, path::Path, process::Command};

use calamine::{Data, Reader as _, Xlsx};
use testkit::{Form, Home};

const NAMES: [&str; 13] = [
    "=1+1",
    "+573001234567",
    "@SUM(A1:A9)",
    "_x0041_ <b>&amp;</b>",
    "محمد بن عبد الله",
    "🦠🦠🦠 李小龍",
    "\"comillas\", y comas; Ñáñez",
    "-1",
    "O'Neill ]]> & Sons",
    "TRUE",
    "007",
    "Zoë\u{200d}Ñandú\u{301}",
    "Ana  dos  espacios",
];

/// Two of them bear one name.
const CITIES: [&str; 3] = ["76001", "05400", "52399"];

#[tokio::test]
#[ignore = "needs LibreOffice and other readers: .ci/run installs them"]
async fn spreadsheet_programs_read_what_was_registered() {
    let home = Home::new();
    assert!(
        home.run(&["seed", "--count", "600", "--no-photos"])
            .status
            .success()
    );
    let server = home.start().await;
    let longest = "🦠".repeat(200);
    let names = NAMES.iter().copied().chain([longest.as_str()]);
    for (name, city) in names.flat_map(|name| CITIES.map(|city| (name.to_owned(), city))) {
        let form = Form::whole().with("name", name).with("city", city);
        let answer = server.post_form(&form).send().await;
        assert_eq!(answer.unwrap().status(), 201);
    }
    let csv = String::from_utf8(server.fetch("/report.csv?lang=es").await).unwrap();
    let (report, expected) = (home.path("report.xlsx"), home.path("expected.csv"));
    fs::write(&report, server.fetch("/report.xlsx?lang=es").await).unwrap();
    fs::write(&expected, list_of(&csv)).unwrap();
    calamine_sees_the_same(&report, &expected);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/check_workbook.py");
    let status = Command::new("python3")
        .arg(script)
        .arg(report)
        .arg(expected)
        .status();
    assert!(status.unwrap().success());
    server.stop().await;
}

fn calamine_sees_the_same(report: &Path, expected: &Path) {
    let mut workbook: Xlsx<_> = calamine::open_workbook(report).unwrap();
    let mut seen = Vec::new();
    for tab in workbook.sheet_names().split_off(1) {
        for row in workbook.worksheet_range(&tab).unwrap().rows() {
            // Its times are compared with those of another writer elsewhere.
            let cells = row.iter().map(|cell| match cell {
                Data::DateTime(_) => String::new(),
                other => other.to_string(),
            });
            seen.push(
                std::iter::once(tab.clone())
                    .chain(cells)
                    .collect::<Vec<_>>(),
            );
        }
    }
    let mut reader = csv::ReaderBuilder::new();
    let reader = reader.has_headers(false).flexible(true).from_path(expected);
    let lines = reader.unwrap().into_records().map(|line| {
        let line = line.unwrap();
        let is_row = line[1].parse::<u64>().is_ok();
        let cell = |(column, cell): (usize, &str)| match column {
            7 if is_row => String::new(),
            _ => cell.to_owned(),
        };
        line.iter().enumerate().map(cell).collect::<Vec<_>>()
    });
    assert_eq!(seen, lines.collect::<Vec<_>>());
}

/// The list as the workbook must have it, of the rows of the CSV.
fn list_of(csv: &str) -> Vec<u8> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(b';')
        .from_reader(csv.trim_start_matches('\u{feff}').as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut line = |cells: Vec<&str>| {
        let line = std::iter::once("Personas").chain(cells);
        writer.write_record(line).unwrap();
    };
    for row in &rows {
        // What makes a cell harmless in CSV is not needed in a workbook.
        let cells = row.iter().map(|cell| match cell.strip_prefix('\'') {
            Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
            _ => cell,
        });
        line(cells.collect());
    }
    let total = (rows.len() - 1).to_string();
    line(vec![""; 9]);
    line([vec!["Total", &total], vec![""; 7]].concat());
    writer.into_inner().unwrap()
}
