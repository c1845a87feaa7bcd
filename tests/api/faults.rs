//! Tiers that fail: nothing is lost, nothing is left, and the cause stays inside.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use padron::{
    domain::city::CityCode,
    domain::registration::{PhotoKey, Reference, Registration},
    domain::totals::{Counted, Totals},
    foundation::seal::Tag,
    store::{
        Boards, Claim, Inserted, Records, Register, Session, Sessions, Snapshot, Snapshots, Store,
        StoreError,
    },
};

use crate::app::{Form, TOKEN, TestApp};

/// What the next calls do instead of their work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Nothing is written, and it says so.
    Away,
    /// It is written, but the answer is lost.
    AnswerLost,
    /// Every reference is taken.
    NoReference,
}

struct FailingStore {
    inner: Arc<dyn Store>,
    fault: Mutex<Fault>,
}

const SECRET: &str = "mongodb://user:secret@10.0.0.7 Ana María";

impl FailingStore {
    fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        let fault = Mutex::new(Fault::None);
        Arc::new(Self { inner, fault })
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn check(&self) -> Result<(), StoreError> {
        match *self.fault.lock().unwrap() {
            Fault::Away => Err(StoreError::Unavailable(SECRET.into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Records for FailingStore {
    async fn insert(&self, registration: &Registration) -> Result<Inserted, StoreError> {
        self.check()?;
        let fault = *self.fault.lock().unwrap();
        if fault == Fault::NoReference {
            return Ok(Inserted::SameReference);
        }
        let inserted = self.inner.insert(registration).await?;
        match fault {
            Fault::AnswerLost => Err(StoreError::Uncertain(SECRET.into())),
            _ => Ok(inserted),
        }
    }

    async fn find(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.check()?;
        self.inner.find(reference).await
    }

    async fn erase(&self, reference: Reference) -> Result<Option<Registration>, StoreError> {
        self.check()?;
        self.inner.erase(reference).await
    }

    async fn unnamed(&self, keys: &[PhotoKey]) -> Result<Vec<PhotoKey>, StoreError> {
        self.check()?;
        self.inner.unnamed(keys).await
    }
}

#[async_trait]
impl Snapshots for FailingStore {
    async fn rows(&self, city: Option<CityCode>) -> Result<Snapshot, StoreError> {
        self.check()?;
        self.inner.rows(city).await
    }

    async fn totals(&self) -> Result<Counted, StoreError> {
        self.check()?;
        self.inner.totals().await
    }
}

#[async_trait]
impl Boards for FailingStore {
    async fn board(&self, version: u64) -> Result<Option<Totals>, StoreError> {
        self.check()?;
        self.inner.board(version).await
    }

    async fn save_board(&self, totals: &Totals) -> Result<bool, StoreError> {
        self.check()?;
        self.inner.save_board(totals).await
    }
}

#[async_trait]
impl Sessions for FailingStore {
    async fn add_session(&self, session: &Session, now: Timestamp) -> Result<(), StoreError> {
        self.check()?;
        self.inner.add_session(session, now).await
    }

    async fn session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.check()?;
        self.inner.session(tag, now).await
    }

    async fn end_session(&self, tag: &Tag, now: Timestamp) -> Result<Option<Session>, StoreError> {
        self.check()?;
        self.inner.end_session(tag, now).await
    }
}

#[async_trait]
impl Store for FailingStore {
    async fn register(&self) -> Result<Option<Register>, StoreError> {
        self.inner.register().await
    }

    async fn claim(&self, claim: &Claim) -> Result<Register, StoreError> {
        self.inner.claim(claim).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.check()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

async fn failing() -> (TestApp, Arc<FailingStore>) {
    let mut failing = None;
    let app = TestApp::with_store(|inner| failing.insert(FailingStore::over(inner)).clone()).await;
    (app, failing.unwrap())
}

#[tokio::test]
async fn a_failed_insert_removes_the_photo_and_hides_the_cause() {
    let (app, store) = failing().await;
    store.set(Fault::Away);
    let answer = app.post(&Form::whole()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(answer.json()["type"], "unavailable");
    assert!(!answer.text().contains("secret") && !answer.text().contains("Ana"));
    assert!(app.photos().await.is_empty());
    store.set(Fault::None);
    assert_eq!(app.post(&Form::whole()).await.status, 201);
}

#[tokio::test]
async fn an_answer_that_is_lost_keeps_the_photo_and_the_retry_finds_the_record() {
    let (app, store) = failing().await;
    let key = [("idempotency-key", "key-0123456789")];
    store.set(Fault::AnswerLost);
    assert_eq!(app.send(Form::whole().request(&key)).await.status, 503);
    assert_eq!(
        app.photos().await.len(),
        1,
        "its record may be there, and is"
    );
    store.set(Fault::None);
    let retried = app.send(Form::whole().request(&key)).await;
    assert_eq!(retried.status, 200);
    assert_eq!((app.photos().await.len(), app.rows().await), (1, 1));
    let reference = retried.json()["reference"].as_str().unwrap().to_owned();
    assert_eq!(
        app.staff(&format!("/registrations/{reference}/photo"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn running_out_of_references_is_an_error_and_leaves_nothing() {
    let (app, store) = failing().await;
    store.set(Fault::NoReference);
    assert_eq!(app.post(&Form::whole()).await.status, 500);
    assert!(app.photos().await.is_empty());
}

#[tokio::test]
async fn a_photo_folder_that_is_away_leaves_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    let url = format!("file:{}", photos.display());
    let app = TestApp::with_arguments(&["--photos", &url]).await;
    std::fs::remove_dir_all(&photos).unwrap();
    std::fs::write(&photos, b"a file where the folder was").unwrap();
    nobody_is_registered(&app).await;
}

#[tokio::test]
async fn a_photo_server_that_is_away_leaves_no_record() {
    // Nobody listens there.
    let nowhere = [
        "--photos",
        "s3://photos",
        "--s3-endpoint",
        "http://127.0.0.1:1",
    ];
    let app = TestApp::with_arguments(&nowhere).await;
    nobody_is_registered(&app).await;
}

async fn nobody_is_registered(app: &TestApp) {
    let answer = app.post(&Form::whole()).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(app.rows().await, 0);
    assert_eq!(app.get("/readyz").await.status, 503);
}

#[tokio::test]
async fn a_photo_that_is_gone_is_an_error_not_an_empty_picture() {
    let app = TestApp::new().await;
    let reference = app.post(&Form::whole()).await.json()["reference"]
        .as_str()
        .unwrap()
        .to_owned();
    app.place.objects().remove().await;
    let answer = app
        .staff(&format!("/registrations/{reference}/photo"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["type"].as_str()),
        (500, Some("internal"))
    );
}

#[tokio::test]
async fn every_way_in_says_that_the_store_is_away() {
    let (app, store) = failing().await;
    store.set(Fault::Away);
    for path in [
        "/readyz",
        "/chart.png",
        "/totals",
        "/registrations/K7QM-3XPD",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), "5", "{path}");
    }
    for path in ["/report.xlsx", "/report.csv", "/staff"] {
        assert_eq!(app.staff(path).await.status, 503, "{path}");
    }
    for path in ["/report.xlsx", "/staff", "/registrations/K7QM-3XPD/photo"] {
        let page = app.staff_page(path).await;
        assert_eq!(page.status, 503, "{path}");
        crate::staff::is_told_to_staff(&page, "No podemos leer los registros");
    }
    for path in ["/livez", "/", "/cities?q=cali"] {
        assert_eq!(app.get(path).await.status, 200, "{path} needs no store");
    }
}

#[tokio::test]
async fn a_chart_that_is_known_is_shown_while_the_store_is_away() {
    let (app, store) = failing().await;
    let known = app.get("/chart.png").await;
    store.set(Fault::Away);
    let answer = app.get("/chart.png").await;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &known.body));
}

#[tokio::test]
async fn a_report_is_whole_even_when_the_board_cannot_be_saved() {
    let (app, store) = failing().await;
    app.post(&Form::whole()).await;
    let request = axum::http::Request::get("/report.csv")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(axum::body::Body::empty());
    let answer = app.raw(request.unwrap()).await;
    store.set(Fault::Away);
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(String::from_utf8_lossy(&body).lines().count(), 2);
}

#[tokio::test]
async fn only_so_many_reports_run_at_once() {
    let app = TestApp::new().await;
    let held = app.app.reports.clone().try_acquire_many_owned(4).unwrap();
    let answer = app.staff("/report.xlsx").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["type"].as_str()),
        (503, Some("busy"))
    );
    let page = app.staff_page("/report.xlsx").await;
    crate::staff::is_told_to_staff(&page, "Se están haciendo otros reportes");
    drop(held);
    assert_eq!(app.staff("/report.xlsx").await.status, 200);
    let idle = async {
        while app.app.reports.available_permits() < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), idle)
        .await
        .expect("given back");
}
