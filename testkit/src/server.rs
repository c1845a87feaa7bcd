//! The program in a folder of its own: started on free ports, sent requests and signals, always ended.

use std::{
    cell::Cell,
    env, fs,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, ExitStatus, Output, Stdio},
};

use reqwest::{Client, RequestBuilder, StatusCode};
use tempfile::TempDir;

use crate::{
    clients::{client, free_addresses},
    form::Form,
    people::Human,
    process::{Process, Signal},
    waiting::until,
};

/// Starts that are tried: a port is free when it is chosen, and may be taken before it is bound.
const PORT_DRAWS: usize = 5;

/// A folder with nothing in it, in which the program runs; its settings are the defaults.
pub struct Home {
    folder: TempDir,
    starts: Cell<usize>,
    /// File-descriptor limit of the next start.
    files: Cell<Option<u32>>,
}

impl Default for Home {
    fn default() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            starts: Cell::new(0),
            files: Cell::new(None),
        }
    }
}

impl Home {
    /// A new one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where `name` is or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with none of the caller's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.files.get() {
            Some(files) => {
                let mut command = Command::new("sh");
                let bound = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
                command.args(["-c", &bound]).arg(program());
                command
            }
            None => Command::new(program()),
        };
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("PADRON_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("RUST_LOG")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts a server and waits until it is ready.
    pub async fn start(&self) -> Server {
        self.start_with(&[]).await
    }

    /// Starts a server with these variables set and waits until it is ready.
    pub async fn start_with(&self, variables: &[(&str, &str)]) -> Server {
        self.start_as(|| self.spawn(variables)).await
    }

    /// Starts a server with such a standard output and waits until it is ready.
    pub async fn start_onto(&self, stdout: fn() -> Stdio) -> Server {
        self.start_as(|| self.spawn_onto(&[], |_| stdout())).await
    }

    async fn start_as(&self, spawn: impl Fn() -> Server) -> Server {
        for _ in 0..PORT_DRAWS {
            let mut server = spawn();
            if server.becomes_ready().await {
                return server;
            }
            let said = server.stderr();
            assert!(
                said.contains("cannot listen"),
                "it ended while starting: {said}"
            );
        }
        panic!("no free ports in {PORT_DRAWS} draws");
    }

    /// The same under a file-descriptor limit.
    pub async fn start_under(&self, files: u32, variables: &[(&str, &str)]) -> Server {
        self.files.set(Some(files));
        let server = self.start_with(variables).await;
        self.files.set(None);
        server
    }

    /// Starts a server of which a tier is unavailable, and waits until it is live.
    pub async fn start_without_tiers(&self, variables: &[(&str, &str)]) -> Server {
        let mut server = self.spawn(variables);
        let live = server.get("/livez");
        until("a live server", async || {
            let ended = server.process.ended();
            assert!(ended.is_none(), "{}", server.stderr());
            let answer = live.try_clone().unwrap().send().await;
            answer
                .is_ok_and(|answer| answer.status() == StatusCode::OK)
                .then_some(())
        })
        .await;
        server
    }

    /// Starts a server with these variables set, without waiting until it is ready.
    pub fn spawn(&self, variables: &[(&str, &str)]) -> Server {
        // A file never exerts backpressure, as a pipe that nobody reads would.
        self.spawn_onto(variables, |path| fs::File::create(path).unwrap().into())
    }

    fn spawn_onto(&self, variables: &[(&str, &str)], onto: impl Fn(&Path) -> Stdio) -> Server {
        let [listen, ops_listen] = free_addresses().map(|address| address.to_string());
        let start = self.starts.get();
        self.starts.set(start + 1);
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|stream| self.path(&format!("{stream}-{start}")));
        let process = Process::start(
            self.command(&["--listen", &listen, "--ops-listen", &ops_listen])
                // No rate limit: a whole town is at one address here.
                .env("PADRON_POST_RATE", "0")
                .envs(variables.iter().copied())
                .stdout(onto(&stdout))
                .stderr(fs::File::create(&stderr).unwrap()),
        );
        Server {
            process,
            listen,
            ops_listen,
            stdout,
            stderr,
            admin_token: self.path("data/admin-token"),
            client: client(),
        }
    }
}

/// A server of [`Home`]; killed when dropped.
pub struct Server {
    process: Process,
    /// The address of the public listener.
    pub listen: String,
    /// The address of the ops listener, which Prometheus scrapes.
    pub ops_listen: String,
    stdout: PathBuf,
    stderr: PathBuf,
    admin_token: PathBuf,
    /// An HTTP client for it.
    pub client: Client,
}

impl Server {
    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// A request of the public's.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    /// A person's request to be registered.
    pub fn post(&self, human: &Human) -> RequestBuilder {
        human.post(&self.client, &self.url(""))
    }

    /// The same of a form.
    pub fn post_form(&self, form: &Form) -> RequestBuilder {
        let request = self.client.post(self.url("/registrations"));
        let request = request.header("Content-Type", Form::CONTENT_TYPE);
        request.body(form.body())
    }

    /// A scrape of the ops listener.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.ops_listen);
        let answer = self.client.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// A request of the staff's.
    pub fn get_as_staff(&self, path: &str) -> RequestBuilder {
        self.get(path).bearer_auth(self.admin_token())
    }

    /// The whole body of a successful answer to staff.
    pub async fn fetch(&self, path: &str) -> Vec<u8> {
        let answer = self.get_as_staff(path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.bytes().await.unwrap().to_vec()
    }

    /// The admin's bearer token.
    pub fn admin_token(&self) -> String {
        let token = fs::read_to_string(&self.admin_token).unwrap();
        token.trim().to_owned()
    }

    /// The reading end of its standard output, where that is a pipe.
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.process.child.stdout.take().unwrap()
    }

    /// All that it said so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// All that it complained about so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Its peak resident memory, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }

    /// `SIGKILL`: no shutdown at all.
    pub fn kill(&self) {
        self.process.signal(Signal::Kill);
    }

    /// `SIGTERM`: begins a graceful shutdown.
    pub fn terminate(&self) {
        self.process.signal(Signal::Term);
    }

    /// A graceful shutdown, as an operator does it.
    pub async fn stop(mut self) {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
    }

    /// Waits for the process to end.
    pub async fn ended(&mut self) -> ExitStatus {
        until("the end of the process", async || self.process.ended()).await
    }

    /// `false` when the process ends instead.
    async fn becomes_ready(&mut self) -> bool {
        let ready = self.get("/readyz");
        until("a ready server", async || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            let answer = ready.try_clone().unwrap().send().await;
            answer
                .is_ok_and(|answer| answer.status() == StatusCode::OK)
                .then_some(true)
        })
        .await
    }
}

/// The program under test; cargo tells each test binary where it is.
fn program() -> std::ffi::OsString {
    env::var_os("CARGO_BIN_EXE_padron").expect("run by cargo test")
}
