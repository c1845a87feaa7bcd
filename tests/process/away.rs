//! Starting with tiers on servers: what is asked for, and what is served while a tier is unavailable.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use testkit::{Form, Home, Server, until};

use crate::startup::{refused, says};

const TOKEN: &str = "a-token-for-tests-of-forty-characters-00";

/// In the password of the store's URL, the secret key of the photos, or both.
const PLANTED: &str = "planted-secret";

/// Port 1 refuses connections.
const STORE: (&str, &str) = (
    "PADRON_STORE",
    "mongodb://padron:planted-secret@127.0.0.1:1/padron",
);
const PHOTOS: [(&str, &str); 4] = [
    ("PADRON_PHOTOS", "s3://photos"),
    ("PADRON_S3_ENDPOINT", "http://127.0.0.1:1"),
    ("PADRON_S3_ACCESS_KEY", "padron"),
    ("PADRON_S3_SECRET_KEY", PLANTED),
];

/// A start asks each tier for a second or a few, and waits for none; a little more on a busy machine.
const WAITING: Duration = Duration::from_secs(9);

/// No request is in flight, so that the shutdown waits for nothing.
const ENDING: Duration = Duration::from_secs(5);

#[test]
fn a_store_on_a_server_has_its_keys_made_once_and_by_hand() {
    let home = Home::new();
    let settings = [STORE, ("PADRON_KEYS_FILE", "keys")];
    says(
        &refused(&home, &settings),
        1,
        &["PADRON_KEYS_FILE: keys is missing", "padron keys create"],
    );
    let create = || {
        let mut command = home.command(&["keys", "create"]);
        command.envs(settings).output().unwrap()
    };
    let created = create();
    assert_eq!(created.status.code(), Some(0), "{created:?}");
    let keys = fs::read(home.path("keys")).unwrap();
    let mode = fs::metadata(home.path("keys")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    says(&create(), 1, &["PADRON_KEYS_FILE: keys"]);
    assert_eq!(fs::read(home.path("keys")).unwrap(), keys, "as they were");

    says(
        &refused(&home, &settings),
        1,
        &["PADRON_ADMIN_TOKEN", "openssl rand -hex 32"],
    );
    for made in ["data/keys", "data/admin-token", "data/padron.db"] {
        assert!(!home.path(made).exists(), "{made}");
    }
}

#[test]
fn a_mongodb_url_that_cannot_be_read_is_refused_without_its_password() {
    let home = Home::new();
    assert!(
        home.run(&["keys", "create", "--keys-file", "keys"])
            .status
            .success()
    );
    for url in [
        "mongodb://padron:planted-secret",
        "mongodb://padron:pla?planted-secret@127.0.0.1/padron",
        "mongodb://padron:planted-secret@127.0.0.1/padron?noSuchOption=1",
        "mongo://padron:planted-secret@127.0.0.1/padron",
    ] {
        let output = refused(
            &home,
            &[
                ("PADRON_STORE", url),
                ("PADRON_KEYS_FILE", "keys"),
                ("PADRON_ADMIN_TOKEN", TOKEN),
            ],
        );
        let status = if url.starts_with("mongodb:") { 1 } else { 2 };
        says(
            &output,
            status,
            &["PADRON_STORE", "mongodb://USER:PASSWORD@HOST"],
        );
        assert!(!format!("{output:?}").contains(PLANTED), "{output:?}");
    }
}

#[tokio::test]
async fn a_record_store_that_is_away_is_waited_for_and_then_served_without() {
    let home = Home::new();
    assert!(
        home.run(&["keys", "create", "--keys-file", "keys"])
            .status
            .success()
    );
    let begun = Instant::now();
    let server = home
        .start_without_tiers(&[
            STORE,
            ("PADRON_KEYS_FILE", "keys"),
            ("PADRON_ADMIN_TOKEN", TOKEN),
        ])
        .await;
    assert!(begun.elapsed() < WAITING, "{:?}", begun.elapsed());
    let said = server.stderr();
    assert_eq!(said.matches("waiting").count(), 1, "{said}");
    assert!(said.contains("record store (PADRON_STORE)"), "{said}");
    serves_without_a_tier(server).await;
}

#[tokio::test]
async fn a_photo_store_that_is_away_is_waited_for_and_then_served_without() {
    let home = Home::new();
    let begun = Instant::now();
    let server = home.start_without_tiers(&PHOTOS).await;
    assert!(begun.elapsed() < WAITING, "{:?}", begun.elapsed());
    let said = server.stderr();
    // Nor is a register begun, before it is known whether one was here.
    assert_eq!(said.matches("waiting").count(), 2, "{said}");
    for tier in ["record store (PADRON_STORE)", "photo store (PADRON_PHOTOS)"] {
        assert!(said.contains(tier), "{said}");
    }
    serves_without_a_tier(server).await;
}

/// The form is served, a registration is refused for now (503), and no secret leaks.
async fn serves_without_a_tier(mut server: Server) {
    let ready = server.get("/readyz").send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let form = server.get("/").header("accept", "text/html").send().await;
    let form = form.unwrap();
    assert_eq!(form.status(), StatusCode::OK);
    assert!(form.text().await.unwrap().contains("<form"));

    let answer = server.post_form(&Form::whole()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "5");
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let problem = answer.text().await.unwrap();
    assert!(problem.contains("\"unavailable\""), "{problem}");

    let begun = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(begun.elapsed() < ENDING, "{:?}", begun.elapsed());
    let said = server.stderr() + &server.stdout() + &problem;
    for secret in [PLANTED, TOKEN, "Ana"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[tokio::test]
async fn a_start_that_waits_ends_at_once_when_told_to() {
    let home = Home::new();
    let mut server = home.spawn(&PHOTOS);
    until("the waiting", async || {
        server.stderr().contains("waiting").then_some(())
    })
    .await;
    let begun = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(0));
    assert!(begun.elapsed() < ENDING, "{:?}", begun.elapsed());
}
