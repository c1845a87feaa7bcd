//! Three replicas that act as one: what is done through one holds for all, because the store decides.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use reqwest::{Client, Response, StatusCode, header};
use testkit::Human;
use tokio::task::JoinHandle;

use crate::{
    client::{FRONT, as_staff, client},
    program::Signal,
    servers::{REPLICAS, secret},
    stack::{Stack, Tiers},
};

/// Concurrent requests that race for one thing.
const RACERS: usize = 51;

fn at(replica: &str, path: &str) -> String {
    format!("http://{replica}:4000{path}")
}

async fn post(client: &Client, replica: &str, human: &Human) -> Response {
    let request = client
        .post(at(replica, "/registrations"))
        .header("idempotency-key", &human.key);
    request.multipart(human.form()).send().await.unwrap()
}

async fn reference(answer: Response) -> String {
    let body: serde_json::Value = answer.json().await.unwrap();
    body["reference"].as_str().expect("a reference").to_owned()
}

/// Chart and ETag of a replica.
async fn chart(client: &Client, replica: &str) -> (String, Bytes) {
    let answer = client.get(at(replica, "/chart.png")).send().await.unwrap();
    let etag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
    (etag, answer.bytes().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn uniqueness_is_the_stores_and_so_is_the_answer() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();

    let human = Human::new(1);
    let racers = REPLICAS.iter().cycle().take(RACERS);
    let answers = join_all(racers.map(|replica| post(&client, replica, &human))).await;
    let created = answers
        .iter()
        .filter(|answer| answer.status() == StatusCode::CREATED)
        .count();
    assert_eq!(
        created, 1,
        "one of {RACERS} requests with one key makes the registration"
    );
    let mut references = BTreeSet::new();
    for answer in answers {
        assert!(answer.status().is_success());
        references.insert(reference(answer).await);
    }
    assert_eq!(references.len(), 1, "and all are told the same");

    let racers = REPLICAS.iter().cycle().zip(0..).take(RACERS);
    let claims: Vec<_> = racers
        .map(|(replica, number)| {
            // The same form would be the same registration.
            let claim = Human {
                key: format!("claim-{number:08}"),
                name: format!("Claim {number}"),
                ..Human::new(2)
            };
            (replica, claim)
        })
        .collect();
    let answers = join_all(
        claims
            .iter()
            .map(|(replica, claim)| post(&client, replica, claim)),
    )
    .await;
    let mut statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(
        statuses[1..].iter().all(|&status| status == 409),
        "{statuses:?}"
    );

    let other = Human {
        name: "Somebody Else".into(),
        ..human
    };
    for replica in REPLICAS {
        let answer = post(&client, replica, &other).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "idempotency-key-reused");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn a_report_is_on_every_chart_within_a_second() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    for round in 0..6 {
        let known = chart(&client, REPLICAS[0]).await;
        let maker = REPLICAS[round % 3];
        let answer = post(&client, maker, &Human::new(u32::try_from(round).unwrap())).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let report = as_staff(client.get(at(maker, "/report.xlsx")))
            .send()
            .await
            .unwrap();
        report.bytes().await.unwrap();
        let done = Instant::now();
        let made = chart(&client, maker).await;
        assert!(
            made != known,
            "the replica that made the report shows it at once"
        );
        for replica in REPLICAS {
            while chart(&client, replica).await != made {
                assert!(
                    done.elapsed() < Duration::from_secs(1),
                    "{replica} does not show it"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn who_signs_in_on_one_is_known_to_all() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    let [first, second, third] = REPLICAS;
    let send = async |method: &str, replica: &str, path: &str, cookie: &str, body: String| {
        let request = client.request(method.parse().unwrap(), at(replica, path));
        let form = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        form.header(header::COOKIE, cookie)
            .body(body)
            .send()
            .await
            .unwrap()
    };
    let token = format!("token={}", secret("padron_admin_token"));
    let answer = send("POST", first, "/staff/sign-in", "", token).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();

    let status = async |replica: &str| {
        send("GET", replica, "/report.csv", &cookie, String::new())
            .await
            .status()
    };
    for replica in REPLICAS {
        assert_eq!(status(replica).await, StatusCode::OK, "{replica}");
    }
    let out = send("POST", second, "/staff/sign-out", &cookie, String::new()).await;
    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    for replica in [third, first, second] {
        assert_eq!(status(replica).await, StatusCode::UNAUTHORIZED, "{replica}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn every_answer_names_its_replica() {
    let mut stack = Stack::start(Tiers::Direct);
    let client = client();
    let named =
        async |answer: Response| answer.headers()["x-served-by"].to_str().unwrap().to_owned();
    for replica in REPLICAS {
        for path in [
            "/",
            "/chart.png",
            "/readyz",
            "/nothing",
            "/staff",
            "/report.xlsx",
            "/docs/",
            "/registrations/K7QM-3XPD",
        ] {
            let answer = client.get(at(replica, path)).send().await.unwrap();
            assert_eq!(named(answer).await, replica, "{path}");
        }
        let answer = client
            .post(at(replica, "/registrations"))
            .body("?")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(named(answer).await, replica);
    }

    // Through the front door each of them is met, and a dead one by nobody.
    let meet = async || {
        let mut met = BTreeSet::new();
        for _ in 0..60 {
            let answer = client.get(format!("{FRONT}/livez")).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            met.insert(named(answer).await);
        }
        met
    };
    assert_eq!(meet().await, BTreeSet::from(REPLICAS.map(str::to_owned)));
    stack.replicas[1].end(Signal::Kill);
    assert_eq!(
        meet().await,
        BTreeSet::from(["padron-1".to_owned(), "padron-3".to_owned()])
    );
}

/// Requests each of `paths` again and again until `stop`, without retries.
fn looking(paths: &[&'static str], stop: &Arc<AtomicBool>) -> Vec<JoinHandle<u32>> {
    let look = |&path: &&'static str| {
        let (client, stop) = (client(), stop.clone());
        tokio::spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let request = as_staff(client.get(format!("{FRONT}{path}")));
                let answer = request.send().await.expect("an answer");
                assert_eq!(
                    answer.status(),
                    StatusCode::OK,
                    "{path} {:?}",
                    answer.headers()
                );
                answer.bytes().await.expect("a whole body");
                sent += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            sent
        })
    };
    paths.iter().map(look).collect()
}

/// Registers one person after the other until `stop`.
fn registering(poster: u32, stop: &Arc<AtomicBool>) -> JoinHandle<u32> {
    let (client, stop) = (client(), stop.clone());
    tokio::spawn(async move {
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) {
            let human = Human::new(poster * 100_000 + sent);
            let request = client.post(format!("{FRONT}/registrations"));
            let request = request
                .header("idempotency-key", &human.key)
                .multipart(human.form());
            let answer = request.send().await.expect("an answer");
            assert_eq!(
                answer.status(),
                StatusCode::CREATED,
                "{:?}",
                answer.headers()
            );
            sent += 1;
            // Below the rate limit of one address.
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        sent
    })
}

/// A rolling restart of the replicas; returns how many requests there were meanwhile.
async fn restart_each(stack: &mut Stack, stop: &AtomicBool, running: Vec<JoinHandle<u32>>) -> u32 {
    for replica in &mut stack.replicas {
        tokio::time::sleep(Duration::from_secs(1)).await;
        replica.end(Signal::Term);
        replica.start();
        replica.wait_until_ready();
    }
    stop.store(true, Ordering::Relaxed);
    let mut requests = 0;
    for one in running {
        requests += one.await.unwrap();
    }
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs the stack; .ci/run starts it"]
async fn a_rolling_restart_fails_no_request() {
    let mut stack = Stack::start(Tiers::Direct);
    let stop = Arc::new(AtomicBool::new(false));
    let mut running = looking(&["/", "/chart.png", "/totals"], &stop);
    running.extend((0..4).map(|poster| registering(poster, &stop)));
    let requests = restart_each(&mut stack, &stop, running).await;
    println!("{requests} requests during three restarts, none failed");

    // Reports by themselves: SecantusDB keeps no snapshot amid writes.
    let stop = Arc::new(AtomicBool::new(false));
    let running = looking(&["/report.csv", "/report.xlsx", "/staff"], &stop);
    let requests = restart_each(&mut stack, &stop, running).await;
    println!("{requests} reports and staff pages during three more, none failed");
}
