//! A server in a place of its own, asked without a socket.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use clap::Parser;
use http_body_util::BodyExt as _;
use padron::{
    http::state::AppState,
    server::shutdown::Shutdown,
    server::tiers::Tiers,
    server::{self, config::Config},
    store::Store,
};
use tower::ServiceExt as _;

use crate::place::Place;

pub(crate) const TOKEN: &str = "a-token-for-tests-of-forty-characters-00";
pub(crate) const CARD: &[u8] = include_bytes!("../../fixtures/card.jpg");

#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

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

fn config(place: &Place, more: &[&str]) -> Config {
    let place = place.arguments();
    let arguments = [
        "--admin-token",
        TOKEN,
        "--instance",
        "test-1",
        "--public-url",
        "https://padron.example",
    ];
    let arguments = std::iter::once("padron")
        .chain(place.iter().map(String::as_str))
        .chain(arguments)
        .chain(more.iter().copied());
    Arguments::try_parse_from(arguments)
        .expect("the arguments are right")
        .config
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with_arguments(&[]).await
    }

    pub(crate) async fn with_arguments(more: &[&str]) -> Self {
        Self::build(Place::new(), more, |tiers| tiers).await
    }

    /// As new, with the records behind a double.
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

/// The description of the interface leaves out no answer that the tests see.
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

/// A multipart form, field by field in the order given.
#[derive(Clone, Default)]
pub(crate) struct Form {
    fields: Vec<(String, Option<String>, Vec<u8>)>,
}

impl Form {
    /// A form that is right.
    pub(crate) fn whole() -> Self {
        Self::default()
            .text("name", "Ana María Ñáñez")
            .text("city", "11001")
            .file("photo", "card.jpg", CARD)
    }

    pub(crate) fn text(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields
            .push((name.to_owned(), None, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn file(mut self, name: &str, file: &str, content: &[u8]) -> Self {
        self.fields
            .push((name.to_owned(), Some(file.to_owned()), content.to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|field| field.0 != name);
        self
    }

    pub(crate) fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).text(name, value)
    }

    pub(crate) fn reversed(mut self) -> Self {
        self.fields.reverse();
        self
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, file, content) in &self.fields {
            let file = file
                .as_ref()
                .map_or(String::new(), |file| format!("; filename=\"{file}\""));
            body.extend(
                format!(
                    "--XBOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
                )
                .into_bytes(),
            );
            body.extend(content);
            body.extend(b"\r\n");
        }
        body.extend(b"--XBOUNDARY--\r\n");
        body
    }

    pub(crate) fn request(&self, headers: &[(&str, &str)]) -> Request<Body> {
        self.request_to("/registrations", headers)
    }

    pub(crate) fn request_to(&self, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::post(path).header(
            header::CONTENT_TYPE,
            "multipart/form-data; boundary=XBOUNDARY",
        );
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(self.body().into()).unwrap()
    }
}
