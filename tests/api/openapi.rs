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
async fn the_documentation_needs_no_other_site() {
    let app = TestApp::new().await;
    let page = app.get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("https://"), "{}", page.text());
}
