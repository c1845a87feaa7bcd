//! Central logs: what three replicas say is found in Loki, told apart, by whichever way it came.

use reqwest::{Client, StatusCode};
use serde_json::Value;
use testkit::until;

use crate::{
    client::{FRONT, client},
    program::Signal,
    servers::REPLICAS,
    stack::{Stack, Tiers},
    watch::{loki_query, start_logs, start_loki},
};

/// A request through the front door: who answered, and under which id.
async fn request(client: &Client, path: &str) -> (String, String) {
    let answer = client.get(format!("{FRONT}{path}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    (header("x-served-by"), header("x-request-id"))
}

/// Requests until each replica has answered one.
async fn requests(client: &Client) -> Vec<(String, String)> {
    let mut made = Vec::new();
    while REPLICAS
        .iter()
        .any(|replica| !made.iter().any(|(by, _)| by == replica))
    {
        made.push(request(client, "/totals").await);
    }
    made
}

/// As the dashboard asks, whichever way the lines came.
fn by_id(app: &str, id: &str) -> String {
    format!(r#"{{app="{app}"}} | json | request_id = `{id}`"#)
}

/// Waits for the streams with lines of one request.
async fn found(client: &Client, expression: &str) -> Vec<Value> {
    let what = format!("lines for {expression}");
    until(&what, async || {
        let streams = loki_query(client, expression).await.unwrap();
        (!streams.is_empty()).then_some(streams)
    })
    .await
}

/// That a request is one line of the replica that served it.
async fn is_one_line_of(client: &Client, expression: &str, replica: &str, id: &str) {
    let streams = found(client, expression).await;
    let lines: Vec<_> = streams
        .iter()
        .flat_map(|stream| stream["values"].as_array().unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{expression}: {streams:#?}");
    assert_eq!(streams[0]["stream"]["instance"], replica);
    let line: Value = serde_json::from_str(lines[0][1].as_str().unwrap()).unwrap();
    assert_eq!(line["request_id"], id);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, Loki and Promtail; .ci/run starts them"]
async fn promtail_brings_every_line_once_also_when_loki_was_away() {
    let mut stack = Stack::start(Tiers::Direct);
    let [mut loki, _promtail] = start_logs();
    let client = client();
    for (replica, id) in requests(&client).await {
        is_one_line_of(&client, &by_id("padron", &id), &replica, &id).await;
        let front = found(&client, &by_id("nginx", &id)).await;
        assert_eq!(front[0]["stream"]["instance"], "nginx");
    }

    // What nginx answers by itself is counted: a 413 is the client's, a 502 is not.
    let own_errors = async || {
        let metrics = client.get("http://promtail:9080/metrics").send().await;
        let metrics = metrics.unwrap().text().await.unwrap();
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("nginx_own_errors_total{"));
        lines
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
            .sum::<f64>()
    };
    assert!(own_errors().await.abs() < f64::EPSILON);
    for replica in &mut stack.replicas {
        replica.end(Signal::Kill);
    }
    let large = client.post(format!("{FRONT}/staff/sign-in"));
    let large = large.body("a".repeat(20_000)).send().await.unwrap();
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer = client.get(format!("{FRONT}/totals")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    until("the 502", async || {
        (own_errors().await >= 1.0).then_some(())
    })
    .await;
    assert!(own_errors().await < 2.0, "and nothing else");
    for replica in &mut stack.replicas {
        replica.start();
    }
    stack.wait_until_ready();

    loki.end(Signal::Kill);
    let meanwhile = requests(&client).await;
    // Longer than an agent would need to send them.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    loki.start();
    loki.wait_until_ready();
    for (replica, id) in meanwhile.into_iter().chain(requests(&client).await) {
        is_one_line_of(&client, &by_id("padron", &id), &replica, &id).await;
    }

    // Whatever is sent, streams are told apart by three labels only.
    let labels = client
        .get("http://loki:3100/loki/api/v1/labels")
        .send()
        .await
        .unwrap();
    let labels: Value = labels.json().await.unwrap();
    let mut labels: Vec<_> = labels["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label.as_str().unwrap())
        .collect();
    labels.sort_unstable();
    assert_eq!(labels, ["app", "instance", "level"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack and Loki; .ci/run starts them"]
async fn replicas_push_their_own_lines_where_there_is_no_agent() {
    let _loki = start_loki();
    let _stack = Stack::start_with(Tiers::Direct, &[("PADRON_LOKI_URL", "http://loki:3100")]);
    let client = client();
    for (replica, id) in requests(&client).await {
        is_one_line_of(&client, &by_id("padron", &id), &replica, &id).await;
    }
}
