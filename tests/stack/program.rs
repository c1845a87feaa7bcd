//! One program of the stack: started, signalled, waited for, its output kept as Docker keeps it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

pub(crate) use testkit::Signal;
use testkit::{Process, until_blocking};

/// Lines that are shown of a program when a test fails.
const SHOWN: usize = 25;

/// A program under the name of its service.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    make: Box<dyn Fn() -> Command + Send + Sync>,
    ready: Box<dyn Fn() -> bool + Send + Sync>,
    process: Option<Process>,
    log: Log,
}

impl Program {
    /// `ready` is its readiness probe.
    pub(crate) fn new(
        name: &'static str,
        make: impl Fn() -> Command + Send + Sync + 'static,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            make: Box::new(make),
            ready: Box::new(ready),
            process: None,
            log: Log::new(name),
        }
    }

    /// Starts it, without waiting until it is ready.
    pub(crate) fn start(&mut self) {
        let mut command = (self.make)();
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start_in_group(command);
        let child = &mut process.child;
        self.log.keep("stdout", child.stdout.take().unwrap());
        self.log.keep("stderr", child.stderr.take().unwrap());
        self.process = Some(process);
    }

    /// Waits until its readiness probe succeeds.
    pub(crate) fn wait_until_ready(&mut self) {
        let Self { ready, process, .. } = self;
        until_blocking(self.name, || {
            let ended = process.as_mut().and_then(Process::ended);
            assert!(ended.is_none(), "{} ended while starting", self.name);
            ready().then_some(())
        });
    }

    /// Sends a signal: `SIGTERM` to the program alone, any other to its children as well, as if its container were
    /// killed or paused.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("it runs").signal(signal);
    }

    /// Waits for its end.
    pub(crate) fn wait_for_end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.wait();
        }
    }

    /// Signals it and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) {
        self.signal(signal);
        self.wait_for_end();
    }

    /// Whether it was started and has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| process.ended().is_none())
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
        if thread::panicking() {
            eprintln!("{}", self.last_lines());
        }
    }
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
