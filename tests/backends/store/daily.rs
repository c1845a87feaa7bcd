//! Registrations by time.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use padron::{domain::registration::Registration, store::Store};

use crate::support::{insert_all, race, registration};

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn registered(number: u32, time: &str) -> Registration {
    Registration {
        registered_at: at(time),
        ..registration(number)
    }
}

async fn quarters(store: &dyn Store, since: &str) -> (u64, Vec<(String, u64)>) {
    let recent = store.recent(at(since)).await.unwrap();
    let quarters = recent.quarters.into_iter();
    let quarters = quarters.map(|(start, count)| (start.to_string(), count));
    (recent.total, quarters.collect())
}

pub(super) async fn registrations_are_counted_by_quarters_of_an_hour(store: Arc<dyn Store>) {
    assert_eq!(quarters(&*store, "2026-11-01T00:00:00Z").await, (0, vec![]));
    let times = [
        "2026-11-01T04:59:59.999Z",
        "2026-11-01T05:00:00Z",
        "2026-11-01T05:14:59.999Z",
        "2026-11-01T05:15:00Z",
        "2026-11-28T23:59:59.999Z",
        "2026-10-31T23:00:00Z",
    ];
    let all = (0..)
        .zip(times)
        .map(|(number, time)| registered(number, time));
    insert_all(&*store, &all.collect::<Vec<_>>()).await;
    let counted = |start: &str, count| (start.to_owned(), count);
    let later = [
        counted("2026-11-01T05:00:00Z", 2),
        counted("2026-11-01T05:15:00Z", 1),
        counted("2026-11-28T23:45:00Z", 1),
    ];
    let since = quarters(&*store, "2026-11-01T05:00:00Z").await;
    assert_eq!(since, (6, later.to_vec()));
    let mut earlier = vec![
        counted("2026-10-31T23:00:00Z", 1),
        counted("2026-11-01T04:45:00Z", 1),
    ];
    earlier.extend(later);
    assert_eq!(
        quarters(&*store, "2026-10-31T00:00:00Z").await,
        (6, earlier)
    );
    assert_eq!(quarters(&*store, "2026-11-29T00:00:00Z").await, (6, vec![]));
}

pub(super) async fn what_is_erased_is_in_no_count(store: Arc<dyn Store>) {
    let times = [
        "2026-11-01T05:00:00Z",
        "2026-11-01T05:01:00Z",
        "2026-11-02T05:01:00Z",
    ];
    let all: Vec<_> = (0..)
        .zip(times)
        .map(|(number, time)| registered(number, time))
        .collect();
    insert_all(&*store, &all).await;
    store.erase(all[1].reference).await.unwrap();
    store.erase(all[2].reference).await.unwrap();
    assert_eq!(store.erase(all[2].reference).await.unwrap(), None);
    let left = ("2026-11-01T05:00:00Z".to_owned(), 1);
    assert_eq!(
        quarters(&*store, "2026-11-01T00:00:00Z").await,
        (1, vec![left])
    );
}

pub(super) async fn every_racing_insert_is_in_its_quarter(store: Arc<dyn Store>) {
    let times = ["2026-11-01T05:00:00Z", "2026-11-01T05:20:00Z"];
    race((0..100).map(|number| {
        let store = store.clone();
        let one = registered(number, times[usize::from(number % 4 == 0)]);
        async move { store.insert(&one).await.unwrap() }
    }))
    .await;
    let recent = store.recent(at("2026-11-01T00:00:00Z")).await.unwrap();
    let expected: BTreeMap<_, _> = [
        (at("2026-11-01T05:00:00Z"), 75),
        (at("2026-11-01T05:15:00Z"), 25),
    ]
    .into();
    assert_eq!((recent.total, recent.quarters), (100, expected));
}
