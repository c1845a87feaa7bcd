//! How a report streams: early, with backpressure from the client, and visibly broken when it is cut.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use calamine::Reader as _;
use futures::StreamExt as _;
use padron::{
    app::report::{self, Format, ReportError, ReportSpec},
    domain::city::{Cities, CityCode},
    domain::registration::{Envelope, Period, Person, PersonName, PhotoKey, Reference},
    domain::totals::Counted,
    foundation::lang::Lang,
    foundation::seal::{Keyring, random},
    store::{BLOCK_ROWS, Row, Snapshot, StoreError},
};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

type Block = Result<Vec<Row>, StoreError>;

struct Rig {
    blocks: mpsc::Sender<Block>,
    /// The concurrency limit of reports: one permit, which the report has.
    places: Arc<Semaphore>,
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
        period: Period::default(),
        lang: Lang::Es,
        zone: jiff::tz::TimeZone::UTC,
        instance: "test-1".into(),
        origin: "https://padron.example".parse().unwrap(),
        cities: Arc::new(Cities::embedded().unwrap()),
        keyring: keyring.clone(),
        actor: "admin".into(),
    };
    let (done, counted) = oneshot::channel();
    let places = Arc::new(Semaphore::new(1));
    let place = places.clone().try_acquire_owned().unwrap();
    let tracker = TaskTracker::new();
    let stream = report::stream(snapshot, spec, place, &tracker, |counted| async move {
        done.send(counted)
            .map_err(|_| StoreError::Unavailable("nobody asks".into()))
    });
    Rig {
        blocks,
        places,
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
                // A report that is cut receives no more.
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
                notice: None,
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
    for format in [Format::Xlsx, Format::Csv(',')] {
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
    // The client reads the workbook's frame and then stalls. What is read from the store all the same is what the
    // bounded channels and the workers hold; the pause is how long we look that backpressure holds.
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
    // It resumes as soon as the client reads.
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
    for format in [Format::Xlsx, Format::Csv(',')] {
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

#[tokio::test(start_paused = true)]
async fn a_store_that_falls_silent_breaks_the_download() {
    let mut rig = rig(Format::Csv(','), 2 * BLOCK);
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
        let mut rig = rig(Format::Csv(','), BLOCK);
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

/// A slow reader: takes a chunk each `pause`. Returns how long it took, and why it ended.
async fn taken_slowly(
    stream: &mut (impl futures::Stream<Item = Result<bytes::Bytes, ReportError>> + Unpin),
    pause: Duration,
) -> (Duration, Option<ReportError>) {
    let begun = tokio::time::Instant::now();
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => tokio::time::sleep(pause).await,
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    (begun.elapsed(), error)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_too_slow_holds_neither_the_snapshot_nor_a_place_beyond_the_bound() {
    let blocks = 40;
    for format in [Format::Xlsx, Format::Csv(',')] {
        let mut rig = rig(format, blocks * BLOCK);
        let limit = report::time_limit(blocks * BLOCK);
        rig.hand_out((0..blocks).map(|_| Ok(rig.block())).collect());
        let pause = Duration::from_secs(15);
        let (took, error) = taken_slowly(&mut rig.stream, pause).await;
        assert!(matches!(error, Some(ReportError::Late(_))), "{error:?}");
        assert!((limit..limit + 2 * pause).contains(&took), "{took:?}");
        assert!(
            rig.blocks.send(Ok(rig.block())).await.is_err(),
            "the snapshot is let go"
        );
        assert_eq!(rig.places.available_permits(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_the_least_pace_gets_the_whole() {
    for format in [Format::Xlsx, Format::Csv(',')] {
        let mut rig = rig(format, 40 * BLOCK);
        rig.hand_out((0..40).map(|_| Ok(rig.block())).collect());
        drop(rig.blocks);
        // A block in the time that its rows are given, and the frame within the floor.
        let pause = Duration::from_millis(BLOCK);
        let (took, error) = taken_slowly(&mut rig.stream, pause).await;
        assert!(error.is_none(), "{error:?} after {took:?}");
    }
}

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_report_has_a_line_at_its_start_and_one_of_what_was_handed_over() {
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || lines.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    // With one subscriber only, the first thread that comes to a line decides for all whether it is written.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let audited = || -> Vec<serde_json::Value> {
        let log = std::mem::take(&mut *log.0.lock().unwrap());
        let lines = log
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        let lines = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
        lines
            .filter(|line| line["target"] == "padron::audit")
            .collect()
    };
    for (format, leaves) in [
        (Format::Csv(','), false),
        (Format::Csv(','), true),
        (Format::Xlsx, false),
        (Format::Xlsx, true),
    ] {
        let request = tracing::error_span!("request", request_id = "request-7").entered();
        let mut rig = rig(format, 4 * BLOCK);
        drop(request);
        let begun = audited();
        assert_eq!(begun.len(), 1, "before the first byte");
        assert_eq!(begun[0]["message"], "report begun");
        assert_eq!(begun[0]["rows"], 4 * BLOCK);
        rig.hand_out((0..4).map(|_| Ok(rig.block())).collect());
        drop(rig.blocks);
        let (mut bytes, mut read) = (0, Vec::new());
        while let Some(chunk) = rig.stream.next().await {
            let chunk = chunk.unwrap();
            bytes += chunk.len();
            read.extend(chunk);
            if leaves && read.len() > 60_000 {
                break;
            }
        }
        rig.stream = Box::pin(futures::stream::empty());
        // Free once the report has ended.
        let _place = rig.places.acquire().await.unwrap();
        let ended = audited();
        assert_eq!(ended.len(), 1);
        let ended = &ended[0];
        let rows = ended["rows"].as_u64().unwrap();
        let told = if leaves {
            assert!((BLOCK..4 * BLOCK).contains(&rows), "{rows}");
            "report cut"
        } else {
            assert_eq!(rows, 4 * BLOCK);
            "report finished"
        };
        assert_eq!(ended["message"], told);
        assert_eq!(ended["bytes"], bytes);
        if format == Format::Csv(',') {
            assert_eq!(
                rows,
                lines_of(&read) as u64 - 1,
                "as the client counts them"
            );
        }
        for line in [&begun[0], ended] {
            assert_eq!(line["actor"], "admin");
            assert_eq!(line["city"], "all");
            assert_eq!(line["format"], format.extension());
            assert_eq!(line["span"]["request_id"], "request-7");
        }
    }
}

fn lines_of(text: &[u8]) -> usize {
    text.split(|&byte| byte == b'\n').count() - 1
}
