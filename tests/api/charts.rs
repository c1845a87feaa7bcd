//! The chart and the totals: they move when a report is made, and only then.

use axum::{body::Body, http::Request};
use testkit::Form;

use crate::app::TestApp;

async fn etag(app: &TestApp) -> String {
    app.get("/chart.png").await.header("etag").to_owned()
}

async fn register(app: &TestApp, city: &str) {
    let name = format!("Persona {}", uuid::Uuid::new_v4());
    let form = Form::whole().with("name", name).with("city", city);
    assert_eq!(app.post(&form).await.status, 201);
}

async fn counts(app: &TestApp) -> Vec<(String, u64)> {
    let totals = app.get("/totals").await.json();
    let cities = totals["cities"].as_array().unwrap().iter();
    cities
        .map(|city| {
            (
                city["code"].as_str().unwrap().to_owned(),
                city["count"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn the_chart_changes_because_of_a_report() {
    let app = TestApp::new().await;
    let empty = etag(&app).await;
    register(&app, "11001").await;
    assert_eq!(etag(&app).await, empty, "a registration does not move it");
    assert!(counts(&app).await.is_empty());
    assert_eq!(app.staff("/report.xlsx").await.status, 200);
    assert_ne!(etag(&app).await, empty, "a report does");
    assert_eq!(counts(&app).await, [("11001".to_owned(), 1)]);
}

#[tokio::test]
async fn a_report_of_one_city_moves_that_city_only() {
    let app = TestApp::new().await;
    register(&app, "11001").await;
    assert_eq!(
        counts(&app).await,
        [("11001".to_owned(), 1)],
        "counted once, at the first look"
    );
    register(&app, "11001").await;
    register(&app, "05001").await;
    app.staff("/report.xlsx?city=05001").await;
    assert_eq!(
        counts(&app).await,
        [("05001".to_owned(), 1), ("11001".to_owned(), 1)]
    );
    app.staff("/report.csv?city=bogota").await;
    assert_eq!(
        counts(&app).await,
        [("11001".to_owned(), 2), ("05001".to_owned(), 1)]
    );
}

#[tokio::test]
async fn a_restart_keeps_the_chart() {
    let app = TestApp::new().await;
    register(&app, "11001").await;
    app.staff("/report.xlsx").await;
    register(&app, "05001").await;
    let (before, totals) = (app.get("/chart.png").await, counts(&app).await);
    let app = app.restart().await;
    let after = app.get("/chart.png").await;
    assert_eq!(after.header("etag"), before.header("etag"));
    assert_eq!(after.body, before.body);
    assert_eq!(counts(&app).await, totals);
}

#[tokio::test]
async fn another_process_over_the_same_store_follows() {
    let app = TestApp::new().await;
    let other = padron::app::board::Board::new(
        app.app.store.clone(),
        app.app.store.clone(),
        app.app.cities.clone(),
    );
    assert_eq!(other.totals().await.unwrap().total(), 0);
    let stop = tokio_util::sync::CancellationToken::new();
    let following = tokio::spawn({
        let (other, stop) = (other.clone(), stop.clone());
        async move { other.follow(stop).await }
    });
    register(&app, "11001").await;
    app.staff("/report.xlsx").await;
    let seen = async {
        while other.totals().await.unwrap().total() == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), seen)
        .await
        .expect("it follows");
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn the_chart_is_small_and_says_when_it_has_not_changed() {
    let app = TestApp::new().await;
    for number in 0..25 {
        register(
            &app,
            app.app
                .cities
                .iter()
                .nth(number * 40)
                .unwrap()
                .code
                .as_str(),
        )
        .await;
    }
    app.staff("/report.xlsx").await;
    let chart = app.get("/chart.png").await;
    assert_eq!(chart.header("content-type"), "image/png");
    assert!(chart.body.len() <= 20 * 1024, "{} bytes", chart.body.len());
    let image = image::load_from_memory(&chart.body).unwrap();
    assert_eq!((image.width(), image.height()), (1000, 600));
    for tags in [
        chart.header("etag").to_owned(),
        format!("\"x\", W/{}", chart.header("etag")),
    ] {
        let request = Request::get("/chart.png").header("if-none-match", tags);
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
        assert_eq!(answer.header("etag"), chart.header("etag"));
    }
    let svg = app.get("/chart.svg?lang=en&top=3").await.text();
    for part in [
        "People registered by city",
        "22 more cities: 22 (88%)",
        "Total: 25",
    ] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
}

#[tokio::test]
async fn sizes_are_few_and_have_their_bounds() {
    let app = TestApp::new().await;
    for (query, size) in [
        ("", (1000, 600)),
        ("width=1000&height=600", (1000, 600)),
        ("width=1001&height=599&top=19", (1000, 600)),
        ("width=320&height=240", (320, 240)),
        ("width=2000&height=2000&top=50", (2000, 2000)),
        ("width=777&top=1", (640, 600)),
    ] {
        let chart = app.get(&format!("/chart.png?{query}")).await;
        assert_eq!(chart.status, 200, "{query}");
        let image = image::load_from_memory(&chart.body).unwrap();
        assert_eq!((image.width(), image.height()), size, "{query}");
    }
    for (query, named) in [
        ("width=319", "width"),
        ("width=2001", "width"),
        ("height=239", "height"),
        ("height=2001", "height"),
        ("top=0", "top"),
        ("top=51", "top"),
        ("theme=blue", "theme"),
        ("by=street", "by"),
        ("department=100", "department"),
        ("department=Macondo", "department"),
        ("by=day&department=05", "department"),
        ("by=department&department=05", "department"),
        ("width=wide", "width"),
        ("size=9", "width"),
    ] {
        let answer = app.get(&format!("/chart.svg?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(named),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_theme_changes_the_colours_only() {
    let app = TestApp::new().await;
    register(&app, "11001").await;
    let light = app.get("/chart.svg?theme=light").await.text();
    let dark = app.get("/chart.svg?theme=dark").await.text();
    assert_eq!(app.get("/chart.svg").await.text(), light);
    assert!(
        light.contains("#FFFFFF") && !light.contains("#181B1F"),
        "{light}"
    );
    assert!(
        dark.contains("#181B1F") && !dark.contains("#FFFFFF"),
        "{dark}"
    );
    let without_colours = |svg: &str| {
        let parts = svg.split('#').enumerate();
        parts
            .map(|(at, part)| part[if at > 0 { 6 } else { 0 }..].to_owned())
            .collect::<String>()
    };
    assert_eq!(without_colours(&light), without_colours(&dark));
    let png = app.get("/chart.png?theme=dark").await;
    let image = image::load_from_memory(&png.body).unwrap().to_rgb8();
    assert_eq!(image.get_pixel(0, 0).0, [0x18, 0x1b, 0x1f]);
}

#[tokio::test]
async fn departments_are_the_level_above_the_cities() {
    let app = TestApp::new().await;
    for city in ["05001", "05001", "05002", "11001", "76001"] {
        register(&app, city).await;
    }
    let totals = app.get("/totals").await.json();
    let departments: Vec<_> = totals["departments"].as_array().unwrap().iter().collect();
    let told =
        |of: &serde_json::Value| (of["code"].clone(), of["name"].clone(), of["count"].clone());
    assert_eq!(
        told(departments[0]),
        ("05".into(), "Antioquia".into(), 3.into())
    );
    assert_eq!(departments.len(), 3);
    assert_eq!(totals["total"], 5);
    for name in ["05", "antioquia", "ANTIOQUIA"] {
        let only = app.get(&format!("/totals?department={name}")).await.json();
        assert_eq!(
            (
                only["total"].as_u64(),
                only["cities"].as_array().unwrap().len()
            ),
            (Some(3), 2)
        );
        assert_eq!(only["departments"].as_array().unwrap().len(), 1);
        let svg = app
            .get(&format!("/chart.svg?department={name}&lang=es"))
            .await
            .text();
        for part in [
            "Personas registradas por ciudad: Antioquia",
            "Medellín: 2",
            "Total: 3",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert!(!svg.contains("Cali"));
    }
    let svg = app.get("/chart.svg?by=department&lang=en").await.text();
    for part in [
        "People registered by department",
        "Antioquia: 3",
        "Valle del Cauca: 1",
    ] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    for query in [
        "department=100",
        "department=Macondo",
        "city=05001",
        "department=05&department=11",
    ] {
        assert_eq!(
            app.get(&format!("/totals?{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_chart_of_days_needs_no_report() {
    let app = TestApp::new().await;
    app.get("/chart.svg").await;
    register(&app, "11001").await;
    register(&app, "05001").await;
    let svg = app.get("/chart.svg?by=day&lang=en").await.text();
    for part in [
        "Registrations per day, last 30 days",
        "Today: 2",
        "Total: 2",
    ] {
        assert!(svg.contains(part), "{part} in {svg}");
    }
    assert!(
        app.get("/chart.svg?lang=en")
            .await
            .text()
            .contains("No registrations yet")
    );
    let small = app.get("/chart.png?by=day&width=640&height=240").await;
    let image = image::load_from_memory(&small.body).unwrap();
    assert_eq!((image.width(), image.height()), (640, 240));
    let same = app
        .get("/chart.png?by=day&width=600&height=250&top=3")
        .await;
    assert_eq!(same.header("etag"), small.header("etag"));
    // What was erased is counted no more, once the chart is older than its rule allows.
    let csv = app.staff("/report.csv?lang=en").await.text();
    let reference = csv
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .nth(1)
        .unwrap()
        .to_owned();
    let reference = padron::domain::registration::Reference::parse(&reference).unwrap();
    app.app.store.erase(reference).await.unwrap();
    let app = app.restart().await;
    let svg = app.get("/chart.svg?by=day&lang=en").await.text();
    assert!(svg.contains("Today: 1"), "{svg}");
}

/// Latin with the accents of Vietnamese, Greek and Cyrillic are drawn as they are written, composed or not.
#[tokio::test]
async fn names_of_other_alphabets_are_drawn() {
    let names = [
        "Thành phố Hồ Chí Minh",
        "Đồng Xoài",
        "Θεσσαλονίκη",
        "Нижний Новгород",
        "Bogota\u{301}",
    ];
    let lines = (1..)
        .zip(names)
        .map(|(number, name)| format!("0000{number},{name},X,\n"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cities.csv");
    let catalogue: String = lines.collect();
    std::fs::write(
        &file,
        format!("code,municipality,department,aliases\n{catalogue}"),
    )
    .unwrap();
    let app = TestApp::with_arguments(&["--cities", file.to_str().unwrap()]).await;
    for number in 1..=names.len() {
        register(&app, &format!("0000{number}")).await;
    }
    app.staff("/report.xlsx").await;
    let svg = app.get("/chart.svg").await.text();
    assert!(!svg.contains('\u{FFFD}'));
    for name in [&names[..4], &["Bogotá"]].concat() {
        assert!(svg.contains(name), "{name} in {svg}");
    }
}
