//! Replicas that start before their tiers are available.

use reqwest::{Client, StatusCode};
use testkit::{Human, until};

use crate::{
    client::{FRONT, Outcome, client, register},
    program::Signal,
    servers::REPLICAS,
    stack::{Stack, Tiers},
};

async fn status(client: &Client, url: &str) -> Option<StatusCode> {
    let answer = client.get(url).send().await.ok()?;
    Some(answer.status())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack; .ci/run starts it"]
async fn replicas_serve_when_their_tiers_come_and_need_no_restart() {
    let mut stack = Stack::start(Tiers::Direct);
    for replica in &mut stack.replicas {
        replica.end(Signal::Term);
    }
    stack.mongodb.end(Signal::Term);
    stack.s3.end(Signal::Term);
    for replica in &mut stack.replicas {
        replica.start();
    }
    let client = client();
    for replica in REPLICAS {
        let at = |path: &str| format!("http://{replica}:4000{path}");
        until("a live replica", async || {
            (status(&client, &at("/livez")).await == Some(StatusCode::OK)).then_some(())
        })
        .await;
        assert_eq!(status(&client, &at("/")).await, Some(StatusCode::OK));
        for path in ["/readyz", "/totals"] {
            let away = status(&client, &at(path)).await;
            assert_eq!(away, Some(StatusCode::SERVICE_UNAVAILABLE), "{path}");
        }
    }
    // Whoever follows the retry rule is registered as soon as that is possible.
    let waiting = tokio::spawn(async move { register(&client, &Human::new(1)).await });
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    stack.mongodb.start();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    stack.s3.start();
    let sent = waiting.await.unwrap();
    assert!(
        matches!(sent.outcome, Outcome::Registered { .. }),
        "{sent:?}"
    );
    assert!(sent.attempts > 1, "{sent:?}");
    stack.wait_until_ready();
    let client = crate::client::client();
    for replica in REPLICAS {
        let url = format!("http://{replica}:4000/chart.png");
        assert_eq!(status(&client, &url).await, Some(StatusCode::OK));
    }
    let ready = status(&client, &format!("{FRONT}/readyz")).await;
    assert_eq!(ready, Some(StatusCode::OK));
}
