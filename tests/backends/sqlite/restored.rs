//! A file that was restored from a backup while a server used it.

use std::sync::Arc;

use jiff::tz::TimeZone;
use padron::{app::board::Board, domain::city::Cities, domain::totals::Counted};

use super::new_file;
use crate::support::{city, or_hangs, time};

#[tokio::test(flavor = "multi_thread")]
async fn reports_refresh_a_board_that_is_older_than_what_is_known() {
    // From a time when there was an older one, and from before the first.
    for backup in [2, 0] {
        let (store, connection, _folder) = new_file().await;
        let cities = Arc::new(Cities::embedded().unwrap());
        let board = Board::new(store.clone(), cities, TimeZone::UTC);
        let counted = |number: u32| Counted {
            sequence: number.into(),
            as_of: time(number.into()),
            city: None,
            counts: [(city("11001"), number.into())].into(),
        };
        for number in 1..=5 {
            board.refresh(&counted(number)).await.unwrap();
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
    }
}
