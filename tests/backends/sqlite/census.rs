//! The census of a register amid erasures.

use padron::app::markers::Census;
use testkit::{Call, FailingStore};

use super::new_file;
use crate::support::{KEYRING, claim_of, insert_all, registration};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_erased_amid_a_census_is_counted_once() {
    let (store, behind, _folder) = new_file().await;
    store.claim(&claim_of(&KEYRING)).await.unwrap();
    let people: Vec<_> = (0..10).map(registration).collect();
    insert_all(&*store, &people).await;
    // One erasure before each of the first calls, whichever they are.
    for erasures in 1..=5 {
        let erase = behind.path().unwrap().to_owned();
        let mut left = erasures;
        let erasing = FailingStore::over(store.clone(), move |_: Call<'_>| {
            if left > 0 {
                left -= 1;
                rusqlite::Connection::open(&erase)
                    .unwrap()
                    .execute_batch(
                        "BEGIN IMMEDIATE;
                         DELETE FROM registrations WHERE reference IN (SELECT reference FROM registrations LIMIT 1);
                         UPDATE counters SET erased = erased + 1;
                         COMMIT",
                    )
                    .unwrap();
            }
            None
        });
        let census = Census::of(&*erasing).await.unwrap().unwrap();
        assert_eq!(census.marker.registered, 10, "{erasures} erasures");
        behind
            .execute_batch("DELETE FROM registrations; UPDATE counters SET erased = 0")
            .unwrap();
        insert_all(&*store, &people).await;
    }
}
