//! The report of all cities beside the same rows written by `rust_xlsxwriter` in constant memory.
//!
//! Every figure is of a process of its own, so that its peak memory is its own too, and each process reads the same
//! SQLite file. One core is `taskset -c 0`; without `taskset` those lines are left out. `opened only` reads and
//! decrypts the rows and writes nothing: no writer can be faster. The baseline writes no Summary and no chart, so it
//! has a little less to do.
//!
//! - `PADRON_BENCH_ROWS`: rows of each store, default `10000,50000`; with a million, `10000,100000,1000000`,
//!   most of the time goes into making the rows, which takes minutes
//! - `PADRON_BENCH_ROUNDS`: default 3; rates are medians, peaks are the highest

mod common;

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use jiff::{civil::date, tz::TimeZone};
use padron::{
    app::report::{self, Format, ReportSpec},
    domain::registration::{Period, Person},
    foundation::lang::Lang,
    server::tiers::Tiers,
    store::Scope,
};
use rust_xlsxwriter::{Format as CellFormat, Workbook, Worksheet};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use common::People;

/// Cities with registrations. The baseline keeps a file open for each, and 1,024 is a usual file-descriptor limit.
const CITIES: usize = 200;

const PUBLIC_URL: &str = "https://padron.example";

/// What a process says of itself.
struct Measured {
    rows: u32,
    bytes: u32,
    first_byte: f64,
    seconds: f64,
    peak_kib: u32,
}

/// A way to make the report: the argument of its process, and its name in the table.
const WAYS: [(&str, &str); 3] = [
    ("rust_xlsxwriter", "rust_xlsxwriter constant memory"),
    ("padron", "padron"),
    ("open", "opened only"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().collect();
    // Anything else is what `cargo bench` adds.
    if let [_, job, way, folder] = arguments.as_slice()
        && job == "--job"
    {
        return run(way, Path::new(folder)).await;
    }
    let rounds = common::rounds()?;
    let pinned = Command::new("taskset").args(["-c", "0", "true"]).status();
    let cores = if pinned.is_ok_and(|status| status.success()) {
        vec![true, false]
    } else {
        vec![false]
    };
    let mut lines = Vec::new();
    for rows in common::setting("PADRON_BENCH_ROWS", "10000,50000")? {
        let folder = common::folder()?;
        fill(folder.path(), rows).await?;
        for &one_core in &cores {
            lines.extend(compare(folder.path(), rows, one_core, rounds)?);
        }
    }
    common::table(
        &format!(
            "report.xlsx of {CITIES} cities from SQLite, medians of {rounds} rounds; × is rows/s against rust_xlsxwriter"
        ),
        &[
            "rows",
            "cores",
            "writer",
            "rows/s",
            "×",
            "first byte ms",
            "% of run",
            "peak MiB",
            "file MiB",
        ],
        &lines,
    );
    Ok(())
}

async fn fill(folder: &Path, rows: u32) -> anyhow::Result<()> {
    let tiers = Tiers::open(&common::config(folder)).await?;
    let cities = tiers.cities.iter().map(|city| city.code).take(CITIES);
    let started = Instant::now();
    People::new(&tiers.keyring, cities)
        .fill(&*tiers.store, rows)
        .await?;
    tiers.store.close().await;
    eprintln!(
        "{rows} rows made in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn compare(
    folder: &Path,
    rows: u32,
    one_core: bool,
    rounds: usize,
) -> anyhow::Result<Vec<Vec<String>>> {
    let mut measured: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    for _ in 0..rounds {
        for (way, _) in WAYS {
            let result = spawn(way, folder, one_core)?;
            anyhow::ensure!(result.rows == rows, "{way}: {} rows", result.rows);
            measured.entry(way).or_default().push(result);
        }
    }
    let rates = |way| -> Vec<f64> {
        let rate = |one: &Measured| f64::from(one.rows) / one.seconds;
        measured[way].iter().map(rate).collect()
    };
    let cores = if one_core {
        "1".to_owned()
    } else {
        std::thread::available_parallelism()?.to_string()
    };
    let lines = WAYS.iter().map(|&(way, name)| {
        let all = &measured[way];
        let part = all.iter().map(|one| 100.0 * one.first_byte / one.seconds);
        let peak = all.iter().map(|one| one.peak_kib).max().unwrap_or(0);
        let bytes = all.first().map_or(0, |one| one.bytes);
        let told = |text: String| if bytes == 0 { "-".to_owned() } else { text };
        vec![
            rows.to_string(),
            cores.clone(),
            name.to_owned(),
            format!("{:.0}", common::median(rates(way))),
            common::ratio(&rates(way), &rates("rust_xlsxwriter")),
            told(format!(
                "{:.1}",
                common::median(all.iter().map(|one| 1e3 * one.first_byte))
            )),
            told(format!("{:.2}", common::median(part))),
            format!("{:.1}", f64::from(peak) / 1024.0),
            told(format!("{:.1}", f64::from(bytes) / 1024.0 / 1024.0)),
        ]
    });
    Ok(lines.collect())
}

fn spawn(way: &str, folder: &Path, one_core: bool) -> anyhow::Result<Measured> {
    let this = env::current_exe()?;
    let mut command = if one_core {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(this);
        command
    } else {
        Command::new(this)
    };
    let output = command.args(["--job", way]).arg(folder).output()?;
    if !output.status.success() {
        bail!("{way}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let [rows, bytes, first_byte, seconds, peak_kib] =
        text.split_whitespace().collect::<Vec<_>>()[..]
    else {
        bail!("{way} said {text:?}");
    };
    Ok(Measured {
        rows: rows.parse()?,
        bytes: bytes.parse()?,
        first_byte: first_byte.parse()?,
        seconds: seconds.parse()?,
        peak_kib: peak_kib.parse()?,
    })
}

/// The process of one figure.
async fn run(way: &str, folder: &Path) -> anyhow::Result<()> {
    common::as_in_production()?;
    let tiers = Tiers::open(&common::config(folder)).await?;
    let mut sink = Sink::new();
    let rows = match way {
        "padron" => padron(&tiers, &mut sink).await?,
        "rust_xlsxwriter" => rust_xlsxwriter(&tiers, &mut sink).await?,
        _ => open(&tiers).await?,
    };
    let seconds = sink.started.elapsed().as_secs_f64();
    let first_byte = sink.first_byte.unwrap_or_default().as_secs_f64();
    println!(
        "{rows} {} {first_byte} {seconds} {}",
        sink.bytes,
        peak_kib()?
    );
    Ok(())
}

/// Counts bytes and forgets them.
struct Sink {
    started: Instant,
    first_byte: Option<Duration>,
    bytes: usize,
}

impl Sink {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            first_byte: None,
            bytes: 0,
        }
    }

    fn take(&mut self, bytes: usize) {
        self.first_byte
            .get_or_insert_with(|| self.started.elapsed());
        self.bytes += bytes;
    }
}

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn padron(tiers: &Tiers, sink: &mut Sink) -> anyhow::Result<u64> {
    let spec = ReportSpec {
        format: Format::Xlsx,
        city: None,
        period: Period::default(),
        lang: Lang::default(),
        zone: TimeZone::get("America/Bogota")?,
        instance: "bench".into(),
        origin: PUBLIC_URL.parse().expect("it is an origin"),
        cities: tiers.cities.clone(),
        keyring: tiers.keyring.clone(),
        actor: "bench".to_owned(),
    };
    let snapshot = tiers.store.rows(&spec.scope()).await?;
    let (tell, told) = oneshot::channel();
    let place = Arc::new(Semaphore::new(1)).try_acquire_owned()?;
    let tracker = TaskTracker::new();
    let chunks = report::stream(snapshot, spec, place, &tracker, async |counted| {
        // The receiver is dropped only when the report is cut, which is told by its stream.
        let _ = tell.send(counted.counts.values().sum());
        Ok(())
    });
    let mut chunks = std::pin::pin!(chunks);
    while let Some(chunk) = chunks.try_next().await? {
        sink.take(chunk.len());
    }
    told.await.context("the report did not count")
}

async fn open(tiers: &Tiers) -> anyhow::Result<u64> {
    let mut blocks = tiers.store.rows(&Scope::default()).await?.blocks;
    let mut rows = 0;
    while let Some(block) = blocks.recv().await.transpose()? {
        for row in block {
            std::hint::black_box(Person::open(&tiers.keyring, &row.envelope, &row.sealed)?);
            rows += 1;
        }
    }
    Ok(rows)
}

/// The same nine columns, a tab for each city, in the library's own way.
async fn rust_xlsxwriter(tiers: &Tiers, sink: &mut Sink) -> anyhow::Result<u64> {
    let zone = TimeZone::get("America/Bogota")?;
    let epoch = date(1899, 12, 30).at(0, 0, 0, 0);
    let moment = CellFormat::new().set_num_format("yyyy-mm-dd hh:mm:ss");
    let mut blocks = tiers.store.rows(&Scope::default()).await?.blocks;
    let mut workbook = Workbook::new();
    let mut rows = 0;
    let mut number: u32 = 0;
    let mut city = None;
    let mut sheet: Option<&mut Worksheet> = None;
    while let Some(block) = blocks.recv().await.transpose()? {
        for row in block {
            let named = match &city {
                Some((code, named)) if *code == row.envelope.city => Arc::clone(named),
                _ => {
                    let named = Arc::new(tiers.cities.named(row.envelope.city));
                    city = Some((row.envelope.city, Arc::clone(&named)));
                    number = 0;
                    sheet = Some(add_tab(&mut workbook, row.envelope.city.as_str())?);
                    named
                }
            };
            let sheet = sheet.as_mut().context("no tab")?;
            let person = Person::open(&tiers.keyring, &row.envelope, &row.sealed)?;
            let reference = row.envelope.reference.to_string();
            let local = row.envelope.registered_at.to_zoned(zone.clone()).datetime();
            number += 1;
            sheet.write_number(number, 0, number)?;
            sheet.write_string(number, 1, &reference)?;
            sheet.write_string(number, 2, person.name.as_str())?;
            if let Some(document) = &person.document_number {
                sheet.write_string(number, 3, document.as_str())?;
            }
            sheet.write_string(number, 4, &named.name)?;
            sheet.write_string(number, 5, &named.department)?;
            let serial = local.duration_since(epoch).as_secs_f64() / 86_400.0;
            sheet.write_number_with_format(number, 6, serial, &moment)?;
            if let Some(email) = &person.email {
                sheet.write_string(number, 7, email.as_str())?;
            }
            if row.envelope.photo_key.is_some() {
                let address = format!("{PUBLIC_URL}/registrations/{reference}/photo");
                sheet.write_string(number, 8, address)?;
            }
            rows += 1;
        }
    }
    workbook.save_to_writer(sink)?;
    Ok(rows)
}

fn add_tab<'a>(workbook: &'a mut Workbook, name: &str) -> anyhow::Result<&'a mut Worksheet> {
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name(name)?.set_freeze_panes(1, 0)?;
    for (column, heading) in (0..).zip(Lang::default().texts().columns()) {
        sheet.set_column_width(column, 20)?;
        sheet.write_string(0, column, heading)?;
    }
    Ok(sheet)
}

/// Peak resident memory of this process, the caches of SQLite among it.
fn peak_kib() -> anyhow::Result<u32> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = line.and_then(|line| line.split_whitespace().next());
    Ok(peak.context("no VmHWM")?.parse()?)
}
