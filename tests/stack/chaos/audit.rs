//! Whether the register holds what was acknowledged: each person once, with their photo, and no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Cursor,
    path::Path,
    time::{Duration, Instant},
};

use calamine::{Data, Reader as _, Xlsx};
use futures::{StreamExt as _, stream};
use reqwest::{Client, StatusCode};
use testkit::Human;

use super::load::Load;
use crate::{
    client::{FRONT, Outcome, Sent, as_staff},
    servers::{REPLICAS, S3_FOLDER, replica_command},
};

/// How long late attempts may go on after everybody was answered: the timeout of an insert is some seconds.
const SETTLED: Duration = Duration::from_secs(40);

/// How long other replicas may take to show a report; the promise of one second is tested elsewhere.
const SHOWN: Duration = Duration::from_secs(5);

/// A workbook, checked to be of one piece.
pub(super) struct Report {
    /// Name and document number by reference.
    rows: BTreeMap<String, (String, String)>,
}

impl Report {
    /// Reads a whole workbook; its total must be the number of its rows, and no reference and no
    /// document number may come twice.
    pub(super) fn read(bytes: Vec<u8>) -> Self {
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a whole workbook");
        let sheets = book.sheet_names();
        let mut rows = BTreeMap::new();
        let mut documents = BTreeSet::new();
        for sheet in &sheets[1..] {
            let range = book.worksheet_range(sheet).unwrap();
            for row in range.rows().skip(1) {
                let [
                    Data::Float(_),
                    Data::String(reference),
                    Data::String(name),
                    Data::String(document),
                    ..,
                ] = row
                else {
                    continue;
                };
                assert!(documents.insert(document.clone()), "document number twice");
                let before = rows.insert(reference.clone(), (name.clone(), document.clone()));
                assert!(before.is_none(), "{reference} twice");
            }
        }
        let summary = book.worksheet_range(&sheets[0]).unwrap();
        let mut totals = summary.rows().rev().filter_map(|row| match row.last() {
            Some(Data::Float(number)) => Some(*number),
            _ => None,
        });
        let total = totals.next().unwrap_or(0.0);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let counted = rows.len() as f64;
        assert!(
            (total - counted).abs() < 0.5,
            "the total is {total}, the rows are {counted}"
        );
        Self { rows }
    }
}

/// Compares everything with what people were told; gives how many photos without a record were swept.
pub(super) async fn audit(load: &Load, sent: &[Sent]) -> u64 {
    let kept = load.kept();
    let report = settled_report(&load.client, &kept).await;
    for (reference, human) in &kept {
        let row = report
            .rows
            .get(reference)
            .unwrap_or_else(|| panic!("{reference} was acknowledged and is lost"));
        assert_eq!((&row.0, &row.1), (&human.name, &human.document));
    }
    assert_eq!(report.rows.len(), kept.len(), "more than was acknowledged");
    same_everywhere(&load.client, kept.len()).await;
    let new: BTreeSet<_> = sent
        .iter()
        .filter_map(|sent| match &sent.outcome {
            Outcome::Registered { reference } => Some(reference),
            Outcome::Refused { .. } => None,
        })
        .collect();
    let swept = sweep(kept.len()).await;
    photos(
        &load.client,
        kept.iter().filter(|(reference, _)| new.contains(reference)),
    )
    .await;
    swept
}

/// Opens the photo of everybody.
pub(super) async fn every_photo(load: &Load) {
    photos(&load.client, load.kept().iter()).await;
}

async fn settled_report(client: &Client, kept: &BTreeMap<String, Human>) -> Report {
    let begun = Instant::now();
    loop {
        let answer = as_staff(client.get(format!("{FRONT}/report.xlsx")))
            .send()
            .await;
        if let Ok(answer) = answer
            && answer.status() == StatusCode::OK
            && let Ok(bytes) = answer.bytes().await
        {
            let report = Report::read(bytes.to_vec());
            if report.rows.len() >= kept.len() {
                return report;
            }
        }
        assert!(
            begun.elapsed() < SETTLED,
            "no report holds all {} acknowledged",
            kept.len()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The report is on the chart of every replica, byte for byte the same.
async fn same_everywhere(client: &Client, people: usize) {
    let begun = Instant::now();
    loop {
        let mut charts = BTreeSet::new();
        let mut totals = BTreeSet::new();
        for replica in REPLICAS {
            let chart = client
                .get(format!("http://{replica}:4000/chart.png"))
                .send()
                .await
                .unwrap();
            assert_eq!(chart.status(), StatusCode::OK);
            let etag = chart.headers()["etag"].to_str().unwrap().to_owned();
            charts.insert((etag, chart.bytes().await.unwrap()));
            let known = client
                .get(format!("http://{replica}:4000/totals"))
                .send()
                .await
                .unwrap();
            let known: serde_json::Value = known.json().await.unwrap();
            totals.insert(known["total"].as_u64().unwrap());
        }
        if charts.len() == 1 && totals == BTreeSet::from([people as u64]) {
            return;
        }
        assert!(
            begun.elapsed() < SHOWN,
            "{} charts, totals {totals:?}, {people} people",
            charts.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn photos(client: &Client, of: impl Iterator<Item = (&String, &Human)>) {
    stream::iter(of)
        .map(async |(reference, human)| {
            let url = format!("{FRONT}/registrations/{reference}/photo");
            let answer = as_staff(client.get(url)).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "the photo of {reference}");
            let bytes = answer.bytes().await.unwrap();
            assert!(
                bytes == human.clean_photo(),
                "the photo of {reference} is another"
            );
        })
        .buffer_unordered(8)
        .collect::<()>()
        .await;
}

/// Sweeps until there is a photo for each person and no other, which late attempts may delay.
async fn sweep(people: usize) -> u64 {
    let begun = Instant::now();
    let mut swept = 0;
    loop {
        let output = replica_command(REPLICAS[0])
            // A photo server that falls silent leaves more of them than a sweep takes away unasked.
            .args(["sweep", "--min-age", "0", "--at-most", "1000000"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let removed = said
            .split(", ")
            .nth(1)
            .and_then(|part| part.split(' ').next()?.parse::<u64>().ok());
        swept += removed.unwrap_or_else(|| panic!("{said}"));
        let inside = |folder| {
            fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().path())
        };
        let folders = inside(Path::new(S3_FOLDER).join("photos/photos"));
        let objects = folders.flat_map(inside).count();
        if objects == people {
            return swept;
        }
        assert!(objects > people, "{objects} photos for {people} people");
        assert!(
            begun.elapsed() < SETTLED,
            "{objects} photos for {people} people after the sweep"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
