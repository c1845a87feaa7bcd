//! *Log lines reach Loki, or what speaks its protocol, and nothing waits for it*: they are all delivered where it
//! answers, and where it does not the service goes on as if there were none.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{HeaderMap, StatusCode, Uri},
    routing::post,
};
use futures::{StreamExt as _, stream};
use testkit::{Home, Server, free_addresses, until};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Bound of the lines that wait, as `src/foundation/telemetry/loki.rs` has it.
const WAITING: usize = 4096;

/// What a [`Receiver`] does.
#[derive(Clone, Copy)]
enum Mood {
    Takes,
    /// Answers with an error this many times, and then accepts.
    Fails(usize),
    Hangs,
}

/// A test double of Loki.
pub(crate) struct Receiver {
    pub(crate) url: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    /// Of each request the path and the headers.
    heads: Arc<Mutex<Vec<(Uri, HeaderMap)>>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_as(Mood::Takes).await
    }

    async fn start_as(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let mood = Arc::new(Mutex::new(mood));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let push = {
            let (bodies, heads) = (bodies.clone(), heads.clone());
            async move |uri: Uri, headers: HeaderMap, body: Bytes| {
                heads.lock().unwrap().push((uri, headers));
                let now = *mood.lock().unwrap();
                match now {
                    Mood::Hangs => std::future::pending().await,
                    Mood::Fails(times) if times > 0 => {
                        *mood.lock().unwrap() = Mood::Fails(times - 1);
                        StatusCode::INTERNAL_SERVER_ERROR
                    }
                    Mood::Fails(_) | Mood::Takes => {
                        bodies.lock().unwrap().push(body);
                        StatusCode::NO_CONTENT
                    }
                }
            }
        };
        let router = Router::new()
            .route("/loki/api/v1/push", post(push.clone()))
            .route("/insert/loki/api/v1/push", post(push))
            .layer(DefaultBodyLimit::disable());
        tokio::spawn(padron::server::listen(
            listener,
            router,
            CancellationToken::new(),
        ));
        Self { url, bodies, heads }
    }

    /// Everything that it took, as sent but for the compression: texts lie open in it.
    pub(crate) fn pushed(&self) -> Vec<u8> {
        let mut snappy = snap::raw::Decoder::new();
        let bodies = self.bodies.lock().unwrap();
        let bodies = bodies
            .iter()
            .map(|body| snappy.decompress_vec(body).unwrap());
        bodies.collect::<Vec<_>>().concat()
    }

    /// The ids of the requests whose lines it took, and how many such lines there were.
    fn requests(&self) -> (BTreeSet<String>, usize) {
        let pushed = String::from_utf8_lossy(&self.pushed()).into_owned();
        ids(&pushed)
    }
}

/// The ids of the requests that have lines in `text`, and how many lines.
fn ids(text: &str) -> (BTreeSet<String>, usize) {
    let ids = text.split(r#""request_id":""#).skip(1);
    let ids: Vec<_> = ids.map(|rest| rest[..36].to_owned()).collect();
    let count = ids.len();
    (ids.into_iter().collect(), count)
}

/// Asks so often; every answer must come.
async fn ask(server: &Server, times: usize) {
    let asking = stream::iter(0..times).map(async |_| {
        let answer = server.get("/nothing-here").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404);
    });
    asking.buffer_unordered(32).collect::<()>().await;
}

/// The value of a metric without its HELP.
fn value(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap().trim().parse().unwrap()
}

const FAILURES: &str = "padron_loki_push_failures_total ";
const OVERFLOW: &str = "padron_loki_lines_dropped_total{reason=\"overflow\"} ";
const UNDELIVERED: &str = "padron_loki_lines_dropped_total{reason=\"undelivered\"} ";

#[tokio::test(flavor = "multi_thread")]
async fn every_line_arrives_and_the_last_one_too() {
    let loki = Receiver::start().await;
    let home = Home::new();
    let mut server = home.start_with(&[("PADRON_LOKI_URL", &loki.url)]).await;
    // More than may wait: lines that are delivered do not count.
    ask(&server, WAITING + 500).await;
    let metrics = server.metrics().await;
    assert_eq!(value(&metrics, OVERFLOW), 0);
    assert_eq!(value(&metrics, FAILURES), 0);
    server.terminate();
    assert!(server.ended().await.success());
    let (written, pushed) = (ids(&server.stdout()), loki.requests());
    assert!(written.1 >= WAITING + 500);
    assert_eq!(written, pushed);
    let pushed = String::from_utf8_lossy(&loki.pushed()).into_owned();
    assert!(pushed.contains(r#""message":"stopped""#));
    assert!(pushed.contains(r#"{app="padron",instance=""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_that_a_request_causes_has_its_id_there_too() {
    let loki = Receiver::start().await;
    let home = Home::new();
    let server = home.start_with(&[("PADRON_LOKI_URL", &loki.url)]).await;
    let answer = server.get_as_staff("/report.csv").send().await.unwrap();
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    answer.bytes().await.unwrap();
    server.stop().await;
    let pushed = String::from_utf8_lossy(&loki.pushed()).into_owned();
    for message in ["report begun", "report finished"] {
        let line = pushed.lines().flat_map(|line| line.split('\n'));
        let line = line.into_iter().find(|line| line.contains(message));
        let line = line.unwrap_or_else(|| panic!("{message}: {pushed}"));
        assert!(line.contains(&id), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_refused_is_sent_again_though_nothing_follows_it() {
    let loki = Receiver::start_as(Mood::Fails(3)).await;
    let home = Home::new();
    let server = home.start_with(&[("PADRON_LOKI_URL", &loki.url)]).await;
    until("the line of the start", async || {
        let pushed = String::from_utf8_lossy(&loki.pushed()).into_owned();
        pushed.contains(r#""message":"serving""#).then_some(())
    })
    .await;
    let metrics = server.metrics().await;
    assert_eq!(value(&metrics, FAILURES), 3);
    assert_eq!(value(&metrics, UNDELIVERED), 0);
    let told = server.stdout();
    assert_eq!(told.matches("couldn't send logs to loki").count(), 3);
    let pushed = String::from_utf8_lossy(&loki.pushed()).into_owned();
    assert!(!pushed.contains("couldn't send"), "{pushed}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loki_that_hangs_costs_nothing_but_the_lines_beyond_the_bound() {
    let loki = Receiver::start_as(Mood::Hangs).await;
    let home = Home::new();
    let mut server = home.start_with(&[("PADRON_LOKI_URL", &loki.url)]).await;
    ask(&server, WAITING + 500).await;
    until("every line that is too many", async || {
        let lines = server.stdout().lines().count();
        let metrics = server.metrics().await;
        (value(&metrics, OVERFLOW) == (lines - WAITING) as u64).then_some(())
    })
    .await;
    server.terminate();
    assert!(server.ended().await.success());
    assert!(
        server
            .stdout()
            .contains("the last lines did not reach Loki")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loki_that_is_not_there_costs_nothing() {
    let [nowhere] = free_addresses();
    let home = Home::new();
    let url = format!("http://{nowhere}");
    let server = home.start_with(&[("PADRON_LOKI_URL", &url)]).await;
    ask(&server, 200).await;
    until("a failure", async || {
        (value(&server.metrics().await, FAILURES) > 0).then_some(())
    })
    .await;
    assert_eq!(value(&server.metrics().await, OVERFLOW), 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 40 s: tracing-loki gives a line up after half a minute"]
async fn what_is_given_up_is_counted_and_makes_room() {
    let loki = Receiver::start_as(Mood::Fails(usize::MAX)).await;
    let home = Home::new();
    let server = home.start_with(&[("PADRON_LOKI_URL", &loki.url)]).await;
    ask(&server, WAITING + 500).await;
    let undelivered = until("lines that are given up", async || {
        let metrics = server.metrics().await;
        Some(value(&metrics, UNDELIVERED)).filter(|&lines| lines > 0)
    })
    .await;
    assert_eq!(undelivered, WAITING as u64);
    let overflow = value(&server.metrics().await, OVERFLOW);
    ask(&server, 100).await;
    assert_eq!(value(&server.metrics().await, OVERFLOW), overflow);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_have_a_path_and_says_which_field_is_the_message() {
    let loki = Receiver::start().await;
    for path in ["/insert", "/insert/"] {
        let home = Home::new();
        let url = format!("{}{path}", loki.url);
        let server = home.start_with(&[("PADRON_LOKI_URL", &url)]).await;
        server.stop().await;
    }
    let heads = loki.heads.lock().unwrap().clone();
    assert!(heads.len() >= 2);
    for (uri, headers) in heads {
        assert_eq!(uri.path(), "/insert/loki/api/v1/push");
        assert_eq!(headers["VL-Msg-Field"], "message");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs VictoriaLogs; .ci/run starts one"]
async fn victorialogs_finds_a_request_by_its_id_and_the_last_line() {
    let logs = std::env::var("PADRON_TEST_LOGS").unwrap();
    let push = format!("{logs}/insert");
    let instances = [(); 2].map(|()| format!("test-{}", uuid::Uuid::new_v4()));
    let homes = [(); 2].map(|()| Home::new());
    let start = async |number: usize| {
        let settings = [
            ("PADRON_LOKI_URL", push.as_str()),
            ("PADRON_INSTANCE", &instances[number]),
        ];
        homes[number].start_with(&settings).await
    };
    let (server, other) = (start(0).await, start(1).await);
    let answer = server.get("/chart.png").send().await.unwrap();
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    ask(&other, 20).await;
    let client = server.client.clone();
    server.stop().await;
    other.stop().await;

    let address = format!("{logs}/select/logsql/query");
    let query = async |query: &str| {
        let url = Url::parse_with_params(&address, [("query", query)]).unwrap();
        let lines = client.get(url).send().await.unwrap().text().await.unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.collect::<Vec<_>>()
    };
    let by_id = format!(r#"{{app="padron"}} request_id:="{id}""#);
    let found = until("the request's line", async || {
        Some(query(&by_id).await).filter(|lines| !lines.is_empty())
    })
    .await;
    let [line] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(line["instance"], instances[0]);
    assert_eq!(line["level"], "info");
    assert_eq!(line["_msg"], "request");
    assert_eq!(line["route"], "/chart.png");
    let last = format!(r#"instance:="{}" _msg:="stopped""#, instances[0]);
    until("the last line", async || {
        (query(&last).await.len() == 1).then_some(())
    })
    .await;
}
