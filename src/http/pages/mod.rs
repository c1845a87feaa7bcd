//! The pages: server-rendered HTML, which a browser gets instead of JSON, and their static assets.
//!
//! Called by the handlers and by `tell`. `views` holds what each template is given, `sentences` what a person is told.
//! Pages need no script, have no inline style or script, and repeat what was typed only to whoever typed it. They
//! never call a tier.

mod dashboard;
mod docs;
mod qr;
mod sentences;
mod views;

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use askama::Template;
use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use self::views::{
    Assets, CheckPage, CityChoice, FormError, FormPage, FormValues, Page, ProblemPage,
    RegisteredPage, SignInPage,
};
pub(super) use self::{
    dashboard::{Listing, Order, dashboard, is_report},
    docs::{docs, document},
    sentences::message,
};
use uuid::Uuid;

use crate::{
    app::drafts::Draft,
    domain::city::City,
    domain::registration::{DocumentType, Field, Reference, Registration},
    foundation::lang::{Lang, NOTICE},
    http::problem::{Kind, Problem, retry_after},
    http::state::AppState,
};

/// A static file, embedded in the binary.
struct Asset {
    media_type: &'static str,
    cache_control: &'static str,
    content: Cow<'static, [u8]>,
}

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files by name; each name holds its content's hash (cache busting), so that browsers may cache them for ever.
static FILES: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(|| {
    let file = |name: &str, media_type, content: &'static [u8]| {
        let asset = Asset {
            media_type,
            cache_control: FOR_EVER,
            content: content.into(),
        };
        (hashed(name, content), asset)
    };
    let mut files = BTreeMap::from([
        file("style.css", "text/css; charset=utf-8", STYLE),
        file("staff.js", SCRIPT, STAFF_SCRIPT),
        file("favicon.svg", "image/svg+xml", ICON),
    ]);
    let manifest = MANIFEST.replace("favicon.svg", &hashed("favicon.svg", ICON));
    let manifest = Asset {
        media_type: "application/manifest+json",
        cache_control: FOR_EVER,
        content: manifest.into_bytes().into(),
    };
    files.insert(hashed("app.webmanifest", MANIFEST.as_bytes()), manifest);
    for (name, content) in SCRIPTS {
        let asset = Asset {
            media_type: SCRIPT,
            // The service worker has one name for ever, by which browsers look for a newer one.
            cache_control: if *name == WORKER {
                "no-cache"
            } else {
                FOR_EVER
            },
            content: with_versions(content).into_bytes().into(),
        };
        files.insert(versioned(name), asset);
    }
    files
});

const STYLE: &[u8] = include_bytes!("../../../static/style.css");
const STAFF_SCRIPT: &[u8] = include_bytes!("../../../static/staff.js");
const ICON: &[u8] = include_bytes!("../../../static/favicon.svg");
const MANIFEST: &str = include_str!("../../../static/app.webmanifest");

macro_rules! scripts {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../static/form/", $name)))),*]
    };
}

/// The scripts of the form and its receipt: modules that import each other.
const SCRIPTS: &[(&str, &str)] = scripts! {
    "start.js" "registration.js" "city.js" "draft.js" "errors.js" "outbox.js" "page.js" "photo.js" "photo-field.js"
    "receipt.js" "review.js" "send.js" "shrink.js" "shrink-worker.js" "sw.js" "waiting.js"
};

/// The service worker.
const WORKER: &str = "sw.js";

static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: format!("/assets/{}", hashed("style.css", STYLE)),
    form: format!("/assets/{}", versioned("start.js")),
    receipt: format!("/assets/{}", versioned("receipt.js")),
    staff: format!("/assets/{}", hashed("staff.js", STAFF_SCRIPT)),
    icon: format!("/assets/{}", hashed("favicon.svg", ICON)),
    manifest: format!("/assets/{}", hashed("app.webmanifest", MANIFEST.as_bytes())),
});

fn hashed(name: &str, content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    named(name, &digest)
}

fn named(name: &str, digest: &[u8]) -> String {
    let hash = hex::encode(&digest[..6]);
    name.replacen('.', &format!(".{hash}."), 1)
}

/// The name of a script, with one hash of them all: they are of one version or not used together.
fn versioned(name: &str) -> String {
    static VERSION: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let contents = SCRIPTS.iter().map(|(_, content)| content);
        let digest = contents.fold(Sha256::new(), |digest, content| {
            digest.chain_update(content)
        });
        digest.finalize().to_vec()
    });
    if name == WORKER {
        return name.to_owned();
    }
    named(name, &VERSION)
}

/// A script whose imports, `"./city.js"`, have the names under which they are served.
fn with_versions(content: &str) -> String {
    let mut content = content.to_owned();
    for (name, _) in SCRIPTS {
        content = content.replace(
            &format!("\"./{name}\""),
            &format!("\"./{}\"", versioned(name)),
        );
    }
    content
}

/// `GET /assets/{name}`.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    let asset = FILES.get(&name).ok_or(Problem::new(Kind::NotFound))?;
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, asset.cache_control),
    ];
    let content: &'static [u8] = &asset.content;
    Ok((headers, content).into_response())
}

/// The empty form, or one that is `begun`; `gone` where a draft was asked for that has expired.
pub(super) fn form(app: &AppState, begun: &Draft, gone: bool, lang: Lang) -> Response {
    let expired = FormError {
        field: None,
        message: lang.texts().draft_gone,
    };
    let errors = if gone { &[expired][..] } else { &[] };
    let key = new_key();
    let known = app.cities.find(&begun.city).map(City::full_name);
    page(&FormPage {
        page: citizens(app, lang, "/"),
        values: values(begun, known.as_deref().unwrap_or(&begun.city)),
        heading: lang.texts().draft_gone_title,
        errors,
        kept: None,
        suggestions: &[],
        idempotency_key: &key,
        draft: None,
        has_photo: false,
        consents: false,
        notice: NOTICE,
    })
}

fn values<'a>(draft: &'a Draft, city: &'a str) -> FormValues<'a> {
    FormValues {
        name: &draft.name,
        city,
        document_type: DocumentType::parse(&draft.document_type).unwrap_or_default(),
        document_number: &draft.document_number,
        email: &draft.email,
    }
}

/// A page of the form, which names who keeps the data.
fn citizens<'a>(app: &'a AppState, lang: Lang, path: &'a str) -> Page<'a> {
    Page {
        office: Some(&app.office),
        ..Page::new(lang, path, &ASSETS)
    }
}

/// The form with what was typed, and with what is wrong with it. Where it is kept as the draft `id`, this is its page;
/// otherwise it is the answer itself, with the problem's own status.
pub(super) fn form_again(
    app: &AppState,
    draft: &Draft,
    id: Option<Uuid>,
    problem: Option<Problem>,
    lang: Lang,
) -> Response {
    let t = lang.texts();
    let empty = Vec::new();
    let faults = problem.as_ref().map_or(&empty, |problem| &problem.errors);
    let mut errors: Vec<_> = faults
        .iter()
        .map(|error| FormError {
            field: (error.field != Field::IdempotencyKey).then_some(error.field.as_str()),
            message: message(lang, error),
        })
        .collect();
    let mut heading = t.form_error_title;
    if let Some(problem) = problem.as_ref().filter(|_| errors.is_empty()) {
        let (title, sentence) = sentences::for_citizens(problem.kind, t);
        heading = title;
        let taken = problem.kind == Kind::AlreadyRegistered;
        errors.push(FormError {
            field: taken.then_some(Field::DocumentNumber.as_str()),
            message: sentence,
        });
    }
    let suggestions: Vec<_> = faults.iter().flat_map(|error| &error.suggestions).collect();
    let labels: Vec<_> = suggestions.iter().map(|city| city.full_name()).collect();
    let suggestions: Vec<_> = suggestions
        .iter()
        .zip(&labels)
        .map(|(city, label)| CityChoice {
            code: city.code.as_str(),
            label,
        })
        .collect();
    // A city that was chosen by its code is shown by its name.
    let known = app.cities.find(&draft.city).map(City::full_name);
    let kept = problem.as_ref().and_then(Problem::kept);
    let number = id.map(|id| id.to_string());
    let path = number.as_ref().map(|id| format!("/drafts/{id}"));
    let mut response = page(&FormPage {
        page: citizens(app, lang, path.as_deref().unwrap_or("/")),
        values: values(draft, known.as_deref().unwrap_or(&draft.city)),
        heading,
        errors: &errors,
        kept: kept.as_deref(),
        suggestions: &suggestions,
        // Kept, so that sending again is a retry; a new one where it was used for another registration.
        idempotency_key: &draft.idempotency_key,
        draft: number.as_deref(),
        has_photo: draft.photo.is_some() && id.is_some(),
        consents: draft.consent,
        notice: NOTICE,
    });
    if let (Some(problem), None) = (problem, id) {
        *response.status_mut() = problem.status();
        retry_after(&problem, response.headers_mut());
        response.extensions_mut().insert(problem);
    }
    response
}

/// The answers once more, before they are sent.
pub(super) fn check(app: &AppState, draft: &Draft, id: Uuid, lang: Lang) -> Response {
    let t = lang.texts();
    let path = format!("/drafts/{id}/check");
    let known = app.cities.find(&draft.city).map(City::full_name);
    let kind = DocumentType::parse(&draft.document_type).unwrap_or_default();
    let number = draft.document_number.trim();
    let document = format!("{}: {number}", sentences::document_type(kind, t));
    let city = known.as_deref().unwrap_or(&draft.city);
    page(&CheckPage {
        page: citizens(app, lang, &path),
        draft: &id.to_string(),
        name: draft.name.trim(),
        city,
        document: if number.is_empty() {
            t.check_none
        } else {
            &document
        },
        email: match draft.email.trim() {
            "" => t.check_none,
            email => email,
        },
    })
}

pub(super) fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Where a browser goes once it has registered somebody.
pub(super) fn confirmation(reference: Reference, lang: Lang) -> String {
    format!("/registrations/{reference}?lang={}", lang.code())
}

/// The confirmation.
pub(super) fn registered(
    app: &AppState,
    registration: &Registration,
    city: &City,
    lang: Lang,
) -> Response {
    let reference = registration.reference.to_string();
    let path = format!("/registrations/{reference}");
    let at = registration.registered_at;
    let address = format!("{}{path}", app.origin);
    page(&RegisteredPage {
        page: citizens(app, lang, &path),
        code: qr::path(&address),
        address: &address,
        reference: &reference,
        city: &city.full_name(),
        time: &lang.time(at, &app.time_zone),
        time_rfc3339: &at.to_string(),
    })
}

/// The sign-in page, with the code of the link filled in; it redirects to `next`.
pub(super) fn sign_in(code: &str, next: &str, failed: bool, lang: Lang) -> Response {
    let mut response = page(&SignInPage {
        page: Page::new(lang, "/staff/sign-in", &ASSETS),
        token: code,
        next,
        failed,
        notice: None,
    });
    if failed {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
            .extensions_mut()
            .insert(Problem::new(Kind::Unauthorized));
    }
    response
}

/// The sign-in page for somebody whose session has expired, perhaps on the way to a download.
pub(super) fn sign_in_again(next: &str, lang: Lang) -> Response {
    let t = lang.texts();
    let notice = if is_report(next) {
        t.staff_session_over_download
    } else {
        t.staff_session_over
    };
    page(&SignInPage {
        page: Page::new(lang, "/staff/sign-in", &ASSETS),
        token: "",
        next,
        failed: false,
        notice: Some(notice),
    })
}

/// The error page of any problem; staff on their own pages get other sentences and another link.
pub(super) fn problem(
    problem: &Problem,
    for_staff: bool,
    lang: Lang,
    request_id: &str,
) -> Response {
    let t = lang.texts();
    let (path, home, (title, detail)) = if for_staff {
        (
            "/staff",
            t.problem_staff_home,
            sentences::for_staff(problem, lang),
        )
    } else {
        (
            "/",
            t.problem_home,
            sentences::for_citizens(problem.kind, t),
        )
    };
    let mut response = page(&ProblemPage {
        page: Page::new(lang, path, &ASSETS),
        title,
        detail,
        home,
        request_id,
    });
    retry_after(problem, response.headers_mut());
    response
}

fn page(view: &impl Template) -> Response {
    match view.render() {
        Ok(html) => {
            let mut response = Html(html).into_response();
            let vary = HeaderValue::from_static("Accept, Accept-Language");
            response.headers_mut().insert(header::VARY, vary);
            response
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
