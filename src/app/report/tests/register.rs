//! A register of made-up people, the report that production streams of it, and the same list by `rust_xlsxwriter`
//! alone.

use std::{
    io::{Cursor, Write as _},
    sync::Arc,
};

use calamine::{Data, Reader as _, Xlsx};
use futures::TryStreamExt as _;
use jiff::{
    ToSpan as _,
    civil::{DateTime, date},
    tz::TimeZone,
};
use rust_xlsxwriter::{ExcelDateTime, Format as CellFormat, Workbook, Worksheet};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::super::{Format, ReportSpec, stream_in_sheets};
use crate::{
    domain::city::{Cities, City},
    domain::registration::{Envelope, Period, Person, PhotoKey, Reference},
    foundation::lang::Lang,
    foundation::seal::Keyring,
    store::{BLOCK_ROWS, Row, Snapshot},
};

pub(super) const NOW: DateTime = date(2026, 11, 21).at(13, 5, 59, 0);

/// Names that have broken spreadsheets, or look as if they could.
const NASTY: [&str; 23] = [
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
    "two  inside",
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

/// Nasty names, one after the other.
pub(super) fn names(count: usize) -> Vec<String> {
    let name = |number: usize| NASTY[number % NASTY.len()].to_owned();
    (0..count).map(name).collect()
}

/// Cities and who registered in them, oldest first.
pub(super) struct Register {
    cities: Arc<Cities>,
    keyring: Arc<Keyring>,
    pub(super) towns: Vec<(City, Vec<(Person, Row)>)>,
}

impl Register {
    /// Cities by name, and the names of their people. Times step through the day so that every rounding shows; some
    /// people have no number, e-mail or photo.
    pub(super) fn new<N: AsRef<str>>(towns: &[(N, Vec<String>)]) -> Self {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let mut catalogue = csv::Writer::from_writer(Vec::new());
        let line = |(code, name): (usize, &str)| {
            let department = format!("Depto. {name}");
            [
                format!("{code:05}"),
                name.to_owned(),
                department,
                String::new(),
            ]
        };
        let header = ["code", "municipality", "department", "aliases"];
        catalogue.write_record(header).expect("written");
        // A catalogue has a city at least.
        let named = towns
            .iter()
            .map(|(name, _)| name.as_ref())
            .chain(["Nobody's"]);
        for city in named.enumerate() {
            catalogue.write_record(line(city)).expect("written");
        }
        let catalogue = catalogue.into_inner().expect("written");
        file.write_all(&catalogue).expect("written");
        let cities = Cities::read(file.path()).expect("a catalogue");
        let keyring = Keyring::generate();
        let towns = cities.iter().zip(towns).map(|(city, (_, names))| {
            let people = (0..).zip(names);
            let people = people.map(|(number, name)| registered(&keyring, city, number, name));
            (city.clone(), people.collect())
        });
        let towns = towns.collect();
        Self {
            cities: Arc::new(cities),
            keyring: Arc::new(keyring),
            towns,
        }
    }

    /// The towns in the order of the report.
    fn sorted(&self) -> Vec<&(City, Vec<(Person, Row)>)> {
        let counts = |(city, people): &(City, Vec<_>)| (city.code, people.len() as u64);
        let sorted = self
            .cities
            .alphabetical(Lang::Es)
            .sorted(&self.towns.iter().map(counts).collect());
        let town = |(code, _)| self.towns.iter().find(|(city, _)| city.code == code);
        sorted.into_iter().filter_map(town).collect()
    }

    /// The report of all cities as a client gets it.
    pub(super) fn workbook(&self, max_rows: u64) -> Vec<u8> {
        self.report(Format::Xlsx, Period::default(), max_rows)
    }

    /// Any report of all cities; `period` is only what it says of itself.
    pub(super) fn report(&self, format: Format, period: Period, max_rows: u64) -> Vec<u8> {
        let rows = self.sorted().into_iter().flat_map(|(_, people)| people);
        let rows: Vec<_> = rows.map(|(_, row)| row.clone()).collect();
        let (sender, blocks) = mpsc::channel(4);
        let snapshot = Snapshot {
            sequence: 1,
            as_of: NOW.to_zoned(zone()).expect("a time").timestamp(),
            counts: self
                .towns
                .iter()
                .map(|(city, people)| (city.code, people.len() as u64))
                .collect(),
            blocks,
        };
        let spec = ReportSpec {
            format,
            city: None,
            period,
            lang: Lang::Es,
            zone: zone(),
            instance: "padron-1".into(),
            origin: "https://padron.example".parse().expect("an origin"),
            cities: self.cities.clone(),
            keyring: self.keyring.clone(),
            actor: "admin".into(),
        };
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        runtime.block_on(async {
            tokio::spawn(async move {
                for block in rows.chunks(BLOCK_ROWS) {
                    // A report that is cut takes no more.
                    let _ = sender.send(Ok(block.to_vec())).await;
                }
            });
            let place = Arc::new(Semaphore::new(1)).try_acquire_owned();
            let place = place.expect("free");
            let done = async |_| Ok(());
            let tracker = TaskTracker::new();
            let chunks = stream_in_sheets(snapshot, spec, max_rows, place, &tracker, done);
            let chunks: Vec<_> = chunks.try_collect().await.expect("whole");
            chunks.concat()
        })
    }

    /// The same list by `rust_xlsxwriter` alone, in its ordinary mode.
    pub(super) fn oracle(&self, max_rows: u64) -> Vec<u8> {
        let mut workbook = Workbook::new();
        for (name, lines, total) in self.sheets(max_rows) {
            let sheet = workbook.add_worksheet();
            let sheet = sheet.set_name(&name).expect("a safe name");
            let columns = Lang::Es.texts().columns();
            sheet.write_row(0, 0, columns).expect("written");
            for (line, cells) in (1..).zip(&lines) {
                oracle_row(sheet, line, cells);
            }
            if let Some(total) = total {
                let line = u32::try_from(lines.len()).expect("small") + 2;
                sheet.write(line, 0, "Total").expect("written");
                sheet.write(line, 1, total).expect("written");
            }
        }
        workbook.save_to_buffer().expect("names are unique")
    }

    /// Every sheet of the list: its name, its rows and, on the last, their total.
    pub(super) fn sheets(&self, max_rows: u64) -> Vec<(String, Vec<Line>, Option<u32>)> {
        let max_rows = usize::try_from(max_rows).expect("fits");
        let people = self.sorted().into_iter();
        let people = people.flat_map(|(city, people)| people.iter().map(move |one| (city, one)));
        let lines: Vec<_> = (1..)
            .zip(people)
            .map(|(number, (city, person))| Line::of(city, number, person))
            .collect();
        let total = u32::try_from(lines.len()).expect("small");
        let mut sheets: Vec<_> = (1..)
            .zip(lines.chunks(max_rows))
            .map(|(number, lines)| match number {
                1 => ("Personas".to_owned(), lines.to_vec(), None),
                _ => (format!("Personas ({number})"), lines.to_vec(), None),
            })
            .collect();
        // The total and the line before it.
        if sheets.last().is_none_or(|last| last.1.len() + 2 > max_rows) {
            let name = match sheets.len() {
                0 => "Personas".to_owned(),
                full => format!("Personas ({})", full + 1),
            };
            sheets.push((name, Vec::new(), None));
        }
        sheets.last_mut().expect("one at least").2 = Some(total);
        sheets
    }
}

/// The office's.
pub(super) fn zone() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(-5))
}

fn registered(keyring: &Keyring, city: &City, number: u128, name: &str) -> (Person, Row) {
    let document = if number.is_multiple_of(3) {
        ""
    } else {
        "00123456"
    };
    let email = if number.is_multiple_of(2) {
        ""
    } else {
        "a_b@example.org"
    };
    let person = Person::unchecked(name, document, email);
    let at = NOW + (i64::try_from(number).expect("small") * 6_397).seconds();
    let envelope = Envelope {
        id: Uuid::from_u128(number),
        reference: Reference::from_random(number.to_le_bytes()),
        city: city.code,
        registered_at: at.to_zoned(zone()).expect("a time").timestamp(),
        photo_key: (!number.is_multiple_of(5)).then(|| PhotoKey(Uuid::from_u128(number))),
    };
    let row = Row {
        sealed: person.seal(keyring, &envelope),
        envelope,
    };
    (person, row)
}

/// What a row must say.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) at: DateTime,
    /// The columns that hold text, by their index.
    pub(super) texts: [(u16, String); 7],
}

impl Line {
    fn of(city: &City, number: usize, (person, row): &(Person, Row)) -> Self {
        let reference = row.envelope.reference.to_string();
        let photo = format!("https://padron.example/registrations/{reference}/photo");
        let photo = if row.envelope.photo_key.is_some() {
            photo
        } else {
            String::new()
        };
        let document = person.document_number.as_ref();
        let document = document.map_or("", |number| number.as_str());
        let email = person.email.as_ref().map_or("", |email| email.as_str());
        Self {
            number: number as u64,
            at: row.envelope.registered_at.to_zoned(zone()).datetime(),
            texts: [
                (1, reference),
                (2, person.name.as_str().to_owned()),
                (3, document.to_owned()),
                (4, city.name.clone()),
                (5, city.department.clone()),
                (7, email.to_owned()),
                (8, photo),
            ],
        }
    }
}

fn oracle_row(sheet: &mut Worksheet, line: u32, cells: &Line) {
    let part = |value: i8| value.unsigned_abs();
    let (year, month, day) = (cells.at.year(), cells.at.month(), cells.at.day());
    let day = ExcelDateTime::from_ymd(year.unsigned_abs(), part(month), part(day));
    let (hour, minute, second) = (cells.at.hour(), cells.at.minute(), cells.at.second());
    let time = day
        .and_then(|day| day.and_hms(u16::from(part(hour)), part(minute), part(second)))
        .expect("a time");
    let format = CellFormat::new().set_num_format("dd/mm/yyyy hh:mm");
    let number = u32::try_from(cells.number).expect("small");
    sheet.write(line, 0, number).expect("written");
    let at = sheet.write_datetime_with_format(line, 6, &time, &format);
    at.expect("written");
    for (column, text) in &cells.texts {
        if !text.is_empty() {
            sheet.write_string(line, *column, text).expect("written");
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
