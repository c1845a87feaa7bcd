//! Forms of browsers before they are registered: kept as drafts, shown again with what is wrong, shown once more before
//! they are sent, and sent.
//!
//! Every answer to a form that a browser posts is a redirect to a page that answers GET (Post/Redirect/Get), so that
//! Back and reload never meet a browser's own error page. A draft that finds no room, or no photo store, is answered
//! with the page itself. Called by the router and by `registrations`.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Redirect, Response},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use uuid::Uuid;

use crate::{
    app::access::new_token,
    app::drafts::{Draft, DraftError, DraftKey, LIFETIME},
    domain::photo::{Photo, PhotoError},
    domain::registration::{
        Fault, Field, FieldError, IdempotencyKey, NewRegistration, RawText, Reference,
    },
    foundation::clock::now,
    foundation::lang::Lang,
    http::{
        limits::Source,
        memory::Held,
        negotiate::{Language, wants_page},
        pages,
        problem::{Kind, Problem},
        state::AppState,
        upload::{self, Received},
    },
};

/// The number of the draft that holds what the next person of a family has in common.
const LAST: Uuid = Uuid::nil();

fn cookie_name(app: &AppState) -> &'static str {
    if app.origin.is_https() {
        "__Host-padron-draft"
    } else {
        "padron-draft"
    }
}

/// The cookie of a browser that has drafts.
fn with_cookie(app: &AppState, jar: CookieJar, secret: String) -> CookieJar {
    let cookie = Cookie::build((cookie_name(app), secret))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.origin.is_https())
        .max_age(LIFETIME.try_into().unwrap_or_default());
    jar.add(cookie.build())
}

/// The browser's secret, if it has one.
fn secret(app: &AppState, jar: &CookieJar) -> Option<String> {
    let secret = jar.get(cookie_name(app))?.value();
    let right = secret.len() == 64 && secret.bytes().all(|sign| sign.is_ascii_hexdigit());
    right.then(|| secret.to_owned())
}

fn text(raw: &RawText) -> &str {
    match raw {
        Some(Ok(text)) => text.trim(),
        _ => "",
    }
}

/// The key of the draft with this number, if the browser has a cookie.
fn key(app: &AppState, jar: &CookieJar, id: &str) -> Option<DraftKey> {
    let id = Uuid::parse_str(id).ok().filter(|id| *id != LAST)?;
    let secret = secret(app, jar)?;
    Some(DraftKey { secret, id })
}

/// Where a draft is shown: as a form.
pub(super) fn form_address(id: Uuid, lang: Lang) -> String {
    format!("/drafts/{id}?lang={}", lang.code())
}

fn check_address(id: Uuid, lang: Lang) -> String {
    format!("/drafts/{id}/check?lang={}", lang.code())
}

/// What is wrong with a draft; a photo that is kept or `comes` is there.
fn errors(app: &AppState, draft: &Draft, comes: bool) -> Vec<FieldError> {
    let form = draft.form(draft.photo_fault.map(Err));
    let mut errors = NewRegistration::parse(form, &app.cities)
        .err()
        .unwrap_or_default();
    if comes || draft.photo.is_some() {
        errors.retain(|error| (error.field, error.fault) != (Field::Photo, Fault::Required));
    }
    errors
}

/// A browser that has sent something.
struct Browser {
    jar: CookieJar,
    /// Of the draft that it is about.
    key: DraftKey,
    from: Option<IpAddr>,
    lang: Lang,
}

impl Browser {
    /// Leads to another page, with the cookie.
    fn redirect(self, app: &AppState, address: &str) -> Response {
        let jar = with_cookie(app, self.jar, self.key.secret);
        (jar, Redirect::to(address)).into_response()
    }
}

/// Answers a form that a browser has posted: `read` says whether all of it could be read.
pub(super) async fn answer(
    app: &AppState,
    jar: CookieJar,
    lang: Lang,
    received: Received,
    read: Result<(), Problem>,
) -> Response {
    let now = now();
    let Received {
        form,
        asked,
        from,
        held,
    } = received;
    let mut draft = Draft::of(&form);
    let mut key = key(app, &jar, text(&asked.draft));
    let mut known = None;
    if let Some(key) = &key {
        known = app.drafts.open(key, now).await.ok().flatten();
    }
    if let Some(sent) = known.as_ref().filter(|known| known.sent.is_some()) {
        if let (Some(reference), None) = (sent.sent_as(), &form.photo)
            && app.drafts.is_sent(sent, &draft)
        {
            return Redirect::to(&pages::confirmation(reference, lang)).into_response();
        }
        // Another person, in the form of the one who is registered.
        (key, known) = (None, None);
        draft.idempotency_key = String::new();
    }
    let key = key.unwrap_or_else(|| DraftKey {
        secret: secret(app, &jar).unwrap_or_else(new_token),
        id: Uuid::new_v4(),
    });
    let lies_there = known.is_some();
    if let Some(known) = known {
        (draft.photo, draft.expires_at) = (known.photo, known.expires_at);
    }
    let photo = match form.photo {
        Some(Ok(photo)) => Some(photo),
        Some(Err(fault)) => {
            draft.photo = None;
            draft.photo_fault = Some(fault);
            None
        }
        None => None,
    };
    if IdempotencyKey::parse(&draft.idempotency_key).is_err() {
        draft.idempotency_key = pages::new_key();
    }
    let id = key.id;
    let browser = Browser {
        jar,
        key,
        from,
        lang,
    };
    if let Some(lang) = Lang::parse(text(&asked.lang)) {
        if draft.is_blank() && photo.is_none() {
            return Redirect::to(&format!("/?lang={}", lang.code())).into_response();
        }
        return match app
            .drafts
            .keep(&browser.key, draft.clone(), photo, from, now)
            .await
        {
            Ok(_) => browser.redirect(app, &form_address(id, lang)),
            Err(_) => pages::form_again(app, &draft, None, None, lang),
        };
    }
    draft.checked = true;
    let errors = errors(app, &draft, photo.is_some());
    if read.is_err() || !errors.is_empty() {
        let problem = read.err().unwrap_or_else(|| Problem::invalid(errors));
        return refuse(app, browser, draft, photo, problem).await;
    }
    let bytes = photo.as_ref().map_or(0, |photo| photo.bytes().len() as u64);
    // A page more is of no use to whoever could not come back to it: then this form is what they send.
    if text(&asked.step) != "check" || !app.drafts.has_room(&browser.key, bytes, from, now) {
        return send(app, browser, draft, lies_there, photo, held).await;
    }
    match app
        .drafts
        .keep(&browser.key, draft.clone(), photo, from, now)
        .await
    {
        Ok(_) => browser.redirect(app, &check_address(id, lang)),
        Err(error) => {
            let problem = Problem::from(error);
            upload::refused(&problem);
            pages::form_again(app, &draft, None, Some(problem), lang)
        }
    }
}

/// Keeps the draft with its problem, and leads to it.
async fn refuse(
    app: &AppState,
    browser: Browser,
    mut draft: Draft,
    photo: Option<Photo>,
    problem: Problem,
) -> Response {
    upload::refused(&problem);
    draft.problem = problem.errors.is_empty().then(|| problem.slug().to_owned());
    draft.reference = problem.kept();
    if draft.reference.is_some() {
        draft.idempotency_key = pages::new_key();
    }
    let Browser {
        key, from, lang, ..
    } = &browser;
    let keeping = app.drafts.keep(key, draft.clone(), photo, *from, now());
    if keeping.await.is_err() {
        return pages::form_again(app, &draft, None, Some(problem), *lang);
    }
    if let Some(cause) = &problem.cause {
        // The answer is a redirect, so that the access log has no failure to tell.
        tracing::error!(%cause, problem = problem.slug(), "registration failed");
    }
    let address = form_address(key.id, *lang);
    browser.redirect(app, &address)
}

/// Registers a draft, with the photo that comes or the one that it has, and remembers it where it `lies_there`.
async fn send(
    app: &AppState,
    browser: Browser,
    draft: Draft,
    lies_there: bool,
    photo: Option<Photo>,
    held: Option<Arc<Held>>,
) -> Response {
    let registering = async {
        let photo = match photo {
            Some(photo) => Some(Ok(photo)),
            None => kept_photo(app, &browser.key, &draft, held.as_ref()).await?,
        };
        upload::register(app, draft.form(photo), held.clone()).await
    };
    match registering.await {
        Ok(registered) => {
            let reference = registered.registration.reference;
            if lies_there {
                remember(app, &browser, &draft, reference).await;
            }
            let receipt = pages::confirmation(reference, browser.lang);
            browser.redirect(app, &receipt)
        }
        Err(problem) => refuse(app, browser, draft, None, problem).await,
    }
}

/// The photo that a draft has, cleaned once more; `None` when it has none any more.
async fn kept_photo(
    app: &AppState,
    key: &DraftKey,
    draft: &Draft,
    held: Option<&Arc<Held>>,
) -> Result<Option<Result<Photo, PhotoError>>, Problem> {
    let (Some(photo), Some(held)) = (&draft.photo, held) else {
        return Ok(None);
    };
    upload::take(held, photo.bytes())?;
    let bytes = app.drafts.photo(key, photo).await?;
    upload::clean(bytes.map(Ok), held.clone()).await
}

/// Remembers that a draft was registered, and what the next person of the family has in common with this one. That
/// fails without harm: the same form is registered once, whatever is remembered.
async fn remember(app: &AppState, browser: &Browser, draft: &Draft, reference: Reference) {
    forget(app, &browser.key, draft, reference).await;
    let last = DraftKey {
        id: LAST,
        ..browser.key.clone()
    };
    let next = Draft {
        city: draft.city.clone(),
        email: draft.email.clone(),
        ..Draft::default()
    };
    let keeping = app.drafts.keep(&last, next, None, browser.from, now());
    if let Err(error) = keeping.await {
        tracing::warn!(%error, "the next person of a family begins with an empty form");
    }
}

/// Completes a form that a script sends from the page of a draft: with the photo that is kept there.
pub(super) async fn complete(
    app: &AppState,
    jar: &CookieJar,
    received: &mut Received,
) -> Result<Option<(DraftKey, Draft)>, Problem> {
    let Some(key) = key(app, jar, text(&received.asked.draft)) else {
        return Ok(None);
    };
    let Some(draft) = app.drafts.open(&key, now()).await? else {
        return Ok(None);
    };
    if received.form.photo.is_none() {
        received.form.photo = kept_photo(app, &key, &draft, received.held.as_ref()).await?;
    }
    Ok(Some((key, draft)))
}

/// Forgets whom a draft named, once it is registered.
pub(super) async fn forget(app: &AppState, key: &DraftKey, draft: &Draft, reference: Reference) {
    if let Err(error) = app.drafts.sent(key, draft, reference).await {
        tracing::warn!(%error, %reference, "a draft that was sent stays until it expires");
    }
}

/// What the page of a draft shows, or where else it leads.
async fn find(
    app: &AppState,
    jar: &CookieJar,
    id: &str,
    lang: Lang,
) -> Result<(DraftKey, Draft), Response> {
    let gone = || Redirect::to(&format!("/?lang={}&gone=1", lang.code())).into_response();
    let key = key(app, jar, id).ok_or_else(gone)?;
    let opened = app.drafts.open(&key, now()).await;
    let opened = opened.map_err(|error| Problem::from(error).into_response())?;
    let draft = opened.ok_or_else(gone)?;
    match draft.sent_as() {
        Some(reference) => Err(Redirect::to(&pages::confirmation(reference, lang)).into_response()),
        None => Ok((key, draft)),
    }
}

/// `GET /drafts/{id}`: the form, with what was typed and what is wrong with it.
pub(super) async fn form(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Path(id): Path<String>,
    Language(lang): Language,
) -> Result<Response, Response> {
    let (key, draft) = find(&app, &jar, &id, lang).await?;
    let problem = draft.checked.then(|| problem_of(&app, &draft)).flatten();
    let id = Some(key.id);
    Ok(pages::form_again(&app, &draft, id, problem, lang))
}

fn problem_of(app: &AppState, draft: &Draft) -> Option<Problem> {
    if let Some(slug) = &draft.problem {
        let reference = draft.reference.as_deref().and_then(Reference::parse);
        return Some(Problem::new(Kind::named(slug, reference)));
    }
    let errors = errors(app, draft, false);
    (!errors.is_empty()).then(|| Problem::invalid(errors))
}

/// `GET /drafts/{id}/check`: the answers once more, before they are sent.
pub(super) async fn check(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Path(id): Path<String>,
    Language(lang): Language,
) -> Result<Response, Response> {
    let (key, draft) = find(&app, &jar, &id, lang).await?;
    Ok(if draft.checked && problem_of(&app, &draft).is_none() {
        pages::check(&app, &draft, key.id, lang)
    } else {
        Redirect::to(&form_address(key.id, lang)).into_response()
    })
}

/// `POST /drafts/{id}`: registers what was shown.
pub(super) async fn post(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Path(id): Path<String>,
    Language(lang): Language,
    request: Request,
) -> Result<Response, Response> {
    if !wants_page(request.headers()) {
        return Err(Problem::new(Kind::NotFound).into_response());
    }
    let from = request.extensions().get::<Source>().map(|source| source.0);
    let (key, draft) = find(&app, &jar, &id, lang).await?;
    let _in_flight = upload::InFlight::begin();
    let browser = Browser {
        jar,
        key,
        from,
        lang,
    };
    Ok(match upload::begin(&app, from, None) {
        Ok(held) => send(&app, browser, draft, true, None, Some(held)).await,
        Err(problem) => refuse(&app, browser, draft, None, problem).await,
    })
}

/// `GET /drafts/{id}/preview`: the photo, for whoever sent it.
pub(super) async fn preview(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let gone = || Problem::new(Kind::NotFound);
    let from = request.extensions().get::<Source>().map(|source| source.0);
    let key = key(&app, &jar, &id).ok_or_else(gone)?;
    let draft = app.drafts.open(&key, now()).await?.ok_or_else(gone)?;
    let photo = draft.photo.ok_or_else(gone)?;
    let held = upload::begin(&app, from, None)?;
    upload::take(&held, photo.bytes())?;
    let bytes = app.drafts.photo(&key, &photo).await?.ok_or_else(gone)?;
    let media_type = HeaderValue::from_str(photo.media_type());
    let headers = [
        (header::CONTENT_TYPE, media_type.map_err(|_| gone())?),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
    ];
    Ok((headers, bytes).into_response())
}

/// What the next person has in common with the last one that this browser registered: city and e-mail.
pub(super) async fn last(app: &AppState, jar: &CookieJar) -> Option<Draft> {
    let secret = secret(app, jar)?;
    let key = DraftKey { secret, id: LAST };
    app.drafts.open(&key, now()).await.ok().flatten()
}

/// The empty form; what the last person of a family typed is in it where it was asked for.
pub(super) async fn first(
    State(app): State<Arc<AppState>>,
    jar: CookieJar,
    Language(lang): Language,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let asks = |what: &str| query.split('&').any(|pair| pair == what);
    let begun = if asks("another=1") {
        last(&app, &jar).await
    } else {
        None
    };
    pages::form(&app, &begun.unwrap_or_default(), asks("gone=1"), lang)
}

impl From<DraftError> for Problem {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Full => Self::new(Kind::Busy),
            DraftError::Photos(error) => error.into(),
        }
    }
}
