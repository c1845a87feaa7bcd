//! What kind of answer a request asks for: a page or JSON, in which language, for whom.
//!
//! A leaf: handlers, pages and problems ask it, and it asks nobody.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Uri, header, request::Parts},
};

use crate::foundation::lang::Lang;

/// Whether the client is a browser that shows a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// `?lang=`, or else what the browser prefers.
pub(super) fn lang_of(uri: &Uri, headers: &HeaderMap) -> Lang {
    let asked = uri.query().unwrap_or_default().split('&');
    let asked = asked
        .filter_map(|pair| pair.strip_prefix("lang="))
        .find_map(Lang::parse);
    let preferred = || {
        let header = headers.get(header::ACCEPT_LANGUAGE);
        Lang::negotiate(header.and_then(|value| value.to_str().ok()))
    };
    asked.unwrap_or_else(preferred)
}

/// The language of an answer, as an extractor.
pub(super) struct Language(pub(super) Lang);

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(lang_of(&parts.uri, &parts.headers)))
    }
}

/// Whether an address is one that only staff open.
pub(super) fn is_for_staff(path: &str) -> bool {
    path.starts_with("/staff") || path.starts_with("/report.") || path.ends_with("/photo")
}
