//! A form on its way, without a script: kept when something is wrong with it, shown once more, sent once.

use axum::{body::Body, http::Request};
use jiff::ToSpan as _;
use padron::{
    app::drafts::{DraftKey, LIFETIME},
    domain::registration::Person,
    foundation::clock::now,
};
use testkit::{CARD, Form};

use crate::{
    app::TestApp,
    browser::{Browser, HTML},
};

/// The references of a page; each is the registration that it shows.
fn receipt(address: &str) -> &str {
    let reference = address.strip_prefix("/registrations/");
    reference.unwrap_or_else(|| panic!("{address} is no receipt"))
}

async fn objects(app: &TestApp, folder: &str) -> usize {
    let names = app.photos().await;
    names.iter().filter(|name| name.starts_with(folder)).count()
}

#[tokio::test]
async fn answers_are_shown_once_more_and_sent_with_the_photo_that_came_once() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let form = browser.open("/").await.filled();
    let form = form.text("document_number", "1020304050");
    let check = browser.post(&form).await;
    assert!(
        check.address.contains("/check?lang=es"),
        "{}",
        check.address
    );
    let page = check.text();
    for shown in ["Ana María Ñáñez", "Bogotá, D.C.", "1020304050", "Sin dato"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert_eq!(app.rows().await, 0, "nobody is registered yet");
    let id = check.address.split('/').nth(2).unwrap();
    assert!(page.contains(&format!("/drafts/{id}?lang=es#name")));
    let preview = browser.open(&format!("/drafts/{id}/preview")).await.answer;
    assert_eq!(preview.header("content-type"), "image/jpeg");
    assert!(
        preview
            .header("content-security-policy")
            .contains("sandbox")
    );

    let done = browser.confirm(&check).await;
    receipt(&done.address);
    assert_eq!(app.rows().await, 1);
    assert_eq!(objects(&app, "photos").await, 1);
    assert_eq!(
        objects(&app, "drafts/photos").await,
        0,
        "the draft's is gone"
    );
}

#[tokio::test]
async fn back_and_send_shows_the_first_reference() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let first_page = browser.open("/").await;
    let check = browser.post(&first_page.filled()).await;
    let done = browser.confirm(&check).await;
    // Reload of what was sent; Back to the answers; Back to the page of the draft.
    for again in [
        browser.confirm(&check).await,
        browser.open(&check.address).await,
        browser.open(&check.address.replacen("/check", "", 1)).await,
    ] {
        assert_eq!(again.address, done.address);
    }
    // Back to the first page, which a browser restores with another key or with the same, and Send.
    for page in [&browser.open("/").await, &first_page] {
        let check = browser.post(&page.filled()).await;
        assert_eq!(browser.confirm(&check).await.address, done.address);
    }
    // Another tab, another browser, a script.
    let other = Browser::new(&app);
    let check = other.post(&other.open("/").await.filled()).await;
    assert_eq!(other.confirm(&check).await.address, done.address);
    let answer = app
        .post(&Form::whole().text("idempotency_key", "another-key"))
        .await;
    assert_eq!(answer.status, 200);
    assert!(
        done.address
            .contains(answer.json()["reference"].as_str().unwrap())
    );
    assert_eq!((app.rows().await, objects(&app, "photos").await), (1, 1));

    // The rest of the family is registered.
    let page = browser.open("/").await;
    let check = browser
        .post(&page.filled().with("name", "Luis Ñáñez"))
        .await;
    assert_ne!(browser.confirm(&check).await.address, done.address);
    assert_eq!(app.rows().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_that_send_the_same_at_once_register_one() {
    let app = TestApp::new().await;
    let browsers: Vec<_> = (0..20).map(|_| Browser::new(&app)).collect();
    let sending = browsers.iter().map(|browser| async {
        let check = browser.post(&browser.open("/").await.filled()).await;
        browser.confirm(&check).await.address
    });
    let shown = futures::future::join_all(sending).await;
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
    assert_eq!((app.rows().await, objects(&app, "photos").await), (1, 1));
}

#[tokio::test]
async fn an_error_does_not_cost_the_photo() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let form = browser.open("/").await.filled().with("city", "La Victoria");
    let wrong = browser.post(&form.with("email", "nobody")).await;
    let page = wrong.text();
    assert!(page.contains("<title>Error:") && page.contains("href=\"#email\""));
    assert!(page.contains("Error:</span> ") && !page.contains("href=\"#photo\""));
    assert!(page.contains("id=\"photo-kept\" src=\"/drafts/"));
    assert!(page.contains(" checked"), "the consent stays");
    // Each wrong answer is corrected without the file.
    let form = wrong.form().text("name", "Ana").text("consent", "yes");
    let check = browser.post(&form.clone().text("city", "11001")).await;
    let done = browser.confirm(&check).await;
    receipt(&done.address);
    assert_eq!(app.rows().await, 1);

    // Sent again from the page that is still open: the photo is gone, and the first reference is shown.
    let again = browser.post(&form.clone().text("city", "11001")).await;
    assert_eq!(again.address, done.address);
    // But another name is another person, who needs a photo.
    let other = browser
        .post(&form.with("name", "Luis").text("city", "11001"))
        .await;
    assert!(other.text().contains("href=\"#photo\""));
    assert_eq!(app.rows().await, 1);
}

#[tokio::test]
async fn a_photo_is_replaced_and_a_bad_one_is_told() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let wrong = browser
        .post(&browser.open("/").await.filled().with("name", " "))
        .await;
    assert_eq!(objects(&app, "drafts/photos").await, 1);
    let form = wrong.form().text("name", " ").file("photo", "x.jpg", CARD);
    let wrong = browser.post(&form).await;
    assert_eq!(objects(&app, "drafts/photos").await, 1, "replaced");
    let form = wrong
        .form()
        .text("name", "Ana")
        .file("photo", "x.pdf", b"%PDF-1.7 no picture");
    let wrong = browser.post(&form).await;
    assert!(wrong.text().contains("href=\"#photo\"") && !wrong.text().contains("photo-kept"));
}

#[tokio::test]
async fn what_can_only_be_told_after_sending_leads_back_to_the_draft() {
    let app = TestApp::new().await;
    let taken = Form::whole()
        .with("name", "Otra")
        .text("document_number", "1020304050");
    assert_eq!(app.post(&taken).await.status, 201);
    let browser = Browser::new(&app);
    let form = browser
        .open("/")
        .await
        .filled()
        .text("document_number", "1020304050");
    let check = browser.post(&form).await;
    let refused = browser.confirm(&check).await;
    let page = refused.text();
    assert!(page.contains("<h2>Este documento ya está registrado</h2>"));
    assert!(page.contains("href=\"#document_number\"") && page.contains("photo-kept"));
    // The answers are not shown as if they could be sent so.
    assert_eq!(browser.open(&check.address).await.address, refused.address);
    let form = refused
        .form()
        .text("name", "Ana")
        .text("city", "11001")
        .text("consent", "yes");
    let check = browser
        .post(&form.text("document_number", "1020304051"))
        .await;
    receipt(&browser.confirm(&check).await.address);
    assert_eq!(app.rows().await, 2);
}

#[tokio::test]
async fn the_language_is_changed_and_what_was_typed_stays() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let page = browser.open("/").await;
    let text = page.text();
    let button = text.find("name=\"lang\"").expect("a button");
    let default = text.find("form=\"registration\"").unwrap();
    assert!(default < button, "the Enter key presses another");
    assert!(text.contains("href=\"#privacy\"") && text.contains("<details id=\"privacy\" open>"));
    let form = page
        .form()
        .text("name", "Ana")
        .text("email", "no")
        .file("photo", "x.jpg", CARD);
    let english = browser.post(&form.text("lang", "en")).await;
    let text = english.text();
    assert!(text.contains("<html lang=\"en\">"));
    assert_eq!(
        (
            english.value("name").as_str(),
            english.value("email").as_str()
        ),
        ("Ana", "no")
    );
    assert!(text.contains("photo-kept") && !text.contains("class=\"error\""));
    assert_eq!(
        english.value("idempotency_key"),
        page.value("idempotency_key")
    );
    // Nothing typed is nothing to keep.
    let blank = browser
        .post(&browser.open("/").await.form().text("lang", "en"))
        .await;
    assert_eq!(blank.address, "/?lang=en");
}

#[tokio::test]
async fn who_lacks_the_cookie_sees_nothing_of_a_draft() {
    let app = TestApp::new().await;
    let (browser, other) = (Browser::new(&app), Browser::new(&app));
    let check = browser.post(&browser.open("/").await.filled()).await;
    let id = check.address.split('/').nth(2).unwrap().to_owned();
    other
        .post(&other.open("/").await.filled().with("name", " "))
        .await;
    for stranger in [&other, &Browser::new(&app)] {
        for address in [&check.address, &format!("/drafts/{id}?lang=es")] {
            let page = stranger.open(address).await;
            assert_eq!(page.address, "/?lang=es&gone=1");
            assert!(
                page.text().contains("Ese formulario ya no está") && !page.text().contains("Ana")
            );
        }
        let preview = stranger.open(&format!("/drafts/{id}/preview")).await;
        assert_eq!(preview.answer.status, 404);
        let page = stranger.confirm(&check).await;
        assert_eq!(page.address, "/?lang=es&gone=1");
    }
    assert_eq!(app.rows().await, 0);
    let cookie = app
        .send(Form::whole().with("name", "").request(&[HTML]))
        .await;
    let cookie = cookie.header("set-cookie").to_owned();
    for attribute in [
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/",
        "Max-Age=1800",
    ] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(cookie.starts_with("__Host-padron-draft="));
}

#[tokio::test]
async fn a_draft_is_sealed_on_any_replica_and_gone_after_half_an_hour() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let wrong = browser
        .post(&browser.open("/").await.filled().with("city", " "))
        .await;
    let (_, secret) = browser
        .cookie()
        .split_once('=')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let id = wrong.value("draft").parse().unwrap();
    let key = DraftKey { secret, id };
    // Another process over the same photos.
    let (photos, keyring) = (app.app.photos.clone(), app.app.keyring.clone());
    let other = padron::app::drafts::Drafts::new(&photos, keyring);
    let draft = other.open(&key, now()).await.unwrap().expect("it is there");
    assert_eq!(draft.name, "Ana María Ñáñez");
    let later = now() + LIFETIME;
    assert!(other.open(&key, later).await.unwrap().is_none(), "expired");
    assert_eq!(other.sweep(now()).await.unwrap(), 0, "it may be in use");
    let swept = other.sweep(now() + 36.minutes()).await.unwrap();
    assert_eq!(swept, 2, "a form and a photo");
    assert!(app.photos().await.is_empty());
    let page = browser.open(&wrong.address).await;
    assert!(page.text().contains("Ese formulario ya no está"));
}

#[tokio::test]
async fn nothing_of_a_draft_lies_readable() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    browser
        .post(
            &browser
                .open("/")
                .await
                .filled()
                .text("email", "ana@example.com"),
        )
        .await;
    let id_and_secret = browser.cookie();
    let (_, secret) = id_and_secret.split_once('=').unwrap();
    let mut seen = 0;
    for (name, bytes) in app.place.objects().contents().await {
        let text = String::from_utf8_lossy(&bytes);
        for planted in ["Ana", "ana@example.com", "JFIF", secret] {
            assert!(
                !text.contains(planted) && !name.contains(planted),
                "{name}: {planted}"
            );
        }
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[tokio::test]
async fn another_person_begins_with_city_and_e_mail() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let form = browser
        .open("/")
        .await
        .filled()
        .text("email", "ana@example.com");
    let check = browser.post(&form).await;
    let done = browser.confirm(&check).await;
    let page = done.text();
    assert!(page.contains("href=\"/?lang=es&amp;another=1\""));
    assert!(!page.contains("ana@example.com") && !page.contains("Ana"));
    let next = browser.open("/?lang=es&another=1").await;
    assert_eq!(next.value("email"), "ana@example.com");
    assert_eq!(next.value("city"), "Bogotá, D.C., Bogotá, D.C.");
    assert_eq!(next.value("name"), "");
    assert_ne!(next.value("idempotency_key"), form_key(&form));
    assert_eq!(
        browser.open("/").await.value("email"),
        "",
        "only where it is asked for"
    );
    let stranger = Browser::new(&app).open("/?another=1").await;
    assert_eq!(stranger.value("email"), "");
}

fn form_key(form: &Form) -> String {
    let body = String::from_utf8_lossy(&form.body()).into_owned();
    let (_, rest) = body.split_once("name=\"idempotency_key\"\r\n\r\n").unwrap();
    rest.split("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn the_form_asks_for_consent_and_remembers_the_notice() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let page = browser.open("/").await;
    let refused = browser.post(&page.filled().without("consent")).await;
    assert!(refused.text().contains("href=\"#consent\""));
    let check = browser
        .post(
            &refused
                .form()
                .text("name", "Ana")
                .text("city", "11001")
                .text("consent", "yes"),
        )
        .await;
    browser.confirm(&check).await;
    // A script that shows the form says which notice it shows; whoever shows none has asked before.
    let shown = Form::whole().text("notice", "2026-11-28");
    let answer = app.post(&shown).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.json()["errors"][0]["field"], "consent");
    assert_eq!(app.post(&shown.text("consent", "yes")).await.status, 201);
    assert_eq!(
        app.post(&Form::whole().with("name", "Luis")).await.status,
        201
    );

    let mut rows = app
        .app
        .store
        .rows(&padron::store::Scope::default())
        .await
        .unwrap();
    let mut notices = Vec::new();
    while let Some(block) = rows.blocks.recv().await {
        for row in block.unwrap() {
            let person = Person::open(&app.app.keyring, &row.envelope, &row.sealed).unwrap();
            notices.push(person.notice.map(|notice| notice.as_str().to_owned()));
        }
    }
    let agreed = Some("2026-11-28".to_owned());
    assert_eq!(notices, [agreed.clone(), agreed, None]);
}

#[tokio::test]
async fn a_script_on_the_page_of_a_draft_sends_its_photo_too() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let wrong = browser
        .post(&browser.open("/").await.filled().with("city", " "))
        .await;
    let form = wrong
        .form()
        .text("name", "Ana")
        .text("city", "11001")
        .text("consent", "yes");
    let answer = browser
        .send(form.request(&[("accept", "application/json")]))
        .await;
    assert_eq!(answer.status, 201);
    let receipt = answer.header("location");
    assert!(
        browser
            .open(&wrong.address)
            .await
            .address
            .starts_with(receipt)
    );
    assert_eq!(objects(&app, "drafts/photos").await, 0);
}

#[tokio::test]
async fn who_finds_no_room_for_a_draft_is_registered_or_told_all_the_same() {
    let app = TestApp::new().await;
    // The router is called without a socket, so that nobody has an address: all of the room is used up.
    for number in 0..20_000_u128 {
        let key = DraftKey {
            secret: String::new(),
            id: uuid::Uuid::from_u128(number + 1),
        };
        assert!(app.app.drafts.has_room(&key, 0, None, now()));
    }
    let browser = Browser::new(&app);
    let page = browser.open("/").await;
    let wrong = browser
        .send(page.filled().with("email", "x").request(&[HTML]))
        .await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text().contains("href=\"#email\""));
    let sent = browser.send(page.filled().request(&[HTML])).await;
    assert_eq!(sent.status, 303);
    receipt(sent.header("location"));
    assert_eq!(app.rows().await, 1);
}

#[tokio::test]
async fn the_office_is_named_with_how_to_reach_it() {
    let settings = [
        "--office",
        "Secretaría de Salud <Bogotá>",
        "--contact",
        "601 364 9090",
    ];
    let app = TestApp::with_arguments(&settings).await;
    let browser = Browser::new(&app);
    let page = browser.open("/").await;
    let check = browser.post(&page.filled()).await;
    let done = browser.confirm(&check).await;
    for (page, times) in [(page, 2), (check, 1), (done, 1)] {
        let text = page.text();
        assert_eq!(
            text.matches("Secretaría de Salud &#60;Bogotá&#62;").count(),
            times
        );
        assert_eq!(text.matches("601 364 9090").count(), times);
    }
    let without = TestApp::new().await.page("/").await.text();
    assert!(!without.contains("A quién escribir"));
}

#[tokio::test]
async fn a_receipt_has_a_code_of_its_address_and_nothing_personal() {
    let app = TestApp::new().await;
    let browser = Browser::new(&app);
    let check = browser.post(&browser.open("/").await.filled()).await;
    let done = browser.confirm(&check).await;
    let page = done.text();
    assert!(page.contains("<svg class=\"code\" role=\"img\" aria-label=\"Código QR"));
    let (reference, _) = receipt(&done.address).split_once('?').unwrap();
    assert!(page.contains(&format!(
        "data-address=\"https://padron.example/registrations/{reference}\""
    )));
    for id in ["receipt-print", "receipt-copy", "receipt-share"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("id=\"receipt-actions\"") && page.contains(" hidden>"));
    assert!(!page.contains("Ana"));
}

#[tokio::test]
async fn what_people_wait_for_is_compressed_and_the_first_view_is_small() {
    let app = TestApp::new().await;
    let size = async |path: &str| {
        let request = Request::get(path)
            .header(HTML.0, HTML.1)
            .header("accept-encoding", "gzip");
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        (
            answer.header("content-encoding").to_owned(),
            answer.body.len(),
        )
    };
    let page = app.page("/").await.text();
    let files = page.split('"').filter(|part| part.starts_with("/assets/"));
    let files: std::collections::BTreeSet<_> = files.collect();
    assert!(files.len() <= 4, "{files:?}");
    let mut bytes = size("/").await.1;
    for file in files {
        // A head of an answer is about this much.
        bytes += size(file).await.1 + 400;
    }
    assert!(bytes <= 14 * 1024, "{bytes}");
    let reference = app.post(&Form::whole()).await.json()["reference"].clone();
    let receipt = format!("/registrations/{}", reference.as_str().unwrap());
    for path in [receipt.as_str(), "/nada", "/cities?q=san", "/openapi.json"] {
        assert_eq!(size(path).await.0, "gzip", "{path}");
    }
    let photo = app.staff(&format!("{receipt}/photo")).await;
    assert_eq!(photo.header("content-encoding"), "");
}
