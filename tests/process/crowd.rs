//! People who register at the same time, and send again what was not acknowledged.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, future::join_all, stream};
use tokio::sync::Notify;

use crate::{
    people::{Random, Someone, acknowledged},
    report::{self, Line},
    server::{PATIENCE, Server},
};

/// Posts under way at once.
pub(crate) const POSTERS: usize = 6;

/// What the clients know.
#[derive(Default)]
pub(crate) struct Clients {
    /// All there ever were.
    pub(crate) born: u64,
    /// Without an acknowledgement so far; those that were sent before come first.
    pub(crate) waiting: VecDeque<Arc<Someone>>,
    /// By reference.
    pub(crate) kept: BTreeMap<String, Arc<Someone>>,
    /// Requests that were cut.
    pub(crate) cut: usize,
    /// Acknowledged only by a later request: the record was there, the answer had been lost.
    pub(crate) found_again: usize,
}

/// The clients' shared state and the bell that rings at each acknowledgement.
#[derive(Default)]
pub(crate) struct Crowd {
    pub(crate) clients: Mutex<Clients>,
    rung: Notify,
}

impl Crowd {
    /// Posts one person after the other until the connection breaks or nobody waits.
    pub(crate) async fn post(&self, server: &Server) {
        loop {
            let Some(someone) = self.clients.lock().unwrap().waiting.pop_front() else {
                return;
            };
            let answer = acknowledged(someone.post(server)).await;
            let mut clients = self.clients.lock().unwrap();
            let Some(answer) = answer else {
                clients.cut += 1;
                clients.waiting.push_front(someone);
                return;
            };
            clients.found_again += usize::from(answer.replayed);
            let before = clients.kept.insert(answer.reference, someone);
            assert!(before.is_none(), "a reference was given twice");
            drop(clients);
            self.rung.notify_one();
        }
    }

    /// Posts as many at once as [`POSTERS`] says.
    pub(crate) async fn post_together(&self, server: &Server) {
        join_all((0..POSTERS).map(|_| self.post(server))).await;
    }

    /// Adds people who wait.
    pub(crate) fn grow(&self, count: u64, random: &mut Random) {
        let mut clients = self.clients.lock().unwrap();
        for _ in 0..count {
            clients.born += 1;
            let someone = Someone::new(clients.born, random);
            clients.waiting.push_back(Arc::new(someone));
        }
    }

    /// Returns once `count` more people are acknowledged.
    pub(crate) async fn acknowledges(&self, count: u64) {
        let kept = || self.clients.lock().unwrap().kept.len();
        let aim = kept() + usize::try_from(count).unwrap();
        let enough = async {
            while kept() < aim {
                self.rung.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.unwrap();
    }
}

/// Every reference is proved, its photo opens, and its key still gives the same registration.
pub(crate) async fn is_served(server: &Server, kept: &BTreeMap<String, Arc<Someone>>) {
    stream::iter(kept)
        .for_each_concurrent(POSTERS, async |(reference, someone)| {
            let photo = server
                .fetch(&format!("/registrations/{reference}/photo"))
                .await;
            assert!(photo == someone.clean_photo, "photo of {reference}");
            let again = acknowledged(someone.post(server)).await.unwrap();
            assert!(again.replayed);
            assert_eq!(again.reference, *reference);
        })
        .await;
}

pub(crate) async fn is_reported(server: &Server, kept: &BTreeMap<String, Arc<Someone>>) {
    let expected: BTreeMap<_, _> = kept
        .iter()
        .map(|(reference, someone)| {
            let line = Line {
                name: someone.name.clone(),
                document_number: someone.document_number.clone(),
                city: someone.city_name.to_owned(),
            };
            (reference.clone(), line)
        })
        .collect();
    for report in [
        report::workbook(server.fetch("/report.xlsx").await),
        report::table(&server.fetch("/report.csv").await),
    ] {
        assert_eq!(report.lines, expected);
        assert_eq!(report.total, kept.len() as u64);
    }
    let totals: serde_json::Value = serde_json::from_slice(&server.fetch("/totals").await).unwrap();
    assert_eq!(totals["total"], kept.len());
}
