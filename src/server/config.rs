//! The settings: every option of the command line, each readable from a `PADRON_…` variable or, with
//! `_FILE` added, from a file.
//!
//! Composed of what each tier declares for itself, parsed once by `main`, taken apart by `serve` and the commands. An
//! invalid value fails the startup with one sentence that names it. The doc comment of each field is its `--help`.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};

use clap::{Args, Command, builder::OsStr};
use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::Url;

use crate::{
    foundation::{
        origin::Origin,
        paste::{plain, shed},
        path::local_path,
    },
    photos::{PhotosUrl, S3},
    store::StoreUrl,
};

/// Minimum length of an admin token, against guessing by brute force.
pub const MIN_TOKEN_CHARS: usize = 32;

/// Settings of every command.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Address of the form, the reports and the chart: `HOST:PORT`
    #[arg(
        long,
        env = "PADRON_LISTEN",
        default_value = "127.0.0.1:4000",
        value_parser = address,
        global = true
    )]
    pub listen: SocketAddr,

    /// Address of /metrics; keep it from the public
    #[arg(
        long,
        env = "PADRON_OPS_LISTEN",
        default_value = "127.0.0.1:4001",
        value_parser = address,
        global = true
    )]
    pub ops_listen: SocketAddr,

    /// What people type to reach the form, for links in reports; with TLS the staff cookie is Secure [default: the address of LISTEN]
    #[arg(long, env = "PADRON_PUBLIC_URL", global = true)]
    pub public_url: Option<Origin>,

    /// Where records are kept: `sqlite:PATH` or `mongodb://USER:PASSWORD@HOST/DATABASE?replicaSet=NAME`
    #[arg(
        long,
        env = "PADRON_STORE",
        default_value = "sqlite:data/padron.db",
        hide_env_values = true,
        global = true
    )]
    pub store: StoreUrl,

    /// Where photos are kept: `file:FOLDER` or `s3://BUCKET` or `s3://BUCKET/PREFIX`
    #[arg(
        long,
        env = "PADRON_PHOTOS",
        default_value = "file:data/photos",
        global = true
    )]
    pub photos: PhotosUrl,

    /// The server of `s3://…` photos.
    #[command(flatten)]
    pub s3: S3,

    /// Key file that seals names and photos, the same for every replica; made on the first start with SQLite; keep a copy elsewhere
    #[arg(
        long,
        env = "PADRON_KEYS_FILE",
        default_value = "data/keys",
        value_parser = local_path,
        global = true
    )]
    pub keys_file: PathBuf,

    /// Token of the staff, at least 32 characters, the same for every replica [default: made on the first start with SQLite in data/admin-token]
    #[arg(long, env = "PADRON_ADMIN_TOKEN", value_parser = admin_token, hide_env_values = true, global = true)]
    pub admin_token: Option<SecretString>,

    /// Name of this replica, in X-Served-By and in reports [default: the host's name]
    #[arg(long, env = "PADRON_INSTANCE", value_parser = instance, global = true)]
    pub instance: Option<String>,

    /// Who keeps the data, named in the privacy notice and below every page of the form, for example `Secretaría de Salud de Bogotá`
    #[arg(long, env = "PADRON_OFFICE", value_parser = line, global = true)]
    pub office: Option<String>,

    /// How people reach it to ask, correct or withdraw: a telephone, an address or an e-mail
    #[arg(long, env = "PADRON_CONTACT", value_parser = line, global = true)]
    pub contact: Option<String>,

    /// Catalogue of cities as CSV: code,municipality,department,aliases [default: the 1,121 municipalities of Colombia]
    #[arg(long, env = "PADRON_CITIES", value_parser = local_path, global = true)]
    pub cities: Option<PathBuf>,

    /// Time zone of reports and charts
    #[arg(long, env = "PADRON_TIME_ZONE", default_value = "America/Bogota", value_parser = time_zone, global = true)]
    pub time_zone: TimeZone,

    /// Memory for uploads under way, in MiB (40 to 65536); beyond it they are told to try again
    #[arg(long, env = "PADRON_UPLOAD_MEMORY", default_value_t = 256, value_parser = upload_memory, global = true)]
    pub upload_memory: u32,

    /// Registrations a second that one address may send, in bursts of ten times as many (0 for any number)
    #[arg(long, env = "PADRON_POST_RATE", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=100_000), global = true)]
    pub post_rate: u32,

    /// Proxies whose X-Forwarded-For or X-Real-IP says who asked: addresses or networks, separated by commas
    #[arg(long, env = "PADRON_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network, global = true)]
    pub trusted_proxies: Vec<IpNet>,

    /// Seconds that a shutdown may take (1 to 3600)
    #[arg(long, env = "PADRON_DRAIN_SECONDS", default_value_t = 30, value_parser = drain_seconds, global = true)]
    pub drain_seconds: u64,

    /// What to log, for example info or padron=debug
    #[arg(long, env = "RUST_LOG", default_value = "info", global = true)]
    pub log: String,

    /// Loki that a server pushes its log lines to as well, for example `http://loki:3100`, or `http://victorialogs:9428/insert`: before `/loki/api/v1/push`; only where no agent collects them
    #[arg(long, env = "PADRON_LOKI_URL", value_parser = loki_url, hide_env_values = true, global = true)]
    pub loki_url: Option<Url>,
}

/// A socket address to listen on; a host name is resolved, and IPv4 is preferred.
fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let example = "use HOST:PORT, a socket address such as 127.0.0.1:4000, 0.0.0.0:4000 for every address, or [::1]:4000";
    let host_and_port = text.rsplit_once(':').filter(|(host, port)| {
        !host.is_empty()
            && !host.contains(['/', '*'])
            && port.bytes().all(|digit| digit.is_ascii_digit())
    });
    if host_and_port.is_none() {
        return Err(example.into());
    }
    let mut found: Vec<_> = text.to_socket_addrs().map_err(|_| example)?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(|| example.into())
}

fn upload_memory(text: &str) -> Result<u32, String> {
    let right = text
        .trim()
        .parse()
        .ok()
        .filter(|mebibytes| (40..=65536).contains(mebibytes));
    right.ok_or_else(|| "use a number of MiB in 40..=65536, without a unit".into())
}

fn drain_seconds(text: &str) -> Result<u64, String> {
    let right = text
        .trim()
        .parse()
        .ok()
        .filter(|seconds| (1..=3600).contains(seconds));
    right.ok_or_else(|| "use a number of seconds in 1..=3600, without a unit".into())
}

/// A base URL, to which `/loki/api/v1/push` is appended; it may have a path of its own.
fn loki_url(text: &str) -> Result<Url, String> {
    let right = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    let url = Url::parse(text.trim()).ok().filter(right);
    let mut url =
        url.ok_or("use http://HOST or https://HOST, with a port and a path where it needs them")?;
    let folder = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&folder);
    Ok(url)
}

pub(super) fn admin_token(text: &str) -> Result<SecretString, String> {
    // Normalised as `Access` normalises what is typed, so that the two compare equal.
    let text =
        plain(text).map_err(|_| "has signs that turn the order of reading around".to_owned())?;
    if text.chars().count() < MIN_TOKEN_CHARS {
        return Err(format!(
            "has fewer than {MIN_TOKEN_CHARS} characters; make one with: openssl rand -hex 32"
        ));
    }
    Ok(text.into())
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "not an address or a network; write 10.0.0.7 or 10.0.0.0/24".into())
}

fn instance(text: &str) -> Result<String, String> {
    let text = text.trim();
    let right = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    right
        .then(|| text.to_owned())
        .ok_or_else(|| "use 1 to 64 visible ASCII characters".into())
}

/// One line of text for a page.
fn line(text: &str) -> Result<String, String> {
    let text =
        shed(text).map_err(|_| "has signs that turn the order of reading around".to_owned())?;
    let right = (1..=200).contains(&text.chars().count()) && !text.contains(char::is_control);
    right
        .then_some(text)
        .ok_or_else(|| "use one line of 1 to 200 characters".into())
}

fn time_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text.trim())
        .map_err(|_| "no such time zone; use a name such as America/Bogota".into())
}

/// Secrets from files: each environment variable `NAME` that is unset is read from the file that `NAME_FILE` names. An
/// empty variable counts as unset, because Compose passes those that it has no value for as empty.
///
/// # Errors
/// When such a file cannot be read, or both variables are set.
pub fn with_files(mut command: Command) -> Result<Command, String> {
    let names: Vec<_> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        let read = command.find_subcommand(&name).cloned().map(with_files);
        if let Some(sub) = read.transpose()? {
            command = command.mut_subcommand(name, |_| sub);
        }
    }
    let arguments: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| {
            Some((
                argument.get_id().clone(),
                argument.get_env()?.to_str()?.to_owned(),
            ))
        })
        .collect();
    for (id, name) in arguments {
        let variable = format!("{name}_FILE");
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if set(&name).is_none() && std::env::var_os(&name).is_some() {
            command = command.mut_arg(id.clone(), |argument| argument.env(None));
        }
        let Some(path) = set(&variable) else {
            continue;
        };
        if set(&name).is_some() {
            return Err(format!("{name} and {variable} are both set; unset one"));
        }
        let content = std::fs::read_to_string(&path)
            .map_err(|error| format!("{variable}: {} cannot be read: {error}", path.display()))?;
        let content = OsStr::from(content.trim_end_matches(['\r', '\n']).to_owned());
        command = command.mut_arg(id, |argument| {
            argument
                .default_value(content)
                .hide_default_value(true)
                .required(false)
        });
    }
    Ok(command)
}

impl Config {
    /// Name of this replica.
    #[must_use]
    pub fn instance(&self) -> String {
        let host = || gethostname::gethostname().to_string_lossy().into_owned();
        self.instance.clone().unwrap_or_else(host)
    }

    /// What people type to reach the form.
    ///
    /// # Errors
    /// Never with an address that could be listened on.
    pub fn origin(&self) -> Result<Origin, String> {
        let listen = || format!("http://{}", self.listen).parse();
        self.public_url.clone().map_or_else(listen, Ok)
    }
}
