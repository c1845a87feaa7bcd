//! People who register concurrently, and retry what was not acknowledged.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, future::join_all, stream};
use reqwest::RequestBuilder;
use testkit::{Human, PATIENCE, Server};
use tokio::sync::Notify;

use crate::report::{self, Line};

/// Concurrent posts.
pub(crate) const POSTERS: usize = 6;

/// The reference that an acknowledgement gives; `None` when the connection broke before it was whole.
/// Any other answer is none that these people may get.
pub(crate) async fn acknowledged(request: RequestBuilder) -> Option<Acknowledged> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let replayed = answer.headers().contains_key("idempotent-replayed");
    let body = answer.bytes().await.ok()?;
    let text = String::from_utf8_lossy(&body);
    assert!(
        matches!((status, replayed), (201, false) | (200, true)),
        "{status} {text}"
    );
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    Some(Acknowledged {
        reference: body["reference"].as_str().unwrap().to_owned(),
        replayed,
    })
}

/// What the server has promised to keep.
pub(crate) struct Acknowledged {
    pub(crate) reference: String,
    pub(crate) replayed: bool,
}

/// What the clients know.
#[derive(Default)]
pub(crate) struct Clients {
    /// All there ever were.
    pub(crate) born: u32,
    /// Without an acknowledgement so far; those that were sent before come first.
    pub(crate) waiting: VecDeque<Arc<Human>>,
    /// By reference.
    pub(crate) kept: BTreeMap<String, Arc<Human>>,
    /// Requests whose connection broke.
    pub(crate) cut: usize,
    /// Acknowledged only by a retry: the record was there, the answer had been lost.
    pub(crate) found_again: usize,
}

/// The clients' shared state, and the notification at each acknowledgement.
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
            let answer = acknowledged(server.post(&someone)).await;
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

    /// Posts as many concurrently as [`POSTERS`] says.
    pub(crate) async fn post_together(&self, server: &Server) {
        join_all((0..POSTERS).map(|_| self.post(server))).await;
    }

    /// Adds people who wait.
    pub(crate) fn grow(&self, count: u64) {
        let mut clients = self.clients.lock().unwrap();
        for _ in 0..count {
            clients.born += 1;
            let someone = Human::new(clients.born);
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

/// Every reference is proved, its photo can be decrypted, and its idempotency key still gives the same registration.
pub(crate) async fn is_served(server: &Server, kept: &BTreeMap<String, Arc<Human>>) {
    stream::iter(kept)
        .for_each_concurrent(POSTERS, async |(reference, someone)| {
            let photo = server
                .fetch(&format!("/registrations/{reference}/photo"))
                .await;
            assert!(photo == someone.clean_photo(), "photo of {reference}");
            let again = acknowledged(server.post(someone)).await.unwrap();
            assert!(again.replayed);
            assert_eq!(again.reference, *reference);
        })
        .await;
}

pub(crate) async fn is_reported(server: &Server, kept: &BTreeMap<String, Arc<Human>>) {
    let expected: BTreeMap<_, _> = kept
        .iter()
        .map(|(reference, someone)| {
            let line = Line {
                name: someone.name.clone(),
                document_number: someone.document.clone(),
                city: someone.city_name().to_owned(),
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
