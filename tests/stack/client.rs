//! Clients of the stack from outside: through nginx, following the retry rule, or to a replica directly.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, Response, StatusCode, header};

use testkit::{Human, PATIENCE, client_builder};

use crate::servers::secret;

/// The front door.
pub(crate) const FRONT: &str = "https://nginx:8443";

/// The timeout of one attempt.
const ATTEMPT: Duration = Duration::from_secs(40);

/// The pause before a retry.
const PAUSE: Duration = Duration::from_millis(250);

/// What became of a person who asked to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 201, or 200 for one that was there from an earlier attempt.
    Registered { reference: String },
    /// A final refusal.
    Refused { status: StatusCode },
}

/// How a request went that was retried until it had a final answer.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) outcome: Outcome,
    pub(crate) attempts: u32,
    pub(crate) took: Duration,
}

/// A client that trusts the stack's own certificate.
pub(crate) fn client() -> Client {
    client_at(Ipv4Addr::LOCALHOST)
}

/// A client at an address of its own, because nginx has a rate limit for each address.
pub(crate) fn client_at(address: Ipv4Addr) -> Client {
    client_builder()
        .local_address(IpAddr::from(address))
        .danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ATTEMPT)
        .build()
        .unwrap()
}

/// Adds what proves that staff ask.
pub(crate) fn as_staff(request: RequestBuilder) -> RequestBuilder {
    request.bearer_auth(secret("padron_admin_token"))
}

/// Registers `human`, idempotently, with retries under one key until there is a final answer: the rule is to retry the
/// same request after a lost connection, 429 and 5xx.
pub(crate) async fn register(client: &Client, human: &Human) -> Sent {
    let begun = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let request = human
            .post(client, FRONT)
            .header(header::ACCEPT, "application/json");
        if let Some(outcome) = final_answer(request.send().await).await {
            return Sent {
                outcome,
                attempts,
                took: begun.elapsed(),
            };
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "no final answer in {PATIENCE:?}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}

async fn final_answer(answer: reqwest::Result<Response>) -> Option<Outcome> {
    let answer = answer.ok()?;
    let status = answer.status();
    match status {
        StatusCode::CREATED | StatusCode::OK => {
            let body: serde_json::Value = answer.json().await.ok()?;
            let reference = body["reference"].as_str().expect("a reference").to_owned();
            Some(Outcome::Registered { reference })
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => None,
        status if status.is_server_error() => None,
        status => Some(Outcome::Refused { status }),
    }
}
