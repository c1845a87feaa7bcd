//! The log line of a request whose client disconnects; what others get, `tests/process` sees.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{body::Body, http::Request};
use futures::FutureExt as _;

use crate::app::TestApp;

/// What is logged, in memory.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Lines of this thread are kept here until the guard is dropped.
    pub(crate) fn start(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || lines.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let log = self.0.lock().unwrap();
        let lines = log
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_has_a_line_too() {
    let app = TestApp::new().await;
    let log = Log::default();
    let _logging = log.start();
    let request = Request::get("/chart.png").body(Body::empty()).unwrap();
    let answer = app.raw(request).now_or_never();
    assert!(answer.is_none(), "the store is asked first");
    let [line] = &log.lines()[..] else {
        panic!("one line");
    };
    assert_eq!(line["message"], "request left");
    assert_eq!(line["route"], "/chart.png");
    assert_eq!(line.get("status"), None, "there was no answer");
}
