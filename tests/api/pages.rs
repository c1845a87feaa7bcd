//! What a browser without JavaScript gets.

use axum::{body::Body, http::Request};
use testkit::{CARD, Form};

use crate::{
    app::TestApp,
    browser::{Browser, HTML, value},
};

#[tokio::test]
async fn the_form_speaks_spanish_first() {
    let app = TestApp::new().await;
    let page = app.page("/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text().contains("<html lang=\"es\">"));
    assert!(
        app.page("/?lang=en")
            .await
            .text()
            .contains("<html lang=\"en\">")
    );
    let keys: std::collections::HashSet<_> = [
        value(&page.text(), "idempotency_key"),
        value(&app.page("/").await.text(), "idempotency_key"),
    ]
    .into();
    assert_eq!(keys.len(), 2, "each form has a key of its own");
}

#[tokio::test]
async fn a_browser_is_sent_to_the_confirmation() {
    let app = TestApp::new().await;
    let page = app.page("/?lang=en").await.text();
    let form = Form::whole().text("idempotency_key", value(&page, "idempotency_key"));
    for _ in 0..2 {
        let answer = app
            .send(form.request_to("/registrations?lang=en", &[HTML]))
            .await;
        assert_eq!(answer.status, 303);
        let confirmation = app.page(answer.header("location")).await;
        assert_eq!(confirmation.status, 200);
        let text = confirmation.text();
        assert!(text.contains("Bogotá, D.C.") && text.contains("<html lang=\"en\">"));
        assert!(!text.contains("Ana"), "the address is public");
    }
    assert_eq!(app.rows().await, 1, "a second click registers nobody else");
}

#[tokio::test]
async fn errors_come_back_with_what_was_typed() {
    let app = TestApp::new().await;
    let form = Form::whole()
        .with("name", "<script>alert(1)</script>")
        .with("city", "La Union")
        .text("email", "nobody")
        .text("idempotency_key", "kept-key-1234");
    let page = Browser::new(&app).post(&form).await.text();
    assert!(page.contains("<title>Error:"));
    assert!(page.contains("href=\"#email\"") && page.contains("id=\"email-error\""));
    assert!(page.contains("&#60;script&#62;alert(1)") && !page.contains("<script>alert"));
    assert_eq!(value(&page, "email"), "nobody");
    assert_eq!(value(&page, "idempotency_key"), "kept-key-1234");
    assert_eq!(
        page.matches("type=\"radio\"").count(),
        5,
        "four cities and none of them"
    );
    assert!(page.contains("value=\"52399\""));
}

#[tokio::test]
async fn a_photo_too_large_keeps_what_was_typed() {
    let app = TestApp::new().await;
    let mut photo = CARD.to_vec();
    photo.resize(12 * 1024 * 1024, 0);
    let form = Form::default()
        .file("photo", "x.jpg", &photo)
        .text("name", "Ana María")
        .text("city", "Cali");
    let page = Browser::new(&app).post(&form).await;
    assert_eq!(page.value("name"), "Ana María");
    assert!(page.text().contains("href=\"#photo\""));
}

#[tokio::test]
async fn a_form_that_was_sent_already_leads_to_its_receipt_and_gets_a_new_key() {
    let app = TestApp::new().await;
    let form = Form::whole().text("idempotency_key", "used-key-1234");
    let first = app.send(form.request(&[HTML])).await;
    assert_eq!(first.status, 303);
    let other = form.with("name", "Otra Persona");
    let answer = Browser::new(&app).post(&other).await;
    let receipt = first.header("location");
    assert!(answer.text().contains(&format!("<a href=\"{receipt}\">")));
    assert_eq!(app.page(receipt).await.status, 200);
    let key = answer.value("idempotency_key");
    assert_ne!(key, "used-key-1234");
    let again = other.with("idempotency_key", key);
    assert_eq!(app.send(again.request(&[HTML])).await.status, 303);
    assert_eq!(app.rows().await, 2);
}

#[tokio::test]
async fn a_tab_of_a_sent_form_that_is_opened_anew_shows_the_form() {
    let app = TestApp::new().await;
    let answer = app.page("/registrations?lang=en&keyed=1").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/?lang=en")
    );
}

#[tokio::test]
async fn pages_use_only_their_own_files() {
    let app = TestApp::new().await;
    let page = app.page("/").await.text();
    let files: Vec<&str> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert!(files.len() >= 3);
    for file in files {
        let answer = app.get(file).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("cache-control").contains("immutable"));
    }
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(!page.contains(" style=") && !page.contains("<style"));
}

#[tokio::test]
async fn scripts_import_only_what_is_served_and_of_one_version() {
    let app = TestApp::new().await;
    let pages = [
        app.page("/").await.text(),
        app.get("/assets/sw.js").await.text(),
    ];
    let mut known = std::collections::BTreeSet::new();
    let mut texts = pages.to_vec();
    while let Some(text) = texts.pop() {
        for file in text
            .split('"')
            .filter(|part| part.strip_suffix(".js").is_some())
        {
            let file = file.replace("./", "/assets/");
            if known.insert(file.clone()) {
                let answer = app.get(&file).await;
                assert_eq!(answer.status, 200, "{file}");
                let is_worker = file == "/assets/sw.js";
                let cached = answer.header("cache-control");
                assert_eq!(cached == "no-cache", is_worker, "{file}: {cached}");
                texts.push(answer.text());
            }
        }
    }
    let versions = known.iter().filter_map(|file| file.split('.').nth_back(1));
    let versions: std::collections::HashSet<_> = versions.filter(|part| part.len() == 12).collect();
    assert_eq!(versions.len(), 1, "{known:?}");
    assert!(known.len() > 10, "{known:?}");
}

#[tokio::test]
async fn a_problem_is_a_page_for_a_browser() {
    let app = TestApp::new().await;
    let answer = app.page("/nada?lang=es").await;
    assert_eq!(answer.status, 404);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.text().contains(answer.header("x-request-id")));
}

#[tokio::test]
async fn whoever_is_registered_already_is_told_where_to_go_and_nothing_else() {
    let app = TestApp::new().await;
    let form = Form::whole().text("document_number", "1020304050");
    let first = app.post(&form).await.json();
    let other = form.with("name", "Otra");
    let page = Browser::new(&app).post(&other).await.text();
    assert!(page.contains("vaya a su puesto de vacunación con el documento"));
    assert!(!page.contains(first["reference"].as_str().unwrap()) && !page.contains("Ana"));
}

#[tokio::test]
async fn the_form_names_no_place_of_a_catalogue_that_was_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("cities.csv");
    let lines = "code,municipality,department,aliases\n90001,Macondo,Ciénaga Grande,\n";
    std::fs::write(&catalogue, lines).unwrap();
    let app = TestApp::with_arguments(&["--cities", catalogue.to_str().unwrap()]).await;
    let built_in = padron::domain::city::Cities::embedded().unwrap();
    let departments: std::collections::BTreeSet<_> = built_in
        .iter()
        .map(|city| city.department.as_str())
        .collect();
    for lang in ["es", "en"] {
        let form = Form::whole().with("city", "Comala").text("lang", lang);
        let browser = Browser::new(&app);
        let typed = browser.post(&form).await;
        let again = typed.form().with("lang", lang);
        let page = browser.post(&again.without("lang")).await.text();
        let page = page + &typed.text();
        for place in departments.iter().copied().chain(["Colombia"]) {
            assert!(!page.contains(place), "{place}");
        }
    }
}

#[tokio::test]
async fn cities_are_suggested() {
    let app = TestApp::new().await;
    let answer = app.get("/cities?q=mede").await;
    assert_eq!(answer.json()["cities"][0]["name"], "Medellín");
    assert_eq!(
        app.get("/cities?q=a").await.json()["cities"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

#[tokio::test]
async fn what_is_suggested_is_what_the_form_takes() {
    let app = TestApp::new().await;
    for (typed, code) in [
        ("Tolú", "70820"),
        ("Sta. Marta", "47001"),
        ("cali, valle", "76001"),
        ("Medelin", "05001"),
    ] {
        let query = typed.replace(' ', "%20").replace('ú', "%C3%BA");
        let suggested = app.get(&format!("/cities?q={query}")).await.json();
        assert_eq!(suggested["cities"][0]["code"], code, "{typed}");
        let taken = app.post(&Form::whole().with("city", typed)).await;
        assert_eq!(taken.json()["city"]["code"], code, "{typed}");
    }
}

#[tokio::test]
async fn suggestions_are_kept_until_the_catalogue_changes() {
    let app = TestApp::new().await;
    let answer = app.get("/cities?q=cali").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=86400");
    assert_eq!(
        answer.header("vary"),
        "accept-encoding",
        "one answer for everybody"
    );
    let etag = answer.header("etag").to_owned();
    let again = |etag: &str| {
        let request = Request::get("/cities?q=cali").header("if-none-match", etag);
        app.send(request.body(Body::empty()).unwrap())
    };
    let fresh = again(&etag).await;
    assert_eq!((fresh.status.as_u16(), fresh.body.len()), (304, 0));
    assert_eq!(fresh.header("etag"), etag);
    assert_eq!(fresh.header("cache-control"), "public, max-age=86400");
    assert_eq!(again("\"another\"").await.status, 200);

    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("cities.csv");
    let lines = "code,municipality,department,aliases\n76001,Cali,Valle del Cauca,\n";
    std::fs::write(&catalogue, lines).unwrap();
    let other = TestApp::with_arguments(&["--cities", catalogue.to_str().unwrap()]).await;
    assert_ne!(other.get("/cities?q=cali").await.header("etag"), etag);
}

#[tokio::test]
async fn the_type_of_document_is_chosen_without_a_script_and_kept() {
    let app = TestApp::new().await;
    let page = app.page("/").await.text();
    assert!(page.contains("<option value=\"CC\" selected>Cédula de ciudadanía (CC)</option>"));
    let form = Form::whole()
        .with("name", " ")
        .text("document_type", "passport");
    let again = Browser::new(&app).post(&form).await.text();
    assert!(again.contains("<option value=\"passport\" selected>Pasaporte</option>"));
    assert_eq!(again.matches(" selected>").count(), 1);
}
