//! A lost register is never taken for an empty one: what was lost is noticed, and nothing is begun in its place.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use testkit::{Home, Human};

use crate::copy::{a_register, photos};

#[track_caller]
fn refuses(output: &Output, because: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in because {
        assert!(told.contains(part), "{part}: {told}");
    }
}

fn remove_database(home: &Home) {
    for file in fs::read_dir(home.path("data")).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("padron.db") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_without_its_database_is_not_begun_anew() {
    let home = Home::new();
    a_register(&home).await;
    let there = photos(&home, "data").len();
    remove_database(&home);
    let because = ["PADRON_STORE: data/padron.db is missing", "restore it"];
    for command in [
        &["serve"][..],
        &["check"],
        &["sweep"],
        &["seed", "--count", "1"],
    ] {
        refuses(&home.run(command), &because);
    }
    // By what is left of the rest alone.
    fs::remove_file(home.path("data/register")).unwrap();
    refuses(&home.run(&["serve"]), &because);
    fs::remove_file(home.path("data/photos/register")).unwrap();
    refuses(&home.run(&["serve"]), &because);
    fs::remove_file(home.path("data/keys")).unwrap();
    refuses(&home.run(&["serve"]), &because);
    assert!(!home.path("data/padron.db").exists());
    assert!(!home.path("data/keys").exists());
    assert_eq!(photos(&home, "data").len(), there);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_in_place_of_a_register_is_refused() {
    let home = Home::new();
    a_register(&home).await;
    remove_database(&home);
    fs::write(home.path("data/padron.db"), "").unwrap();
    refuses(&home.run(&["serve"]), &["PADRON_STORE", "it is empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_went_missing_are_told_by_the_check_and_stop_the_sweep() {
    let home = Home::new();
    let people = a_register(&home).await;
    let erased = people.keys().next().unwrap();
    assert!(home.run(&["erase", erased]).status.success());
    assert!(home.run(&["check"]).status.success(), "erased is not lost");
    let database = rusqlite::Connection::open(home.path("data/padron.db")).unwrap();
    let delete = "DELETE FROM registrations WHERE id IN (SELECT id FROM registrations LIMIT 1)";
    database.execute(delete, []).unwrap();
    let missing = "1 registrations are missing";
    refuses(&home.run(&["check"]), &[missing]);
    refuses(&home.run(&["sweep", "--min-age", "0"]), &[missing]);
    database.execute("DELETE FROM registrations", []).unwrap();
    refuses(&home.run(&["serve"]), &["PADRON_STORE: it is empty"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_is_removed_says_so_and_acknowledges_nothing() {
    let home = Home::new();
    a_register(&home).await;
    let server = home.start().await;
    let ready = async || {
        server
            .get("/readyz")
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(ready().await, 200);
    remove_database(&home);
    let begun = Instant::now();
    while ready().await != 503 {
        let human = Human::new(1);
        let answer = server.post(&human).send().await.unwrap();
        assert_ne!(answer.status(), 201, "it would be lost");
        assert!(begun.elapsed() < Duration::from_secs(6), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!home.path("data/padron.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_its_owners_only() {
    fn look(path: &Path) {
        let metadata = fs::metadata(path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        let mode = metadata.permissions().mode() & 0o777;
        assert_eq!(mode, expected, "{}", path.display());
        if metadata.is_dir() {
            for inside in fs::read_dir(path).unwrap() {
                look(&inside.unwrap().path());
            }
        }
    }
    let home = Home::new();
    a_register(&home).await;
    look(&home.path("data"));
}
