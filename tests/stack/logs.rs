//! Centralised logs: what three replicas log is in the log server, under the name of each, by whichever way it came.

use std::{fs, time::Duration};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use testkit::until;

use crate::{
    client::{FRONT, client},
    lines,
    program::Signal,
    servers::REPLICAS,
    stack::{Stack, Tiers},
    watch::{log_server, logs_query, start_log_server, start_logs},
};

/// A request through the front door: which replica answered, and its request id.
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
    format!(r#"{{app="{app}"}} request_id:="{id}""#)
}

/// The lines that a program wrote of one request, once there are any.
async fn found(client: &Client, app: &str, id: &str) -> Vec<Value> {
    until(&format!("the line of {id}"), async || {
        let lines = logs_query(client, &by_id(app, id)).await.unwrap();
        (!lines.is_empty()).then_some(lines)
    })
    .await
}

/// The one line that the replica which served a request wrote of it.
async fn the_line(client: &Client, replica: &str, id: &str) -> Value {
    let mut lines = found(client, "padron", id).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = lines.remove(0);
    for (field, value) in [("app", "padron"), ("instance", replica), ("level", "info")] {
        assert_eq!(line[field], value, "{line}");
    }
    line
}

/// The labels of the log streams.
async fn labels(client: &Client) -> Vec<String> {
    let names = log_server(client, "stream_field_names", "query=*").await;
    let names: Value = serde_json::from_str(&names.unwrap()).unwrap();
    let names = names["values"].as_array().unwrap().iter();
    let mut names: Vec<_> = names
        .map(|name| name["value"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

const LABELS: [&str; 3] = ["app", "instance", "level"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, VictoriaLogs and the Collector; .ci/run starts them"]
async fn the_agent_brings_every_line_once_also_when_the_log_server_was_away() {
    let mut stack = Stack::start(Tiers::Direct);
    let [mut server, agent] = start_logs();
    let client = client();
    for (replica, id) in requests(&client).await {
        let line = the_line(&client, &replica, &id).await;
        // As it was written.
        let written: Value = serde_json::from_str(line["_msg"].as_str().unwrap()).unwrap();
        assert_eq!(written["request_id"], *id);
        let [told, kept] = [&written["timestamp"], &line["_time"]]
            .map(|time| time.as_str().unwrap().parse::<Timestamp>().unwrap());
        assert_eq!(told, kept);
        let front = found(&client, "nginx", &id).await;
        assert_eq!(front[0]["instance"], "nginx");
    }

    // What nginx answers by itself is counted: a 413 is the client's, a 502 is not.
    let own_errors = async || {
        let metrics = client.get("http://collector:8889/metrics").send().await;
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

    // The log server is unavailable: nobody who asks padron notices, and nothing is missing afterwards.
    server.end(Signal::Term);
    let mut meanwhile = requests(&client).await;
    // Longer than the agent would need to send them.
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.start();
    server.wait_until_ready();
    server.signal(Signal::Stop);
    meanwhile.extend(requests(&client).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.signal(Signal::Cont);
    for (replica, id) in meanwhile.into_iter().chain(requests(&client).await) {
        the_line(&client, &replica, &id).await;
    }
    lines::all_are_equal(&client).await;
    assert_eq!(labels(&client).await, LABELS);
    drop(agent);
}

/// Many concurrent requests.
async fn burst(client: &Client) -> Vec<(String, String)> {
    let asking = stream::iter(0..150).map(async |_| request(client, "/totals").await);
    asking.buffer_unordered(16).collect().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, VictoriaLogs and the Collector; .ci/run starts them"]
async fn an_agent_that_is_killed_again_and_again_loses_no_line_of_rotated_files_either() {
    let _stack = Stack::start(Tiers::Direct);
    let [_server, mut agent] = start_logs();
    let client = client();
    let mut made = Vec::new();
    for round in 0..8 {
        // Killed while it reads, and while it sends.
        let killing = async {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(50..600))).await;
            agent.end(Signal::Kill);
        };
        let (answered, ()) = tokio::join!(burst(&client), killing);
        made.extend(answered);
        if round == 4 {
            let log = "/var/log/containers/padron-1/padron-1-json.log";
            fs::rename(log, format!("{log}.1")).unwrap();
        }
        made.extend(requests(&client).await);
        agent.start();
    }
    agent.wait_until_ready();
    assert!(made.len() > 1000);
    lines::every_one_arrived(&client, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack and VictoriaLogs; .ci/run starts them"]
async fn replicas_push_their_own_lines_where_there_is_no_agent() {
    let [server] = start_log_server();
    let _stack = Stack::start_with(
        Tiers::Direct,
        &[("PADRON_LOKI_URL", "http://victorialogs:9428/insert")],
    );
    let client = client();
    // The log server is frozen: nobody waits for it.
    server.signal(Signal::Stop);
    let mut made = requests(&client).await;
    server.signal(Signal::Cont);
    made.extend(requests(&client).await);
    for (replica, id) in made {
        let line = the_line(&client, &replica, &id).await;
        // The text is the message, and the fields are fields.
        assert_eq!(line["_msg"], "request");
        assert_eq!(line["route"], "/totals");
    }
    assert_eq!(labels(&client).await, LABELS);
}
