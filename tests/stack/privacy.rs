//! Canaries that are planted in every request are searched for in what all programs of the stack write, and in what
//! the log server has of it.

use std::{fs, path::Path};

use reqwest::{Client, RequestBuilder, StatusCode};
use testkit::{Human, Search, until};

use crate::{
    client::{FRONT, as_staff, client},
    program::Signal,
    servers::secret,
    stack::{Stack, Tiers},
    watch::{logs_query, start_logs},
};

const NAME: &str = "Ñusta Quetzalcóatl Planted";
const NUMBER: &str = "98765432109";
const EMAIL: &str = "quetzal.planted@mexihca.example";
const KEY: &str = "planted-key-7f3a9c";
const PATH: &str = "planted-path-Coatlicue";
const QUERY: &str = "planted-query-Xolotl";
const HEADER: &str = "planted-header-Tlaloc";
const TOKEN: &str = "planted-wrong-token-Ehecatl-000000000000";

/// Secrets of this installation, which open everything.
const SECRETS: [&str; 4] = [
    "padron_admin_token",
    "s3_secret_key",
    "tls.key",
    "padron_keys",
];

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

fn post(client: &Client, human: &Human) -> RequestBuilder {
    let post = client.post(format!("{FRONT}/registrations?keyed=1&note={QUERY}"));
    post.header("Idempotency-Key", &human.key)
        .header("Referer", format!("{FRONT}/?q={QUERY}"))
        .header("User-Agent", HEADER)
        .header("Cookie", format!("session={TOKEN}"))
        .multipart(human.form().text("email", EMAIL))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack, VictoriaLogs and the Collector; .ci/run starts them"]
async fn no_program_writes_anything_personal() {
    let mut stack = Stack::start_with(Tiers::Direct, &[("RUST_LOG", "trace")]);
    let _logs = start_logs();
    let client = client();
    let human = Human {
        name: NAME.into(),
        document: NUMBER.into(),
        key: KEY.into(),
        ..Human::new(2)
    };

    register_and_look(&client, &human).await;
    kill_the_tiers(&mut stack, &client, &human).await;
    everything_arrived(&client).await;
    for service in ["padron-1", "nginx", "s3", "mongodb"] {
        let log = format!("/var/log/containers/{service}/{service}-json.log");
        assert!(
            fs::metadata(&log).unwrap().len() > 0,
            "{service} writes nothing"
        );
    }
    let search = planted(&human);
    search.finds_nothing_below(Path::new("/var/log/containers"), &[]);
    let all = logs_query(&client, "*").await.unwrap();
    assert!(!all.is_empty());
    search.finds_nothing_in(
        "the log server",
        serde_json::to_string(&all).unwrap().as_bytes(),
    );
}

/// Registers, again, is refused in every way, and reads everything as staff.
async fn register_and_look(client: &Client, human: &Human) {
    let answer = post(client, human).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let photo = format!("{}/photo", answer.headers()["location"].to_str().unwrap());
    assert_eq!(status(post(client, human)).await, StatusCode::OK);
    for (refused, told) in [
        (
            Human {
                key: format!("{KEY}-2"),
                name: format!("{NAME} Again"),
                ..human.clone()
            },
            StatusCode::CONFLICT,
        ),
        (
            Human {
                document: format!("{NUMBER}00"),
                key: format!("{KEY}-3"),
                ..human.clone()
            },
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            Human {
                photo: NAME.into(),
                key: format!("{KEY}-4"),
                ..human.clone()
            },
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
    ] {
        assert_eq!(status(post(client, &refused)).await, told);
    }
    for (path, told) in [
        (format!("/{PATH}?{QUERY}"), StatusCode::NOT_FOUND),
        (format!("/cities?q={QUERY}"), StatusCode::OK),
        (format!("/registrations/{PATH}"), StatusCode::NOT_FOUND),
        (format!("/staff/sign-in?code={TOKEN}"), StatusCode::OK),
    ] {
        assert_eq!(
            status(client.get(format!("{FRONT}{path}"))).await,
            told,
            "{path}"
        );
    }
    let wrong = client
        .get(format!("{FRONT}/report.xlsx"))
        .bearer_auth(TOKEN);
    assert_eq!(status(wrong).await, StatusCode::UNAUTHORIZED);
    for path in ["/report.xlsx", "/report.csv", &photo] {
        let answer = as_staff(client.get(format!("{FRONT}{path}")))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.unwrap();
    }
}

/// A tier that dies makes everybody log the most.
async fn kill_the_tiers(stack: &mut Stack, client: &Client, human: &Human) {
    for tier in [&mut stack.s3, &mut stack.mongodb] {
        tier.end(Signal::Kill);
        let other = Human {
            key: format!("{KEY}-{}", tier.name),
            document: "12345678".into(),
            ..human.clone()
        };
        assert_eq!(
            status(post(client, &other)).await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        tier.start();
        tier.wait_until_ready();
        until("a tier that is back", async || {
            let ready = client.get(format!("{FRONT}/readyz"));
            (status(ready).await == StatusCode::OK).then_some(())
        })
        .await;
    }
}

fn planted(human: &Human) -> Search {
    let mut search = Search::of([NAME, NUMBER, EMAIL, KEY, PATH, QUERY, HEADER, TOKEN]);
    let clean = human.clean_photo();
    let middle = clean.len() / 2;
    search.add("the photo", clean[middle..middle + 32].to_vec());
    for name in SECRETS {
        for line in secret(name)
            .lines()
            .filter(|line| line.len() > 20 && !line.starts_with('-'))
        {
            search.add(name, line.into());
        }
    }
    search
}

/// All of it is in the log server when the last request is.
async fn everything_arrived(client: &Client) {
    let answer = client.get(format!("{FRONT}/totals")).send().await.unwrap();
    let last = answer.headers()["x-request-id"].to_str().unwrap();
    let of_last = format!(r#"app:="padron" request_id:="{last}""#);
    until("the last line in the log server", async || {
        let found = logs_query(client, &of_last).await.unwrap();
        (!found.is_empty()).then_some(())
    })
    .await;
}
