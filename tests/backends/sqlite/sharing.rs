//! One file for several readers, stores and processes.

use std::{process::Command, time::Duration};

use padron::store::{Inserted, Scope};
use rusqlite::Connection;

use super::{new_file, open};
use crate::support::{idempotency_tag, insert_all, or_hangs, plain, race, read, registration};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_may_be_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("padron.db");
    let stores = race((0..8).map(|_| {
        let path = path.clone();
        async move { open(&path).await.unwrap() }
    }))
    .await;
    for (number, store) in (0..).zip(&stores) {
        insert_all(&**store, &[registration(number)]).await;
    }
    let counts: Vec<_> = stores[0]
        .totals()
        .await
        .unwrap()
        .counts
        .into_values()
        .collect();
    assert_eq!(counts, [8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_of_one_file_agree_who_was_first() {
    let (one, _, folder) = new_file().await;
    let other = open(&folder.path().join("padron.db")).await.unwrap();
    let tag = idempotency_tag("one-key-for-both");
    let answers = race((0..50).map(|number| {
        let store = [&one, &other][usize::from(number % 2 == 0)].clone();
        let mut person = registration(number);
        person.idempotency_tag = Some(tag);
        async move { store.insert(&person).await.unwrap() }
    }))
    .await;
    let new = answers.iter().filter(|answer| **answer == Inserted::New);
    assert_eq!(new.count(), 1);
    for store in [one, other] {
        let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
        let [row] = &rows[..] else {
            panic!("{} rows", rows.len());
        };
        let winner = store.find(row.envelope.reference).await.unwrap().unwrap();
        for answer in &answers {
            match answer {
                Inserted::New => {}
                lost => assert_eq!(*lost, Inserted::SameKey(Box::new(winner.clone()))),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_write_to_one_file() {
    const THEIRS: u64 = 300;
    let (store, _, folder) = new_file().await;
    let mut process = Command::new(env!("CARGO_BIN_EXE_padron"))
        .args(["seed", "--no-photos", "--count", &THEIRS.to_string()])
        .env_clear()
        .current_dir(folder.path())
        .env("PADRON_STORE", "sqlite:padron.db")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut ours = 0;
    let ended = or_hangs(async {
        // It paces the writes: the file is the other process's as well.
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        loop {
            pace.tick().await;
            insert_all(&*store, &[plain(ours)]).await;
            ours += 1;
            if let Some(ended) = process.try_wait().unwrap() {
                return ended;
            }
        }
    })
    .await;
    assert!(ended.success(), "{ended}");
    let rows = read(store.rows(&Scope::default()).await.unwrap()).await;
    assert_eq!(rows.len() as u64, THEIRS + u64::from(ours));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_nobody_reads_lets_go_of_its_snapshot() {
    /// Whether some reader's snapshot blocks a checkpoint of the write-ahead log.
    fn is_held(connection: &Connection) -> bool {
        connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .unwrap()
    }

    let (store, behind, _folder) = new_file().await;
    behind.busy_timeout(Duration::ZERO).unwrap();
    // More than the bounded channel and the current block hold, so that it cannot have been read to its end.
    let people: Vec<_> = (0..5_000).map(plain).collect();
    insert_all(&*store, &people).await;
    let mut snapshot = store.rows(&Scope::default()).await.unwrap();
    snapshot.blocks.recv().await.unwrap().unwrap();
    insert_all(&*store, &[plain(5_000)]).await;
    assert!(is_held(&behind), "a slow reader does not slow the store");

    drop(snapshot);
    or_hangs(async {
        while is_held(&behind) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
