//! The report: every row, the right total, names unchanged.

use std::io::Cursor;

use calamine::{Data, DataType as _, Reader as _, Xlsx};
use testkit::Form;

use crate::app::TestApp;

/// What people are called, or what would break a spreadsheet if they were.
const NAMES: [&str; 12] = [
    "=1+1",
    "+57 300",
    "-1",
    "@SUM(A1)",
    "_x0041_",
    "<b>&amp;\"'</b>",
    "  Ana  dos  espacios",
    "محمد بن عبد الله",
    "李小龍",
    "Zoë\u{200d}Ñandú\u{301}",
    "O'Neill \\ \"Quote\", hijo",
    "]]>",
];

fn read(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes)).expect("a workbook")
}

async fn register(app: &TestApp, name: &str, city: &str) {
    let form = Form::whole().with("name", name).with("city", city);
    assert_eq!(app.post(&form).await.status, 201, "{name}");
}

#[tokio::test]
async fn names_arrive_unchanged() {
    let app = TestApp::new().await;
    let emoji = "🦠".repeat(200);
    let names: Vec<&str> = NAMES.iter().copied().chain([emoji.as_str()]).collect();
    for name in &names {
        register(&app, name, "76001").await;
    }
    let mut workbook = read(app.staff("/report.xlsx").await.body);
    let sheet = workbook.worksheet_range("Personas").unwrap();
    let read: Vec<_> = sheet.rows().skip(1).map(|row| row[2].clone()).collect();
    let sent: Vec<_> = names
        .iter()
        .map(|name| Data::String(name.trim().to_owned()))
        .collect();
    assert_eq!(read[..names.len()], sent);

    let csv = app.staff("/report.csv").await.body;
    let csv = csv
        .strip_prefix("\u{feff}".as_bytes())
        .expect("a byte order mark");
    let rows: Vec<csv::StringRecord> = csv::Reader::from_reader(csv)
        .records()
        .map(Result::unwrap)
        .collect();
    for (row, name) in rows.iter().zip(&names) {
        assert_eq!(row[2].trim_start_matches('\''), name.trim());
        assert!(
            !row[2].starts_with(['=', '+', '-', '@']),
            "no formula: {}",
            &row[2]
        );
    }
    assert_eq!(rows.len(), names.len());
}

#[tokio::test]
async fn a_row_says_everything_of_a_registration() {
    let app = TestApp::new().await;
    let form = Form::whole()
        .text("document_number", "0012.345")
        .text("email", "ana@example.com");
    let reference = app.post(&form).await.json()["reference"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut workbook = read(app.staff("/report.xlsx?lang=en").await.body);
    assert_eq!(workbook.sheet_names(), ["Summary", "People"]);
    let sheet = workbook.worksheet_range("People").unwrap();
    let row: Vec<_> = sheet.rows().nth(1).unwrap().to_vec();
    let text = |text: &str| Data::String(text.to_owned());
    assert_eq!(row[0], Data::Float(1.0));
    assert_eq!(
        row[1..6],
        [
            text(&reference),
            text("Ana María Ñáñez"),
            text("0012345"),
            text("Bogotá, D.C."),
            text("Bogotá, D.C."),
        ]
    );
    assert!(row[6].is_datetime(), "a date is a date: {:?}", row[6]);
    assert_eq!(row[7], text("ana@example.com"));
    assert_eq!(
        row[8],
        text(&format!(
            "https://padron.example/registrations/{reference}/photo"
        ))
    );
}

#[tokio::test]
async fn the_total_is_the_number_of_rows() {
    let app = TestApp::new().await;
    for (name, city) in [
        ("A", "11001"),
        ("B", "05400"),
        ("C", "52399"),
        ("D", "11001"),
    ] {
        register(&app, name, city).await;
    }
    let mut workbook = read(app.staff("/report.xlsx").await.body);
    assert_eq!(workbook.sheet_names(), ["Resumen", "Personas"]);
    let list = workbook.worksheet_range("Personas").unwrap();
    let cities = list.rows().skip(1).take(4);
    let cities: Vec<_> = cities
        .map(|row| format!("{}, {}", row[4], row[5]))
        .collect();
    assert_eq!(
        cities,
        [
            "Bogotá, D.C., Bogotá, D.C.",
            "Bogotá, D.C., Bogotá, D.C.",
            "La Unión, Antioquia",
            "La Unión, Nariño"
        ]
    );
    let summary = workbook.worksheet_range("Resumen").unwrap();
    let cells: Vec<_> = summary.rows().flatten().collect();
    assert!(cells.contains(&&Data::String("Todas las ciudades".into())));
    assert!(
        cells.contains(&&Data::String("test-1".into())),
        "the replica that wrote it"
    );
    let total = summary.rows().next_back().unwrap();
    assert_eq!(
        (&total[0], &total[2]),
        (&Data::String("Total".into()), &Data::Float(4.0))
    );
    assert_eq!(app.get("/totals").await.json()["total"], 4);
}

#[tokio::test]
async fn a_report_says_before_its_first_byte_how_many_rows_it_has() {
    let app = TestApp::new().await;
    for (name, city) in [("A", "11001"), ("B", "05001"), ("C", "11001")] {
        register(&app, name, city).await;
    }
    for (query, rows) in [("", 3), ("?city=11001", 2), ("?city=52399", 0)] {
        for path in ["/report.xlsx", "/report.csv"] {
            let answer = app.staff(&format!("{path}{query}")).await;
            assert_eq!(
                answer.header("x-report-rows"),
                rows.to_string(),
                "{path}{query}"
            );
            if path == "/report.csv" {
                assert_eq!(answer.text().lines().count(), rows + 1);
            }
        }
    }
}

#[tokio::test]
async fn while_all_places_are_taken_staff_are_told_so_in_their_language() {
    let app = TestApp::new().await;
    let places = app.app.reports.available_permits();
    let places = u32::try_from(places).unwrap();
    let _held = app
        .app
        .reports
        .clone()
        .try_acquire_many_owned(places)
        .unwrap();
    for path in ["/report.xlsx", "/report.csv"] {
        for (lang, told) in [
            ("es", "Espere un minuto y descargue otra vez."),
            ("en", "Wait a minute and download again."),
        ] {
            let page = app.staff_page(&format!("{path}?lang={lang}")).await;
            assert_eq!(page.status, 503);
            assert!(page.text().contains(told), "{}", page.text());
            assert_ne!(page.header("retry-after"), "");
        }
        let answer = app.staff(path).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["type"]),
            (503, &"busy".into())
        );
        assert_ne!(answer.header("retry-after"), "");
    }
}

#[tokio::test]
async fn a_report_of_one_city_has_that_city_only() {
    let app = TestApp::new().await;
    register(&app, "A", "11001").await;
    register(&app, "B", "05001").await;
    let answer = app.staff("/report.xlsx?city=medellin").await;
    let disposition = answer.header("content-disposition").to_owned();
    assert!(
        disposition.starts_with("attachment; filename=\"padron-05001-20"),
        "{disposition}"
    );
    assert!(
        disposition.contains("filename*=UTF-8''padron-Medell%C3%ADn-20"),
        "{disposition}"
    );
    assert_eq!(read(answer.body).sheet_names(), ["Resumen", "Personas"]);
    let csv = app.staff("/report.csv?city=05001").await.text();
    assert!(csv.contains(",B,") && !csv.contains(",A,"));
}

#[tokio::test]
async fn a_report_without_rows_is_a_report() {
    let app = TestApp::new().await;
    assert_eq!(
        read(app.staff("/report.xlsx").await.body).sheet_names(),
        ["Resumen", "Personas"]
    );
    let mut workbook = read(app.staff("/report.xlsx?city=05001").await.body);
    assert_eq!(workbook.sheet_names(), ["Resumen", "Personas"]);
    let sheet = workbook.worksheet_range("Personas").unwrap();
    assert_eq!(
        sheet.rows().next_back().unwrap()[..2],
        [Data::String("Total".into()), Data::Float(0.0)]
    );
    assert_eq!(app.staff("/report.csv").await.text().lines().count(), 1);
}

/// Local times of the office of the tests, which is in Bogotá.
fn today(app: &TestApp) -> jiff::Zoned {
    padron::foundation::clock::now().to_zoned(app.app.time_zone.clone())
}

#[tokio::test]
async fn a_period_is_of_days_in_the_offices_zone_or_of_times() {
    let app = TestApp::new().await;
    for (name, city) in [("A", "11001"), ("B", "05001"), ("C", "11001")] {
        register(&app, name, city).await;
    }
    let today = today(&app);
    let day = |days: i64| today.date() + jiff::Span::new().days(days);
    let before = today.timestamp() - jiff::SignedDuration::from_hours(1);
    let after = today.timestamp() + jiff::SignedDuration::from_hours(1);
    for (query, rows) in [
        (format!("since={}", day(-1)), 3),
        (format!("since={}&until={}", day(-1), day(1)), 3),
        (format!("since={}&until={}&city=11001", day(-1), day(1)), 2),
        (format!("since={}", day(2)), 0),
        (format!("until={}", day(-2)), 0),
        (format!("since={before}&until={after}"), 3),
        (format!("since={after}"), 0),
        (format!("until={before}"), 0),
        ("since=1970-01-02&until=9999-12-31".to_owned(), 3),
        // Left blank on a page, it is no bound.
        ("since=&until=".to_owned(), 3),
    ] {
        for path in ["/report.xlsx", "/report.csv"] {
            let answer = app.staff(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 200, "{query}: {}", answer.text());
            assert_eq!(answer.header("x-report-rows"), rows.to_string(), "{query}");
            if path == "/report.csv" {
                assert_eq!(answer.text().lines().count(), rows + 1, "{query}");
            }
        }
    }
}

#[tokio::test]
async fn a_report_of_a_period_never_touches_the_board() {
    let app = TestApp::new().await;
    register(&app, "A", "11001").await;
    app.staff("/report.csv").await;
    register(&app, "B", "11001").await;
    let totals = app.get("/totals").await.text();
    let tomorrow = today(&app).date() + jiff::Span::new().days(2);
    for query in [
        format!("since={tomorrow}"),
        format!("until={tomorrow}"),
        format!("since={tomorrow}&city=11001"),
    ] {
        for path in ["/report.xlsx", "/report.csv"] {
            let answer = app.staff(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(app.get("/totals").await.text(), totals, "{query}");
        }
    }
}

#[tokio::test]
async fn a_period_that_is_none_is_refused_by_its_field_and_bound() {
    let app = TestApp::new().await;
    for (query, field, code) in [
        ("since=yesterday", "since", "format"),
        ("since=2026-02-30", "since", "format"),
        ("since=24/11/2026", "since", "format"),
        ("since=2026-11-24T08:00:00", "since", "format"),
        ("since=1969-12-31", "since", "format"),
        ("until=10000-01-01", "until", "format"),
        ("until=%C3%B1%C3%B1%C3%B1%C3%B1%C3%B1", "until", "format"),
        ("until=2026-11-24T08", "until", "format"),
        ("since=2026-11-24&until=2026-11-23", "until", "backwards"),
        (
            "since=2026-11-24T08:00:00Z&until=2026-11-24T08:00:00Z",
            "until",
            "backwards",
        ),
    ] {
        for path in ["/report.xlsx", "/report.csv"] {
            let answer = app.staff(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 422, "{query}");
            let error = &answer.json()["errors"][0];
            assert_eq!(
                (&error["field"], &error["code"]),
                (&field.into(), &code.into())
            );
            let page = app.staff_page(&format!("{path}?{query}&lang=es")).await;
            assert_eq!(page.status, 422);
            assert!(page.text().contains("Revise las fechas"), "{}", page.text());
            assert!(!page.text().contains("yesterday"));
        }
    }
    let answer = app.staff("/report.csv?since=x&until=y").await;
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_page_in_spanish_gets_the_cells_that_excel_expects_there() {
    let app = TestApp::new().await;
    register(&app, "Ana; Luz, María", "11001").await;
    for (query, separator) in [
        ("", b','),
        ("?lang=en", b','),
        ("?lang=es", b';'),
        ("?lang=es-CO", b';'),
    ] {
        let csv = app.staff(&format!("/report.csv{query}")).await.body;
        let csv = csv.strip_prefix("\u{feff}".as_bytes()).expect("a mark");
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.delimiter(separator).from_reader(csv);
        assert_eq!(reader.headers().unwrap().len(), 9, "{query}");
        let row = reader.records().next().unwrap().unwrap();
        assert_eq!(&row[2], "Ana; Luz, María");
        assert_eq!(&row[4], "Bogotá, D.C.");
    }
}

#[tokio::test]
async fn a_city_that_is_none_is_refused() {
    let app = TestApp::new().await;
    for (city, code) in [
        ("", "required"),
        ("Atlantis", "unknown"),
        ("La%20Uni%C3%B3n", "ambiguous"),
    ] {
        let answer = app.staff(&format!("/report.xlsx?city={city}")).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.json()["errors"][0]["code"], code);
    }
}

#[tokio::test]
async fn a_key_that_records_need_must_be_in_the_key_file() {
    let app = TestApp::new().await;
    register(&app, "Ana", "11001").await;
    let file = app.place.keys();
    let mut keyring = padron::foundation::seal::Keyring::read(&file).unwrap();
    keyring.rotate();
    keyring.replace(&file).unwrap();
    let app = app.restart().await;
    register(&app, "Luz", "11001").await;
    assert_eq!(
        app.rows().await,
        2,
        "what the old key sealed opens beside the new"
    );
    // Without the first key, only what the second encrypted could be decrypted.
    let text = std::fs::read_to_string(&file).unwrap();
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("key"))
        .collect();
    let last = text.lines().last().unwrap();
    std::fs::write(&file, format!("{}\n{last}\n", keys.join("\n"))).unwrap();
    let refused = app.cannot_restart().await;
    assert!(refused.contains("which the key file lacks"), "{refused}");
}
