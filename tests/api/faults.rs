//! Fault injection in the tiers: nothing is lost, nothing is left, and the cause is told to nobody outside.

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use padron::{domain::totals::Counted, foundation::clock::now};
use testkit::{Call, FailingStore, Fault, Form};

use crate::{
    app::{TOKEN, TestApp},
    logs::Log,
};

const AWAY: Option<Fault> = Some(Fault::Away(Duration::ZERO));

async fn failing() -> (TestApp, Arc<FailingStore>) {
    let mut failing = None;
    let wrap = |inner| failing.insert(FailingStore::over(inner, |_| None)).clone();
    let app = TestApp::with_store(wrap).await;
    (app, failing.unwrap())
}

#[tokio::test]
async fn a_failed_insert_removes_the_photo_and_hides_the_cause() {
    let (app, store) = failing().await;
    store.set(AWAY);
    let answer = app.post(&Form::whole()).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(answer.json()["type"], "unavailable");
    assert!(!answer.text().contains("secret") && !answer.text().contains("Ana"));
    assert!(app.photos().await.is_empty());
    store.set(None);
    assert_eq!(app.post(&Form::whole()).await.status, 201);
}

#[tokio::test]
async fn a_photo_that_stays_is_logged_under_the_id_of_its_request() {
    if std::env::var_os("PADRON_TEST_API_PHOTOS").is_some() {
        return;
    }
    let photos = Arc::new(OnceLock::<PathBuf>::new());
    let folder = photos.clone();
    // Between the photo and the record the folder goes.
    let faults = move |call: Call<'_>| {
        if !matches!(call, Call::Insert) {
            return None;
        }
        let folder = folder.get().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::write(folder, b"a file where the folder was").unwrap();
        AWAY
    };
    let app = TestApp::with_store(|inner| FailingStore::over(inner, faults)).await;
    photos
        .set(app.place.keys().with_file_name("photos"))
        .unwrap();
    let log = Log::default();
    let _logging = log.start();
    let answer = app.post(&Form::whole()).await;
    assert_eq!(answer.status, 503);
    let lines = log.lines();
    let stays = lines
        .iter()
        .find(|line| {
            line["message"]
                .as_str()
                .unwrap()
                .contains("stays for the sweep")
        })
        .expect("a task of its own says so");
    assert_eq!(stays["span"]["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn an_answer_that_is_lost_keeps_the_photo_and_the_retry_finds_the_record() {
    let (app, store) = failing().await;
    let key = [("idempotency-key", "key-0123456789")];
    store.set(Some(Fault::AnswerLost));
    assert_eq!(app.send(Form::whole().request(&key)).await.status, 503);
    assert_eq!(
        app.photos().await.len(),
        1,
        "its record may be there, and is"
    );
    store.set(None);
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
    store.set(Some(Fault::ReferenceTaken));
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
    // Connections are refused there.
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
    store.set(AWAY);
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

/// A store that fails slowly after the first `good` calls, and how often it was called.
async fn failing_slowly(good: usize) -> (TestApp, Arc<FailingStore>, Arc<AtomicUsize>) {
    let calls: Arc<AtomicUsize> = Arc::default();
    let mut failing = None;
    let counted = calls.clone();
    let faults = move |_: testkit::Call<'_>| {
        let before = counted.fetch_add(1, Ordering::Relaxed);
        (before >= good).then_some(Fault::Away(Duration::from_millis(300)))
    };
    let wrap = |inner| failing.insert(FailingStore::over(inner, faults)).clone();
    let app = TestApp::with_store(wrap).await;
    (app, failing.unwrap(), calls)
}

#[tokio::test]
async fn all_who_ask_a_store_that_fails_slowly_share_its_one_answer() {
    let (app, store, calls) = failing_slowly(0).await;
    for paths in [
        &["/totals", "/chart.png", "/chart.svg?top=3"][..],
        &["/readyz"],
    ] {
        calls.store(0, Ordering::Relaxed);
        let asked = (0..12).map(|asker| app.get(paths[asker % paths.len()]));
        for answer in futures::future::join_all(asked).await {
            assert_eq!(
                (answer.status.as_u16(), answer.header("retry-after")),
                (503, "5")
            );
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1, "calls for {paths:?}");
    }
    // An error is not cached: those who ask later get a new answer.
    store.set(None);
    assert_eq!(app.get("/totals").await.status, 200);
}

#[tokio::test]
async fn reports_that_end_while_the_store_fails_slowly_do_not_wait_for_each_other() {
    let (app, _, calls) = failing_slowly(3).await;
    assert_eq!(app.get("/totals").await.status, 200);
    assert_eq!(calls.load(Ordering::Relaxed), 3, "looked, counted, saved");
    let counted = Counted {
        sequence: 1,
        as_of: now(),
        city: None,
        counts: [].into(),
    };
    let mut refreshes: Vec<_> = (0..4)
        .map(|_| Box::pin(app.app.board.refresh(&counted)))
        .collect();
    for refresh in &mut refreshes {
        assert!(futures::poll!(refresh).is_pending());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 7, "all ask at once");
    for refresh in refreshes {
        assert!(refresh.await.is_err());
    }
}

#[tokio::test]
async fn a_chart_that_is_known_is_shown_while_the_store_is_away() {
    let (app, store) = failing().await;
    let known = app.get("/chart.png").await;
    store.set(AWAY);
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
    store.set(AWAY);
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
