//! Child processes: started, signalled, waited for, killed when dropped.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::waiting::until_blocking;

/// A signal, by the name that `kill` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGKILL`: no shutdown at all.
    Kill,
    /// `SIGTERM`: graceful shutdown.
    Term,
    /// `SIGSTOP`: it freezes, and its connections stay open.
    Stop,
    /// `SIGCONT`: it resumes.
    Cont,
}

/// A child process; killed when dropped.
pub struct Process {
    name: String,
    /// The process itself, for its output.
    pub child: Child,
    in_group: bool,
}

impl Process {
    /// Starts `command`, which has nothing to read.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().display().to_string();
        let child = command.stdin(Stdio::null()).spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{name}: {error}")),
            name,
            in_group: false,
        }
    }

    /// Starts `command` in a process group of its own: any signal but `SIGTERM` goes to its children as well, as if
    /// its container were killed or paused.
    pub fn start_in_group(command: &mut Command) -> Self {
        let mut process = Self::start(command.process_group(0));
        process.in_group = true;
        process
    }

    /// Sends a signal; the process must not have ended.
    pub fn signal(&self, signal: Signal) {
        assert!(self.send(signal), "{} has ended already", self.name);
    }

    /// The standard library kills through `&mut` only and knows no other signal, and no process groups.
    fn send(&self, signal: Signal) -> bool {
        let group = if self.in_group && signal != Signal::Term {
            "-"
        } else {
            ""
        };
        let sent = Command::new("sh")
            .args(["-c", "kill \"$@\"", "sh"])
            .arg(format!("-{}", format!("{signal:?}").to_uppercase()))
            .arg(format!("{group}{}", self.child.id()))
            .stderr(Stdio::null())
            .status();
        sent.unwrap().success()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until_blocking(&what, || self.ended())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before its children did.
        if self.in_group {
            self.send(Signal::Kill);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
