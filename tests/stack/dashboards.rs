//! Every question that a dashboard asks has an answer: each PromQL expression gives series from the real
//! Prometheus of a stack in use, each LogQL expression runs on the real Loki.

use std::{collections::BTreeSet, fs, time::Duration};

use serde_json::Value;
use testkit::{Human, until};

use crate::{
    client::{FRONT, as_staff, client, register},
    program::Signal,
    servers::root,
    stack::{Stack, Tiers},
    watch::{loki_query, prometheus_query, start_logs, start_monitoring},
};

/// Longer than between two questions of a replica whether its tiers are there.
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, Prometheus and Loki; .ci/run starts them"]
async fn every_expression_has_an_answer() {
    let mut stack = Stack::start(Tiers::Direct);
    let _monitoring = start_monitoring();
    let _logs = start_logs();
    let client = client();
    let mut questions = BTreeSet::new();
    for file in fs::read_dir(root().join("grafana/dashboards")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        expressions(&dashboard["panels"], &mut questions);
    }
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

    let mut unanswered = questions;
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
                "loki" => !loki_query(&client, &asked)
                    .await
                    .expect(&expression)
                    .is_empty(),
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
}
