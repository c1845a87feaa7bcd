//! The shortest driver of the report's pieces, the same tabs by `rust_xlsxwriter` alone, and what calamine reads of either.

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use jiff::ToSpan as _;
use jiff::civil::{DateTime, date};
use rust_xlsxwriter::{ExcelDateTime, Format, Workbook, Worksheet};

use super::super::archive::{Archive, deflate};
use super::super::rows::{self, Cells};
use super::super::tabs::{self, City};
use super::super::template::{self, Template, Texts, Total};

pub(super) const NOW: DateTime = date(2026, 11, 21).at(13, 5, 59, 0);
const ROWS_IN_BLOCK: usize = 512;

/// Names that have broken spreadsheets, or look as if they could.
const NASTY: [&str; 22] = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "_x0041_",
    "_x0041",
    "_x00_",
    "ana_xe_b",
    "__x0041_x0042_",
    "  two  before",
    "after ",
    " ",
    "a\tb",
    "a\nb",
    "a\r\nb",
    "محمد علي",
    "🧑🏽‍⚕️ 💉",
    "<b>&amp;\"'</b>]]>",
    "\u{0}\u{1}\u{1f}\u{7f}",
    "\u{fffe}\u{ffff}\u{feff}",
    "007",
    "TRUE",
];

pub(super) struct Row {
    pub(super) name: String,
    pub(super) at: DateTime,
}

pub(super) fn texts() -> Texts {
    let own = str::to_owned;
    Texts {
        summary_tab: own("Resumen"),
        title: own("Registros de \"vacunación\" <1> & más"),
        as_of: (own("Corte"), NOW),
        filter: (own("Filtro"), own("Todas las ciudades")),
        instance: (own("Instancia"), own("padron-1")),
        columns: [
            "N.º",
            "Referencia",
            "Nombre",
            "Documento",
            "Ciudad",
            "Departamento",
            "Registro",
            "Correo",
            "Foto",
        ]
        .map(own),
        city: own("Ciudad"),
        department: own("Departamento"),
        registrations: own("Registros"),
        total: own("Total"),
        chart_title: own("Registros por ciudad"),
    }
}

pub(super) fn city(name: &str, rows: u64) -> City {
    City {
        name: name.to_owned(),
        department: format!("Depto. {name}"),
        rows,
    }
}

/// Rows with nasty names; their times step through the day so that every rounding shows.
pub(super) fn rows_of(count: u64) -> Vec<Row> {
    let row = |number: u64| Row {
        name: NASTY[usize::try_from(number).expect("small") % NASTY.len()].to_owned(),
        at: NOW + (i64::try_from(number).expect("small") * 6_397).seconds(),
    };
    (0..count).map(row).collect()
}

pub(super) fn cells<'a>(number: u64, city: &'a City, row: &'a Row) -> Cells<'a> {
    Cells {
        number,
        reference: "K7QM-3XPD",
        name: &row.name,
        document_number: if number.is_multiple_of(3) {
            ""
        } else {
            "00123456"
        },
        city: &city.name,
        department: &city.department,
        registered_at: row.at,
        email: if number.is_multiple_of(2) {
            ""
        } else {
            "a_b@example.org"
        },
        photo_address: "https://padron.example/registrations/K7QM-3XPD/photo",
    }
}

/// The whole report, one step after another; `report` does the same with blocks side by side.
pub(super) fn workbook(cities: &[(City, Vec<Row>)], max_rows: u64) -> Vec<u8> {
    let plain: Vec<City> = cities.iter().map(|(city, _)| city.clone()).collect();
    let tabs = tabs::plan(&plain, max_rows, &texts().summary_tab);
    let template = template::build(texts(), &tabs, NOW).expect("drawn");
    let mut archive = Archive::new(NOW);
    let mut sent = Vec::new();
    for part in &template.parts {
        sent.extend(archive.begin(&part.name));
        sent.extend(archive.append(deflate(part.content.as_bytes())));
    }
    let mut left: Vec<_> = cities.iter().map(|(_, rows)| (1..).zip(rows)).collect();
    for (index, tab) in tabs.iter().enumerate() {
        sent.extend(archive.begin(&Template::tab_part(index)));
        sent.extend(archive.append(deflate(template.head.as_bytes())));
        let (city, rows) = &cities[tab.city];
        let on_tab: Vec<_> = left[tab.city]
            .by_ref()
            .take(usize::try_from(max_rows).expect("fits"))
            .collect();
        for block in on_tab.chunks(ROWS_IN_BLOCK) {
            let mut xml = Vec::new();
            for (number, row) in block {
                rows::write(&mut xml, &cells(*number, city, row), template.date_style);
            }
            sent.extend(archive.append(deflate(&xml)));
        }
        let mut end = Vec::new();
        if tab.last {
            rows::write_total(&mut end, "Total", rows.len() as u64, template.total_style);
        }
        end.extend_from_slice(template.tail.as_bytes());
        sent.extend(archive.append(deflate(&end)));
    }
    for part in template.summary(&totals(cities)).expect("unchanged") {
        sent.extend(archive.begin(&part.name));
        sent.extend(archive.append(deflate(part.content.as_bytes())));
    }
    sent.extend(archive.finish());
    sent
}

fn totals(cities: &[(City, Vec<Row>)]) -> Vec<Total<'_>> {
    cities
        .iter()
        .map(|(city, rows)| Total {
            city: &city.name,
            department: &city.department,
            rows: rows.len() as u64,
        })
        .collect()
}

/// The same city tabs by `rust_xlsxwriter` alone, in its ordinary mode.
pub(super) fn oracle(cities: &[(City, Vec<Row>)], max_rows: u64) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let plain: Vec<City> = cities.iter().map(|(city, _)| city.clone()).collect();
    let mut left: Vec<_> = cities.iter().map(|(_, rows)| (1..).zip(rows)).collect();
    for tab in tabs::plan(&plain, max_rows, "Resumen") {
        let (city, rows) = &cities[tab.city];
        let sheet = workbook
            .add_worksheet()
            .set_name(&tab.name)
            .expect("a safe name");
        sheet.write_row(0, 0, texts().columns).expect("written");
        let mut line = 0;
        for (number, row) in left[tab.city]
            .by_ref()
            .take(usize::try_from(max_rows).expect("fits"))
        {
            line += 1;
            oracle_row(sheet, line, &cells(number, city, row));
        }
        if tab.last {
            sheet.write(line + 1, 0, "Total").expect("written");
            sheet
                .write(line + 1, 1, u32::try_from(rows.len()).expect("small"))
                .expect("written");
        }
    }
    workbook.save_to_buffer().expect("names are unique")
}

fn oracle_row(sheet: &mut Worksheet, line: u32, cells: &Cells<'_>) {
    let at = cells.registered_at;
    let day = ExcelDateTime::from_ymd(
        at.year().unsigned_abs(),
        at.month().unsigned_abs(),
        at.day().unsigned_abs(),
    );
    let part = |value: i8| value.unsigned_abs();
    let time = day
        .and_then(|day| {
            day.and_hms(
                u16::from(part(at.hour())),
                part(at.minute()),
                part(at.second()),
            )
        })
        .expect("a time");
    sheet
        .write(line, 0, u32::try_from(cells.number).expect("small"))
        .expect("written");
    sheet
        .write_datetime_with_format(
            line,
            6,
            &time,
            &Format::new().set_num_format("yyyy-mm-dd hh:mm:ss"),
        )
        .expect("written");
    let texts = [
        (1, cells.reference),
        (2, cells.name),
        (3, cells.document_number),
        (4, cells.city),
        (5, cells.department),
        (7, cells.email),
        (8, cells.photo_address),
    ];
    for (column, text) in texts {
        if !text.is_empty() {
            sheet.write_string(line, column, text).expect("written");
        }
    }
}

pub(super) type Sheets = Vec<(String, Vec<Vec<String>>)>;

/// Every sheet's cells with their types; times to the second.
pub(super) fn read(workbook: &[u8]) -> Sheets {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(workbook)).expect("opens");
    let show = |cell: &Data| match cell {
        Data::DateTime(at) => format!("time {:.0}", at.as_f64() * 86_400.0),
        other => format!("{other:?}"),
    };
    let sheet = |name: String, workbook: &mut Xlsx<_>| {
        let range = workbook.worksheet_range(&name).expect("is there");
        assert_eq!(range.start(), Some((0, 0)));
        (
            name,
            range
                .rows()
                .map(|row| row.iter().map(show).collect())
                .collect(),
        )
    };
    workbook
        .sheet_names()
        .into_iter()
        .map(|name| sheet(name, &mut workbook))
        .collect()
}
