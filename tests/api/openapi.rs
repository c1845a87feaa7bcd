//! The OpenAPI document is the one that is kept in `docs`, and is served offline.

use crate::app::TestApp;

#[tokio::test]
async fn the_kept_description_is_current() {
    let app = TestApp::new().await;
    let served = app.get("/openapi.json").await.json();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let text = serde_json::to_string_pretty(&served).unwrap() + "\n";
    if std::env::var_os("PADRON_UPDATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/openapi.json is not current: run PADRON_UPDATE=1 cargo test --test api openapi"
    );
}

#[tokio::test]
async fn every_route_of_the_contract_is_described() {
    let app = TestApp::new().await;
    let paths = app.get("/openapi.json").await.json()["paths"].clone();
    for path in [
        "/registrations",
        "/registrations/{reference}",
        "/registrations/{reference}/photo",
        "/report.xlsx",
        "/report.csv",
        "/chart.png",
        "/chart.svg",
        "/totals",
        "/cities",
        "/livez",
        "/readyz",
    ] {
        assert!(paths.get(path).is_some(), "{path}");
    }
    assert_eq!(paths.as_object().unwrap().len(), 11);
}

#[tokio::test]
async fn the_page_of_the_interface_is_small_needs_nobody_and_is_in_both_languages() {
    let app = TestApp::new().await;
    let paths = app.get("/openapi.json").await.json()["paths"].clone();
    for (lang, words) in [
        ("es", "Registra a una persona."),
        ("en", "Registers a person."),
    ] {
        for address in ["/docs", "/docs/"] {
            let page = app.get(&format!("{address}?lang={lang}")).await;
            assert_eq!(page.status, 200);
            assert!(page.body.len() <= 60_000, "{} bytes", page.body.len());
            let page = page.text();
            for absent in ["http://", "https://", "<script"] {
                assert!(!page.contains(absent), "{absent}");
            }
            for present in [
                "name=\"viewport\"",
                words,
                &format!("<html lang=\"{lang}\">"),
            ] {
                assert!(page.contains(present), "{present} in {page}");
            }
            for (path, methods) in paths.as_object().unwrap() {
                for method in methods.as_object().unwrap().keys() {
                    let heading = format!("<code>{} {path}</code></h2>", method.to_uppercase());
                    assert!(page.contains(&heading), "{heading}");
                }
            }
        }
    }
}
