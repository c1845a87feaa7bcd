//! The program in a folder of its own: started on free ports, asked, signalled, always ended.

use std::{
    cell::Cell,
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, StatusCode};
use tempfile::TempDir;

/// How long anything may take before a test gives up; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(5);

/// Ports are free when they are chosen, and may be taken before they are bound.
const PORT_DRAWS: usize = 5;

/// A folder with nothing in it, in which the program runs; its settings are the defaults.
pub(crate) struct Home {
    folder: TempDir,
    starts: Cell<usize>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            starts: Cell::new(0),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with none of the caller's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_padron"));
        for (name, _) in std::env::vars_os() {
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
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) async fn start(&self) -> Server {
        self.start_with(&[]).await
    }

    /// Starts a server with these variables set and waits until it is ready.
    pub(crate) async fn start_with(&self, variables: &[(&str, &str)]) -> Server {
        for _ in 0..PORT_DRAWS {
            let mut server = self.spawn(variables);
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

    /// Starts a server of which a tier is away, and waits until it serves all the same.
    pub(crate) async fn start_without_tiers(&self, variables: &[(&str, &str)]) -> Server {
        let mut server = self.spawn(variables);
        let live = server.get("/livez");
        until("a live server", async || {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", server.stderr());
            let answer = live.try_clone().unwrap().send().await;
            answer
                .is_ok_and(|answer| answer.status() == StatusCode::OK)
                .then_some(())
        })
        .await;
        server
    }

    pub(crate) fn spawn(&self, variables: &[(&str, &str)]) -> Server {
        let [listen, ops_listen] = free_addresses();
        let start = self.starts.get();
        self.starts.set(start + 1);
        // Files, because a pipe that nobody reads would stop the program.
        let [stdout, stderr] =
            ["stdout", "stderr"].map(|stream| self.path(&format!("{stream}-{start}")));
        let child = self
            .command(&["--listen", &listen, "--ops-listen", &ops_listen])
            .envs(variables.iter().copied())
            .stdout(fs::File::create(&stdout).unwrap())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Server {
            child,
            listen,
            ops_listen,
            stdout,
            stderr,
            admin_token: self.path("data/admin-token"),
            client: client(),
        }
    }
}

/// A running server; dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) listen: String,
    pub(crate) ops_listen: String,
    stdout: PathBuf,
    stderr: PathBuf,
    admin_token: PathBuf,
    pub(crate) client: Client,
}

impl Server {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// A request of the public's.
    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    /// What the second listener tells Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.ops_listen);
        let answer = self.client.get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// A request of the staff's.
    pub(crate) fn get_as_staff(&self, path: &str) -> RequestBuilder {
        self.get(path).bearer_auth(self.admin_token())
    }

    /// The whole body of a successful answer to staff.
    pub(crate) async fn fetch(&self, path: &str) -> Vec<u8> {
        let answer = self.get_as_staff(path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.bytes().await.unwrap().to_vec()
    }

    pub(crate) fn admin_token(&self) -> String {
        let token = fs::read_to_string(&self.admin_token).unwrap();
        token.trim().to_owned()
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// `SIGKILL`: the process gets no say.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    /// `SIGTERM`: the process may finish what it has begun.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// The standard library kills through `&mut` only and knows no other signal; every shell does.
    fn signal(&self, signal: &str) {
        let sent = Command::new("sh")
            .args([
                "-c",
                "kill \"$@\"",
                "sh",
                signal,
                &self.child.id().to_string(),
            ])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Ends as an operator ends it.
    pub(crate) async fn stop(mut self) {
        self.terminate();
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.stderr());
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the end of the process", async || child.try_wait().unwrap()).await
    }

    /// `false` when the process ends instead.
    async fn becomes_ready(&mut self) -> bool {
        let ready = self.get("/readyz");
        let child = &mut self.child;
        until("a ready server", async || {
            if child.try_wait().unwrap().is_some() {
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

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A client; it takes the process's TLS, which nothing else may have chosen yet.
pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

/// Two addresses on which nobody listens.
pub(crate) fn free_addresses() -> [String; 2] {
    // Both are held until both are chosen, so that they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}
