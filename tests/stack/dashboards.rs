//! Every question that a dashboard asks has an answer: each PromQL expression gives series from the real
//! Prometheus of a stack in use, each `LogsQL` expression lines or series from the real `VictoriaLogs`. Loki is not
//! run: its LogQL is read by its grammar, and what it names must be among what the agent delivered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use reqwest::Client;
use serde_json::Value;
use testkit::{Human, until};

use crate::{
    client::{FRONT, as_staff, client, register},
    program::Signal,
    servers::root,
    stack::{Stack, Tiers},
    watch::{encoded, log_server, logs_query, prometheus_query, start_logs, start_monitoring},
};

/// Longer than the interval of a replica's health checks of its tiers.
const TIERS_ASKED: Duration = Duration::from_secs(7);

/// The expressions of a dashboard's panels, with what each asks.
fn expressions(panels: &Value, found: &mut BTreeSet<(String, String)>) {
    for panel in panels.as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let source = target["datasource"]["uid"]
                .as_str()
                .or(panel["datasource"]["uid"].as_str());
            let expression = target["expr"].as_str().expect("an expression");
            found.insert((source.expect("a source").to_owned(), expression.to_owned()));
        }
        expressions(&panel["panels"], found);
    }
}

/// The expressions of every dashboard below `grafana/`, with what each asks.
fn questions() -> BTreeSet<(String, String)> {
    let mut questions = BTreeSet::new();
    for folder in ["dashboards", "loki", "victorialogs"] {
        for dashboard in dashboards(folder) {
            expressions(&dashboard["panels"], &mut questions);
        }
    }
    questions
}

fn dashboards(folder: &str) -> Vec<Value> {
    let files = fs::read_dir(root().join("grafana").join(folder)).unwrap();
    let files = files.map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|name| name == "json"))
        .map(|path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        .collect()
}

/// What LogQL expressions name, each expression by its own: labels of streams, and fields.
fn named(expressions: &[&String]) -> Vec<[Vec<String>; 2]> {
    let mut reading = Command::new("node")
        .arg(root().join(".ci/logql.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let list = serde_json::to_vec(expressions).unwrap();
    reading.stdin.take().unwrap().write_all(&list).unwrap();
    let read = reading.wait_with_output().unwrap();
    assert!(read.status.success(), "not LogQL");
    let named: Vec<BTreeMap<String, Vec<String>>> = serde_json::from_slice(&read.stdout).unwrap();
    named
        .into_iter()
        .map(|mut named| ["labels", "fields"].map(|kind| named.remove(kind).unwrap()))
        .collect()
}

/// What the agent delivered: labels of streams, and fields, be they beside the line or in its JSON.
async fn delivered(client: &Client) -> [BTreeSet<String>; 2] {
    let mut names = ["stream_field_names", "field_names"].map(|_| BTreeSet::new());
    for (kind, path) in ["stream_field_names", "field_names"]
        .into_iter()
        .enumerate()
    {
        let answer = log_server(client, path, "query=*").await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let values = answer["values"].as_array().unwrap().iter();
        names[kind] = values
            .map(|name| name["value"].as_str().unwrap().to_owned())
            .collect();
    }
    for line in logs_query(client, "* | fields _msg").await.unwrap() {
        let line = line["_msg"].as_str().unwrap_or_default();
        if let Ok(Value::Object(line)) = serde_json::from_str(line) {
            names[1].extend(line.into_iter().map(|(name, _)| name));
        }
    }
    names
}

/// Whether `VictoriaLogs` has lines, or series, for an expression.
async fn has_logs(client: &Client, expression: &str) -> bool {
    if !expression.contains("| stats ") {
        return !logs_query(client, expression)
            .await
            .expect(expression)
            .is_empty();
    }
    let parameters = format!("query={}&start=15m&step=1m", encoded(expression));
    let answer = log_server(client, "stats_query_range", &parameters).await;
    let answer: Value = serde_json::from_str(&answer.expect(expression)).unwrap();
    let series = answer["data"]["result"].as_array().unwrap();
    !series.is_empty()
}

#[test]
fn each_log_panel_has_a_twin_for_the_other_log_server() {
    let panels = ["loki", "victorialogs"].map(|folder| {
        let [dashboard] = dashboards(folder).try_into().expect("one dashboard");
        let panels = dashboard["panels"].as_array().unwrap().clone();
        panels
            .into_iter()
            .map(|mut panel| {
                panel["datasource"].take();
                let targets = panel["targets"].take();
                assert_eq!(targets.as_array().unwrap().len(), 1);
                panel
            })
            .collect::<Vec<_>>()
    });
    assert_eq!(panels[0], panels[1]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, Prometheus, VictoriaLogs and the Collector; .ci/run starts them"]
async fn every_expression_has_an_answer() {
    let mut stack = Stack::start(Tiers::Direct);
    let _monitoring = start_monitoring();
    let _logs = start_logs();
    let client = client();
    let questions = questions();
    assert!(questions.len() > 40, "{} expressions", questions.len());

    // One request to look for, and a failure that is logged as an error.
    let answer = client.get(format!("{FRONT}/totals")).send().await.unwrap();
    let one_request = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    stack.s3.end(Signal::Kill);
    tokio::time::sleep(TIERS_ASKED).await;
    stack.s3.start();
    stack.wait_until_ready();

    let (logql, mut unanswered): (BTreeSet<_>, BTreeSet<_>) = questions
        .into_iter()
        .partition(|(source, _)| source == "loki");
    let mut number = 0;
    until("an answer to every expression", async || {
        // A stack in use: without requests there are no rates.
        let human = Human::new(number);
        number += 1;
        register(&client, &human).await;
        register(&client, &human).await;
        register(
            &client,
            &Human {
                name: "Somebody Else".into(),
                ..human
            },
        )
        .await;
        for path in ["/report.csv", "/chart.png", "/nothing"] {
            as_staff(client.get(format!("{FRONT}{path}")))
                .send()
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
        }
        let mut left = BTreeSet::new();
        for (source, expression) in std::mem::take(&mut unanswered) {
            let asked = expression
                .replace("$__rate_interval", "1m")
                .replace("${request_id}", &one_request);
            let answered = match source.as_str() {
                "prometheus" => !prometheus_query(&client, &asked)
                    .await
                    .expect(&expression)
                    .is_empty(),
                "victorialogs" => has_logs(&client, &asked).await,
                other => panic!("no such source: {other}"),
            };
            if !answered {
                left.insert((source, expression));
            }
        }
        unanswered = left;
        unanswered.is_empty().then_some(())
    })
    .await;

    let [labels, fields] = delivered(&client).await;
    let logql: Vec<_> = logql.iter().map(|(_, expression)| expression).collect();
    assert_eq!(logql.len(), 8);
    for (expression, [of_streams, of_lines]) in logql.iter().zip(named(&logql)) {
        for label in of_streams {
            assert!(labels.contains(&label), "{label} in {expression}");
        }
        for field in of_lines {
            let known = labels.contains(&field) || fields.contains(&field);
            assert!(known, "{field} in {expression}");
        }
    }
}
