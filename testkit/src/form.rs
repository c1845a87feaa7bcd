//! Multipart forms of which every byte is chosen, valid ones and invalid ones.

use http::{Request, header};

use crate::photos::CARD;

/// A multipart form, field by field in the order given.
#[derive(Clone, Default)]
pub struct Form {
    fields: Vec<(String, Option<String>, Vec<u8>)>,
}

impl Form {
    /// Of the body.
    pub const CONTENT_TYPE: &str = "multipart/form-data; boundary=XBOUNDARY";

    /// A valid form.
    pub fn whole() -> Self {
        Self::default()
            .text("name", "Ana María Ñáñez")
            .text("city", "11001")
            .file("photo", "card.jpg", CARD)
    }

    /// Adds a text.
    pub fn text(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields
            .push((name.to_owned(), None, value.as_ref().to_vec()));
        self
    }

    /// Adds a file by the name `file`.
    pub fn file(mut self, name: &str, file: &str, content: &[u8]) -> Self {
        self.fields
            .push((name.to_owned(), Some(file.to_owned()), content.to_vec()));
        self
    }

    /// Takes all fields of a name out.
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|field| field.0 != name);
        self
    }

    /// Changes a text.
    pub fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).text(name, value)
    }

    /// The last field first.
    pub fn reversed(mut self) -> Self {
        self.fields.reverse();
        self
    }

    /// What is sent.
    pub fn body(&self) -> Vec<u8> {
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

    /// The request that it is.
    pub fn request<B: From<Vec<u8>>>(&self, headers: &[(&str, &str)]) -> Request<B> {
        self.request_to("/registrations", headers)
    }

    /// As [`Form::request`], to another path.
    pub fn request_to<B: From<Vec<u8>>>(&self, path: &str, headers: &[(&str, &str)]) -> Request<B> {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, Self::CONTENT_TYPE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(self.body().into()).unwrap()
    }
}
