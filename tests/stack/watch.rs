//! Monitoring of the stack: metrics, alerts, mail, logs; and how a test queries them.

use std::{fs, path::Path};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use serde_json::Value;

use crate::{
    program::Program,
    servers::{
        alertmanager, blackbox_exporter, collector, mail, node_exporter, prometheus, victorialogs,
    },
};

/// Starts these and waits until they are ready.
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

/// Logs: the server, and the agent that brings them.
pub(crate) fn start_logs() -> [Program; 2] {
    let [server] = start_log_server();
    let [agent] = start([collector()]);
    [server, agent]
}

/// The log server alone.
pub(crate) fn start_log_server() -> [Program; 1] {
    clear(&["/run/victorialogs", "/run/collector"]);
    start([victorialogs()])
}

fn clear(folders: &[&str]) {
    for folder in folders {
        if Path::new(folder).exists() {
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

pub(crate) fn encoded(text: &str) -> String {
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

/// The lines that a `LogsQL` query finds, each with its fields; none while the server is unavailable.
///
/// # Errors
/// What the server has against the query.
pub(crate) async fn logs_query(client: &Client, query: &str) -> Result<Vec<Value>, String> {
    let lines = log_server(client, "query", &format!("query={}", encoded(query))).await?;
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    Ok(lines.collect())
}

/// What `VictoriaLogs` answers at one of its query paths; nothing while it is unavailable.
pub(crate) async fn log_server(
    client: &Client,
    path: &str,
    parameters: &str,
) -> Result<String, String> {
    let url = format!("http://victorialogs:9428/select/logsql/{path}?{parameters}");
    let Ok(answer) = client.get(url).send().await else {
        return Ok(String::new());
    };
    let right = answer.status().is_success();
    let text = answer.text().await.unwrap_or_default();
    if right { Ok(text) } else { Err(text) }
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
