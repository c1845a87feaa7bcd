//! What watches the stack: metrics, alerts, mail, logs; and how a test asks them.

use std::{fs, path::Path};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use serde_json::Value;

use crate::{
    program::Program,
    servers::{alertmanager, blackbox_exporter, loki, mail, node_exporter, prometheus, promtail},
};

/// Starts these and waits until they work.
fn start<const N: usize>(mut programs: [Program; N]) -> [Program; N] {
    for program in &mut programs {
        program.start();
        program.wait_until_ready();
    }
    programs
}

/// Metrics, alerts and mail, on empty folders.
pub(crate) fn start_monitoring() -> [Program; 5] {
    clear(&["/run/prometheus", "/run/alertmanager", "/run/mail"]);
    start([
        mail(),
        alertmanager(),
        blackbox_exporter(),
        node_exporter(),
        prometheus(),
    ])
}

/// Logs: Loki and, when it is the one that brings them, Promtail.
pub(crate) fn start_logs() -> [Program; 2] {
    start_loki()
        .into_iter()
        .chain(start([promtail()]))
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .expect("two")
}

/// Loki alone.
pub(crate) fn start_loki() -> [Program; 1] {
    clear(&["/run/loki", "/run/promtail"]);
    start([loki()])
}

fn clear(folders: &[&str]) {
    for folder in folders {
        if Path::new(folder).exists() {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The series that a PromQL expression gives now.
pub(crate) async fn prometheus_query(
    client: &Client,
    expression: &str,
) -> Result<Vec<Value>, String> {
    let url = format!(
        "http://prometheus:9090/api/v1/query?query={}",
        encoded(expression)
    );
    let answer: Value = client.get(url).send().await.unwrap().json().await.unwrap();
    match answer["data"]["result"].as_array() {
        Some(series) => Ok(series.clone()),
        None => Err(answer["error"].to_string()),
    }
}

/// The streams, each with its lines, or the series that a LogQL expression gives for the last minutes.
pub(crate) async fn loki_query(client: &Client, expression: &str) -> Result<Vec<Value>, String> {
    let url = format!(
        "http://loki:3100/loki/api/v1/query_range?limit=5000&since=15m&query={}",
        encoded(expression)
    );
    let Ok(answer) = client.get(url).send().await else {
        return Ok(Vec::new());
    };
    let text = answer.text().await.unwrap_or_default();
    let Ok(answer) = serde_json::from_str::<Value>(&text) else {
        // While it starts it answers in plain words.
        return if text.contains("ring") || text.contains("frontend") {
            Ok(Vec::new())
        } else {
            Err(text)
        };
    };
    Ok(answer["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// A mail as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// All mails so far: about incidents, and the daily ones that say that monitoring lives.
pub(crate) fn mails() -> (Vec<Mail>, Vec<Mail>) {
    let mut files: Vec<_> = fs::read_dir("/run/mail/new")
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mails = files.iter().map(|file| {
        let text = fs::read_to_string(file)
            .unwrap()
            .replace("=\r\n", "")
            .replace("=\n", "")
            .replace("=3D", "=");
        let subject = text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap_or_default();
        Mail {
            subject: subject.trim().to_owned(),
            text: text.clone(),
        }
    });
    mails.partition(|mail| !mail.subject.contains("monitoring is alive"))
}
