//! The faults that are injected into the stack, and how each ends.

use std::{
    fmt, fs,
    io::{self, Write as _},
    ops::Range,
    path::Path,
};

use crate::{
    program::{Program, Signal},
    servers::S3_FOLDER,
    stack::{Stack, toxiproxy_api},
};

/// The target of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Replica(usize),
    Mongodb,
    S3,
    Nginx,
    LogServer,
    Collector,
}

/// A network fault between the replicas and a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    /// The connection is closed within an answer.
    CutAnswers,
    /// The connection is closed within a request: a photo that is not small goes over in part.
    CutRequests,
    Delayed,
    Throttled,
    Refused,
    /// Half-open: the connection stands, and nothing comes any more.
    HalfOpen,
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Signal(Who, Signal),
    Wire(Who, Wire),
    FullDisk,
}

impl Fault {
    /// One of each kind.
    pub(super) fn every() -> Vec<Self> {
        let mut every = vec![
            Self::FullDisk,
            Self::Signal(Who::Nginx, Signal::Term),
            Self::Signal(Who::Nginx, Signal::Kill),
        ];
        for who in [
            Who::Replica(0),
            Who::Replica(1),
            Who::Replica(2),
            Who::Mongodb,
            Who::S3,
            Who::LogServer,
            Who::Collector,
        ] {
            for signal in [Signal::Kill, Signal::Term, Signal::Stop] {
                every.push(Self::Signal(who, signal));
            }
        }
        for who in [Who::Mongodb, Who::S3] {
            for wire in [
                Wire::CutAnswers,
                Wire::CutRequests,
                Wire::Delayed,
                Wire::Throttled,
                Wire::Refused,
                Wire::HalfOpen,
                Wire::Reset,
            ] {
                every.push(Self::Wire(who, wire));
            }
        }
        every
    }

    /// Nobody who registers may notice.
    pub(super) fn is_of_logs(self) -> bool {
        matches!(self, Self::Signal(Who::LogServer | Who::Collector, _))
    }

    /// The log server is killed, and what it had not written yet is lost with it.
    pub(super) fn kills_log_server(self) -> bool {
        self == Self::Signal(Who::LogServer, Signal::Kill)
    }

    /// A program freezes or a connection stalls, and others run into their timeouts.
    pub(super) fn is_silence(self) -> bool {
        matches!(
            self,
            Self::Signal(_, Signal::Stop) | Self::Wire(_, Wire::HalfOpen)
        )
    }

    /// For how many milliseconds. A silence lasts longer than the timeouts of others: callers of the record store wait
    /// 8 s, nginx 10 s for what takes no upload.
    pub(super) fn lasts(self) -> Range<u64> {
        if self.is_silence() {
            9_000..16_000
        } else {
            500..3_000
        }
    }

    pub(super) fn strike(self, stack: &mut Stack) {
        match self {
            Self::Signal(who, signal) => who.program(stack).signal(signal),
            Self::Wire(who, wire) => wire.strike(who.proxy()),
            Self::FullDisk => fill_the_disk(),
        }
    }

    pub(super) fn heal(self, stack: &mut Stack) {
        match self {
            Self::Signal(who, Signal::Stop) => who.program(stack).signal(Signal::Cont),
            Self::Signal(who, _) => {
                let program = who.program(stack);
                program.wait_for_end();
                program.start();
            }
            Self::Wire(who, wire) => wire.heal(who.proxy()),
            Self::FullDisk => fs::remove_file(filling()).unwrap(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(who, signal) => write!(f, "{who}: {}", happens(*signal)),
            Self::Wire(who, wire) => write!(f, "connections to {who}: {wire}"),
            Self::FullDisk => f.write_str("the photos' disk is full"),
        }
    }
}

fn happens(signal: Signal) -> &'static str {
    match signal {
        Signal::Kill => "killed (SIGKILL)",
        Signal::Stop => "frozen (SIGSTOP)",
        Signal::Term => "told to end (SIGTERM)",
        Signal::Cont => "goes on (SIGCONT)",
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CutAnswers => "cut within an answer",
            Self::CutRequests => "cut within a request",
            Self::Delayed => "delayed",
            Self::Throttled => "throttled",
            Self::Refused => "refused",
            Self::HalfOpen => "open, and nothing comes any more",
            Self::Reset => "reset",
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replica(_) => "a replica",
            Self::Mongodb => "record server",
            Self::S3 => "photo server",
            Self::Nginx => "nginx",
            Self::LogServer => "log server",
            Self::Collector => "log agent",
        })
    }
}

impl Who {
    fn program(self, stack: &mut Stack) -> &mut Program {
        match self {
            Self::Replica(number) => &mut stack.replicas[number],
            Self::Mongodb => &mut stack.mongodb,
            Self::S3 => &mut stack.s3,
            Self::Nginx => &mut stack.nginx,
            Self::LogServer => &mut stack.logs[0],
            Self::Collector => &mut stack.logs[1],
        }
    }

    fn proxy(self) -> &'static str {
        match self {
            Self::Mongodb => "mongodb",
            Self::S3 => "s3",
            other => unreachable!("nothing stands before {other}"),
        }
    }
}

impl Wire {
    fn strike(self, proxy: &str) {
        let toxic = match self {
            Self::Refused => {
                toxiproxy_api("POST", &format!("/proxies/{proxy}"), r#"{"enabled":false}"#);
                return;
            }
            Self::CutAnswers => {
                r#"{"type":"limit_data","stream":"downstream","attributes":{"bytes":700}}"#
            }
            Self::CutRequests => {
                r#"{"type":"limit_data","stream":"upstream","attributes":{"bytes":20000}}"#
            }
            Self::Delayed => {
                r#"{"type":"latency","stream":"downstream","attributes":{"latency":400,"jitter":300}}"#
            }
            Self::Throttled => {
                r#"{"type":"bandwidth","stream":"upstream","attributes":{"rate":20}}"#
            }
            Self::HalfOpen => {
                r#"{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}"#
            }
            Self::Reset => {
                r#"{"type":"reset_peer","stream":"downstream","attributes":{"timeout":50}}"#
            }
        };
        let named = toxic.replacen('{', r#"{"name":"fault","#, 1);
        toxiproxy_api("POST", &format!("/proxies/{proxy}/toxics"), &named);
    }

    fn heal(self, proxy: &str) {
        if self == Self::Refused {
            toxiproxy_api("POST", &format!("/proxies/{proxy}"), r#"{"enabled":true}"#);
        } else {
            toxiproxy_api("DELETE", &format!("/proxies/{proxy}/toxics/fault"), "");
        }
    }
}

/// The bucket lies on a disk of its own, which this takes up.
fn filling() -> &'static Path {
    Path::new("/run/s3/filling")
}

fn fill_the_disk() {
    let mut file = fs::File::create(filling()).unwrap();
    // Larger pieces first, then what is left of the last one.
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    let probe = Path::new(S3_FOLDER).join("probe");
    let refused = fs::write(&probe, [0; 1 << 12]);
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::StorageFull);
    fs::remove_file(probe).unwrap();
}
