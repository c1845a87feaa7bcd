//! *Every request is found in the log*: one line for each, in the form that programs collect.

use reqwest::Method;
use serde_json::{Map, Value};
use testkit::{Home, Server, until};

/// The fields of a request's line, in any order but for the first.
const FIELDS: [&str; 10] = [
    "timestamp",
    "level",
    "message",
    "request_id",
    "instance",
    "method",
    "route",
    "status",
    "duration_ms",
    "bytes",
];

/// A name that JSON must escape.
const INSTANCE: &str = "padron-\"7\"";

#[tokio::test]
async fn every_request_has_one_line_with_what_was_sent() {
    let home = Home::new();
    let server = home.start_with(&[("PADRON_INSTANCE", INSTANCE)]).await;
    let asked = [
        (Method::GET, "/chart.png", "/chart.png"),
        (Method::GET, "/report.xlsx", "/report.xlsx"),
        (Method::GET, "/report.csv", "/report.csv"),
        (Method::GET, "/", "/"),
        (Method::HEAD, "/chart.svg", "/chart.svg"),
        (Method::GET, "/nowhere/at/all", "none"),
        (Method::PATCH, "/chart.png", "/chart.png"),
    ];
    for (method, path, route) in asked {
        let request = server.client.request(method.clone(), server.url(path));
        let request = request.bearer_auth(server.admin_token());
        let answer = request.send().await.unwrap();
        let (status, id) = (answer.status(), answer.headers()["x-request-id"].clone());
        let body = answer.bytes().await.unwrap();
        let line = line_of(&server, id.to_str().unwrap()).await;
        let method = if method == Method::PATCH {
            "other"
        } else {
            method.as_str()
        };
        assert_eq!(line["method"], method, "{path}");
        assert_eq!(line["route"], route, "{path}");
        assert_eq!(line["status"], status.as_u16(), "{path}");
        assert_eq!(line["bytes"], body.len(), "{path}");
        assert!(line["duration_ms"].is_u64(), "{path}");
        for field in FIELDS {
            assert!(line.contains_key(field), "no {field} in {line:?}");
        }
    }
    let log = server.stdout();
    server.stop().await;
    for line in log.lines() {
        assert!(line.starts_with(r#"{"timestamp":"20"#), "{line}");
        assert_eq!(line.matches(r#""instance":"#).count(), 1, "{line}");
        let line: Map<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(line["instance"], INSTANCE);
        let flat = |value: &Value| !value.is_object() && !value.is_array();
        assert!(line.values().all(flat), "{line:?}");
    }
}

/// The only line with this request's id, beside audit lines.
async fn line_of(server: &Server, id: &str) -> Map<String, Value> {
    let line = until("a request's line", async || {
        let log = server.stdout();
        // Others that it caused carry its id too.
        let is_its_own = |line: &&str| line.contains(id) && line.contains(r#""message":"request""#);
        let mut lines = log.lines().filter(is_its_own);
        let line = lines.next().map(str::to_owned);
        assert_eq!(lines.next(), None, "a second line of {id}");
        line
    })
    .await;
    serde_json::from_str(&line).unwrap()
}
