//! How a report streams: early, at the client's pace, and visibly broken when it is cut.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use calamine::Reader as _;
use futures::StreamExt as _;
use padron::{
    app::report::{self, Format, ReportError, ReportSpec},
    domain::city::{Cities, CityCode},
    domain::registration::{Envelope, Person, PersonName, PhotoKey, Reference},
    domain::totals::Counted,
    foundation::lang::Lang,
    foundation::seal::{Keyring, random},
    store::{BLOCK_ROWS, Row, Snapshot, StoreError},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

type Block = Result<Vec<Row>, StoreError>;

struct Rig {
    blocks: mpsc::Sender<Block>,
    stream:
        std::pin::Pin<Box<dyn futures::Stream<Item = Result<bytes::Bytes, ReportError>> + Send>>,
    counted: oneshot::Receiver<Counted>,
    keyring: Arc<Keyring>,
    city: CityCode,
}

/// A report over rows that the test hands out one block at a time.
fn rig(format: Format, rows: u64) -> Rig {
    let keyring = Arc::new(Keyring::generate());
    let city: CityCode = "11001".parse().unwrap();
    let (blocks, receiver) = mpsc::channel(1);
    let snapshot = Snapshot {
        sequence: 1,
        as_of: "2026-11-21T12:00:00Z".parse().unwrap(),
        counts: BTreeMap::from([(city, rows)]),
        blocks: receiver,
    };
    let spec = ReportSpec {
        format,
        city: None,
        lang: Lang::Es,
        zone: jiff::tz::TimeZone::UTC,
        instance: "test-1".into(),
        origin: "https://padron.example".parse().unwrap(),
        cities: Arc::new(Cities::embedded().unwrap()),
        keyring: keyring.clone(),
        actor: "admin".into(),
    };
    let (done, counted) = oneshot::channel();
    let stream = report::stream(snapshot, spec, &TaskTracker::new(), |counted| async move {
        done.send(counted)
            .map_err(|_| StoreError::Unavailable("nobody asks".into()))
    });
    Rig {
        blocks,
        stream: Box::pin(stream),
        counted,
        keyring,
        city,
    }
}

impl Rig {
    /// Sends blocks as fast as they are taken, while the test reads.
    fn hand_out(&self, blocks: Vec<Block>) {
        let sender = self.blocks.clone();
        tokio::spawn(async move {
            for block in blocks {
                // A report that is cut takes no more.
                let _ = sender.send(block).await;
            }
        });
    }

    fn block(&self) -> Vec<Row> {
        let row = |_| {
            let envelope = Envelope {
                id: Uuid::now_v7(),
                reference: Reference::from_random(random()),
                city: self.city,
                registered_at: "2026-11-21T12:00:00Z".parse().unwrap(),
                photo_key: Some(PhotoKey(Uuid::now_v7())),
            };
            let person = Person {
                name: PersonName::parse("Ana María Ñáñez").unwrap(),
                document_number: None,
                email: None,
            };
            Row {
                envelope,
                sealed: person.seal(&self.keyring, &envelope),
            }
        };
        (0..BLOCK_ROWS).map(row).collect()
    }
}

const BLOCK: u64 = BLOCK_ROWS as u64;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bytes_leave_before_the_second_block_is_read() {
    for format in [Format::Xlsx, Format::Csv] {
        let mut rig = rig(format, 2 * BLOCK);
        rig.hand_out(vec![Ok(rig.block())]);
        let first = rig.stream.next().await.unwrap().unwrap();
        assert!(!first.is_empty());
        rig.hand_out(vec![Ok(rig.block())]);
        drop(rig.blocks);
        while let Some(chunk) = rig.stream.next().await {
            chunk.unwrap();
        }
        assert_eq!(rig.counted.await.unwrap().counts[&rig.city], 2 * BLOCK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_slows_the_reading() {
    let mut rig = rig(Format::Xlsx, 1000 * BLOCK);
    // The client takes the workbook's frame and then nothing more. What is read all the same is what
    // the channels and the workers hold; the pause is how long we look that no more is taken.
    for _ in 0..4 {
        rig.stream.next().await.unwrap().unwrap();
    }
    let mut read = 0;
    while tokio::time::timeout(Duration::from_secs(1), rig.blocks.send(Ok(rig.block())))
        .await
        .is_ok()
    {
        read += 1;
        assert!(read < 40, "the report reads on although nobody takes it");
    }
    // It goes on as soon as the client does.
    let taken = async {
        while rig.blocks.capacity() == 0 {
            rig.stream.next().await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken)
        .await
        .expect("it reads on");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_stops_when_the_client_leaves() {
    let mut rig = rig(Format::Xlsx, 1000 * BLOCK);
    rig.hand_out(vec![Ok(rig.block())]);
    rig.stream.next().await.unwrap().unwrap();
    rig.stream = Box::pin(futures::stream::empty());
    let stopped = async { while rig.blocks.send(Ok(rig.block())).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), stopped)
        .await
        .expect("the reading stops");
    assert!(
        rig.counted.await.is_err(),
        "a report that nobody has does not move the chart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_midway_breaks_the_download() {
    for format in [Format::Xlsx, Format::Csv] {
        let mut rig = rig(format, 3 * BLOCK);
        rig.hand_out(vec![
            Ok(rig.block()),
            Err(StoreError::Unavailable("gone".into())),
        ]);
        let mut received = Vec::new();
        let error = loop {
            match rig
                .stream
                .next()
                .await
                .expect("an error comes before the end")
            {
                Ok(bytes) => received.extend(bytes),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReportError::Store(_)));
        if format == Format::Xlsx {
            let opened = calamine::Xlsx::<_>::new(std::io::Cursor::new(received));
            assert!(opened.is_err(), "a cut workbook does not open");
        }
        assert!(rig.counted.await.is_err(), "and does not move the chart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_falls_silent_breaks_the_download() {
    let mut rig = rig(Format::Csv, 2 * BLOCK);
    rig.hand_out(vec![Ok(rig.block())]);
    let cut = async {
        while let Some(chunk) = rig.stream.next().await {
            chunk?;
        }
        Ok(())
    };
    let cut: Result<(), ReportError> = tokio::time::timeout(Duration::from_secs(45), cut)
        .await
        .expect("it gives up after half a minute");
    assert!(matches!(cut, Err(ReportError::Store(_))), "{cut:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_those_counted_break_the_download() {
    // Fewer, and more.
    for counted in [2 * BLOCK, BLOCK - 1] {
        let mut rig = rig(Format::Xlsx, counted);
        rig.hand_out(vec![Ok(rig.block())]);
        drop(rig.blocks);
        let error = loop {
            if let Err(error) = rig
                .stream
                .next()
                .await
                .expect("an error comes before the end")
            {
                break error;
            }
        };
        assert!(matches!(error, ReportError::Torn));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_key_is_missing_or_whose_envelope_was_changed_breaks_the_report_and_is_named() {
    for (changed, why) in [
        (false, "which the key file does not hold"),
        (true, "damaged"),
    ] {
        let mut rig = rig(Format::Csv, BLOCK);
        let sealing = if changed {
            rig.keyring.clone()
        } else {
            Arc::new(Keyring::generate())
        };
        let own = std::mem::replace(&mut rig.keyring, sealing);
        let mut block = rig.block();
        rig.keyring = own;
        let reference = Reference::from_random(random());
        if changed {
            block[7].envelope.reference = reference;
        }
        rig.hand_out(vec![Ok(block)]);
        let error = loop {
            if let Err(error) = rig.stream.next().await.expect("it is whole") {
                break error.to_string();
            }
        };
        assert!(error.contains(why), "{error}");
        assert!(
            !changed || error.contains(&reference.to_string()),
            "{error}"
        );
    }
}
