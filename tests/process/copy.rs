//! `padron copy`: what was registered on one pair of tiers is served from another, and nothing is lost
//! on the way.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Output, sync::Arc};

use testkit::{Home, Human, S3_KEY, database_url, drop_database};
use uuid::Uuid;

use crate::{
    crowd::{Crowd, is_reported, is_served},
    startup::says,
};

pub(crate) type People = BTreeMap<String, Arc<Human>>;

const FROM: [&str; 4] = [
    "--from-store",
    "sqlite:data/padron.db",
    "--from-photos",
    "file:data/photos",
];

/// Other tiers of the same machine.
const NEW: [(&str, &str); 2] = [
    ("PADRON_STORE", "sqlite:new/padron.db"),
    ("PADRON_PHOTOS", "file:new/photos"),
];

/// Registers more people on the first tiers.
async fn register(home: &Home, crowd: &Crowd) -> People {
    let server = home.start().await;
    crowd.grow(12);
    crowd.post_together(&server).await;
    server.stop().await;
    crowd.clients.lock().unwrap().kept.clone()
}

pub(crate) async fn a_register(home: &Home) -> People {
    register(home, &Crowd::default()).await
}

fn copy(home: &Home, from: &[&str], to: &[(&str, &str)]) -> Output {
    let mut command = home.command(&["copy"]);
    command.args(from).envs(to.iter().copied());
    command.output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output, registrations: usize) {
    let told = String::from_utf8_lossy(&output.stdout);
    let sentence =
        format!("{registrations} registrations are here, with their photos, and no others");
    // Among log lines, which a thread of their own writes.
    assert!(told.lines().any(|line| line == sentence), "{output:?}");
    assert!(output.status.success());
}

/// The same people, idempotency keys and photos are answered for by a server on `tiers`.
async fn serves(home: &Home, tiers: &[(&str, &str)], people: &People) {
    let server = home.start_with(tiers).await;
    is_served(&server, people).await;
    is_reported(&server, people).await;
    server.stop().await;
}

pub(crate) fn photos(home: &Home, tier: &str) -> Vec<PathBuf> {
    let inside = |folder| {
        fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
    };
    let mut files: Vec<_> = inside(home.path(tier).join("photos/photos"))
        .flat_map(inside)
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_goes_on_where_it_stopped_and_mends_what_was_damaged() {
    let home = Home::new();
    let crowd = Crowd::default();
    let first = register(&home, &crowd).await;
    succeeds(&copy(&home, &FROM, &NEW), first.len());
    serves(&home, &NEW, &first).await;

    let all = register(&home, &crowd).await;
    assert!(all.len() > first.len());
    let copied = photos(&home, "new");
    fs::remove_file(&copied[0]).unwrap();
    fs::write(&copied[1], "half a pho").unwrap();
    succeeds(&copy(&home, &FROM, &NEW), all.len());
    serves(&home, &NEW, &all).await;
    assert_eq!(photos(&home, "new").len(), all.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_cannot_be_copied_is_told_and_holds_nothing_up() {
    let home = Home::new();
    let people = a_register(&home).await;
    fs::remove_file(&photos(&home, "data")[0]).unwrap();
    fs::write(&photos(&home, "data")[0], "half a pho").unwrap();
    for _ in 0..2 {
        let output = copy(&home, &FROM, &NEW);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("missing or damaged there: 2 ("), "{told}");
    }
    assert_eq!(photos(&home, "new").len(), people.len() - 2);
    let server = home.start_with(&NEW).await;
    is_reported(&server, &people).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_erased_since_the_last_copy_is_named() {
    let home = Home::new();
    let people = a_register(&home).await;
    succeeds(&copy(&home, &FROM, &NEW), people.len());
    let erased = people.keys().next().unwrap();
    assert!(home.run(&["erase", erased]).status.success());
    says(
        &copy(&home, &FROM, &NEW),
        1,
        &["here and not there: 1 (", erased, "padron erase"],
    );
    let mut erase = home.command(&["erase", erased]);
    assert!(erase.envs(NEW).output().unwrap().status.success());
    // As secrets come: in a file.
    fs::write(home.path("from"), FROM[1]).unwrap();
    let mut by_variables = NEW.to_vec();
    by_variables.push(("PADRON_FROM_STORE_FILE", "from"));
    let photos = &FROM[2..];
    succeeds(&copy(&home, photos, &by_variables), people.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_with_the_same_person_is_not_added_to() {
    let home = Home::new();
    let people = a_register(&home).await;
    succeeds(&copy(&home, &FROM, &NEW), people.len());
    // The same number in the copy, as another registration.
    let (reference, someone) = people.iter().next().unwrap();
    let mut erase = home.command(&["erase", reference]);
    assert!(erase.envs(NEW).output().unwrap().status.success());
    let server = home.start_with(&NEW).await;
    let answer = server.post(someone).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    server.stop().await;
    says(
        &copy(&home, &FROM, &NEW),
        1,
        &["another registration here has its", "a register of its own"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_register_is_not_made() {
    let home = Home::new();
    a_register(&home).await;
    let absent = ["--from-store", "sqlite:date/padron.db", FROM[2], FROM[3]];
    says(
        &copy(&home, &absent, &NEW),
        1,
        &["--from-store", "no file date/padron.db"],
    );
    let absent = [FROM[0], FROM[1], "--from-photos", "file:photos"];
    says(
        &copy(&home, &absent, &NEW),
        1,
        &["--from-photos", "no folder photos"],
    );
    let wrong = [
        "--from-store",
        "mongo://padron:a-secret@host",
        FROM[2],
        FROM[3],
    ];
    let output = copy(&home, &wrong, &NEW);
    says(&output, 2, &["--from-store", "mongodb://USER:PASSWORD"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("a-secret"));
    for made in ["date", "photos", "new"] {
        assert!(!home.path(made).exists(), "{made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_register_are_refused() {
    let home = Home::new();
    a_register(&home).await;
    fs::rename(home.path("data/keys"), home.path("kept")).unwrap();
    says(
        &copy(&home, &FROM, &NEW),
        1,
        &["the register to copy:", "restore it from its backup"],
    );
    assert!(!home.path("new").exists());
    assert!(!home.path("data/keys").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a MongoDB-protocol server and an S3 server; .ci/run starts them"]
async fn a_register_moves_to_servers_and_back() {
    let server = |variable| env::var(variable).expect(variable);
    let home = Home::new();
    let people = a_register(&home).await;
    let name = format!("padron-{}", Uuid::new_v4().simple());
    let mongodb = server("PADRON_TEST_MONGODB");
    let store = database_url(&mongodb, &name);
    let bucket = format!("s3://photos/{name}");
    let endpoint = server("PADRON_TEST_S3");
    let s3 = [
        ("PADRON_S3_ENDPOINT", endpoint.as_str()),
        ("PADRON_S3_ACCESS_KEY", S3_KEY),
        ("PADRON_S3_SECRET_KEY", S3_KEY),
    ];
    let mut servers = vec![
        ("PADRON_STORE", store.as_str()),
        ("PADRON_PHOTOS", &bucket),
        ("PADRON_ADMIN_TOKEN_FILE", "data/admin-token"),
    ];
    servers.extend(s3);
    succeeds(&copy(&home, &FROM, &servers), people.len());
    serves(&home, &servers, &people).await;

    fs::rename(home.path("data/padron.db"), home.path("padron.db")).unwrap();
    fs::rename(home.path("data/photos"), home.path("photos")).unwrap();
    let back = ["--from-store", &store, "--from-photos", &bucket];
    succeeds(&copy(&home, &back, &s3), people.len());
    serves(&home, &[], &people).await;
    drop_database(&mongodb, &name).await.unwrap();
}
