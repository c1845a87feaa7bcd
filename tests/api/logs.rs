//! The log line of a request whose client leaves; what others get, `tests/process` sees.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{body::Body, http::Request};
use futures::FutureExt as _;

use crate::app::TestApp;

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_has_a_line_too() {
    let app = TestApp::new().await;
    let log = Log::default();
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || lines.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let request = Request::get("/chart.png").body(Body::empty()).unwrap();
    let answer = app.raw(request).now_or_never();
    assert!(answer.is_none(), "the store is asked first");
    let log = log.0.lock().unwrap().clone();
    let line: serde_json::Value = serde_json::from_slice(&log).unwrap();
    assert_eq!(line["message"], "request left");
    assert_eq!(line["route"], "/chart.png");
    assert_eq!(line.get("status"), None, "there was no answer");
}
