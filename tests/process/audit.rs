//! The audit log: *whatever is done to people's data leaves a line with a name*, at every log level.

use reqwest::{Response, StatusCode, header};
use serde_json::Value;
use testkit::{Form, Home, Server, until};

#[tokio::test]
async fn audit_lines_are_written_at_every_level() {
    for level in ["off", "warn"] {
        let home = Home::new();
        let server = home.start_with(&[("RUST_LOG", level)]).await;
        let reference = register(&server).await;
        let asked = as_staff(&server, &reference).await;
        let lines = until("the audit lines", async || {
            let lines = audited(&server.stdout());
            (lines.len() == asked.len()).then_some(lines)
        });
        for (line, (message, request_id)) in lines.await.iter().zip(&asked) {
            assert_eq!(line["message"], *message);
            assert_eq!(line["request_id"], *request_id, "{message}");
            let actor = (message != "sign-in refused").then_some("admin");
            assert_eq!(line.get("actor").and_then(Value::as_str), actor);
        }
        let log = server.stdout();
        server.stop().await;
        assert_eq!(log.lines().count(), asked.len(), "and nothing else: {log}");

        let here = [
            ("PADRON_STORE", "sqlite:copy.db"),
            ("PADRON_PHOTOS", "file:copied"),
        ];
        let from = [
            "--from-store",
            "sqlite:data/padron.db",
            "--from-photos",
            "file:data/photos",
        ];
        let copy = [&["copy"], &from[..]].concat();
        for (arguments, there, messages) in [
            (
                copy.as_slice(),
                here.as_slice(),
                ["copy begun", "copy finished"].as_slice(),
            ),
            (&["erase", &reference], &[], &["registration erased"]),
            (&["keys", "rotate"], &[], &["keys rotated"]),
        ] {
            let mut command = home.command(arguments);
            let command = command.env("RUST_LOG", level).envs(there.iter().copied());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let lines = audited(&String::from_utf8(output.stdout).unwrap());
            let told: Vec<_> = lines.iter().map(|line| &line["message"]).collect();
            assert_eq!(told, messages);
            assert!(lines.iter().all(|line| line["actor"] == "command line"));
        }
    }
}

/// Does all that has an audit line: the lines and their requests, in their order.
async fn as_staff(server: &Server, reference: &str) -> Vec<(String, String)> {
    let mut asked = Vec::new();
    let mut done = |messages: &[&str], answer: &Response| {
        let id = answer.headers()["x-request-id"].to_str().unwrap();
        asked.extend(
            messages
                .iter()
                .map(|message| ((*message).to_owned(), id.to_owned())),
        );
    };
    let client = testkit::client_builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let post = |path: &str| {
        let request = client.post(server.url(path));
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    };
    let refused = post("/staff/sign-in")
        .body("token=wrong")
        .send()
        .await
        .unwrap();
    done(&["sign-in refused"], &refused);
    let token = format!("token={}", server.admin_token());
    let signed_in = post("/staff/sign-in").body(token).send().await.unwrap();
    done(&["signed in"], &signed_in);
    let cookie = signed_in.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    for (path, messages) in [
        (
            "/report.csv".to_owned(),
            ["report begun", "report finished"].as_slice(),
        ),
        (
            "/report.xlsx?city=11001".to_owned(),
            &["report begun", "report finished"],
        ),
        (
            format!("/registrations/{reference}/photo"),
            &["photo opened"],
        ),
    ] {
        let answer = server.get(&path).header(header::COOKIE, cookie).send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        done(messages, &answer);
        let bytes = answer.bytes().await.unwrap().len();
        if path.starts_with("/report") {
            let line = until("the last line of a report", async || {
                let last = audited(&server.stdout()).pop()?;
                (last["message"] == "report finished").then_some(last)
            });
            let line = line.await;
            assert_eq!((&line["rows"], &line["bytes"]), (&1.into(), &bytes.into()));
        }
    }
    let signed_out = post("/staff/sign-out")
        .header(header::COOKIE, cookie)
        .send();
    done(&["signed out"], &signed_out.await.unwrap());
    asked
}

async fn register(server: &Server) -> String {
    let form = Form::whole().with("city", "11001");
    let answer = server.post_form(&form).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let registration: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    registration["reference"].as_str().unwrap().to_owned()
}

fn audited(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.contains("padron::audit"));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
