//! The writer's group commit: how many writes share a commit, and what it answers them when one fails.

use std::{fs, path::Path};

use futures::future::join_all;
use padron::{
    domain::registration::Registration,
    store::{Inserted, Store, StoreError, connect_without_group_commit},
};
use rusqlite::Connection;

use super::{new_file, queued};
use crate::support::{city, insert_all, or_hangs, registration};

/// As many as the writer takes into one commit.
const WRITES: u32 = 256;

/// The commits in a write-ahead log: a frame that ends one tells the size of the database, any other
/// zero (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
fn commits(database: &Path) -> usize {
    const HEADER: usize = 32;
    const FRAME_HEADER: usize = 24;
    let log = fs::read(database.with_extension("db-wal")).unwrap();
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let page = usize::try_from(word(8)).unwrap();
    (HEADER..log.len())
        .step_by(FRAME_HEADER + page)
        .filter(|frame| word(frame + 4) != 0)
        .count()
}

/// How many commits [`WRITES`] inserts take that had to queue.
async fn commits_of_queued_inserts(store: &dyn Store, database: &Path) -> usize {
    // A reader that pins the snapshot before keeps a checkpoint from restarting the log.
    let reader = Connection::open(database).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM counters")
        .unwrap();
    let before = commits(database);

    let people: Vec<_> = (0..WRITES).map(registration).collect();
    let inserts = queued(&Connection::open(database).unwrap(), store, &people).await;
    for inserted in or_hangs(join_all(inserts)).await {
        assert_eq!(inserted.unwrap(), Inserted::New);
    }
    commits(database) - before
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_queue_up_share_a_commit() {
    let (store, _, folder) = new_file().await;
    let taken = commits_of_queued_inserts(&*store, &folder.path().join("padron.db")).await;
    // One group came before the writer met the write lock, the other is the rest.
    assert!((1..=2).contains(&taken), "{taken} commits");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_group_commit_every_write_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("padron.db");
    let store = connect_without_group_commit(path.clone()).await.unwrap();
    let taken = commits_of_queued_inserts(&*store, &path).await;
    assert_eq!(taken, WRITES as usize);
}

/// Answers of `people`'s inserts, queued together, while the last of them meets a trigger that runs `raise`.
async fn answers_where_the_last_raises(
    raise: &str,
    store: &dyn Store,
    behind: &Connection,
    people: &mut [Registration],
) -> Vec<Result<Inserted, StoreError>> {
    people.last_mut().unwrap().city = city("66666");
    let trigger = format!(
        "CREATE TRIGGER broken BEFORE INSERT ON registrations WHEN new.city = '66666'
         BEGIN SELECT RAISE({raise}, 'on purpose'); END"
    );
    behind.execute_batch(&trigger).unwrap();
    let answers = or_hangs(join_all(queued(behind, store, people).await)).await;
    behind.execute_batch("DROP TRIGGER broken").unwrap();
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_takes_no_other_of_its_commit_with_it() {
    let (store, behind, _folder) = new_file().await;
    let mut people: Vec<_> = (0..50).map(registration).collect();
    let mut answers = answers_where_the_last_raises("ABORT", &*store, &behind, &mut people).await;
    let broken = answers.pop().unwrap();
    assert!(
        matches!(broken, Err(StoreError::Unavailable(_))),
        "{broken:?}"
    );
    for answer in answers {
        assert_eq!(answer.unwrap(), Inserted::New);
    }
    let expected = [(city("11001"), 49)].into();
    assert_eq!(store.totals().await.unwrap().counts, expected);
    insert_all(&*store, &people[49..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_told_to_all_in_it_and_the_writer_goes_on() {
    let (store, behind, _folder) = new_file().await;
    let mut people: Vec<_> = (0..50).map(registration).collect();
    let answers = answers_where_the_last_raises("ROLLBACK", &*store, &behind, &mut people).await;
    assert!(answers[49].is_err(), "the broken one itself");
    let mut failed = Vec::new();
    for (person, answer) in people.iter().zip(answers) {
        // How many share its commit is chance; that each was told the truth is not.
        let stored = store.find(person.reference).await.unwrap().is_some();
        match answer {
            Ok(answer) => assert!(stored && answer == Inserted::New, "{answer:?}"),
            Err(StoreError::Unavailable(_)) => {
                assert!(!stored);
                failed.push(person.clone());
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    insert_all(&*store, &failed).await;
    let expected = [(city("11001"), 49), (city("66666"), 1)].into();
    assert_eq!(store.totals().await.unwrap().counts, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_what_cannot_be_read_says_so() {
    let (store, behind, _folder) = new_file().await;
    let one = registration(1);
    insert_all(&*store, std::slice::from_ref(&one)).await;
    behind
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON; UPDATE registrations SET city = 'Leticia'",
        )
        .unwrap();
    let read = store.find(one.reference).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
    let erased = store.erase(one.reference).await;
    assert!(matches!(erased, Err(StoreError::Corrupt(_))), "{erased:?}");
    let left = "SELECT count(*) FROM registrations";
    let left: i64 = behind.query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1, "what failed is rolled back");
}
