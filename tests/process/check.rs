//! `padron check` verifies integrity: whatever somebody changed who can write the disk and has no key is named.

use std::{fs, process::Output};

use testkit::Home;

use crate::copy::{a_register, photos};

macro_rules! exchange {
    ($column:literal) => {
        concat!(
            "UPDATE registrations SET ",
            $column,
            " = NULL WHERE reference = :one;
             UPDATE registrations SET ",
            $column,
            " = (SELECT ",
            $column,
            " FROM whole WHERE reference = :one) WHERE reference = :other;
             UPDATE registrations SET ",
            $column,
            " = (SELECT ",
            $column,
            " FROM whole WHERE reference = :other) WHERE reference = :one;"
        )
    };
}

/// What is changed of two records, by name, and how.
const CHANGES: [(&str, &str); 12] = [
    (
        "the sealed people of both",
        "UPDATE registrations SET sealed = (SELECT sealed FROM pair WHERE reference <> registrations.reference)
         WHERE reference IN (:one, :other)",
    ),
    (
        "the references of both",
        "UPDATE registrations SET reference = 'ZZZZZZZZ' WHERE reference = :one;
         UPDATE registrations SET reference = :one WHERE reference = :other;
         UPDATE registrations SET reference = :other WHERE reference = 'ZZZZZZZZ'",
    ),
    ("the photos of both", exchange!("photo_key")),
    ("the document tags of both", exchange!("document_tag")),
    ("the once tags of both", exchange!("once_tag")),
    (
        "a record that is another's",
        "CREATE TEMP TABLE clone AS SELECT * FROM whole WHERE reference = :other;
         UPDATE clone SET id = randomblob(16), reference = :one, document_tag = NULL,
             idempotency_tag = NULL, once_tag = NULL, photo_key = NULL;
         DELETE FROM registrations WHERE reference = :one;
         INSERT INTO registrations SELECT * FROM clone; DROP TABLE clone",
    ),
    (
        "the city",
        "UPDATE registrations SET city = CASE city WHEN '05001' THEN '11001' ELSE '05001' END
             WHERE reference = :one",
    ),
    (
        "the time",
        "UPDATE registrations SET registered_at = registered_at + 1 WHERE reference = :one",
    ),
    (
        "no document tag",
        "UPDATE registrations SET document_tag = NULL WHERE reference = :one",
    ),
    (
        "the content tag",
        "UPDATE registrations SET content_tag = zeroblob(32) WHERE reference = :one",
    ),
    (
        "no photo",
        "UPDATE registrations SET photo_key = NULL WHERE reference = :one",
    ),
    (
        "the photo's tag",
        "UPDATE registrations SET photo_digest = zeroblob(32) WHERE reference = :one",
    ),
];

/// Fails unless the check ends with exit status 1 and tells `what`.
#[track_caller]
fn tells(checked: &Output, change: &str, what: &str) {
    let told = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(1), "{change}: {told}");
    assert!(told.contains(what), "{change}: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_is_named() {
    let home = Home::new();
    let people = a_register(&home).await;
    let whole = home.run(&["check"]);
    let all = format!(
        "{} registrations are as they were stored, with their photos\n",
        people.len()
    );
    let told = String::from_utf8_lossy(&whole.stdout);
    assert!(told.ends_with(&all) && whole.status.success(), "{whole:?}");

    let database = rusqlite::Connection::open(home.path("data/padron.db")).unwrap();
    database
        .execute_batch(
            "CREATE TABLE whole AS SELECT * FROM registrations;
             CREATE VIEW pair AS SELECT * FROM whole WHERE photo_key IS NOT NULL AND document_tag IS NOT NULL
                 ORDER BY reference LIMIT 2;",
        )
        .unwrap();
    let ask = "SELECT min(reference), max(reference) FROM pair";
    let (one, other): (String, String) = database
        .query_row(ask, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let shown = format!("{}-{}", &one[..4], &one[4..]);
    for (change, sql) in CHANGES {
        let sql = sql
            .replace(":one", &format!("'{one}'"))
            .replace(":other", &format!("'{other}'"));
        database.execute_batch(&sql).unwrap();
        tells(&home.run(&["check"]), change, &shown);
        database
            .execute_batch(
                "DELETE FROM registrations; DELETE FROM city_counts;
                 INSERT INTO registrations SELECT * FROM whole",
            )
            .unwrap();
    }
    assert!(home.run(&["check"]).status.success(), "all is as it was");

    fs::remove_file(&photos(&home, "data")[0]).unwrap();
    let checked = home.run(&["check"]);
    tells(&checked, "a photo that is gone", "damaged or changed: 1 (");
}
