//! A browser without a script: it keeps cookies, follows redirects, and sends what a page's form holds.

use std::sync::Mutex;

use axum::{body::Body, http::Request};
use testkit::Form;

use crate::app::{Answer, TestApp};

pub(crate) const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

pub(crate) struct Browser<'a> {
    app: &'a TestApp,
    cookie: Mutex<String>,
}

/// A page, and where the browser is then.
pub(crate) struct Page {
    pub(crate) address: String,
    pub(crate) answer: Answer,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        self.answer.text()
    }

    /// The value of a hidden or typed input.
    pub(crate) fn value(&self, name: &str) -> String {
        value(&self.text(), name)
    }

    /// A form with the hidden fields of this page.
    pub(crate) fn form(&self) -> Form {
        let page = self.text();
        let hidden = page.split("<input type=\"hidden\" ").skip(1);
        hidden.fold(Form::default(), |form, input| {
            let name = input.split('"').nth(1).unwrap();
            form.text(name, value(&page, name))
        })
    }

    /// A whole form: the hidden fields, a person, the photo and the consent.
    pub(crate) fn filled(&self) -> Form {
        let whole = [
            ("name", "Ana María Ñáñez"),
            ("city", "11001"),
            ("consent", "yes"),
        ];
        let form = whole
            .iter()
            .fold(self.form(), |form, (name, value)| form.text(name, value));
        form.file("photo", "card.jpg", testkit::CARD)
    }
}

/// The value of an input of a page.
pub(crate) fn value(page: &str, name: &str) -> String {
    let at = page
        .find(&format!("name=\"{name}\""))
        .unwrap_or_else(|| panic!("no {name}"));
    let rest = &page[at..];
    let start = rest.find("value=\"").expect("a value") + 7;
    rest[start..].split('"').next().unwrap().to_owned()
}

impl<'a> Browser<'a> {
    pub(crate) fn new(app: &'a TestApp) -> Self {
        Self {
            app,
            cookie: Mutex::default(),
        }
    }

    pub(crate) fn cookie(&self) -> String {
        self.cookie.lock().unwrap().clone()
    }

    /// Sends one request, without following where it leads.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let cookie = self.cookie();
        if !cookie.is_empty() {
            request
                .headers_mut()
                .insert("cookie", cookie.parse().unwrap());
        }
        let answer = self.app.send(request).await;
        if let Some((cookie, _)) = answer.header("set-cookie").split_once(';') {
            cookie.clone_into(&mut self.cookie.lock().unwrap());
        }
        answer
    }

    /// Opens an address, and follows where it leads.
    pub(crate) async fn open(&self, address: &str) -> Page {
        let mut address = address.to_owned();
        for _ in 0..5 {
            let request = Request::get(&address).header(HTML.0, HTML.1);
            let answer = self.send(request.body(Body::empty()).unwrap()).await;
            if answer.status != 303 {
                return Page { address, answer };
            }
            answer.header("location").clone_into(&mut address);
        }
        panic!("it leads in a circle: {address}");
    }

    /// Sends a form, and follows where it leads.
    pub(crate) async fn post(&self, form: &Form) -> Page {
        let request = form.request_to("/registrations?lang=es&keyed=1", &[HTML]);
        self.follow(request).await
    }

    /// Presses the button of the page that shows the answers once more.
    pub(crate) async fn confirm(&self, check: &Page) -> Page {
        let address = check.address.replacen("/check", "", 1);
        let request = Request::post(&address)
            .header(HTML.0, HTML.1)
            .header("content-type", "application/x-www-form-urlencoded");
        self.follow(request.body(Body::empty()).unwrap()).await
    }

    async fn follow(&self, request: Request<Body>) -> Page {
        let answer = self.send(request).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let page = self.open(answer.header("location")).await;
        assert_eq!(page.answer.status, 200, "Back meets it again");
        page
    }
}
