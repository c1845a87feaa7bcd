//! *What happens is counted*: every metric of the list is there with its meaning and the right value, no label exceeds
//! its cardinality bound, and the operator's documentation lists the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use padron::foundation::telemetry::{Kind, METRICS, Metric};
use reqwest::{
    Method, RequestBuilder,
    multipart::{Form, Part},
};
use testkit::{Home, Human, Server, until};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::crowd::acknowledged;

/// What embedded tiers do not have, and what has not happened in a young process.
const ABSENT: [&str; 3] = [
    "padron_mongodb_command_duration_seconds",
    "padron_mongodb_connections",
    "padron_sweep_finished_timestamp_seconds",
];

/// Routes that are not in the OpenAPI document.
const PAGES: [&str; 6] = [
    "none",
    "/",
    "/staff",
    "/staff/sign-in",
    "/staff/sign-out",
    "/assets/{name}",
];

/// The memory budget of uploads, so small that one upload can take it.
const MEMORY_MIB: usize = 40;

type Labels = BTreeMap<String, String>;

/// One line of Prometheus' text format.
#[derive(Debug)]
struct Sample {
    /// Without what a histogram adds.
    name: String,
    /// The line's own name.
    series: String,
    labels: Labels,
    value: String,
}

/// A scrape, parsed.
struct Scrape {
    help: BTreeMap<String, String>,
    kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Scrape {
    async fn of(server: &Server) -> Self {
        Self::read(&server.metrics().await)
    }

    fn read(text: &str) -> Self {
        let told = |what: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(what));
            let pairs = lines.map(|line| line.split_once(' ').unwrap());
            pairs
                .map(|(name, told)| (name.to_owned(), told.to_owned()))
                .collect()
        };
        let kinds: BTreeMap<String, String> = told("# TYPE ");
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (series, labels) = series.split_once('{').unwrap_or((series, "}"));
            let of_histogram =
                |name: &&str| kinds.get(*name).is_some_and(|kind| kind == "histogram");
            let name = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| series.strip_suffix(end))
                .filter(of_histogram)
                .unwrap_or(series);
            Sample {
                name: name.to_owned(),
                series: series.to_owned(),
                labels: labels_of(labels.strip_suffix('}').unwrap()),
                value: value.to_owned(),
            }
        });
        Self {
            help: told("# HELP "),
            samples: samples.collect(),
            kinds,
        }
    }

    /// The value of the only line of this name with these labels, `a=x b=y`, among its own.
    #[track_caller]
    fn value(&self, series: &str, labels: &str) -> &str {
        let found = self.samples.iter().filter(|sample| {
            let mut labels = labels.split_terminator(' ');
            let has = |(name, value)| sample.labels.get(name).is_some_and(|is| is == value);
            sample.series == series && labels.all(|label| has(label.split_once('=').unwrap()))
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{series} {labels:?}: {found:?}");
        &found[0].value
    }

    /// The whole part of a value without labels.
    #[track_caller]
    fn number(&self, series: &str) -> i64 {
        let value = self.value(series, "");
        value.split('.').next().unwrap().parse().unwrap()
    }
}

/// `a="x",b="y"`; no value here holds a quote.
fn labels_of(text: &str) -> Labels {
    let mut rest = text;
    let mut labels = Labels::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').unwrap();
        labels.insert(name.trim_start_matches(',').to_owned(), value.to_owned());
        rest = after;
    }
    labels
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let home = Home::new();
    let server = home
        .start_with(&[
            ("PADRON_INSTANCE", "replica-7"),
            ("PADRON_UPLOAD_MEMORY", &MEMORY_MIB.to_string()),
        ])
        .await;
    let someone = Human::new(1);
    for replayed in [false, true] {
        let acknowledged = acknowledged(server.post(&someone)).await.unwrap();
        assert_eq!(acknowledged.replayed, replayed);
    }
    be_refused(&server, &someone).await;
    be_busy(&server).await;
    for path in ["/report.xlsx", "/report.csv", "/chart.png"] {
        server.fetch(path).await;
    }
    wander(&server).await;

    let scrape = Scrape::of(&server).await;
    every_metric_is_told(&scrape);
    every_label_is_bounded(&scrape);
    the_counts_are_right(&scrape, &someone);
    let now = padron::foundation::clock::now().as_second();
    for time in [
        "padron_board_as_of_timestamp_seconds",
        "padron_board_checked_timestamp_seconds",
        "process_start_time_seconds",
    ] {
        let age = scrape.number(time) - now;
        assert!((-60..=1).contains(&age), "{time}: {age}");
    }
    assert!(scrape.number("padron_board_version") >= 1);
    assert!(scrape.number("process_resident_memory_bytes") > 1_000_000);
    assert!(scrape.number("process_open_fds") > 2);

    lose_the_photo_store(&home, &server).await;
    server.stop().await;
}

fn the_counts_are_right(scrape: &Scrape, someone: &Human) {
    let registrations = "padron_registrations_total";
    let refused = "padron_registrations_refused_total";
    let reports = "padron_reports_total";
    let [memory, photo] = [MEMORY_MIB * 1024 * 1024, someone.clean_photo().len()];
    let [memory, photo] = [memory, photo].map(|bytes| bytes.to_string());
    let chart = "route=/chart.png method=GET status=2xx";
    let city = format!("city={} name={}", someone.city, someone.city_name());
    let build = concat!("version=", env!("CARGO_PKG_VERSION"), " replica=replica-7");
    for (series, labels, value) in [
        (registrations, "outcome=accepted", "1"),
        (registrations, "outcome=replayed", "1"),
        (refused, "reason=invalid", "1"),
        (refused, "reason=already-registered", "1"),
        (refused, "reason=idempotency-key-reused", "1"),
        (refused, "reason=too-large", "1"),
        (refused, "reason=unsupported-media", "1"),
        // A field that is unknown, and an upload that was cut.
        (refused, "reason=malformed", "2"),
        (refused, "reason=busy", "1"),
        (refused, "reason=unavailable", "0"),
        ("padron_photo_bytes_total", "", &photo),
        (reports, "format=xlsx outcome=finished", "1"),
        (reports, "format=csv outcome=finished", "1"),
        (reports, "format=csv outcome=aborted", "0"),
        ("padron_report_duration_seconds_count", "format=xlsx", "1"),
        (
            "padron_report_duration_seconds_bucket",
            "format=csv le=600",
            "1",
        ),
        ("padron_report_rows_total", "", "2"),
        ("padron_http_requests_total", chart, "1"),
        ("padron_http_request_duration_seconds_count", chart, "1"),
        ("padron_board_registrations", &city, "1"),
        ("padron_tier_up", "tier=store", "1"),
        ("padron_tier_up", "tier=photos", "1"),
        ("padron_upload_memory_bytes", "", &memory),
        ("padron_upload_memory_available_bytes", "", &memory),
        ("padron_uploads_in_flight", "", "0"),
        ("padron_build_info", build, "1"),
    ] {
        assert_eq!(scrape.value(series, labels), value, "{series} {labels}");
    }
}

/// On a connection of its own: the server may close a keep-alive connection of whoever it refuses, from which the next
/// request on it would suffer.
fn post(server: &Server) -> RequestBuilder {
    let request = server.client.post(server.url("/registrations"));
    request.header("Connection", "close")
}

/// Each reason for a refusal, once.
async fn be_refused(server: &Server, someone: &Human) {
    let form = |name: &str| {
        let photo = Part::bytes(someone.clean_photo()).file_name("card.jpg");
        let form = Form::new()
            .text("name", name.to_owned())
            .text("city", "11001");
        form.text("document_number", someone.document.clone())
            .part("photo", photo)
    };
    let send = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    let empty = Form::new().text("name", "");
    assert_eq!(send(post(server).multipart(empty)).await, 422);
    assert_eq!(send(post(server).multipart(form("Another"))).await, 409);
    let request = server.post(someone).build().unwrap();
    let key = request.headers()["Idempotency-Key"].clone();
    let reused = post(server).header("Idempotency-Key", key);
    assert_eq!(send(reused.multipart(form("Another"))).await, 409);
    assert_eq!(
        send(post(server).multipart(form(&"x".repeat(5000)))).await,
        413
    );
    assert_eq!(send(post(server).body("name=x")).await, 415);
    let unknown = form("Another").text("unknown", "");
    assert_eq!(send(post(server).multipart(unknown)).await, 400);
}

/// Takes nearly all the memory budget with an upload that stalls; another is then shed.
async fn be_busy(server: &Server) {
    let head = format!(
        "POST /registrations HTTP/1.1\r\nHost: {}\r\nContent-Length: 20000000\r\n\
         Content-Type: multipart/form-data; boundary=cut\r\n\r\n\
         --cut\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a\"\r\n\r\n",
        server.listen
    );
    let mut paused = TcpStream::connect(&server.listen).await.unwrap();
    paused.write_all(head.as_bytes()).await.unwrap();
    paused.write_all(&vec![0; 9_000_000]).await.unwrap();
    until("an upload that holds its memory", async || {
        let available = Scrape::of(server)
            .await
            .number("padron_upload_memory_available_bytes");
        (available < 20_000_000).then_some(())
    })
    .await;
    let scrape = Scrape::of(server).await;
    assert_eq!(scrape.number("padron_uploads_in_flight"), 1);
    let photo = Part::bytes(vec![0; 9_000_000]).file_name("b");
    let answer = post(server)
        .multipart(Form::new().part("photo", photo))
        .send();
    assert_eq!(answer.await.unwrap().status().as_u16(), 503);
    drop(paused);
    until("the memory given back", async || {
        let scrape = Scrape::of(server).await;
        (scrape.number("padron_uploads_in_flight") == 0).then_some(())
    })
    .await;
}

/// Odd paths and methods.
async fn wander(server: &Server) {
    for (method, path) in [
        ("GET", "/registrations/ABCD-EFGH"),
        ("GET", "/a/b/c/%ff?x=y"),
        ("BREW", "/chart.png"),
        ("DELETE", "/nobody"),
        ("OPTIONS", "/registrations"),
        ("HEAD", "/livez"),
        ("GET", "/assets/none.css"),
        ("GET", "/docs/"),
        ("GET", "/openapi.json"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        server
            .client
            .request(method, server.url(path))
            .send()
            .await
            .unwrap();
    }
}

/// The folder is moved away: what needs it is refused, and the tier is reported down.
async fn lose_the_photo_store(home: &Home, server: &Server) {
    fs::rename(home.path("data/photos"), home.path("data/away")).unwrap();
    fs::write(home.path("data/photos"), "no folder").unwrap();
    let answer = server.post(&Human::new(2)).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    let scrape = Scrape::of(server).await;
    for (series, labels) in [
        ("padron_registrations_refused_total", "reason=unavailable"),
        (
            "padron_photos_operation_duration_seconds_count",
            "operation=put outcome=unavailable",
        ),
    ] {
        assert_eq!(scrape.value(series, labels), "1", "{series}");
    }
    every_label_is_bounded(&scrape);
    until("the tier that is away", async || {
        let scrape = Scrape::of(server).await;
        (scrape.value("padron_tier_up", "tier=photos") == "0").then_some(())
    })
    .await;
}

fn every_metric_is_told(scrape: &Scrape) {
    for metric in METRICS {
        if ABSENT.contains(&metric.name) {
            continue;
        }
        assert_eq!(
            scrape.help.get(metric.name).map(String::as_str),
            Some(metric.help),
            "{}",
            metric.name
        );
        let kind = scrape.kinds.get(metric.name).map(String::as_str);
        assert_eq!(kind, Some(kind_of(metric)), "{}", metric.name);
    }
    let listed: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    let told: BTreeSet<_> = scrape.kinds.keys().map(String::as_str).collect();
    assert_eq!(
        told.difference(&listed).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
}

fn kind_of(metric: &Metric) -> &'static str {
    match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

fn every_label_is_bounded(scrape: &Scrape) {
    let openapi = serde_json::to_value(padron::http::openapi()).unwrap();
    let described = openapi["paths"].as_object().unwrap().keys();
    let mut routes: BTreeSet<_> = described.map(String::as_str).chain(PAGES).collect();
    routes.extend(["/openapi.json", "/docs", "/docs/"]);
    for sample in &scrape.samples {
        let metric = METRICS.iter().find(|metric| metric.name == sample.name);
        let metric = metric.unwrap_or_else(|| panic!("{sample:?} is not listed"));
        let mut names: BTreeSet<_> = metric.labels.iter().map(|label| label.name).collect();
        if sample.series.ends_with("_bucket") {
            names.insert("le");
        }
        let has: BTreeSet<_> = sample.labels.keys().map(String::as_str).collect();
        assert_eq!(has, names, "{sample:?}");
        for label in metric.labels {
            let value = sample.labels[label.name].as_str();
            let within = match label.name {
                "route" => routes.contains(value),
                "city" => value.len() == 5 && value.bytes().all(|byte| byte.is_ascii_digit()),
                "name" | "version" | "replica" => true,
                _ => label.values.contains(&value),
            };
            assert!(within, "{sample:?}");
        }
    }
}

#[test]
fn the_kept_list_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");
    let kept = fs::read_to_string(path).unwrap();
    let (before, rest) = kept.split_once("## Metrics\n").unwrap();
    let begin = rest.find("| ").unwrap();
    let end = rest[begin..]
        .find("\n\n")
        .map_or(rest.len(), |end| begin + end + 1);
    let rows = METRICS.iter().map(|metric| {
        let labels = metric.labels.iter().map(|label| {
            let values = label.values.join(", ");
            let values = if values.is_empty() {
                values
            } else {
                format!(": {values}")
            };
            format!("`{}`{values}", label.name)
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        format!(
            "| `{}` | {} | {labels} | {} |\n",
            metric.name,
            kind_of(metric),
            metric.help
        )
    });
    let table = format!(
        "| name | kind | labels | meaning |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    );
    let current = format!(
        "{before}## Metrics\n{}{table}{}",
        &rest[..begin],
        &rest[end..]
    );
    if std::env::var_os("PADRON_UPDATE").is_some() {
        fs::write(path, &current).unwrap();
    }
    assert!(
        kept == current,
        "docs/OPERATIONS.md is not current: run PADRON_UPDATE=1 cargo test --test process the_kept_list"
    );
}
