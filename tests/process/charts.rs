//! Charts as strangers ask for them: many, of every size, and disconnected before they are drawn.
//!
//! What was drawn is counted by the program itself.

use std::{collections::BTreeSet, fs};

use futures::future::join_all;
use reqwest::StatusCode;
use testkit::{Home, Server};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::startup::{refused, says};

/// Different charts of all cities of one version, in the colours and the language that are asked for here.
const CHARTS: usize = 200;

async fn drawn(server: &Server) -> usize {
    let metrics = server.metrics().await;
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix("padron_charts_drawn_total "));
    value.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_drawn_once_for_a_version_however_many_ask() {
    let home = Home::new();
    let server = home.start().await;
    assert_eq!(drawn(&server).await, 0, "nobody has asked");
    for version in 1..=2 {
        let asked = (0..50).map(|asker| {
            // All of these have the same cache key.
            let query = format!("width={}&height={}&lang=es", 980 + asker, 575 + asker);
            server.get(&format!("/chart.png?{query}")).send()
        });
        let mut bodies = BTreeSet::new();
        for answer in join_all(asked).await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            bodies.insert(answer.bytes().await.unwrap());
        }
        assert_eq!(bodies.len(), 1);
        assert_eq!(drawn(&server).await, version);
        server.fetch("/report.csv").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_that_nobody_waits_for_cost_little_and_delay_nobody() {
    let home = Home::new();
    let server = home.start().await;
    for number in 0..1_500 {
        let (width, height) = (320 + number % 1_681, 240 + number * 7 % 1_761);
        let (top, format) = (number % 50 + 1, ["png", "svg"][number % 2]);
        let path = format!("/chart.{format}?width={width}&height={height}&top={top}&lang=en");
        let head = format!("GET {path} HTTP/1.1\r\nHost: padron.example\r\n\r\n");
        let mut stream = TcpStream::connect(&server.listen).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
    }
    let answer = server.get("/chart.png?width=1000&height=600").send().await;
    assert_eq!(answer.unwrap().status(), StatusCode::OK);
    let drawn = drawn(&server).await;
    assert!((1..=CHARTS).contains(&drawn), "{drawn} were drawn");
}

/// Load shedding: whoever waits for one of many different charts gets it or is told at once to retry.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_waits_is_drawn_for_or_told_to_come_back() {
    let home = Home::new();
    let server = home.start().await;
    let sizes = [320, 640, 2000]
        .into_iter()
        .flat_map(|width| [240, 400, 1200, 2000].map(|height| (width, height)));
    let queries = sizes.flat_map(|(width, height)| {
        [3, 5, 10, 50].map(|top| format!("width={width}&height={height}&top={top}"))
    });
    let asked = queries.map(|query| {
        let request = server.get(&format!("/chart.png?{query}"));
        async move { request.send().await.unwrap() }
    });
    let (mut given, mut refused) = (0, 0);
    for answer in join_all(asked).await {
        match answer.status() {
            StatusCode::OK => given += 1,
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                assert_eq!(answer.headers()["retry-after"], "5");
                let problem: serde_json::Value = answer.json().await.unwrap();
                assert_eq!(problem["type"], "busy");
                refused += 1;
            }
        }
    }
    assert_eq!(drawn(&server).await, given);
    assert_eq!(given + refused, 48);
    assert!(given >= 16, "the line has room for 16");
}

#[test]
fn a_catalogue_that_the_chart_cannot_draw_is_refused_with_the_first_such_name() {
    let home = Home::new();
    for (name, letter) in [
        ("القاهرة", "U+0627"),
        ("北京市", "U+5317"),
        ("서울", "U+C11C"),
        ("Cali \u{1F489}", "U+1F489"),
        ("Ca\u{202E}li", "U+202E"),
        ("Ca\u{7}li", "U+0007"),
    ] {
        let catalogue = format!(
            "code,municipality,department,aliases\n11001,Bogotá,D.C.,\n00002,{name},X,\n00003,東京,X,\n"
        );
        fs::write(home.path("cities.csv"), catalogue).unwrap();
        let output = refused(&home, &[("PADRON_CITIES", "cities.csv")]);
        let name = name.replace('\u{7}', " ");
        let words = ["PADRON_CITIES: cities.csv", "city 00002", &name, letter];
        says(&output, 1, &words);
    }
}
