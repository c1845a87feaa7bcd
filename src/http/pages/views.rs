//! What each page shows, as plain values; the templates in `templates/` turn them into HTML.
//!
//! Owns one struct per page and the escaping that comes with it. Called by the handlers that
//! answer a browser. It never formats a time, reads a request or chooses an error's words.

use std::collections::BTreeMap;

use askama::Template;

use crate::{
    domain::registration::DocumentType,
    foundation::lang::{Lang, Texts},
    http::pages::{qr::Code, sentences::document_type},
    http::state::Office,
};

/// The addresses of the embedded files, each with its content's hash in the name.
#[derive(Debug)]
pub(super) struct Assets {
    /// `style.css`.
    pub(super) style: String,
    /// The first script of the form.
    pub(super) form: String,
    /// The script of the receipt.
    pub(super) receipt: String,
    /// `staff.js`.
    pub(super) staff: String,
    /// `favicon.svg`.
    pub(super) icon: String,
    /// The web app manifest.
    pub(super) manifest: String,
}

/// What every page has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    /// The language of the page.
    pub(super) lang: Lang,
    /// Its strings.
    pub(super) t: &'static Texts,
    /// Where the language switch leads: a path that answers GET, without a query.
    pub(super) path: &'a str,
    /// The embedded files.
    pub(super) assets: &'a Assets,
    /// Who keeps the data, on the pages of citizens.
    pub(super) office: Option<&'a Office>,
}

impl<'a> Page<'a> {
    /// A page at `path` in `lang`.
    #[must_use]
    pub(super) fn new(lang: Lang, path: &'a str, assets: &'a Assets) -> Self {
        Self {
            lang,
            t: lang.texts(),
            path,
            assets,
            office: None,
        }
    }
}

/// The values typed so far, shown again with the errors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FormValues<'a> {
    /// As typed.
    pub(super) name: &'a str,
    /// As typed, or `name, department` once the catalogue knows it; never a bare code.
    pub(super) city: &'a str,
    /// As chosen, or else the usual one.
    pub(super) document_type: DocumentType,
    /// As typed.
    pub(super) document_number: &'a str,
    /// As typed.
    pub(super) email: &'a str,
}

/// One sentence of the error summary.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormError<'a> {
    /// The visible field that it links to and is repeated at; `None` concerns the whole form.
    pub(super) field: Option<&'a str>,
    /// What to do about it, in the language of the page.
    pub(super) message: &'a str,
}

/// A city to choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct CityChoice<'a> {
    /// DANE code, the value sent.
    pub(super) code: &'a str,
    /// `name, department`.
    pub(super) label: &'a str,
}

/// `GET /`, and `GET /drafts/{id}`.
#[derive(Debug, Template)]
#[template(path = "form.html")]
pub(super) struct FormPage<'a> {
    /// What every page has.
    pub(super) page: Page<'a>,
    /// The typed values.
    pub(super) values: FormValues<'a>,
    /// What the summary of the errors is called.
    pub(super) heading: &'a str,
    /// Empty on the first view; at most one per field.
    pub(super) errors: &'a [FormError<'a>],
    /// The reference of an earlier sending of this form, when that was kept and not this one.
    pub(super) kept: Option<&'a str>,
    /// When not empty, radio buttons replace the city's text field, so that exactly one `city` is
    /// sent; the last of them sends an empty one, which brings the text field back.
    pub(super) suggestions: &'a [CityChoice<'a>],
    /// The idempotency key: kept for a retry after a failure, new after a reused key.
    pub(super) idempotency_key: &'a str,
    /// The number of the draft that it is.
    pub(super) draft: Option<&'a str>,
    /// Whether the draft has a photo.
    pub(super) has_photo: bool,
    /// Whether the person agreed to the notice.
    pub(super) consents: bool,
    /// The version of the notice that is shown.
    pub(super) notice: &'a str,
}

/// The named texts as JSON, which stands in a page's element: no text of its can end it.
macro_rules! json_of {
    ($t:expr, $($name:ident)*) => {
        serde_json::to_string(&BTreeMap::from([$((stringify!($name), $t.$name)),*]))
            .unwrap_or_default()
            .replace('<', "\\u003c")
    };
}

impl FormPage<'_> {
    /// What the form's scripts say.
    fn script_texts(&self) -> String {
        json_of! { self.page.t,
            form_city form_error_prefix form_error_title form_submit registered_another registered_reference registered_title
            error_name_required error_city_required error_city_unknown error_city_ambiguous error_photo_required
            error_photo_empty error_photo_too_large error_photo_unsupported error_photo_heic error_photo_too_few_pixels
            problem_already_registered problem_key_reused problem_key_reused_title problem_malformed
            script_city_found script_city_none script_photo_working script_photo_preview check_photo_question
            script_photo_small script_photo_dark script_photo_another script_photo_retake check_title check_lead check_change check_none error_consent_required
            script_sending script_sent_all
            script_cancel script_canceled script_retry_network script_retry_server script_away_network
            script_away_server script_waiting_title script_waiting_network script_waiting_server script_waiting_close
            script_waiting_open script_waiting_state script_waiting_refused script_waiting_send script_waiting_correct
            script_waiting_erase script_waiting_confirm script_waiting_erased script_waiting_hide script_sent_lead
            script_draft script_draft_erase
        }
    }

    fn office_name(&self) -> Option<&str> {
        self.page.office?.name.as_deref()
    }

    fn office_contact(&self) -> Option<&str> {
        self.page.office?.contact.as_deref()
    }

    fn error(&self, field: &str) -> Option<&str> {
        let found = self
            .errors
            .iter()
            .find(|error| error.field == Some(field))?;
        Some(found.message)
    }

    /// The types of documents to choose from: what is sent, what is read, and whether it is chosen.
    fn document_types(&self) -> [(&'static str, &'static str, bool); 6] {
        DocumentType::ALL.map(|kind| {
            let chosen = kind == self.values.document_type;
            (kind.as_str(), document_type(kind, self.page.t), chosen)
        })
    }
}

/// The answers once more, before they are sent.
#[derive(Debug, Template)]
#[template(path = "check.html")]
pub(super) struct CheckPage<'a> {
    /// What every page has.
    pub(super) page: Page<'a>,
    /// The number of the draft.
    pub(super) draft: &'a str,
    /// As typed.
    pub(super) name: &'a str,
    /// `name, department`.
    pub(super) city: &'a str,
    /// Its type and number, or that there is none.
    pub(super) document: &'a str,
    /// As typed, or that there is none.
    pub(super) email: &'a str,
}

/// The confirmation, a public address: it holds no personal data.
#[derive(Debug, Template)]
#[template(path = "registered.html")]
pub(super) struct RegisteredPage<'a> {
    /// What every page has.
    pub(super) page: Page<'a>,
    /// As people write it: `K7QM-3XPD`.
    pub(super) reference: &'a str,
    /// Its own address.
    pub(super) address: &'a str,
    /// The QR code of that address.
    pub(super) code: Option<Code>,
    /// `name, department`.
    pub(super) city: &'a str,
    /// As [`Lang::time`] writes it.
    pub(super) time: &'a str,
    /// The same time in RFC 3339.
    pub(super) time_rfc3339: &'a str,
}

/// The sign-in of the staff.
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage<'a> {
    /// What every page has.
    pub(super) page: Page<'a>,
    /// The access code of a sign-in link, or nothing.
    pub(super) token: &'a str,
    /// The address that asked for a session, or nothing.
    pub(super) next: &'a str,
    /// Whether the code just sent was wrong.
    pub(super) failed: bool,
    /// Why somebody who was signed in must sign in again.
    pub(super) notice: Option<&'a str>,
}

/// Any other error, for a browser.
#[derive(Debug, Template)]
#[template(path = "problem.html")]
pub(super) struct ProblemPage<'a> {
    /// What every page has.
    pub(super) page: Page<'a>,
    /// `problem_<slug>_title`.
    pub(super) title: &'a str,
    /// `problem_<slug>`: what to do.
    pub(super) detail: &'a str,
    /// Where its button leads, in words; its path is where, `/` or `/staff`.
    pub(super) home: &'a str,
    /// The request's id.
    pub(super) request_id: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets() -> Assets {
        Assets {
            style: "/static/style.css".into(),
            form: "/static/start.js".into(),
            receipt: "/static/receipt.js".into(),
            manifest: "/static/app.webmanifest".into(),
            staff: "/static/staff.js".into(),
            icon: "/static/favicon.svg".into(),
        }
    }

    fn form(errors: &[FormError<'_>], suggestions: &[CityChoice<'_>], name: &str) -> String {
        let assets = assets();
        FormPage {
            page: Page::new(Lang::Es, "/", &assets),
            values: FormValues {
                name,
                ..FormValues::default()
            },
            heading: Texts::ES.form_error_title,
            errors,
            kept: None,
            suggestions,
            idempotency_key: "0123456789abcdef",
            draft: None,
            has_photo: false,
            consents: false,
            notice: "2026-01-01",
        }
        .render()
        .expect("a template writes to a string")
    }

    /// What is before the texts of the scripts.
    fn seen(html: &str) -> &str {
        let data = html.find("<script type=\"application/json\"");
        &html[..data.expect("the form's scripts have texts")]
    }

    #[test]
    fn typed_values_come_back_escaped() {
        let html = form(&[], &[], "\"><script>alert('x')</script>");
        assert!(!html.contains("<script>alert"));
        assert!(html.contains("&#62;&#60;script&#62;alert(&#39;x&#39;)"));
    }

    #[test]
    fn an_error_is_linked_from_the_summary_and_repeated_at_its_field() {
        let message = Texts::ES.error_name_required;
        let error = FormError {
            field: Some("name"),
            message,
        };
        let html = form(&[error], &[], "");
        let html = seen(&html);
        assert!(html.contains("<title>Error: "));
        assert!(html.contains(&format!("<a href=\"#name\">{message}</a>")));
        assert_eq!(html.matches(message).count(), 2);
        assert!(html.contains(&format!("<span>Error:</span> {message}</p>")));
        assert!(html.contains("aria-describedby=\"name-hint name-error\" aria-invalid=\"true\""));
        assert!(html.contains(Texts::ES.form_photo_again));
        assert!(
            !seen(&form(&[], &[], "")).contains("error"),
            "a first view has no error"
        );
    }

    #[test]
    fn suggestions_replace_the_text_field_and_none_is_chosen_for_the_citizen() {
        let armenia = CityChoice {
            code: "63001",
            label: "Armenia, Quindío",
        };
        let html = form(&[], &[armenia, armenia], "");
        assert_eq!(html.matches("type=\"radio\" name=\"city\"").count(), 3);
        assert_eq!(html.matches("name=\"city\"").count(), 3);
        assert!(!html.contains(" checked"));
        assert_eq!(html.matches("id=\"city\"").count(), 1);
        assert_eq!(form(&[], &[], "").matches("name=\"city\"").count(), 1);
    }

    #[test]
    fn the_form_sends_the_fields_of_the_contract_and_its_language_in_the_address() {
        let html = form(&[], &[], "");
        let sent: Vec<_> = html
            .split('<')
            .filter(|tag| tag.starts_with("input ") || tag.starts_with("select "))
            .filter_map(|input| input.split_once(" name=\"")?.1.split('"').next())
            .collect();
        let contract = [
            "idempotency_key",
            "notice",
            "step",
            "name",
            "city",
            "photo",
            "document_type",
            "document_number",
            "email",
            "consent",
        ];
        assert_eq!(sent, contract);
        assert!(html.contains("action=\"/registrations?lang=es&amp;keyed=1\""));
    }

    #[test]
    fn pages_carry_nothing_that_a_strict_policy_blocks() {
        for file in [
            "base",
            "form",
            "check",
            "registered",
            "sign_in",
            "staff",
            "problem",
            "docs",
        ] {
            let path = format!("{}/templates/{file}.html", env!("CARGO_MANIFEST_DIR"));
            let source = std::fs::read_to_string(path).expect("the template exists");
            for banned in [
                " style=", "<style", " onclick", " onload", "http://", "https://",
            ] {
                assert!(!source.contains(banned), "{file} has {banned}");
            }
            let scripts = source.matches("<script").count();
            let files = source.matches("<script type=\"module\" src=\"{{").count();
            let files = files + source.matches("<script src=\"{{").count();
            let data = source.matches("<script type=\"application/json\"").count();
            assert_eq!(scripts, files + data, "{file} has a script of its own");
        }
    }
}
