//! `POST /registrations` and what it leaves behind.

use axum::{body::Body, http::Request};
use insta::assert_json_snapshot;

use testkit::{CARD, Form};

use crate::app::TestApp;

#[tokio::test]
async fn a_person_is_registered() {
    let app = TestApp::new().await;
    let answer = app.post(&Form::whole()).await;
    assert_eq!(answer.status, 201);
    assert_json_snapshot!(answer.json(), {".reference" => "[reference]", ".registered_at" => "[time]"});
    let reference = answer.json()["reference"].as_str().unwrap().to_owned();
    assert_eq!(
        answer.header("location"),
        format!("/registrations/{reference}")
    );
    assert_eq!(app.photos().await.len(), 1);
    assert_eq!(app.rows().await, 1);

    let proof = app
        .get(&format!(
            "/registrations/{}",
            reference.to_lowercase().replace('-', "")
        ))
        .await;
    assert_eq!(proof.status, 200);
    assert_eq!(proof.json()["reference"], reference);
    assert!(!proof.text().contains("Ana"), "the proof names nobody");
}

#[tokio::test]
async fn fields_come_in_any_order() {
    let app = TestApp::new().await;
    let form = Form::whole()
        .text("document_number", "1.020.304")
        .text("email", "ana@example.com")
        .text("idempotency_key", "0123456789");
    assert_eq!(app.post(&form.clone().reversed()).await.status, 201);
    assert_eq!(
        app.post(&form).await.status,
        200,
        "the same content, whatever its order"
    );
}

#[tokio::test]
async fn the_photo_is_stored_without_what_it_told_and_shown_as_it_was() {
    let app = TestApp::new().await;
    let answer = app.post(&Form::whole()).await.json();
    let path = format!(
        "/registrations/{}/photo",
        answer["reference"].as_str().unwrap()
    );
    let photo = app.staff(&path).await;
    assert_eq!(photo.header("content-type"), "image/jpeg");
    assert_eq!(photo.header("x-content-type-options"), "nosniff");
    assert!(photo.header("content-security-policy").contains("sandbox"));
    assert_eq!(photo.body.len(), answer["photo"]["bytes"]);
    assert!(
        CARD.windows(7).any(|window| window == b"PLANTED"),
        "there is something to remove"
    );
    assert!(!photo.body.windows(7).any(|window| window == b"PLANTED"));
    let upright = |bytes: &[u8]| {
        use image::{DynamicImage, ImageDecoder as _, ImageReader};
        let reader = ImageReader::new(std::io::Cursor::new(bytes))
            .with_guessed_format()
            .unwrap();
        let mut decoder = reader.into_decoder().unwrap();
        let orientation = decoder.orientation().unwrap();
        let mut image = DynamicImage::from_decoder(decoder).unwrap();
        image.apply_orientation(orientation);
        image
    };
    assert!(
        upright(&photo.body) == upright(CARD),
        "the same picture, the same way up"
    );
    assert_eq!(app.get(&path).await.status, 401, "for staff only");
}

#[tokio::test]
async fn a_replay_gives_the_same_answer_and_leaves_one_photo() {
    let app = TestApp::new().await;
    let key = [("idempotency-key", "key-0123456789")];
    let first = app.send(Form::whole().request(&key)).await;
    let again = app.send(Form::whole().request(&key)).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let in_field = app
        .post(&Form::whole().text("idempotency_key", "key-0123456789"))
        .await;
    assert_eq!(in_field.status, 200, "header and field are one key");
    assert_eq!((app.photos().await.len(), app.rows().await), (1, 1));
}

#[tokio::test]
async fn other_content_under_the_same_key_is_refused() {
    let app = TestApp::new().await;
    let key = [("idempotency-key", "key-0123456789")];
    let first = app.send(Form::whole().request(&key)).await;
    assert_eq!(first.status, 201);
    let others = [
        Form::whole().with("name", "Otra Persona"),
        Form::whole().with("city", "05001"),
        Form::whole().text("email", "x@example.com"),
        Form::whole()
            .without("photo")
            .file("photo", "x.png", &png(321)),
    ];
    for other in others {
        let answer = app.send(other.request(&key)).await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.json()["type"], "idempotency-key-reused");
        assert_eq!(answer.json()["reference"], first.json()["reference"]);
    }
    assert_eq!((app.photos().await.len(), app.rows().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_posts_of_one_key_make_one_record_and_one_photo() {
    let app = TestApp::new().await;
    let key = [("idempotency-key", "key-0123456789")];
    let posts = (0..50).map(|_| app.send(Form::whole().request(&key)));
    let answers = futures::future::join_all(posts).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!((app.photos().await.len(), app.rows().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_number_is_registered_once() {
    let app = TestApp::new().await;
    let posts = (0..20).map(|number| {
        let form = Form::whole().with("name", format!("Persona {number}"));
        let written = ["1020304050", "1’020.304.050", "01020304050\u{200b}"][number % 3];
        let form = form.text("document_number", written);
        let app = &app;
        async move { app.post(&form).await }
    });
    let answers = futures::future::join_all(posts).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1);
    let refused = answers
        .iter()
        .find(|answer| answer.status == 409)
        .unwrap()
        .json();
    assert_eq!(refused["type"], "already-registered");
    assert!(
        ["errors", "detail", "reference"].map(|member| refused.get(member)) == [None; 3],
        "tells nothing more"
    );
    assert_eq!((app.photos().await.len(), app.rows().await), (1, 1));
}

#[tokio::test]
async fn photos_of_every_kind_are_taken() {
    let app = TestApp::new().await;
    for (number, photo) in [CARD.to_vec(), png(320), webp()].into_iter().enumerate() {
        let form = Form::whole()
            .without("photo")
            .file("photo", "wrong-name.txt", &photo);
        let answer = app.post(&form).await;
        assert_eq!(answer.status, 201, "photo {number}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_photo_of_exactly_the_bound_is_taken_and_one_byte_more_is_not() {
    let app = TestApp::new().await;
    let mut photo = CARD.to_vec();
    photo.resize(padron::domain::photo::MAX_BYTES, 0);
    let form = |photo: &[u8]| Form::whole().without("photo").file("photo", "x.jpg", photo);
    assert_eq!(app.post(&form(&photo)).await.status, 201);
    photo.push(0);
    let answer = app.post(&form(&photo).with("name", "")).await;
    assert_eq!(answer.status, 413);
    assert_json_snapshot!(answer.json(), {".request_id" => "[id]"});
    assert_eq!(app.photos().await.len(), 1);
}

#[tokio::test]
async fn uploads_share_a_byte_budget_and_give_it_back() {
    let app = TestApp::with_arguments(&["--upload-memory", "40"]).await;
    let mut photo = CARD.to_vec();
    photo.resize(9 * 1024 * 1024, 0);
    let form = Form::whole()
        .without("photo")
        .file("photo", "x.jpg", &photo);
    let whole = app.app.uploads.available();
    let held = app.app.uploads.begin(None, None).unwrap();
    held.take(30 * 1024 * 1024, tokio::time::Instant::now())
        .unwrap();
    let answer = app.post(&form).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["type"], "busy");
    assert_eq!(answer.header("retry-after"), "5");
    drop(held);
    assert_eq!(app.post(&form).await.status, 201);
    assert_eq!(app.app.uploads.available(), whole);
    assert_eq!(app.post(&Form::default().text("x", "y")).await.status, 400);
    assert_eq!(
        app.app.uploads.available(),
        whole,
        "given back after a failure too"
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing() {
    let app = TestApp::new().await;
    let body = Form::whole().body();
    let cut = Request::post("/registrations")
        .header("content-type", "multipart/form-data; boundary=XBOUNDARY")
        .body(Body::from_stream(futures::stream::iter([
            Ok(body[..body.len() / 2].to_vec()),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ])))
        .unwrap();
    assert_eq!(app.send(cut).await.status, 400);
    assert!(app.photos().await.is_empty());
}

fn png(side: u32) -> Vec<u8> {
    encode(side, image::ImageFormat::Png)
}

fn webp() -> Vec<u8> {
    encode(320, image::ImageFormat::WebP)
}

fn encode(side: u32, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_fn(side, side, |x, y| image::Rgb([u8::from(x > y), 7, 9]));
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[tokio::test]
async fn a_number_is_registered_once_under_each_type() {
    let app = TestApp::new().await;
    let post = async |kind: &str, number: &str| {
        // Not the same form twice, which would be a replay.
        let form = Form::whole()
            .with("name", uuid::Uuid::new_v4().to_string())
            .text("document_type", kind)
            .text("document_number", number);
        app.post(&form).await.status.as_u16()
    };
    for kind in ["CC", "TI", "CE", "PPT", "passport", "other"] {
        assert_eq!(post(kind, "10203040").await, 201, "{kind}");
        assert_eq!(
            post(&kind.to_lowercase(), "10.203.040").await,
            409,
            "{kind}"
        );
    }
    assert_eq!(
        post("", "0010203040").await,
        409,
        "a CC where nothing is said"
    );
    assert_eq!(post("passport", "ab 123456").await, 201);
    assert_eq!(post("passport", "AB123456").await, 409);
    assert_eq!(post("NIT", "79204456").await, 422);
    // A decimal is nobody's number, least of all another person's.
    assert_eq!(post("CC", "79204456.0").await, 422);
    assert_eq!(post("CC", "792044560").await, 201);
    assert_eq!(post("CC", "000").await, 422);
}

#[tokio::test]
async fn a_quoted_key_is_the_same_key_and_two_keys_are_refused() {
    let app = TestApp::new().await;
    let bare = [("idempotency-key", "key-0123456789")];
    let quoted = [("idempotency-key", "\"key-0123456789\"")];
    let first = app.send(Form::whole().request(&bare)).await;
    let again = app.send(Form::whole().request(&quoted)).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    let in_field = Form::whole().text("idempotency_key", "\"key-0123456789\"");
    for headers in [&[][..], &bare, &quoted, &[bare[0], quoted[0]]] {
        let answer = app.send(in_field.request(headers)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body),
            (200, &first.body),
            "{headers:?}"
        );
    }
    let other = ("idempotency-key", "another-0123456789");
    for (form, headers, places) in [
        (
            Form::whole(),
            &[bare[0], other][..],
            "the header Idempotency-Key and another header Idempotency-Key",
        ),
        (
            in_field.clone(),
            &[other],
            "the header Idempotency-Key and the field idempotency_key",
        ),
        (
            in_field,
            &[quoted[0], bare[0], other],
            "another header Idempotency-Key",
        ),
    ] {
        let answer = app.send(form.request(headers)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["type"]),
            (400, &"malformed".into())
        );
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains(places), "{detail}");
        assert!(!detail.contains("0123456789"), "{detail}");
    }
    assert_eq!(app.rows().await, 1);
}

#[tokio::test]
async fn the_weights_of_accept_decide_between_page_and_json() {
    let app = TestApp::new().await;
    for (accept, status) in [
        ("application/json, text/html;q=0.1", 201),
        ("text/html;q=0", 201),
        ("*/*", 201),
        ("TEXT/HTML", 303),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            303,
        ),
    ] {
        let form = Form::whole().with("name", accept);
        let answer = app.send(form.request(&[("accept", accept)])).await;
        assert_eq!(answer.status, status, "{accept}");
    }
}

#[tokio::test]
async fn a_phone_without_fetch_metadata_gets_in_however_the_public_address_is_spelled() {
    for spelling in [
        "https://Padron.Example:443",
        "HTTPS://PADRON.EXAMPLE/",
        "https://padron.example",
    ] {
        let app = TestApp::with_arguments(&["--public-url", spelling]).await;
        // As a reverse proxy sends it that rewrites Host.
        let own = [
            ("host", "10.0.0.7:4000"),
            ("origin", "https://padron.example"),
        ];
        assert_eq!(
            app.send(Form::whole().request(&own)).await.status,
            201,
            "{spelling}"
        );
        let evil = [
            ("host", "10.0.0.7:4000"),
            ("origin", "https://padron.example.evil"),
        ];
        assert_eq!(
            app.send(Form::whole().request(&evil)).await.status,
            403,
            "{spelling}"
        );
        let sign_in = Request::post("/staff/sign-in")
            .header("host", "10.0.0.7:4000")
            .header("origin", "https://padron.example")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!(
                "token=%E2%80%8B{}%C2%A0",
                crate::app::TOKEN
            )))
            .unwrap();
        let answer = app.send(sign_in).await;
        assert_eq!(answer.status, 303, "{spelling}");
        let cookie = answer.header("set-cookie");
        assert!(
            cookie.starts_with("__Host-padron=") && cookie.contains("Secure"),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn a_pasted_reference_is_found() {
    let app = TestApp::new().await;
    let answer = app.post(&Form::whole()).await.json();
    let reference = answer["reference"].as_str().unwrap();
    for written in [
        reference.replace('-', "%E2%80%93"),
        reference.replace('-', "%E2%80%91"),
        format!("{reference}."),
        format!("{reference}%E2%80%8B"),
        reference.replace('-', "%C2%A0").to_lowercase(),
    ] {
        let found = app.get(&format!("/registrations/{written}")).await;
        assert_eq!(found.status, 200, "{written}");
    }
}
