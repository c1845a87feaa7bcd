//! Reports as staff read them: the workbook through calamine, the table through a CSV reader.

use std::{collections::BTreeMap, io::Cursor};

use calamine::{Data, Reader as _, Xlsx};

/// Lines of the Summary before its cities.
const SUMMARY_HEAD: usize = 8;

/// One line of a report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) document_number: String,
    pub(crate) city: String,
}

/// A report: its lines by reference, and the totals that it states.
pub(crate) struct Report {
    pub(crate) lines: BTreeMap<String, Line>,
    /// The grand total, as stated.
    pub(crate) total: u64,
}

/// Reads a workbook; the total of its list must be the number of its rows.
pub(crate) fn workbook(bytes: Vec<u8>) -> Report {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    let mut sheets = book.worksheets().into_iter();
    let (_, summary) = sheets.next().unwrap();
    let summary: Vec<_> = summary.rows().map(<[Data]>::to_vec).collect();
    let mut lines = BTreeMap::new();
    for (sheet, range) in sheets {
        let rows: Vec<_> = range.rows().collect();
        let [_, people @ .., _, total] = rows.as_slice() else {
            panic!("sheet {sheet} has no total");
        };
        assert_eq!(number(&total[1]), people.len() as u64, "total of {sheet}");
        for row in people {
            let text = |column: usize| row[column].to_string();
            add(
                &mut lines,
                &text(1),
                Line {
                    name: text(2),
                    document_number: text(3),
                    city: text(4),
                },
            );
        }
    }
    let stated = summary[SUMMARY_HEAD..]
        .iter()
        .find(|row| row[0] == Data::String("Total".to_owned()))
        .unwrap();
    Report {
        total: number(&stated[2]),
        lines,
    }
}

/// Reads a table, which states no total: its lines are counted.
pub(crate) fn table(bytes: &[u8]) -> Report {
    let mut lines = BTreeMap::new();
    let mut total = 0;
    for record in csv::Reader::from_reader(bytes).records() {
        let record = record.unwrap();
        add(
            &mut lines,
            &record[1],
            Line {
                name: record[2].to_owned(),
                document_number: record[3].to_owned(),
                city: record[4].to_owned(),
            },
        );
        total += 1;
    }
    Report { lines, total }
}

fn add(lines: &mut BTreeMap<String, Line>, reference: &str, line: Line) {
    let before = lines.insert(reference.to_owned(), line);
    assert_eq!(before, None, "{reference} stands twice");
}

fn number(cell: &Data) -> u64 {
    cell.to_string().parse().unwrap()
}
