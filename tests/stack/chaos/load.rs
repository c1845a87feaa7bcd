//! The load: people who register meanwhile, and what they were told.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode};
use testkit::Human;
use tokio::task::JoinSet;

use crate::client::{FRONT, Outcome, Sent, as_staff, client, client_at, register};

/// People who register concurrently.
const PEOPLE: u8 = 8;

/// Every so many, two people claim one document number, and one person reuses an idempotency key.
const TWINS: u32 = 10;

/// The document number, or the idempotency key, is another's.
const TAKEN: Outcome = Outcome::Refused {
    status: StatusCode::CONFLICT,
};

pub(super) struct Load {
    pub(super) client: Client,
    /// Everybody who was acknowledged, by reference.
    kept: Arc<Mutex<BTreeMap<String, Human>>>,
    born: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Vec<Sent>>,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            client: client(),
            kept: Arc::default(),
            born: Arc::default(),
            stop: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    /// Everybody who was acknowledged so far.
    pub(super) fn kept(&self) -> BTreeMap<String, Human> {
        self.kept.lock().unwrap().clone()
    }

    pub(super) fn registered(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    /// Lets people register, and staff look, until [`Load::stop`].
    pub(super) fn start(&mut self) {
        self.stop.store(false, Ordering::Relaxed);
        for person in 1..=PEOPLE {
            let client = client_at(Ipv4Addr::new(127, 78, 0, person));
            let kept = self.kept.clone();
            let (born, stop) = (self.born.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                let mut all = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = born.fetch_add(1, Ordering::Relaxed);
                    all.extend(one(&client, number, &kept).await);
                }
                all
            });
        }
        for path in ["/report.xlsx", "/chart.png"] {
            let (client, stop) = (self.client.clone(), self.stop.clone());
            self.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // A failure is allowed amid a fault, half a report that looks whole is not.
                    look(&client, path).await;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Vec::new()
            });
        }
    }

    /// Waits until everybody who began has a final answer.
    pub(super) async fn stop(&mut self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            all.extend(ended.unwrap());
        }
        all
    }
}

/// One person registers; every [`TWINS`]th with a twin, or once more under the same idempotency key.
async fn one(client: &Client, number: u32, kept: &Mutex<BTreeMap<String, Human>>) -> Vec<Sent> {
    let human = Human::new(number);
    match number % TWINS {
        0 => {
            let twin = Human {
                name: format!("{} (the other)", human.name),
                key: format!("{}-twin", human.key),
                ..human.clone()
            };
            let (first, second) = tokio::join!(register(client, &human), register(client, &twin));
            let both = [(first, human), (second, twin)];
            let how_many = |is: fn(&Outcome) -> bool| {
                both.iter().filter(|(sent, _)| is(&sent.outcome)).count()
            };
            let registered = how_many(|outcome| matches!(outcome, Outcome::Registered { .. }));
            let refused = how_many(|outcome| *outcome == TAKEN);
            assert_eq!(
                (registered, refused),
                (1, 1),
                "of two with one document number one is registered: {both:?}"
            );
            for (sent, human) in &both {
                keep(kept, sent, human);
            }
            both.map(|(sent, _)| sent).into()
        }
        1 => {
            let sent = register(client, &human).await;
            keep(kept, &sent, &human);
            let again = register(client, &human).await;
            assert_eq!(
                again.outcome, sent.outcome,
                "the same request has the same answer"
            );
            let other = Human {
                name: "Somebody Else".into(),
                ..human
            };
            let refused = register(client, &other).await;
            assert_eq!(refused.outcome, TAKEN);
            vec![sent, again, refused]
        }
        _ => {
            let sent = register(client, &human).await;
            assert!(
                matches!(sent.outcome, Outcome::Registered { .. }),
                "{sent:?}"
            );
            keep(kept, &sent, &human);
            vec![sent]
        }
    }
}

fn keep(kept: &Mutex<BTreeMap<String, Human>>, sent: &Sent, human: &Human) {
    if let Outcome::Registered { reference } = &sent.outcome {
        let before = kept
            .lock()
            .unwrap()
            .insert(reference.clone(), human.clone());
        assert!(before.is_none(), "{reference} was given twice");
    }
}

async fn look(client: &Client, path: &str) {
    let Ok(answer) = as_staff(client.get(format!("{FRONT}{path}"))).send().await else {
        return;
    };
    if answer.status() != StatusCode::OK {
        return;
    }
    // A cut body is an error here, because it is chunked or shorter than announced.
    let Ok(bytes) = answer.bytes().await else {
        return;
    };
    match path {
        "/chart.png" => drop(image::load_from_memory(&bytes).expect("a whole chart")),
        _ => drop(super::audit::Report::read(bytes.to_vec())),
    }
}
