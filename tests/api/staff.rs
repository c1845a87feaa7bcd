//! Authorisation (who may do what), and how a browser signs in.

use axum::{body::Body, http::Request};
use testkit::Form;

use crate::app::{Answer, TOKEN, TestApp};

const STAFF_ONLY: [&str; 4] = [
    "/report.xlsx",
    "/report.csv",
    "/staff",
    "/registrations/K7QM-3XPD/photo",
];

async fn sign_in(app: &TestApp, token: &str) -> Answer {
    post_sign_in(app, format!("token={token}")).await
}

async fn post_sign_in(app: &TestApp, form: String) -> Answer {
    let request = Request::post("/staff/sign-in?lang=en")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form));
    app.send(request.unwrap()).await
}

fn cookie(answer: &Answer) -> String {
    answer
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

async fn with_cookie(app: &TestApp, method: &str, path: &str, cookie: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("cookie", cookie);
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn strangers_are_kept_out() {
    let app = TestApp::new().await;
    for path in STAFF_ONLY {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.json()["type"], "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        let page = app.page(path).await;
        assert_eq!(page.status, 303);
        assert!(
            page.header("location")
                .starts_with("/staff/sign-in?lang=es")
        );
        for wrong in [
            "Bearer wrong",
            &format!("Bearer {TOKEN}x"),
            &format!("Basic {TOKEN}"),
            "Bearer ",
        ] {
            let request = Request::get(path).header("authorization", wrong);
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 401, "{path} {wrong}");
        }
        assert_eq!(
            with_cookie(&app, "GET", path, "__Host-padron=0000")
                .await
                .status,
            401
        );
    }
}

#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let app = TestApp::new().await;
    let answer = sign_in(&app, TOKEN).await;
    assert_eq!(answer.status, 303);
    let set = answer.header("set-cookie");
    assert!(set.starts_with("__Host-padron="), "{set}");
    for attribute in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(attribute), "{set}");
    }
    let cookie = cookie(&answer);
    assert!(!cookie.contains(TOKEN));
    assert_eq!(
        with_cookie(&app, "GET", "/staff", &cookie).await.status,
        200
    );
    assert_eq!(
        with_cookie(&app, "GET", "/report.xlsx", &cookie)
            .await
            .status,
        200
    );
    assert_eq!(
        with_cookie(&app, "POST", "/staff/sign-out", &cookie)
            .await
            .status,
        303
    );
    assert_eq!(
        with_cookie(&app, "GET", "/staff", &cookie).await.status,
        401,
        "on the server too"
    );
}

#[tokio::test]
async fn signing_in_keeps_the_language_and_leads_to_what_was_asked_for() {
    let app = TestApp::new().await;
    let asked = "/report.csv?city=La%20Uni%C3%B3n&lang=en";
    let page = app.page(asked).await;
    let location = page.header("location");
    let encoded = "%2Freport%2Ecsv%3Fcity%3DLa%2520Uni%25C3%25B3n%26lang%3Den";
    assert_eq!(location, format!("/staff/sign-in?lang=en&next={encoded}"));
    let page = app.page(location).await.text();
    assert!(page.contains("<html lang=\"en\">"));
    let hidden = asked.replace('&', "&#38;");
    assert!(
        page.contains(&format!("name=\"next\" value=\"{hidden}\"")),
        "{page}"
    );
    assert!(page.contains("?lang=es&amp;next=%2Freport"), "{page}");
    let wrong = post_sign_in(&app, format!("token=wrong&next={encoded}")).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains(&hidden), "kept for the next try");
    let right = post_sign_in(&app, format!("token={TOKEN}&next={encoded}")).await;
    assert_eq!(
        (right.status.as_u16(), right.header("location")),
        (303, &*format!("/staff?lang=en&download={encoded}"))
    );
    let dashboard = app.page("/staff?lang=en").await;
    assert_eq!(dashboard.header("location"), "/staff/sign-in?lang=en");
}

#[tokio::test]
async fn a_link_to_the_sign_in_page_cannot_lead_to_another_site() {
    let app = TestApp::new().await;
    for next in [
        "",
        "staff",
        "https://evil.example/",
        "javascript:alert(1)",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/\t/evil.example/",
        "/\r\nset-cookie: a=b",
        "/\u{85}/evil.example/",
        " //evil.example/",
    ] {
        let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
        let answer = post_sign_in(&app, format!("token={TOKEN}&next={next}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, "/staff?lang=en"),
            "{next}"
        );
    }
}

/// A problem's page in the words for staff, with the way back to the dashboard.
pub(crate) fn is_told_to_staff(page: &Answer, words: &str) {
    let page = page.text();
    assert!(page.contains(words), "{words} in {page}");
    assert!(page.contains("href=\"/staff?lang=es\">Ir al panel"));
    assert!(!page.contains("envíe"), "{page}");
}

#[tokio::test]
async fn staff_are_told_what_staff_can_do() {
    let app = TestApp::new().await;
    for (path, status, words) in [
        (
            "/report.xlsx?city=Macondo",
            422,
            "No encontramos esa ciudad",
        ),
        (
            "/report.csv?city=a&city=b",
            400,
            "Esta dirección no se abre así",
        ),
        (
            "/registrations/K7QM-3XPD/photo",
            404,
            "No encontramos esta página",
        ),
        ("/staff/sign-out", 405, "Esta dirección no se abre así"),
    ] {
        let page = app.staff_page(path).await;
        assert_eq!(page.status, status, "{path}");
        is_told_to_staff(&page, words);
    }
    let nothing_typed = post_sign_in(&app, String::new()).await;
    assert_eq!(nothing_typed.status, 401);
}

#[tokio::test]
async fn a_session_survives_a_restart() {
    let app = TestApp::new().await;
    let cookie = cookie(&sign_in(&app, TOKEN).await);
    let app = app.restart().await;
    assert_eq!(
        with_cookie(&app, "GET", "/staff", &cookie).await.status,
        200
    );
}

#[tokio::test]
async fn the_code_of_the_link_signs_in_once() {
    let app = TestApp::new().await;
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let code = app.app.access.sign_in_code(now).await.unwrap();
    let page = app
        .page(&format!("/staff/sign-in?code={code}"))
        .await
        .text();
    assert!(page.contains(&code), "the code is typed already");
    let session = format!("__Host-padron={code}");
    assert_eq!(
        with_cookie(&app, "GET", "/staff", &session).await.status,
        401,
        "a code is no session"
    );
    let fresh = app.app.access.sign_in_code(jiff_now()).await.unwrap();
    assert_eq!(sign_in(&app, &fresh).await.status, 303);
    assert_eq!(sign_in(&app, &fresh).await.status, 401, "only once");
}

#[tokio::test]
async fn an_old_code_signs_nobody_in() {
    let app = TestApp::new().await;
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    let code = app.app.access.sign_in_code(long_ago).await.unwrap();
    let answer = sign_in(&app, &code).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("set-cookie").is_empty());
    assert!(answer.text().contains("Error:"));
}

#[tokio::test]
async fn over_plain_http_the_cookie_is_not_secure_so_that_it_comes_back() {
    let app = TestApp::with_arguments(&["--public-url", "http://127.0.0.1:4000"]).await;
    let answer = sign_in(&app, TOKEN).await;
    let set = answer.header("set-cookie");
    assert!(
        set.starts_with("padron=") && !set.contains("Secure"),
        "{set}"
    );
    assert_eq!(
        with_cookie(&app, "GET", "/staff", &cookie(&answer))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_dashboard_shows_chart_totals_and_reports() {
    let app = TestApp::new().await;
    app.post(&Form::whole()).await;
    app.staff("/report.xlsx").await;
    let page = app.staff("/staff?lang=en").await.text();
    for part in [
        "/chart.svg?lang=en",
        "by=day",
        "theme=dark",
        "1 cities with registrations, 1 person registered.",
        "/report.xlsx?city=11001",
        "/report.csv?city=11001",
        "Bogotá, D.C.",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

/// The number that stands under these words.
fn figure(page: &str, words: &str) -> String {
    let (_, after) = page
        .split_once(&format!("<dt>{words}</dt><dd><b>"))
        .expect(words);
    after.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_dashboard_counts_without_a_report_and_says_what_the_last_one_counted() {
    let app = TestApp::new().await;
    app.get("/totals").await;
    app.post(&Form::whole()).await;
    let page = app.staff("/staff?lang=es").await.text();
    assert_eq!(figure(&page, "Registradas hoy"), "1");
    assert_eq!(figure(&page, "Registradas en total"), "1");
    assert_eq!(figure(&page, "En el último reporte"), "0");
}

#[tokio::test]
async fn the_dashboard_opens_though_nobody_can_count_now() {
    let app = TestApp::with_store(|store| testkit::FailingStore::over(store, |_| None)).await;
    app.post(&Form::whole()).await;
    app.staff("/report.csv").await;
    app.app.store.close().await;
    let page = app.staff("/staff?lang=es").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("No podemos contar en este momento."));
    assert_eq!(figure(&page.text(), "En el último reporte"), "1");
}

#[tokio::test]
async fn the_new_ones_are_those_since_the_latest_report_of_all_cities() {
    let app = TestApp::new().await;
    let link = async |app: &TestApp| {
        let page = app.staff("/staff?lang=en").await.text();
        let (_, link) = page.split_once("/report.csv?since=")?;
        Some(link.split('&').next().unwrap().to_owned())
    };
    assert_eq!(link(&app).await, None, "there was no report");
    app.post(&Form::whole()).await;
    app.staff("/report.csv").await;
    let since = link(&app).await.expect("a link");
    app.post(&Form::whole().with("city", "05001")).await;
    let report = app.staff(&format!("/report.csv?since={since}")).await;
    assert_eq!(report.status, 200);
    assert!(report.text().contains("05001") || report.text().contains("Medellín"));
    assert_eq!(
        link(&app).await,
        Some(since),
        "such a report leaves the board alone"
    );
}

/// The cities that the dashboard lists, in order.
async fn listed(app: &TestApp, query: &str) -> Vec<String> {
    let page = app.staff(&format!("/staff?lang=en&{query}")).await.text();
    let lines = page.split("<th scope=\"row\">").skip(1);
    lines
        .map(|line| line.split('<').next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_list_is_searched_sorted_filtered_and_short_at_first() {
    let app = TestApp::with_arguments(&["--post-rate", "0"]).await;
    let cities: Vec<_> = app
        .app
        .cities
        .iter()
        .map(|city| city.code.to_string())
        .collect();
    let few = cities.iter().take(60).map(String::as_str);
    let more = ["11001", "76001", "76001", "63001", "17042"];
    for (number, city) in few.chain(more).enumerate() {
        let form = Form::whole().with("name", format!("Ana {number}"));
        assert_eq!(app.post(&form.with("city", city)).await.status, 201);
    }
    app.staff("/report.csv").await;
    let first = listed(&app, "").await;
    assert_eq!((first.len(), first[0].as_str()), (50, "Cali"));
    let all = listed(&app, "all=1").await;
    assert_eq!(all.len(), 64);
    assert_eq!(all[..50], first[..]);
    let page = app.staff("/staff?lang=en").await.text();
    assert!(page.contains("50 of 64 cities with registrations, 65 people registered."));
    assert!(page.contains("&#38;all=1#list"), "{page}");

    assert_eq!(listed(&app, "q=MEDELLIN").await, ["Medellín"]);
    assert_eq!(
        listed(&app, "q=valle+del").await,
        ["Cali"],
        "by department too"
    );
    assert_eq!(
        listed(&app, "q=11001").await,
        ["Bogotá, D.C."],
        "by code too"
    );
    assert!(listed(&app, "q=%22%3E%3Cxqz%3E").await.is_empty());
    assert!(
        !app.staff("/staff?q=%22%3E%3Cb%3E")
            .await
            .text()
            .contains("\"><b>")
    );
    assert_eq!(listed(&app, "department=76").await, ["Cali"]);
    let antioquia = listed(&app, "department=05&all=1").await;
    assert_eq!(antioquia.len(), 60);
    let page = app.staff("/staff?lang=en&department=05").await.text();
    assert!(page.contains("<option value=\"05\" selected>Antioquia (60)</option>"));
    assert!(page.contains("/chart.svg?lang=en&#38;department=05&#38;width=320"));
    let sorted = listed(&app, "sort=name&all=1").await;
    let folded: Vec<_> = sorted
        .iter()
        .map(|name| padron::domain::city::Cities::folded(name))
        .collect();
    assert!(folded.is_sorted(), "{sorted:?}");
    assert!(!all.is_sorted());
    // What is unknown is as if it were not there.
    assert_eq!(listed(&app, "sort=x&department=00&by=y&all=").await, first);
    let page = app.staff("/staff?lang=en&by=department").await.text();
    assert!(page.contains("/chart.svg?lang=en&#38;by=department&#38;width=1000"));
}

#[tokio::test]
async fn after_an_expired_session_the_page_says_so_and_the_download_is_not_lost() {
    let app = TestApp::new().await;
    let old = "__Host-padron=0123456789abcdef";
    let asked = "/report.xlsx?city=11001&lang=es";
    let answer = with_cookie(&app, "GET", asked, old).await;
    assert_eq!(answer.status, 401, "a program is told");
    let sign_in = app.page(asked).await.header("location").to_owned();
    let page = with_cookie(&app, "GET", &sign_in, old).await.text();
    assert!(
        page.contains("Su sesión venció. Entre otra vez y la descarga empezará sola."),
        "{page}"
    );
    let plain = with_cookie(&app, "GET", "/staff/sign-in?lang=es", old)
        .await
        .text();
    assert!(plain.contains("Su sesión venció. Entre otra vez."));
    assert!(
        !app.page(&sign_in).await.text().contains("venció"),
        "nobody was signed in"
    );

    let next = percent_encoding::utf8_percent_encode(asked, percent_encoding::NON_ALPHANUMERIC);
    let answer = post_sign_in(&app, format!("token={TOKEN}&next={next}")).await;
    let location = answer.header("location").to_owned();
    assert_eq!(location, format!("/staff?lang=en&download={next}"));
    let good = cookie(&answer);
    assert!(
        !with_cookie(&app, "GET", "/staff/sign-in", &good)
            .await
            .text()
            .contains("venció")
    );
    let page = with_cookie(&app, "GET", &location, &good).await.text();
    let escaped = asked.replace('&', "&#38;");
    assert!(
        page.contains(&format!(
            "http-equiv=\"refresh\" content=\"0; url={escaped}\""
        )),
        "{page}"
    );
    assert!(page.contains(&format!("<a href=\"{escaped}\" data-start>")));
    for address in [
        "//evil.example/report.csv",
        "/staff/sign-out",
        "https://evil.example/report.xlsx",
    ] {
        let address =
            percent_encoding::utf8_percent_encode(address, percent_encoding::NON_ALPHANUMERIC);
        let page = with_cookie(&app, "GET", &format!("/staff?download={address}"), &good).await;
        assert!(!page.text().contains("refresh"), "{address}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the code must be good now")]
fn jiff_now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
