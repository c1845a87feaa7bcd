//! Cuts the blocks of a snapshot into segments, and checks the rows against the counts.
//!
//! `pool` asks for one segment after the other, and only when there is a worker for it: that is the backpressure
//! which slows the store down to the client's pace.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use super::ReportError;
use crate::{
    domain::city::CityCode,
    store::{Row, StoreError},
};

/// Read timeout for a block: the store's server may be gone without closing its connection.
const SILENCE: Duration = Duration::from_secs(30);

/// Rows that follow each other on one sheet; at least one.
pub(super) struct Segment {
    /// Number of the first row within the report, from 1.
    pub(super) number: u64,
    pub(super) rows: Vec<Row>,
}

type Blocks = mpsc::Receiver<Result<Vec<Row>, StoreError>>;

/// The rows of one snapshot.
pub(super) struct Feed {
    /// Rows that are still to come, city after city.
    left: VecDeque<(CityCode, u64)>,
    /// Rows of a sheet.
    max_rows: u64,
    blocks: Blocks,
    /// Received and not yet in a segment.
    pending: Vec<Row>,
    /// Rows that are in segments.
    done: u64,
}

impl Feed {
    /// The rows of `cities`, each given with how many it has, in the order of the snapshot's rows, cut after each
    /// `max_rows` (≥ 1).
    pub(super) fn new(
        cities: impl IntoIterator<Item = (CityCode, u64)>,
        max_rows: u64,
        blocks: Blocks,
    ) -> Self {
        Self {
            left: cities.into_iter().collect(),
            max_rows,
            blocks,
            pending: Vec::new(),
            done: 0,
        }
    }

    /// The next segment; `None` after the last, once all rows came that were counted.
    ///
    /// # Errors
    /// When the store fails or a read times out, or other rows come than it counted.
    pub(super) async fn next(&mut self) -> Result<Option<Segment>, ReportError> {
        if self.pending.is_empty() {
            let Some(block) = self.receive().await? else {
                let whole = self.left.iter().all(|&(_, rows)| rows == 0);
                return whole.then_some(None).ok_or(ReportError::Torn);
            };
            self.tick_off(&block)?;
            self.pending = block;
        }
        let room = self.max_rows - self.done % self.max_rows;
        let taken =
            usize::try_from(room).map_or(self.pending.len(), |room| room.min(self.pending.len()));
        let rest = self.pending.split_off(taken);
        let segment = Segment {
            number: self.done + 1,
            rows: std::mem::replace(&mut self.pending, rest),
        };
        self.done += taken as u64;
        Ok(Some(segment))
    }

    fn tick_off(&mut self, rows: &[Row]) -> Result<(), ReportError> {
        for row in rows {
            while self.left.pop_front_if(|&mut (_, rows)| rows == 0).is_some() {}
            match self.left.front_mut() {
                Some((city, rows)) if *city == row.envelope.city => *rows -= 1,
                _ => return Err(ReportError::Torn),
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<Option<Vec<Row>>, StoreError> {
        let late = |_| StoreError::Unavailable("the rows stopped coming".into());
        timeout(SILENCE, self.blocks.recv())
            .await
            .map_err(late)?
            .transpose()
    }
}
