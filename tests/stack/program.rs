//! One program of the stack: started, signalled, waited for, its output kept as Docker keeps it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to come up or to go; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lines that are shown of a program when a test fails.
const SHOWN: usize = 25;

/// A signal, by the name that `kill` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Kill,
    Term,
    Stop,
    Cont,
}

/// A program under the name of its service.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    make: Box<dyn Fn() -> Command + Send + Sync>,
    ready: Box<dyn Fn() -> bool + Send + Sync>,
    child: Option<Child>,
    log: Log,
}

impl Program {
    /// `ready` tells whether it does its work.
    pub(crate) fn new(
        name: &'static str,
        make: impl Fn() -> Command + Send + Sync + 'static,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            make: Box::new(make),
            ready: Box::new(ready),
            child: None,
            log: Log::new(name),
        }
    }

    /// Starts it, and does not wait.
    pub(crate) fn start(&mut self) {
        let mut command = (self.make)();
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {command:?}: {error}", self.name));
        self.log.keep("stdout", child.stdout.take().unwrap());
        self.log.keep("stderr", child.stderr.take().unwrap());
        self.child = Some(child);
    }

    /// Waits until it does its work.
    pub(crate) fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        while !(self.ready)() {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().unwrap()
            {
                panic!(
                    "{} ended while starting: {status}\n{}",
                    self.name,
                    self.last_lines()
                );
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{} did not come up\n{}",
                self.name,
                self.last_lines()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a signal: a polite one to the program alone, any other to its children as well, as if its
    /// container were killed or paused.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        assert!(send(child.id(), signal), "{} has ended already", self.name);
    }

    /// Waits for its end.
    pub(crate) fn wait_for_end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Signals it and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) {
        self.signal(signal);
        self.wait_for_end();
    }

    /// Whether it was started and has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// What it said last.
    pub(crate) fn last_lines(&self) -> String {
        let lines = self.log.recent.lock().unwrap();
        let skipped = lines.len().saturating_sub(SHOWN);
        let shown: Vec<_> = lines[skipped..]
            .iter()
            .map(|line| format!("{} | {line}", self.name))
            .collect();
        shown.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may be stopped or gone; killing works on both.
            send(child.id(), Signal::Kill);
            let _ = child.wait();
        }
        if thread::panicking() {
            eprintln!("{}", self.last_lines());
        }
    }
}

/// The standard library knows only one signal, and no groups.
fn send(program: u32, signal: Signal) -> bool {
    let group = if signal == Signal::Term { "" } else { "-" };
    let flag = format!("-{}", format!("{signal:?}").to_uppercase());
    let sent = Command::new("kill")
        .args([&flag, "--", &format!("{group}{program}")])
        .stderr(Stdio::null())
        .status();
    sent.unwrap().success()
}

/// The output of a program, in the file and the form of Docker's `json-file` driver.
struct Log {
    name: &'static str,
    file: Arc<Mutex<File>>,
    recent: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn new(name: &'static str) -> Self {
        let folder = PathBuf::from("/var/log/containers").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let file = File::options()
            .create(true)
            .append(true)
            .open(folder.join(format!("{name}-json.log")))
            .unwrap();
        Self {
            name,
            file: Arc::new(Mutex::new(file)),
            recent: Arc::default(),
        }
    }

    fn keep(&self, stream: &'static str, output: impl Read + Send + 'static) {
        let (name, file, recent) = (self.name, self.file.clone(), self.recent.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let Ok(line) = line else { return };
                let line = String::from_utf8_lossy(&line).into_owned();
                let entry = serde_json::json!({
                    "log": format!("{line}\n"),
                    "stream": stream,
                    "attrs": { "tag": name },
                    "time": padron::foundation::clock::now().to_string(),
                });
                // In one piece: an agent takes half a line for a whole one. A test that has ended takes its
                // folder with it.
                let entry = format!("{entry}\n");
                let _ = file.lock().unwrap().write_all(entry.as_bytes());
                recent.lock().unwrap().push(line);
            }
        });
    }
}
