//! The saved board.

use std::sync::Arc;

use padron::{
    app::board::Board,
    domain::city::Cities,
    domain::totals::{CityCount, Counted, Totals},
    store::Store,
};

use crate::support::{city, race, time};

/// A board of `version`; boards of different `mark` differ.
fn board(version: u64, mark: u64) -> Totals {
    let count = |count, millisecond| CityCount {
        count,
        sequence: 7,
        as_of: time(millisecond),
    };
    Totals {
        version,
        cities: [
            (city("11001"), count(mark, 7)),
            (city("05001"), count(0, -1)),
            (city("00001"), count(u64::from(u32::MAX) + mark, 0)),
        ]
        .into(),
        sequence: 7,
        as_of: time(7),
    }
}

pub(super) async fn there_is_none_at_first(store: Arc<dyn Store>) {
    assert_eq!(store.board(0).await.unwrap(), None);
    for wrong in [0, 2, 3] {
        assert!(!store.save_board(&board(wrong, 1)).await.unwrap());
    }
    assert_eq!(store.board(0).await.unwrap(), None);
}

pub(super) async fn versions_follow_each_other(store: Arc<dyn Store>) {
    for version in 1..=5 {
        let saved = board(version, version);
        assert!(store.save_board(&saved).await.unwrap(), "{version}");
        for wrong in [0, version - 1, version, version + 2] {
            let refused = store.save_board(&board(wrong, 99)).await.unwrap();
            assert!(!refused, "{wrong} after {version}");
        }
        assert_eq!(store.board(0).await.unwrap(), Some(saved));
    }
}

pub(super) async fn only_a_newer_one_is_given(store: Arc<dyn Store>) {
    for version in 1..=3 {
        assert!(store.save_board(&board(version, 1)).await.unwrap());
    }
    for older in 0..3 {
        assert_eq!(store.board(older).await.unwrap(), Some(board(3, 1)));
    }
    for known in [3, 4, 1_000_000] {
        assert_eq!(store.board(known).await.unwrap(), None);
    }
}

pub(super) async fn a_race_of_one_version_has_one_winner(store: Arc<dyn Store>) {
    for version in 1..=3 {
        let answers = race((0..50).map(|mark| {
            let store = store.clone();
            async move { store.save_board(&board(version, mark)).await.unwrap() }
        }))
        .await;
        let winners: Vec<u64> = (0..)
            .zip(answers)
            .filter_map(|(mark, won)| won.then_some(mark))
            .collect();
        let [winner] = winners[..] else {
            panic!("{winners:?} all won version {version}");
        };
        let saved = store.board(0).await.unwrap();
        assert_eq!(saved, Some(board(version, winner)));
    }
}

pub(super) async fn of_racing_reports_the_newest_count_stays(store: Arc<dyn Store>) {
    const REPORTS: u64 = 20;
    let cities = Arc::new(Cities::embedded().unwrap());
    let replica = || Board::new(store.clone(), store.clone(), cities.clone());
    let replicas = [replica(), replica()];
    // The later a moment, the more there were, and the sooner its report is done.
    let reports = (0..REPORTS).rev().map(|number| {
        let board = replicas[usize::try_from(number % 2).unwrap()].clone();
        let counted = Counted {
            sequence: number,
            // The clock goes backwards.
            as_of: time(-number.cast_signed()),
            city: None,
            counts: [(city("11001"), number)].into(),
        };
        async move { board.refresh(&counted).await }
    });
    for refreshed in race(reports).await {
        refreshed.unwrap();
    }
    let saved = store.board(0).await.unwrap().unwrap();
    assert_eq!(saved.version, REPORTS);
    assert_eq!(saved.cities[&city("11001")].count, REPORTS - 1);
    assert_eq!(saved.as_of, time(1 - REPORTS.cast_signed()));
}
