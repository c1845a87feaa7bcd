//! Cuts the blocks of a snapshot into segments of tabs, and checks the rows against the counts.
//!
//! `pool` asks for one segment after the other, and only when there is a worker for it: that is the backpressure
//! which slows the store down to the client's pace.

use std::time::Duration;

use tokio::{sync::mpsc, time::timeout};

use super::{ReportError, tabs::Tab};
use crate::{
    domain::city::{City, CityCode},
    store::{Row, StoreError},
};

/// Read timeout for a block: the store's server may be gone without closing its connection.
const SILENCE: Duration = Duration::from_secs(30);

/// Rows that belong together on one tab; none on a tab that has none.
pub(super) struct Segment {
    /// Index of the tab.
    pub(super) tab: usize,
    pub(super) city: CityCode,
    /// Rows of the tab before it.
    pub(super) before: u64,
    /// Number of the first row within its city, from 1.
    pub(super) number: u64,
    pub(super) rows: Vec<Row>,
    /// Whether the tab begins with it.
    pub(super) first: bool,
    /// Whether the tab ends with it.
    pub(super) last: bool,
    /// Rows of the city, when the city ends with it.
    pub(super) total: Option<u64>,
}

type Blocks = mpsc::Receiver<Result<Vec<Row>, StoreError>>;

/// The rows of one snapshot, tab by tab.
pub(super) struct Feed {
    tabs: Vec<Tab>,
    max_rows: u64,
    cities: Vec<(CityCode, u64)>,
    blocks: Blocks,
    /// Received and not yet in a segment.
    pending: Vec<Row>,
    tab: usize,
    /// Rows of the current tab that are in segments.
    done: u64,
    /// Rows of its city before the current tab.
    before: u64,
}

impl Feed {
    /// The rows of `cities`, each given with how many it has, in the order of the snapshot's rows; `tabs` are planned
    /// for them with `max_rows` on each.
    pub(super) fn new(
        cities: &[(City, u64)],
        tabs: Vec<Tab>,
        max_rows: u64,
        blocks: Blocks,
    ) -> Self {
        Self {
            tabs,
            max_rows,
            cities: cities
                .iter()
                .map(|(city, rows)| (city.code, *rows))
                .collect(),
            blocks,
            pending: Vec::new(),
            tab: 0,
            done: 0,
            before: 0,
        }
    }

    /// The next segment; `None` after the last, once the snapshot has no more rows either.
    ///
    /// # Errors
    /// When the store fails or a read times out, or other rows come than it counted.
    pub(super) async fn next(&mut self) -> Result<Option<Segment>, ReportError> {
        let Some(tab) = self.tabs.get(self.tab) else {
            return match receive(&mut self.blocks).await? {
                None if self.pending.is_empty() => Ok(None),
                _ => Err(ReportError::Torn),
            };
        };
        let (city, of_city) = self.cities[tab.city];
        let of_tab = (of_city - self.before).min(self.max_rows);
        let left = of_tab - self.done;
        if left > 0 && self.pending.is_empty() {
            self.pending = receive(&mut self.blocks).await?.ok_or(ReportError::Torn)?;
        }
        let fit = self
            .pending
            .iter()
            .take(usize::try_from(left).unwrap_or(usize::MAX));
        let taken = fit.take_while(|row| row.envelope.city == city).count();
        if left > 0 && taken == 0 {
            return Err(ReportError::Torn);
        }
        let rest = self.pending.split_off(taken);
        let rows = std::mem::replace(&mut self.pending, rest);
        let last = taken as u64 == left;
        let segment = Segment {
            tab: self.tab,
            city,
            before: self.done,
            number: self.before + self.done + 1,
            first: self.done == 0,
            last,
            total: (last && tab.last).then_some(of_city),
            rows,
        };
        self.done += taken as u64;
        if last {
            self.before = if tab.last { 0 } else { self.before + of_tab };
            self.done = 0;
            self.tab += 1;
        }
        Ok(Some(segment))
    }
}

async fn receive(blocks: &mut Blocks) -> Result<Option<Vec<Row>>, StoreError> {
    let late = |_| StoreError::Unavailable("the rows stopped coming".into());
    timeout(SILENCE, blocks.recv())
        .await
        .map_err(late)?
        .transpose()
}
