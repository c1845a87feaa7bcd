//! The pages in a real browser, under their own content security policy.

use std::process::Command;

use testkit::Home;

/// What the browser's page holds once its scripts have run, and what it complained about.
fn dump(home: &Home, url: &str) -> (String, String) {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            home.path("browser").display()
        ))
        .arg(url)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[tokio::test]
#[ignore = "needs chromium: .ci/run installs it"]
async fn pages_break_no_rule_of_their_own_policy() {
    let home = Home::new();
    let server = home.start().await;
    for (path, shown) in [
        ("/?lang=es", "Foto del documento de identidad"),
        ("/?lang=en", "Photo of the ID card"),
        ("/staff/sign-in?lang=es", "name=\"token\""),
        ("/nada?lang=es", "No encontramos esta página"),
        // The description is fetched and drawn by script: it shows that the page works offline.
        ("/docs/", "/registrations/{reference}"),
    ] {
        let (page, complaints) = dump(&home, &server.url(path));
        let page = page.replace("<wbr>", "").replace("\u{200b}", "");
        assert!(
            page.contains(shown),
            "{path} does not show {shown:?}: {page}"
        );
        assert!(
            !complaints.contains("Content Security Policy"),
            "{path}: {complaints}"
        );
        assert!(!complaints.contains("Uncaught"), "{path}: {complaints}");
    }
    server.stop().await;
}
