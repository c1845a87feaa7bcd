//! A report of the running program, opened by the programs and libraries that people read spreadsheets with.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

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
    fs::write(&expected, tabs_of(&csv)).unwrap();
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

/// The rows of the CSV, tab by tab, each tab with its header and total.
fn tabs_of(csv: &str) -> Vec<u8> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(csv.trim_start_matches('\u{feff}').as_bytes());
    let mut rows = reader.records().map(Result::unwrap);
    let header = rows.next().unwrap();
    let mut cities: BTreeMap<(String, String), Vec<csv::StringRecord>> = BTreeMap::new();
    let mut order = Vec::new();
    for row in rows {
        let city = (row[4].to_owned(), row[5].to_owned());
        if !cities.contains_key(&city) {
            order.push(city.clone());
        }
        cities.entry(city).or_default().push(row);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for city in &order {
        let shared = order.iter().filter(|other| other.0 == city.0).count() > 1;
        let full = if shared {
            format!("{}, {}", city.0, city.1)
        } else {
            city.0.clone()
        };
        let tab: String = full.chars().take(31).collect();
        let rows = &cities[city];
        writer
            .write_record(std::iter::once(tab.as_str()).chain(&header))
            .unwrap();
        for row in rows {
            // What makes a cell harmless in CSV is not needed in a workbook.
            let cells = row.iter().map(|cell| match cell.strip_prefix('\'') {
                Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
                _ => cell,
            });
            writer
                .write_record(std::iter::once(tab.as_str()).chain(cells))
                .unwrap();
        }
        let total = rows.len().to_string();
        let total = [tab.as_str(), "Total", &total, "", "", "", "", "", "", ""];
        writer.write_record(total).unwrap();
    }
    writer.into_inner().unwrap()
}
