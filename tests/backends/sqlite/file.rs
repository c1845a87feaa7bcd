//! The file: what it keeps, what it refuses to be.

use futures::future::join_all;
use padron::{
    domain::totals::Totals,
    store::{Inserted, Scope, Session, StoreError},
};
use rusqlite::Connection;

use super::{new_file, open, queued};
use crate::support::{KEYRING, claim_of, insert_all, or_hangs, read, registration, row, time};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_when_it_is_opened_again() {
    let (store, behind, folder) = new_file().await;
    drop(behind);
    let people: Vec<_> = (0..100).map(registration).collect();
    insert_all(&*store, &people).await;
    let totals = Totals::first(&store.totals().await.unwrap());
    assert!(store.save_board(&totals).await.unwrap());
    let session = Session {
        tag: KEYRING.fingerprint(),
        actor: "admin".into(),
        expires_at: time(1),
    };
    store.add_session(&session, time(0)).await.unwrap();
    let register = store.claim(&claim_of(&KEYRING)).await.unwrap();
    store.close().await;
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "the log is in the database, and gone");

    let store = open(&folder.path().join("padron.db")).await.unwrap();
    for person in &people {
        let found = store.find(person.reference).await.unwrap();
        assert_eq!(found.as_ref(), Some(person));
    }
    let rows: Vec<_> = people.iter().map(row).collect();
    assert_eq!(
        read(store.rows(&Scope::default()).await.unwrap()).await,
        rows
    );
    assert_eq!(store.board(0).await.unwrap(), Some(totals));
    let found = store.session(&session.tag, time(0)).await.unwrap();
    assert_eq!(found, Some(session));
    assert_eq!(store.register().await.unwrap(), Some(register));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_finishes_what_was_begun() {
    let (store, behind, folder) = new_file().await;
    let people: Vec<_> = (0..200).map(registration).collect();
    let inserts = queued(&behind, &*store, &people).await;
    or_hangs(store.close()).await;
    for inserted in or_hangs(join_all(inserts)).await {
        assert_eq!(inserted.unwrap(), Inserted::New);
    }
    let store = open(&folder.path().join("padron.db")).await.unwrap();
    assert_eq!(
        store.totals().await.unwrap().counts,
        [(people[0].city, 200)].into()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_another_version_are_refused_and_left_alone() {
    let (store, behind, folder) = new_file().await;
    store.insert(&registration(1)).await.unwrap();
    store.close().await;
    behind.pragma_update(None, "user_version", 99).unwrap();
    let refused = open(&folder.path().join("padron.db")).await.err();
    let refused = refused.expect("it must not open");
    assert!(matches!(refused, StoreError::Unusable(_)), "{refused:?}");
    let told = refused.to_string();
    assert!(told.contains("version 99"), "{told}");
    let version: i64 = behind
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(
        &text,
        "not a database, and somebody's only copy of it".repeat(50),
    )
    .unwrap();
    let missing = folder.path().join("no/such/folder/padron.db");
    for path in [&text, &missing, &folder.path().to_owned()] {
        let refused = open(path).await.err();
        assert!(
            matches!(
                refused,
                Some(StoreError::Unavailable(_) | StoreError::Unusable(_))
            ),
            "{}: {refused:?}",
            path.display()
        );
    }
    assert!(
        std::fs::read_to_string(&text)
            .unwrap()
            .starts_with("not a database")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_corrupt_and_ends_a_report() {
    let (store, behind, _folder) = new_file().await;
    let people: Vec<_> = (0..1_000).map(registration).collect();
    insert_all(&*store, &people).await;
    let damage = |connection: &Connection, column, value| {
        let sql = format!("UPDATE registrations SET {column} = {value} WHERE id = ?1");
        let changed = connection.execute(&sql, [people[700].id.as_bytes()]);
        assert_eq!(changed.unwrap(), 1);
    };
    damage(&behind, "content_tag", "x'00'");
    let found = store.find(people[700].reference).await;
    assert!(matches!(found, Err(StoreError::Corrupt(_))), "{found:?}");

    damage(&behind, "reference", "'0O1IL'");
    let mut blocks = store.rows(&Scope::default()).await.unwrap().blocks;
    let whole = blocks.recv().await.unwrap().unwrap();
    assert_eq!(whole, people[..512].iter().map(row).collect::<Vec<_>>());
    let error = blocks.recv().await.unwrap();
    assert!(matches!(error, Err(StoreError::Corrupt(_))), "{error:?}");
    assert!(blocks.recv().await.is_none(), "it went on after the error");
    // It takes more than a row to stop the rest.
    let found = store.find(people[1].reference).await.unwrap();
    assert_eq!(found.as_ref(), Some(&people[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE keyring (id)").unwrap();
    let refused = open(&path).await.err();
    assert!(
        matches!(refused, Some(StoreError::Unusable(_))),
        "{refused:?}"
    );
    let tables = "SELECT count(*) FROM sqlite_master";
    let tables: i64 = theirs.query_row(tables, [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (store, _behind, folder) = new_file().await;
    store.insert(&registration(1)).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_takes_nothing_and_answers_nothing() {
    // Removed, replaced, moved away; and so its write-ahead log, which has what was acknowledged last.
    for (what, name) in [
        ("removed", "padron.db"),
        ("replaced", "padron.db"),
        ("moved", "padron.db"),
        ("removed", "padron.db-wal"),
        ("replaced", "padron.db-wal"),
    ] {
        let (store, behind, folder) = new_file().await;
        drop(behind);
        let (path, away) = (folder.path().join(name), folder.path().join("away"));
        store.insert(&registration(1)).await.unwrap();
        store.ping().await.unwrap();
        match what {
            "removed" => std::fs::remove_file(&path).unwrap(),
            "moved" => std::fs::rename(&path, &away).unwrap(),
            _ => {
                std::fs::copy(&path, &away).unwrap();
                std::fs::rename(&away, &path).unwrap();
            }
        }
        let answers = [
            ("ping", store.ping().await.err()),
            ("insert", store.insert(&registration(2)).await.err()),
            ("find", store.find(registration(1).reference).await.err()),
            ("rows", store.rows(&Scope::default()).await.err()),
        ];
        for (call, error) in answers {
            let refused = matches!(error, Some(StoreError::Unavailable(_)));
            assert!(refused, "{name} {what}: {call}: {error:?}");
        }
        if what == "moved" {
            std::fs::rename(&away, &path).unwrap();
            store.ping().await.unwrap();
            assert_eq!(store.insert(&registration(2)).await.unwrap(), Inserted::New);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_fails_where_nothing_can_be_written() {
    let (store, behind, _folder) = new_file().await;
    store.ping().await.unwrap();
    behind
        .execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE ON counters BEGIN SELECT RAISE(ABORT, 'on purpose'); END",
        )
        .unwrap();
    assert!(store.ping().await.is_err());
}
