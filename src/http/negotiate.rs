//! Content negotiation: a page or JSON, in which language, for whom; and conditional requests.
//!
//! A leaf: handlers, pages and problems call it, and it calls nothing else of `http`.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Uri, header, request::Parts},
};

use crate::foundation::{accept::choices, lang::Lang};

/// Whether `Accept` prefers HTML to JSON: by weight (`q`), then by specificity, then by order. JSON when it says
/// nothing.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = joined(headers, header::ACCEPT);
    let wish = |types: &[&str]| {
        let named = choices(&accept)
            .enumerate()
            .filter_map(|(at, (range, weight))| {
                let exact = types.iter().any(|known| known.eq_ignore_ascii_case(range));
                let whole_class = types.iter().any(|known| {
                    range.strip_suffix("/*").is_some_and(|class| {
                        known
                            .split_once('/')
                            .is_some_and(|(known, _)| known.eq_ignore_ascii_case(class))
                    })
                });
                let exactness = match range {
                    _ if exact => 2,
                    _ if whole_class => 1,
                    "*/*" | "*" => 0,
                    _ => return None,
                };
                Some((exactness, weight, std::cmp::Reverse(at)))
            });
        // The most specific media range counts (RFC 9110, 12.5.1); of two as specific, the higher weight.
        named.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)))
    };
    let page = wish(&["text/html"]).filter(|wish| wish.1 > 0.0);
    let json = wish(&["application/json", "application/problem+json"]);
    match (page, json) {
        (Some(page), Some(json)) => {
            let order = page
                .1
                .total_cmp(&json.1)
                .then(page.0.cmp(&json.0))
                .then(page.2.cmp(&json.2));
            order.is_gt()
        }
        (page, _) => page.is_some(),
    }
}

/// The lines of a repeated header, joined to one list (RFC 9110, 5.3).
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .collect::<Vec<_>>()
        .join(",")
}

/// Whether `If-None-Match` has this `ETag` (weak comparison), or `*`: the answer is then 304.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = joined(headers, header::IF_NONE_MATCH);
    known
        .split(',')
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}

/// `?lang=`, or else what `Accept-Language` prefers.
pub(super) fn lang_of(uri: &Uri, headers: &HeaderMap) -> Lang {
    let asked = uri.query().unwrap_or_default().split('&');
    let asked = asked
        .filter_map(|pair| pair.strip_prefix("lang="))
        .find_map(Lang::parse);
    asked.unwrap_or_else(|| Lang::negotiate(Some(&joined(headers, header::ACCEPT_LANGUAGE))))
}

/// The language of an answer, as an extractor.
pub(super) struct Language(pub(super) Lang);

impl<S: Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(lang_of(&parts.uri, &parts.headers)))
    }
}

/// Whether a path is one that only staff open.
pub(super) fn is_for_staff(path: &str) -> bool {
    path.starts_with("/staff") || path.starts_with("/report.") || path.ends_with("/photo")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_for(accept: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        wants_page(&headers)
    }

    #[test]
    fn whoever_would_rather_have_a_page_gets_one() {
        for accept in [
            // Chromium, Firefox and Safari; Internet Explorer; Java's own client.
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/xhtml+xml, */*",
            "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
            "TEXT/HTML",
            "text/html;charset=utf-8",
            "text/html;level=1;q=0.4",
            "text/*;q=0.5, application/json;q=0.4",
            "application/json;q=0.5, text/html",
            "application/json;q=0, */*",
            "text/html, application/json",
        ] {
            assert!(page_for(&[accept]), "{accept}");
        }
        assert!(page_for(&["application/json;q=0.1", "text/html"]));
    }

    #[test]
    fn whoever_would_rather_have_json_or_says_nothing_gets_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "application/json, text/html;q=0.1",
            "application/json, text/html",
            "application/problem+json, text/html;q=0.9",
            "application/*, text/html;q=0.9",
            "text/html;q=0",
            "text/html;q=0, */*",
            "text/html;q=0.000, text/*",
            "text/html;q=abc",
            "text/htmlx",
            "image/png",
        ] {
            assert!(!page_for(&[accept]), "{accept}");
        }
        assert!(!page_for(&[]));
        assert!(!page_for(&["text/html;q=0.5", "application/json"]));
    }
}
