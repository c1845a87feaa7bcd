//! How each server of the stack is started on this machine, and its readiness probe.

use std::{
    env,
    net::{TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::program::Program;

/// The replicas, by the names that compose.yaml gives them.
pub(crate) const REPLICAS: [&str; 3] = ["padron-1", "padron-2", "padron-3"];

/// Where the S3 server keeps the bucket.
pub(crate) const S3_FOLDER: &str = "/run/s3";

/// Where the collector sends lines, as compose.yaml has it for `VictoriaLogs`.
const LOGS_URL: &str = "http://victorialogs:9428/insert/opentelemetry/v1/logs";

/// The folder of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `.ci/tools` has installed.
pub(crate) fn tool(name: &str) -> PathBuf {
    let cache = PathBuf::from(env::var_os("HOME").unwrap()).join(".cache/padron/tools");
    let places = [
        cache.join("bin").join(name),
        cache.join("python/bin").join(name),
    ];
    places
        .into_iter()
        .find(|place| place.exists())
        .unwrap_or_else(|| panic!("{name} is not installed; run .ci/tools"))
}

/// A secret, as every container sees it.
pub(crate) fn secret(name: &str) -> String {
    let text = std::fs::read_to_string(Path::new("/run/secrets").join(name)).unwrap();
    text.trim().to_owned()
}

fn accepts(address: &str) -> bool {
    let Some(address) = address.to_socket_addrs().unwrap().next() else {
        return false;
    };
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// A readiness probe: whether `path` of a plain HTTP server is answered by 200.
pub(crate) fn answers(address: &str, path: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let ask = || -> std::io::Result<bool> {
        let place = address.to_socket_addrs()?.next().expect("an address");
        let mut stream = TcpStream::connect_timeout(&place, Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// SecantusDB in the place of MongoDB, every acknowledged write durable.
pub(crate) fn mongodb(address: &'static str) -> Program {
    let (host, port) = address.split_once(':').unwrap();
    std::fs::create_dir_all("/run/mongodb").unwrap();
    let make = move || {
        let mut command = Command::new(tool("secantusd-py"));
        command.args([
            "--host",
            host,
            "--port",
            port,
            "--storage-path",
            "/run/mongodb",
            "--sync-on-commit",
        ]);
        command
    };
    Program::new("mongodb", make, move || accepts(address))
}

/// The Versity S3 Gateway over a folder.
pub(crate) fn s3(address: &'static str) -> Program {
    // A disk of its own, small enough to be filled.
    std::fs::create_dir_all(S3_FOLDER).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1g", "tmpfs", S3_FOLDER])
        .status();
    assert!(mounted.unwrap().success());
    std::fs::create_dir_all(Path::new(S3_FOLDER).join("photos")).unwrap();
    let make = move || {
        let mut command = Command::new(tool("versitygw"));
        command
            .env("ROOT_ACCESS_KEY", secret("s3_access_key"))
            .env("ROOT_SECRET_KEY", secret("s3_secret_key"))
            .args(["--port", address, "--health", "/health", "posix", S3_FOLDER]);
        command
    };
    Program::new("s3", make, move || answers(address, "/health"))
}

/// A replica.
pub(crate) fn replica(
    name: &'static str,
    more: &'static [(&'static str, &'static str)],
) -> Program {
    let make = move || {
        let mut command = replica_command(name);
        command.envs(more.iter().copied());
        command
    };
    Program::new(name, make, move || {
        answers(&format!("{name}:4000"), "/readyz")
    })
}

/// The program with the settings of compose.yaml; only the record store's URL is the native one.
pub(crate) fn replica_command(name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_padron"));
    command
        .env("PADRON_LISTEN", address_of(name, 4000))
        .env("PADRON_OPS_LISTEN", address_of(name, 4001))
        .env("PADRON_PUBLIC_URL", "https://nginx:8443")
        .env("PADRON_INSTANCE", name)
        .env("PADRON_TRUSTED_PROXIES", "127.0.0.0/8")
        .env("PADRON_STORE_FILE", "/run/secrets/padron_store")
        .env("PADRON_PHOTOS", "s3://photos")
        .env("PADRON_S3_ENDPOINT", "http://s3:7070")
        .env("PADRON_S3_ACCESS_KEY_FILE", "/run/secrets/s3_access_key")
        .env("PADRON_S3_SECRET_KEY_FILE", "/run/secrets/s3_secret_key")
        .env("PADRON_KEYS_FILE", "/run/secrets/padron_keys")
        .env("PADRON_ADMIN_TOKEN_FILE", "/run/secrets/padron_admin_token")
        .current_dir("/run");
    command
}

fn address_of(name: &str, port: u16) -> String {
    let mut addresses = (name, port).to_socket_addrs().unwrap();
    addresses.next().unwrap().to_string()
}

/// nginx with the configuration of compose.yaml.
pub(crate) fn nginx() -> Program {
    std::fs::create_dir_all("/run/nginx").unwrap();
    let make = || {
        let mut command = Command::new("nginx");
        command
            .args(["-p", "/run/nginx", "-g", "daemon off;", "-c"])
            .arg(root().join("nginx/nginx.conf"));
        command
    };
    Program::new("nginx", make, || accepts("nginx:8443"))
}

/// Toxiproxy, which injects network faults between the replicas and their tiers where a test asks for it.
pub(crate) fn toxiproxy() -> Program {
    let make = || {
        let mut command = Command::new(tool("toxiproxy"));
        command.args(["-host", "127.0.0.1", "-port", "8474"]);
        command
    };
    Program::new("toxiproxy", make, || answers("127.0.0.1:8474", "/version"))
}

/// Prometheus with its rules.
pub(crate) fn prometheus() -> Program {
    let make = || {
        let mut command = Command::new("prometheus");
        command
            .arg(option("--config.file=", "prometheus/prometheus.yml"))
            .args([
                "--storage.tsdb.path=/run/prometheus",
                "--web.listen-address=127.77.0.31:9090",
            ]);
        command
    };
    Program::new("prometheus", make, || {
        answers("prometheus:9090", "/-/ready")
    })
}

/// Alertmanager, alone.
pub(crate) fn alertmanager() -> Program {
    let make = || {
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(option("--config.file=", "alertmanager/alertmanager.yml"))
            .args([
                "--storage.path=/run/alertmanager",
                "--web.listen-address=127.77.0.32:9093",
                "--cluster.listen-address=",
            ]);
        command
    };
    Program::new("alertmanager", make, || {
        answers("alertmanager:9093", "/-/ready")
    })
}

/// The external probe (black box) through the front door.
pub(crate) fn blackbox_exporter() -> Program {
    let make = || {
        let mut command = Command::new("prometheus-blackbox-exporter");
        command
            .arg(option("--config.file=", "prometheus/blackbox.yml"))
            .arg("--web.listen-address=127.77.0.33:9115");
        command
    };
    Program::new("blackbox-exporter", make, || {
        answers("blackbox-exporter:9115", "/-/healthy")
    })
}

/// The metrics of this machine.
pub(crate) fn node_exporter() -> Program {
    let make = || {
        let mut command = Command::new("prometheus-node-exporter");
        command.arg("--web.listen-address=127.77.0.34:9100");
        command
    };
    Program::new("node-exporter", make, || answers("node-exporter:9100", "/"))
}

/// A mail server that keeps what it gets in the Maildir `/run/mail`.
pub(crate) fn mail() -> Program {
    let make = || {
        let mut command = Command::new(tool("aiosmtpd"));
        command.args([
            "-n",
            "-l",
            "127.77.0.38:1025",
            "-c",
            "aiosmtpd.handlers.Mailbox",
            "/run/mail",
        ]);
        command
    };
    Program::new("mail", make, || accepts("mail:1025"))
}

/// `VictoriaLogs` with the flags of compose.yaml.
pub(crate) fn victorialogs() -> Program {
    let make = || {
        let mut command = Command::new(tool("victoria-logs"));
        command.args([
            "-storageDataPath=/run/victorialogs",
            "-httpListenAddr=127.77.0.35:9428",
            "-inmemoryDataFlushInterval=1s",
            "-retentionPeriod=30d",
            "-loggerFormat=json",
            "-loggerLevel=WARN",
        ]);
        command
    };
    Program::new("victorialogs", make, || {
        answers("victorialogs:9428", "/health")
    })
}

/// The agent: the OpenTelemetry Collector with the configuration of compose.yaml.
pub(crate) fn collector() -> Program {
    let make = || {
        let mut command = Command::new(tool("otelcol"));
        command
            .arg(option("--config=", "collector/collector.yaml"))
            .arg("--feature-gates=stanza.synchronousLogEmitter")
            .env("LOGS_URL", LOGS_URL)
            .env("COLLECTOR_FOLDER", "/run/collector")
            .env("COLLECTOR_ADDRESS", "127.77.0.36");
        command
    };
    Program::new("collector", make, || answers("collector:8888", "/metrics"))
}

fn option(name: &str, path: &str) -> String {
    format!("{name}{}", root().join(path).display())
}
