//! The origin of a site (RFC 6454): scheme, host and port, and nothing else.

use std::{fmt, str::FromStr};

use url::Url;

/// A scheme (`http` or `https`), a host and a port, normalised: lower case, the default port left out, an
/// internationalised name in its ASCII form (Punycode). Two spellings of one site are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Url);

impl Origin {
    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The same origin with `label.` before its host: a subdomain.
    ///
    /// # Errors
    /// When the label is no part of a host name, or the host is an IP address.
    pub fn below(&self, label: &str) -> Result<Self, String> {
        let host = self.0.host_str().unwrap_or_default();
        let mut url = self.0.clone();
        url.set_host(Some(&format!("{label}.{host}")))
            .map_err(|error| error.to_string())?;
        Ok(Self(url))
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text.trim()).ok();
        let bare = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
        };
        url.filter(bare).map(Self).ok_or_else(|| {
            "use http://HOST or https://HOST, with a port where it needs one, without a path".into()
        })
    }
}

/// Without a trailing slash.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Origin>()
            .map_or_else(|_| "refused".to_owned(), |origin| origin.to_string())
    }

    #[test]
    fn spellings_of_one_site_are_one_origin() {
        for (text, origin) in [
            ("https://padron.example", "https://padron.example"),
            ("https://padron.example/", "https://padron.example"),
            ("HTTPS://Padron.Example:443/", "https://padron.example"),
            ("http://padron.example:80", "http://padron.example"),
            ("http://padron.example:443", "http://padron.example:443"),
            (" http://127.0.0.1:4000 ", "http://127.0.0.1:4000"),
            ("http://[::1]:4000", "http://[::1]:4000"),
            (
                "https://vacunación.example",
                "https://xn--vacunacin-d7a.example",
            ),
        ] {
            assert_eq!(shown(text), origin, "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for text in [
            "",
            "padron.example",
            "localhost:4000",
            "ftp://padron.example",
            "https://",
            "https://user@padron.example",
            "https://:secret@padron.example",
            "https://padron.example/form",
            "https://padron.example//",
            "https://padron.example?lang=es",
            "https://padron.example#form",
        ] {
            assert_eq!(shown(text), "refused", "{text}");
        }
    }

    #[test]
    fn a_bucket_stands_before_the_host() {
        let origin: Origin = "http://s3.example:9000".parse().unwrap();
        assert_eq!(
            origin.below("photos").unwrap().to_string(),
            "http://photos.s3.example:9000"
        );
        assert!(!origin.is_https());
    }
}
