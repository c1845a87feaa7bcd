//! A server on tiers of its own, called through its router without a socket.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use padron::{
    http::state::AppState, server, server::shutdown::Shutdown, server::tiers::Tiers, store::Store,
};
use testkit::Form;
use tower::ServiceExt as _;

use crate::place::Place;

pub(crate) const TOKEN: &str = "a-token-for-tests-of-forty-characters-00";

pub(crate) struct TestApp {
    pub(crate) app: Arc<AppState>,
    pub(crate) place: Place,
    router: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }
}

fn config(place: &Place, more: &[&str]) -> padron::server::config::Config {
    let arguments = [
        "--admin-token",
        TOKEN,
        "--instance",
        "test-1",
        "--public-url",
        "https://padron.example",
    ];
    let arguments = arguments.iter().chain(more).map(ToString::to_string);
    testkit::config(place.arguments().into_iter().chain(arguments))
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with_arguments(&[]).await
    }

    pub(crate) async fn with_arguments(more: &[&str]) -> Self {
        Self::build(Place::new(), more, |tiers| tiers).await
    }

    /// As new, with the record store wrapped in a test double.
    pub(crate) async fn with_store<S: Store>(wrap: impl FnOnce(Arc<dyn Store>) -> Arc<S>) -> Self {
        Self::build(Place::new(), &[], |tiers| {
            let store: Arc<dyn Store> = wrap(tiers.store.clone());
            Tiers { store, ..tiers }
        })
        .await
    }

    /// Another process over the same tiers, as after a restart.
    pub(crate) async fn restart(self) -> Self {
        self.app.store.close().await;
        Self::build(self.place, &[], |tiers| tiers).await
    }

    /// Why a restart over the same tiers is refused.
    pub(crate) async fn cannot_restart(self) -> String {
        self.app.store.close().await;
        let opened = Tiers::open(&config(&self.place, &[])).await;
        format!("{:#}", opened.err().expect("it starts"))
    }

    async fn build(place: Place, more: &[&str], change: impl FnOnce(Tiers) -> Tiers) -> Self {
        let config = config(&place, more);
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let tiers = Tiers::open(&config).await.unwrap();
        let app = server::state(&config, change(tiers), &shutdown).unwrap();
        let router = padron::http::router(app.clone());
        Self { app, place, router }
    }

    pub(crate) async fn raw(&self, request: Request<Body>) -> axum::response::Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_described(&method, &path, response.status());
        response
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.raw(request).await.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body
                .collect()
                .await
                .expect("the body is whole")
                .to_bytes()
                .into(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn page(&self, path: &str) -> Answer {
        let request = Request::get(path).header(header::ACCEPT, "text/html,*/*;q=0.8");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn staff(&self, path: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// As staff in a browser.
    pub(crate) async fn staff_page(&self, path: &str) -> Answer {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::ACCEPT, "text/html,*/*;q=0.8");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(&self, form: &Form) -> Answer {
        self.send(form.request(&[])).await
    }

    /// The names of the objects where the photos are.
    pub(crate) async fn photos(&self) -> Vec<String> {
        self.place.objects().names().await
    }

    /// Rows in the register, by the one way that everybody else has: a report.
    pub(crate) async fn rows(&self) -> usize {
        let csv = self.staff("/report.csv").await;
        csv.text().lines().count() - 1
    }
}

/// The OpenAPI document leaves out no answer that the tests see.
fn assert_described(method: &Method, path: &str, status: StatusCode) {
    static DESCRIPTION: LazyLock<serde_json::Value> =
        LazyLock::new(|| serde_json::to_value(padron::http::openapi()).unwrap());
    let fits = |route: &str| {
        let (route, path) = (route.split('/'), path.split('/'));
        route.clone().count() == path.clone().count()
            && route
                .zip(path)
                .all(|(part, is)| part == is || part.starts_with('{'))
    };
    let mut routes = DESCRIPTION["paths"].as_object().unwrap().iter();
    let operation = routes
        .find(|(route, _)| fits(route))
        .and_then(|(_, route)| route.get(method.as_str().to_lowercase()));
    if let Some(operation) = operation {
        let told = operation["responses"].get(status.as_str());
        assert!(told.is_some(), "{method} {path}: {status} is not described");
    }
}
