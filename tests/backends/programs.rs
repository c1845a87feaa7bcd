//! Servers and proxies of one test's own, killed when dropped.

use std::{
    net::{Ipv4Addr, TcpStream},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Process, client, free_addresses, until_blocking};

/// Starts a program, and waits until it listens on `port`.
fn start(name: &str, arguments: &[String], port: u16) -> Process {
    let mut command = Command::new(name);
    command.args(arguments);
    let process = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
    until_blocking(name, listens);
    process
}

fn free_port() -> u16 {
    let [address] = free_addresses();
    address.port()
}

/// A server's folder and port; it may be started and killed any number of times.
pub(crate) struct Server {
    name: &'static str,
    arguments: Vec<String>,
    port: u16,
    running: Option<Process>,
    _folder: TempDir,
}

impl Server {
    /// One that is not started yet; `arguments` are made of its port and its folder.
    pub(crate) fn stopped(
        name: &'static str,
        arguments: impl FnOnce(u16, &str) -> Vec<String>,
    ) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        Self {
            name,
            arguments: arguments(port, folder.path().to_str().unwrap()),
            port,
            running: None,
            _folder: folder,
        }
    }

    pub(crate) fn start(&mut self) {
        self.running = Some(start(self.name, &self.arguments, self.port));
    }

    pub(crate) fn started(mut self) -> Self {
        self.start();
        self
    }

    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Toxiproxy, for network faults, in front of a server.
pub(crate) struct Proxy {
    http: reqwest::Client,
    proxies: String,
    listen: String,
    _program: Process,
}

impl Proxy {
    pub(crate) async fn of(server: &Server) -> Self {
        let port = free_port();
        let program = start("toxiproxy", &["-port".into(), port.to_string()], port);
        let http = client();
        let proxies = format!("http://localhost:{port}/proxies");
        let proxy = json!({
            "name": "server",
            "listen": "127.0.0.1:0",
            "upstream": server.address(),
        });
        let made = http.post(&proxies).json(&proxy).send().await.unwrap();
        let made: Value = made.error_for_status().unwrap().json().await.unwrap();
        Self {
            http,
            proxies,
            listen: made["listen"].as_str().unwrap().to_owned(),
            _program: program,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.listen
    }

    /// Injects a network fault into one direction, `upstream` or `downstream`.
    pub(crate) async fn spoil(&self, kind: &str, stream: &str, attributes: Value) {
        let toxic = json!({
            "name": format!("{kind}-{stream}"), "type": kind, "stream": stream,
            "attributes": attributes,
        });
        let toxics = format!("{}/server/toxics", self.proxies);
        let made = self.http.post(toxics).json(&toxic).send().await.unwrap();
        made.error_for_status().unwrap();
    }

    pub(crate) async fn heal(&self, kind: &str, stream: &str) {
        let toxic = format!("{}/server/toxics/{kind}-{stream}", self.proxies);
        let removed = self.http.delete(toxic).send().await.unwrap();
        removed.error_for_status().unwrap();
    }
}
