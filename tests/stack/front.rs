//! The front door: what nginx, the reverse proxy, adds (headers, TLS), and what it keeps out (rate limits, sizes,
//! timeouts).

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Method, Response, StatusCode, Version, header, multipart::Form};
use testkit::{Human, noise, until};
use tokio::task::JoinSet;

use crate::{
    client::{FRONT, Outcome, client, register},
    program::Signal,
    stack::{Stack, Tiers},
};

fn value<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

async fn problem(answer: Response) -> serde_json::Value {
    assert_eq!(value(&answer, "content-type"), "application/problem+json");
    let (id, server) = (
        value(&answer, "x-request-id").to_owned(),
        value(&answer, "x-served-by").to_owned(),
    );
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["request_id"], id, "{body}");
    assert!(!server.is_empty());
    body
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn it_speaks_tls_and_sends_plain_requests_there() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    let plain = client
        .get("http://nginx:8080/staff?lang=en")
        .send()
        .await
        .unwrap();
    assert_eq!(plain.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(
        value(&plain, "location"),
        "https://nginx:8443/staff?lang=en"
    );
    let usual = client
        .get("http://nginx:8080/")
        .header(header::HOST, "padron.example")
        .send()
        .await
        .unwrap();
    assert_eq!(value(&usual, "location"), "https://padron.example/");

    let form = client.get(format!("{FRONT}/")).send().await.unwrap();
    assert_eq!(
        (form.status(), form.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    assert!(value(&form, "strict-transport-security").contains("max-age=31536000"));
    for header in [
        "content-security-policy",
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "x-served-by",
        "x-request-id",
    ] {
        assert_eq!(
            form.headers().get_all(header).iter().count(),
            1,
            "{header} once"
        );
    }
    let page = form.text().await.unwrap();
    let asset = page
        .split('"')
        .find(|text| text.starts_with("/assets/"))
        .unwrap();
    let asset = client.get(format!("{FRONT}{asset}")).send().await.unwrap();
    assert_eq!(
        value(&asset, "cache-control"),
        "public, max-age=31536000, immutable"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn what_is_not_the_publics_is_not_served() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    for path in [
        "/metrics",
        "/metrics/",
        "/metrics?x=1",
        "//metrics",
        "/%6Detrics",
    ] {
        let answer = client.get(format!("{FRONT}{path}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(value(&answer, "x-served-by"), "nginx", "{path}");
        assert_eq!(problem(answer).await["type"], "not-found");
    }
    // What nginx itself cannot read: no TLS on its port.
    let answer = client.get("http://nginx:8443/").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(value(&answer, "x-served-by"), "nginx");
    assert_eq!(problem(answer).await["type"], "malformed");
    // A client's own request id would be repeated in the logs.
    let forged = "11111111-2222-3333-4444-555555555555";
    let answer = client
        .get(format!("{FRONT}/livez"))
        .header("x-request-id", forged)
        .send()
        .await
        .unwrap();
    assert_ne!(value(&answer, "x-request-id"), forged);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn the_bound_of_a_photo_is_padrons() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    let post = async |photo: Bytes| {
        let human = Human {
            photo,
            ..Human::new(1)
        };
        let request = client.post(format!("{FRONT}/registrations?keyed=1"));
        request.multipart(human.form()).send().await.unwrap()
    };
    let largest = noise(1_869, 1);
    assert!(
        (10_000_000..=10 << 20).contains(&largest.len()),
        "{}",
        largest.len()
    );
    let answer = post(largest).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    // Somewhat too large, and within what nginx takes: the answer has the form and what was typed.
    let answer = post(vec![0; 11 << 20].into()).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(value(&answer, "x-served-by").starts_with("padron-"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn too_much_is_refused_with_a_problem() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    let post = async |bytes: usize| {
        let form = Form::new().text("name", "a".repeat(bytes));
        let request = client
            .post(format!("{FRONT}/registrations"))
            .header("idempotency-key", "front-door-1");
        request.multipart(form).send().await.unwrap()
    };
    // Nothing but a registration is large.
    let sign_in = client.post(format!("{FRONT}/staff/sign-in"));
    let answer = sign_in.body("a".repeat(20_000)).send().await.unwrap();
    assert_eq!(
        (answer.status(), value(&answer, "x-served-by")),
        (StatusCode::PAYLOAD_TOO_LARGE, "nginx")
    );
    // The application's own bound is the lower one, and its answer names the field.
    let answer = post(1024 * 1024).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(value(&answer, "x-served-by").starts_with("padron-"));
    let answer = post(13 * 1024 * 1024).await;
    assert_eq!(
        (answer.status(), value(&answer, "x-served-by")),
        (StatusCode::PAYLOAD_TOO_LARGE, "nginx")
    );
    assert_eq!(problem(answer).await["type"], "too-large");

    let posts = (0..400).map(|_| {
        client
            .post(format!("{FRONT}/registrations"))
            .body("?")
            .send()
    });
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut refused = None;
    // Fewer concurrently than nginx's connection limit of one address.
    let mut answers = futures::stream::iter(posts).buffer_unordered(50);
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        *statuses.entry(answer.status().as_u16()).or_default() += 1;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
        }
    }
    assert!(
        statuses[&415] >= 200,
        "the burst of an office is served: {statuses:?}"
    );
    assert!(statuses[&429] >= 50, "and no more: {statuses:?}");
    let refused = refused.unwrap();
    assert_eq!(value(&refused, "retry-after"), "60");
    assert_eq!(problem(refused).await["type"], "too-many");
    // That rate limit is not for reading.
    let form = client.get(format!("{FRONT}/")).send().await.unwrap();
    assert_eq!(form.status(), StatusCode::OK);

    let guesses = (0..60).map(|_| {
        let request = client.post(format!("{FRONT}/staff/sign-in"));
        request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("token=guess")
            .send()
    });
    let guesses = futures::future::join_all(guesses).await;
    let held = guesses
        .into_iter()
        .filter(|answer| answer.as_ref().unwrap().status() == StatusCode::TOO_MANY_REQUESTS);
    assert!(held.count() >= 20, "guessing is slowed down");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn one_address_has_sixty_uploads_under_way() {
    let _stack = Stack::start(Tiers::Direct);
    let client = client();
    // Whatever the method: the room that a body takes is the same.
    let mut uploads = JoinSet::new();
    for number in 0..61 {
        let method = [Method::POST, Method::PUT][number % 2].clone();
        let nothing = futures::stream::pending::<std::io::Result<Bytes>>();
        let request = client.request(method, format!("{FRONT}/registrations"));
        uploads.spawn(request.body(Body::wrap_stream(nothing)).send());
    }
    let refused = uploads.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(uploads.try_join_next().is_none(), "sixty are taken");
    uploads.shutdown().await;
    until("room", async || {
        let post = client.post(format!("{FRONT}/registrations")).body("?");
        let answer = post.send().await.unwrap();
        (answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn a_frozen_replica_costs_a_wait_and_no_request() {
    let stack = Stack::start(Tiers::Direct);
    let client = client();
    stack.replicas[2].signal(Signal::Stop);
    for number in 0..6 {
        let chart = client
            .get(format!("{FRONT}/chart.png"))
            .send()
            .await
            .unwrap();
        assert_eq!(chart.status(), StatusCode::OK);
        // What the frozen one holds is not given to another: the client sends it again.
        let sent = register(&client, &Human::new(number)).await;
        assert!(matches!(sent.outcome, Outcome::Registered { .. }));
    }
    stack.replicas[2].signal(Signal::Cont);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn a_post_that_is_slow_is_never_given_to_a_second_replica() {
    let stack = Stack::start(Tiers::Direct);
    let client = client();
    for replica in &stack.replicas {
        replica.signal(Signal::Stop);
    }
    let human = Human::new(1);
    let request = client
        .post(format!("{FRONT}/registrations"))
        .header("idempotency-key", &human.key);
    // nginx's timeout is longer than padron would take.
    let answer = request.multipart(human.form()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let id = value(&answer, "x-request-id").to_owned();
    for replica in &stack.replicas {
        replica.signal(Signal::Cont);
    }
    let log = "/var/log/containers/nginx/nginx-json.log";
    let line = until("nginx's line", async || {
        let log = std::fs::read_to_string(log).unwrap();
        let line = log.lines().find(|line| line.contains(&id))?;
        let outer: serde_json::Value = serde_json::from_str(line).unwrap();
        let line = outer["log"].as_str().unwrap().to_owned();
        Some(serde_json::from_str::<serde_json::Value>(&line).unwrap())
    })
    .await;
    let asked = line["upstream"].as_str().unwrap();
    assert!(!asked.is_empty() && !asked.contains(','), "{line}");
    let sent = register(&client, &human).await;
    assert!(matches!(sent.outcome, Outcome::Registered { .. }));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn without_replicas_people_are_told_so() {
    let mut stack = Stack::start(Tiers::Direct);
    let client = client();
    for replica in &mut stack.replicas {
        replica.end(Signal::Kill);
    }
    let answer = client
        .get(format!("{FRONT}/chart.png"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(value(&answer, "retry-after"), "5");
    assert_eq!(problem(answer).await["type"], "unavailable");
    let page = client
        .get(format!("{FRONT}/"))
        .header(header::ACCEPT, "text/html")
        .send()
        .await
        .unwrap();
    assert!(value(&page, "content-type").starts_with("text/html"));
    assert_eq!(
        value(&page, "content-security-policy"),
        "default-src 'none'; frame-ancestors 'none'"
    );
    assert_eq!(value(&page, "x-content-type-options"), "nosniff");
    assert_eq!(value(&page, "x-frame-options"), "DENY");
    let page = page.text().await.unwrap();
    assert!(
        page.contains("Espere unos segundos") && page.contains("Wait a few seconds"),
        "{page}"
    );
}
