//! A server and a proxy of one test's own, killed at its end.
//!
//! The server is SecantusDB: it speaks MongoDB's protocol and stands in for it where a test must kill
//! the server. Elections and what a majority lacks cannot be had from it.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

struct Program(Child);

impl Program {
    /// Starts it, and waits until something listens on `port`.
    fn start(name: &str, arguments: &[&str], port: u16) -> Self {
        let child = Command::new(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let program = Self(child.unwrap_or_else(|error| panic!("{name} must be in PATH: {error}")));
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A folder and a port for a server, which may be started and killed any number of times.
pub(super) struct Server {
    port: u16,
    folder: TempDir,
    running: Option<Program>,
}

impl Server {
    pub(super) fn stopped() -> Self {
        Self {
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            running: None,
        }
    }

    pub(super) fn started() -> Self {
        let mut server = Self::stopped();
        server.start();
        server
    }

    pub(super) fn start(&mut self) {
        let folder = self.folder.path().to_str().unwrap();
        let port = self.port.to_string();
        let arguments = [
            "--port",
            &port,
            "--storage-path",
            folder,
            "--sync-on-commit",
        ];
        self.running = Some(Program::start("secantusd-py", &arguments, self.port));
    }

    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    pub(super) fn url(&self) -> String {
        url(&format!("127.0.0.1:{}", self.port))
    }
}

/// Without looking for the other members of a replica set, which a proxy would not be among.
fn url(address: &str) -> String {
    format!("mongodb://{address}/padron?directConnection=true")
}

/// Toxiproxy in front of a server.
pub(super) struct Proxy {
    http: reqwest::Client,
    proxies: String,
    listen: String,
    _program: Program,
}

impl Proxy {
    pub(super) async fn of(server: &Server) -> Self {
        let port = free_port();
        let program = Program::start("toxiproxy", &["-port", &port.to_string()], port);
        // Another test may have chosen it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        let proxies = format!("http://localhost:{port}/proxies");
        let proxy = json!({
            "name": "mongodb",
            "listen": "127.0.0.1:0",
            "upstream": format!("127.0.0.1:{}", server.port),
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

    pub(super) fn url(&self) -> String {
        url(&self.listen)
    }

    /// Spoils what flows in one direction, `upstream` or `downstream`.
    pub(super) async fn spoil(&self, kind: &str, stream: &str, attributes: Value) {
        let toxic = json!({
            "name": format!("{kind}-{stream}"), "type": kind, "stream": stream,
            "attributes": attributes,
        });
        let toxics = format!("{}/mongodb/toxics", self.proxies);
        let made = self.http.post(toxics).json(&toxic).send().await.unwrap();
        made.error_for_status().unwrap();
    }

    pub(super) async fn heal(&self, kind: &str, stream: &str) {
        let toxic = format!("{}/mongodb/toxics/{kind}-{stream}", self.proxies);
        let removed = self.http.delete(toxic).send().await.unwrap();
        removed.error_for_status().unwrap();
    }
}
