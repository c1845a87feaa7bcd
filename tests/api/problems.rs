//! Validation of bad input: a clear answer that names the field and the bound, and nothing changed.

use axum::{body::Body, http::Request};
use insta::assert_json_snapshot;

use testkit::{CARD, Form};

use crate::app::TestApp;

#[tokio::test]
async fn every_fault_is_told_at_once() {
    let app = TestApp::new().await;
    let form = Form::default()
        .text("city", "La Unión")
        .text("name", " ")
        .text("document_number", "12")
        .text("email", "nobody")
        .text("idempotency_key", "short")
        .file("photo", "x.jpg", b"GIF89a");
    let request = form.request(&[("accept-language", "en")]);
    let answer = app.send(request).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_json_snapshot!(answer.json(), {".request_id" => "[id]"});
    assert!(app.photos().await.is_empty());
    assert_eq!(app.rows().await, 0);
}

#[tokio::test]
async fn every_fault_of_a_field_has_its_own_code() {
    let app = TestApp::new().await;
    let photo = |bytes: &[u8]| Form::whole().without("photo").file("photo", "x", bytes);
    let long = "ñ".repeat(201);
    let cases = [
        (Form::whole().with("name", &long), "name", "too-long"),
        (
            Form::whole().with("name", "a\u{0}b"),
            "name",
            "control-characters",
        ),
        (Form::whole().with("name", [0xff, 0xfe]), "name", "not-utf8"),
        (Form::whole().without("name"), "name", "required"),
        (Form::whole().with("city", ""), "city", "required"),
        (
            Form::whole().with("city", "Macondo de los Buendía"),
            "city",
            "unknown",
        ),
        (Form::whole().with("city", "99999"), "city", "unknown"),
        (Form::whole().without("photo"), "photo", "required"),
        (
            Form::whole().without("photo").file("photo", "", b""),
            "photo",
            "required",
        ),
        (photo(b""), "photo", "empty"),
        (photo(b"%PDF-1.7"), "photo", "unsupported"),
        (
            photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
            "photo",
            "heic",
        ),
        (photo(&CARD[..CARD.len() / 2]), "photo", "truncated"),
        (photo(&huge_png()), "photo", "too-many-pixels"),
        (
            photo(include_bytes!("../../fixtures/photo/lossy.webp")),
            "photo",
            "too-few-pixels",
        ),
        (
            Form::whole().text("document_number", "1234567890123"),
            "document_number",
            "format",
        ),
        (
            Form::whole().text("email", "x".repeat(300)),
            "email",
            "too-long",
        ),
        (
            Form::whole().text("idempotency_key", "ñañañaña"),
            "idempotency_key",
            "format",
        ),
    ];
    for (form, field, code) in cases {
        let answer = app.post(&form).await;
        assert_eq!(answer.status, 422, "{field} {code}");
        let errors = answer.json()["errors"].clone();
        assert_eq!(
            (&errors[0]["field"], &errors[0]["code"]),
            (&field.into(), &code.into())
        );
        assert_eq!(errors.as_array().unwrap().len(), 1, "{field} {code}");
    }
    assert!(app.photos().await.is_empty());
}

#[tokio::test]
async fn a_form_that_cannot_be_read_is_malformed() {
    let app = TestApp::new().await;
    let mut cut = Form::whole().body();
    cut.truncate(cut.len() - 20);
    let multipart = "multipart/form-data; boundary=XBOUNDARY";
    let cases: [(&str, Vec<u8>, u16, &str); 7] = [
        (multipart, cut, 400, "malformed"),
        (multipart, b"nothing".to_vec(), 400, "malformed"),
        (
            multipart,
            Form::whole().text("name", "twice").body(),
            400,
            "malformed",
        ),
        (
            multipart,
            Form::whole().file("photo", "2.jpg", CARD).body(),
            400,
            "malformed",
        ),
        (
            multipart,
            Form::whole().text("age", "7").body(),
            400,
            "malformed",
        ),
        ("application/json", b"{}".to_vec(), 415, "unsupported-media"),
        (
            multipart,
            Form::whole().with("name", "x".repeat(5000)).body(),
            413,
            "too-large",
        ),
    ];
    for (content_type, body, status, slug) in cases {
        let request = Request::post("/registrations").header("content-type", content_type);
        let answer = app.send(request.body(body.into()).unwrap()).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.json()["type"], slug);
        assert!(answer.json()["detail"].is_string());
    }
    assert!(app.photos().await.is_empty());
    assert_eq!(app.rows().await, 0);
}

#[tokio::test]
async fn a_body_beyond_its_bound_is_cut_off() {
    let app = TestApp::new().await;
    let form = Form::whole()
        .without("photo")
        .file("photo", "x", &vec![0; 33 * 1024 * 1024]);
    let answer = app.post(&form).await;
    assert_eq!(answer.status, 413);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("33554432 bytes")
    );
}

#[tokio::test]
async fn a_key_in_the_header_that_differs_from_the_field_is_refused() {
    let app = TestApp::new().await;
    let form = Form::whole().text("idempotency_key", "0123456789");
    let answer = app
        .send(form.request(&[("idempotency-key", "9876543210")]))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["type"].as_str()),
        (400, Some("malformed"))
    );
}

#[tokio::test]
async fn every_answer_names_the_request_and_the_replica() {
    let app = TestApp::new().await;
    for path in [
        "/",
        "/nothing",
        "/livez",
        "/report.xlsx",
        "/chart.png?width=1",
        "/assets/none",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-served-by"), "test-1", "{path}");
        assert!(
            uuid::Uuid::parse_str(answer.header("x-request-id")).is_ok(),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'"),
            "{path}"
        );
        if answer.status.is_client_error() {
            let problem = answer.json();
            assert_eq!(
                problem["request_id"],
                answer.header("x-request-id"),
                "{path}"
            );
            assert_eq!(problem["status"], answer.status.as_u16(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_request_id_that_is_not_one_is_replaced() {
    let app = TestApp::new().await;
    let send = async |id: &str| {
        let request = Request::get("/livez").header("x-request-id", id);
        app.send(request.body(Body::empty()).unwrap()).await
    };
    let kept = send("6f8510a7-e74d-4a8e-8833-d55da539ffa0").await;
    assert_eq!(
        kept.header("x-request-id"),
        "6f8510a7-e74d-4a8e-8833-d55da539ffa0"
    );
    let replaced = send("Ana Maria 1020304050").await;
    assert!(uuid::Uuid::parse_str(replaced.header("x-request-id")).is_ok());
}

#[tokio::test]
async fn methods_and_paths_that_do_not_exist_are_problems_too() {
    let app = TestApp::new().await;
    for (method, allow) in [("GET", "POST"), ("DELETE", "GET,HEAD,POST")] {
        let request = Request::builder().method(method).uri("/registrations");
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.json()["type"], "method-not-allowed");
        assert_eq!(answer.header("allow"), allow);
    }
    for path in [
        "/registrations/AAAA-AAAA",
        "/registrations/K7QM",
        "/registrations/%00",
    ] {
        let answer = app.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["type"].as_str()),
            (404, Some("not-found"))
        );
    }
}

#[tokio::test]
async fn another_site_cannot_post_for_a_visitor() {
    let app = TestApp::new().await;
    let request = Form::whole().request(&[
        ("host", "padron.example"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ]);
    let answer = app.send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["type"].as_str()),
        (403, Some("forbidden"))
    );
    assert!(app.photos().await.is_empty());
}

/// A header that claims 60,000 pixels a side and nothing else.
fn huge_png() -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(60_000_u32.to_be_bytes());
    ihdr.extend(60_000_u32.to_be_bytes());
    ihdr.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(&ihdr);
    png.extend(crc32fast::hash(&ihdr).to_be_bytes());
    png
}

#[tokio::test]
async fn forms_are_read_as_other_programs_write_them() {
    let app = TestApp::new().await;
    let photo = r#"Content-Disposition: form-data; name="photo"; filename="a.jpg""#;
    let cases: [(&str, &[u8], &str, &str); 9] = [
        // A part says its charset (RFC 7578, 4.5).
        (
            "boundary=X",
            b"Content-Type: text/plain; charset=ISO-8859-1\r\n\r\nMar\xeda",
            photo,
            "María",
        ),
        (
            "boundary=X",
            b"Content-Type: text/plain;CHARSET=\"utf-16le\"\r\n\r\nA\0n\0a\0",
            photo,
            "Ana",
        ),
        (
            "boundary=X",
            b"\r\nAna",
            "content-disposition:form-data;FILENAME=\"x; name=city; .jpg\";NAME=photo",
            "Ana",
        ),
        (
            "boundary=X",
            b"\r\nAna",
            r#"Content-Disposition: form-data; filename="C:\dir\x.jpg"; name="photo""#,
            "Ana",
        ),
        (
            "boundary=X",
            b"\r\nAna",
            r#"Content-Disposition: form-data; filename="a\"; name=\"city.jpg"; name="photo""#,
            "Ana",
        ),
        (
            "boundary=X",
            b"\r\nAna",
            "Content-Disposition: form-data;\r\n\tname=\"photo\";\r\n  filename=\"a.jpg\"",
            "Ana",
        ),
        ("\tboundary=X", b"\r\nAna", photo, "Ana"),
        ("charset=utf-8; BOUNDARY=X", b"\r\nAna", photo, "Ana"),
        ("boundary=\"X\"", b"\r\nAna", photo, "Ana"),
    ];
    for (number, (parameters, name, photo, _)) in cases.iter().enumerate() {
        let number_of_document = format!("{}", 10_203_040 + number);
        let body = [
            b"--X\r\nContent-Disposition: form-data; name=\"document_number\"\r\n\r\n",
            number_of_document.as_bytes(),
            b"\r\n--X\r\nContent-Disposition: form-data; name=\"name\"\r\n",
            *name,
            b"\r\n--X\r\nContent-Disposition: form-data; name=\"city\"\r\n\r\n11001\r\n--X\r\n",
            photo.as_bytes(),
            b"\r\nContent-Type: image/jpeg\r\n\r\n",
            CARD,
            b"\r\n--X--\r\n",
        ]
        .concat();
        let content_type = format!("multipart/form-data;{parameters}");
        let request = Request::post("/registrations").header("content-type", content_type);
        let answer = app.send(request.body(body.into()).unwrap()).await;
        assert_eq!(answer.status, 201, "{number}: {}", answer.text());
    }
    let report = app.staff("/report.csv").await.text();
    for (.., name) in cases {
        assert!(report.contains(name), "{name}: {report}");
    }
    // The form's own way to say it, wherever the field stands.
    for (number, charset, name, status) in [
        (0, "windows-1252", &b"Nu\xf1ez"[..], 201),
        (1, "no-such-charset", b"Ana", 422),
        (2, "utf-16", b"\x00\xd8", 422),
    ] {
        let form = Form::whole().with("name", name).text("_charset_", charset);
        let answer = app.post(&form).await;
        assert_eq!(answer.status, status, "{number}: {}", answer.text());
    }
    let report = app.staff("/report.csv").await.text();
    assert!(report.contains("Nuñez"), "{report}");
}

#[tokio::test]
async fn only_a_registration_may_be_large() {
    let app = TestApp::new().await;
    for (path, announced) in [
        ("/staff/sign-in", true),
        ("/staff/sign-in", false),
        ("/staff/sign-out", true),
    ] {
        let body = vec![b'a'; 5000];
        let mut request =
            Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if announced {
            request = request.header("content-length", body.len());
        }
        let answer = app.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["type"].as_str()),
            (413, Some("too-large")),
            "{path}"
        );
    }
}
