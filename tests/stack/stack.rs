//! The set of programs that serve people: started in the order of compose.yaml, stopped with the test.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    program::Program,
    servers::{REPLICAS, S3_FOLDER, mongodb, nginx, replica, root, s3, toxiproxy},
};

/// Where the tiers listen when Toxiproxy, which injects network faults, has their names.
const MONGODB_BEHIND: &str = "127.77.0.121:27017";
const S3_BEHIND: &str = "127.77.0.122:7070";

/// SecantusDB knows no users here, and its set has one member, which is connected to directly so that a proxy is not
/// bypassed. A write that the driver may retry takes it ten times as long; padron makes the necessary retries itself.
const STORE: &str = "mongodb://mongodb:27017/padron?directConnection=true&retryWrites=false";

/// Whether the replicas reach their tiers through Toxiproxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tiers {
    Direct,
    BehindToxiproxy,
}

pub(crate) struct Stack {
    // Dropped in this order: who asks goes before whom it asks.
    pub(crate) nginx: Program,
    pub(crate) replicas: [Program; 3],
    pub(crate) toxiproxy: Option<Program>,
    pub(crate) mongodb: Program,
    pub(crate) s3: Program,
    /// The log server and the agent, where a test wants them to be struck.
    pub(crate) logs: Vec<Program>,
}

impl Stack {
    /// Starts everything on empty tiers and waits until it serves.
    pub(crate) fn start(tiers: Tiers) -> Self {
        Self::start_with(tiers, &[])
    }

    /// As [`Stack::start`], with more settings for the replicas.
    pub(crate) fn start_with(tiers: Tiers, more: &'static [(&'static str, &'static str)]) -> Self {
        clean();
        make_secrets();
        let (mongodb_at, s3_at) = match tiers {
            Tiers::Direct => ("mongodb:27017", "s3:7070"),
            Tiers::BehindToxiproxy => (MONGODB_BEHIND, S3_BEHIND),
        };
        let mut stack = Self {
            nginx: nginx(),
            replicas: REPLICAS.map(|name| replica(name, more)),
            toxiproxy: (tiers == Tiers::BehindToxiproxy).then(toxiproxy),
            mongodb: mongodb(mongodb_at),
            s3: s3(s3_at),
            logs: Vec::new(),
        };
        stack.mongodb.start();
        stack.s3.start();
        stack.mongodb.wait_until_ready();
        stack.s3.wait_until_ready();
        if let Some(toxiproxy) = &mut stack.toxiproxy {
            toxiproxy.start();
            toxiproxy.wait_until_ready();
            proxy("mongodb", "127.77.0.21:27017", MONGODB_BEHIND);
            proxy("s3", "127.77.0.22:7070", S3_BEHIND);
        }
        for replica in &mut stack.replicas {
            replica.start();
        }
        for replica in &mut stack.replicas {
            replica.wait_until_ready();
        }
        stack.nginx.start();
        stack.nginx.wait_until_ready();
        stack
    }
}

impl Stack {
    /// Waits until everything serves again.
    pub(crate) fn wait_until_ready(&mut self) {
        self.mongodb.wait_until_ready();
        self.s3.wait_until_ready();
        for replica in &mut self.replicas {
            replica.wait_until_ready();
        }
        self.nginx.wait_until_ready();
        for program in &mut self.logs {
            program.wait_until_ready();
        }
    }
}

/// What an earlier test left.
fn clean() {
    assert!(
        std::env::var_os("PADRON_STACK").is_some(),
        "run this inside .ci/in-stack, where the names of the servers are addresses"
    );
    // Not mounted at the first start.
    let _ = Command::new("umount")
        .args(["--lazy", S3_FOLDER])
        .stderr(Stdio::null())
        .status();
    for folder in ["/run/mongodb", S3_FOLDER, "/var/log/containers"] {
        if Path::new(folder).exists() {
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

fn make_secrets() {
    let made = Command::new(root().join("deploy/secrets"))
        .arg("/run/secrets")
        .env("PADRON", env!("CARGO_BIN_EXE_padron"))
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    std::fs::write("/run/secrets/padron_store", STORE).unwrap();
}

fn proxy(name: &str, listen: &str, upstream: &str) {
    let body = serde_json::json!({ "name": name, "listen": listen, "upstream": upstream, "enabled": true });
    toxiproxy_api("POST", "/proxies", &body.to_string());
}

/// One request to Toxiproxy.
pub(crate) fn toxiproxy_api(method: &str, path: &str, body: &str) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect("127.0.0.1:8474").unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 20"),
        "{method} {path}: {answer}"
    );
}
