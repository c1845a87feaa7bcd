//! A file that was restored from a backup while a server used it.

use std::{sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use padron::{
    app::board::Board,
    app::charts::{ChartSpec, Charts, Format, Subject},
    app::live::Live,
    domain::city::Cities,
    domain::totals::Counted,
    foundation::{
        chart::{Geometry, Theme},
        lang::Lang,
    },
};
use tokio_util::sync::CancellationToken;

use super::new_file;
use crate::support::{city, or_hangs, time};

#[tokio::test(flavor = "multi_thread")]
async fn reports_refresh_a_board_that_is_older_than_what_is_known() {
    let spec = ChartSpec {
        format: Format::Svg,
        subject: Subject::Cities,
        geometry: Geometry::default(),
        theme: Theme::Light,
        lang: Lang::Es,
    };
    // From a time when there was an older one, and from before the first.
    for backup in [2, 0] {
        let (store, connection, _folder) = new_file().await;
        let cities = Arc::new(Cities::embedded().unwrap());
        let board = Board::new(store.clone(), store.clone(), cities.clone());
        let live = Live::new(store.clone(), TimeZone::UTC);
        let charts_of = |board: &Arc<Board>| {
            Charts::new(board.clone(), live.clone(), cities.clone(), TimeZone::UTC)
        };
        let charts = charts_of(&board);
        let counted = |number: u32| Counted {
            sequence: number.into(),
            as_of: time(number.into()),
            city: None,
            counts: [(city("11001"), number.into())].into(),
        };
        for number in 1..=5 {
            board.refresh(&counted(number)).await.unwrap();
            charts.chart(spec).await.unwrap();
            if number == backup {
                let keep = "CREATE TABLE backup AS SELECT * FROM board";
                connection.execute_batch(keep).unwrap();
            }
        }
        let restore = match backup {
            0 => "DELETE FROM board",
            _ => "REPLACE INTO board SELECT * FROM backup",
        };
        connection.execute_batch(restore).unwrap();
        or_hangs(board.refresh(&counted(6))).await.unwrap();
        let saved = store.board(0).await.unwrap().unwrap();
        assert_eq!(saved.cities[&city("11001")].count, 6);
        assert_eq!(*board.totals().await.unwrap(), saved);
        // Its version was shown before, with other counts.
        assert!(saved.version < 5);
        let chart = charts.chart(spec).await.unwrap();
        let other = charts_of(&Board::new(store.clone(), store.clone(), cities.clone()));
        assert_eq!(chart.bytes, other.chart(spec).await.unwrap().bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_follows_takes_over_a_board_that_is_older_than_what_is_known() {
    let (store, connection, _folder) = new_file().await;
    let board = Board::new(
        store.clone(),
        store.clone(),
        Arc::new(Cities::embedded().unwrap()),
    );
    for number in 1_i64..=5 {
        let counted = Counted {
            sequence: u64::try_from(number).unwrap(),
            as_of: time(number),
            city: None,
            counts: [(city("11001"), number.unsigned_abs())].into(),
        };
        board.refresh(&counted).await.unwrap();
        if number == 2 {
            let keep = "CREATE TABLE backup AS SELECT * FROM board";
            connection.execute_batch(keep).unwrap();
        }
    }
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (board, stop) = (board.clone(), stop.clone());
        async move { board.follow(stop).await }
    });
    let restore = "REPLACE INTO board SELECT * FROM backup";
    connection.execute_batch(restore).unwrap();
    let restored = async {
        while board.totals().await.unwrap().version != 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    or_hangs(restored).await;
    assert_eq!(board.totals().await.unwrap().total(), 2);
    stop.cancel();
    following.await.unwrap();
}
