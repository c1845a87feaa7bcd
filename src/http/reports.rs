//! The reports: the list of everybody in one city or in all, as a workbook or as CSV, streamed from one snapshot.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::{
    app::report::{self, Format, ReportSpec},
    domain::city::City,
    domain::registration::{self, Period},
    foundation::lang::Lang,
    http::state::AppState,
    http::{
        negotiate::Language,
        problem::{Kind, Problem},
        staff::Staff,
        tell::ProblemBody,
    },
};

/// What is percent-encoded in an extended file name (RFC 8187).
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// How many registrations a whole report has.
const X_REPORT_ROWS: HeaderName = HeaderName::from_static("x-report-rows");

/// Which report.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportQuery {
    /// Only this city: DANE code, name, or `name, department`. All cities when absent.
    city: Option<String>,
    /// Only who registered from then on: a day in the office's time zone (`2026-11-24`), or a time with its offset.
    since: Option<String>,
    /// Only who registered until then: a day, which is in it to its end, or a time, which is the first that is not.
    /// A report with `since` or `until` says so in its Summary and leaves the chart alone.
    until: Option<String>,
    /// Language of its words, `es` or `en`. With `es`, what separates the cells of a CSV is `;`, as Excel expects it.
    lang: Option<String>,
}

/// What both reports answer when they are none.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described; what is answered is a `Problem`")]
enum Refused {
    /// To the sign-in page, for a browser
    #[response(status = 303)]
    SignIn,
    /// `malformed`
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(ProblemBody),
    /// `unauthorized`
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(ProblemBody),
    /// `invalid`: no such city, or no such period
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(ProblemBody),
    /// `internal`
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(ProblemBody),
    /// `busy`: others are being made; or `unavailable`
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = String)))]
    Unavailable(ProblemBody),
}

/// The full list and the total, as an Excel workbook; streamed, so that a cut download does not open.
#[utoipa::path(
    get, path = "/report.xlsx", tag = "staff", params(ReportQuery), security(("token" = [])),
    responses(
        (status = 200, description = "A Summary tab and one list of everybody: cities in the order of the alphabet, in each the oldest registration first", content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", headers(("X-Report-Rows" = u64, description = "Registrations in the whole file"))),
        Refused,
    ),
)]
pub(super) async fn xlsx(
    State(app): State<Arc<AppState>>,
    staff: Staff,
    Query(query): Query<ReportQuery>,
    Language(lang): Language,
) -> Result<Response, Problem> {
    stream(&app, staff, Format::Xlsx, query, lang).await
}

/// The same rows as CSV (RFC 4180): UTF-8 with a byte order mark, no cell a formula. A table with fewer lines below its header than
/// `X-Report-Rows` says was cut.
#[utoipa::path(
    get, path = "/report.csv", tag = "staff", params(ReportQuery), security(("token" = [])),
    responses(
        (status = 200, description = "Header and rows", content_type = "text/csv", headers(("X-Report-Rows" = u64, description = "Registrations in the whole file"))),
        Refused,
    ),
)]
pub(super) async fn csv(
    State(app): State<Arc<AppState>>,
    staff: Staff,
    Query(query): Query<ReportQuery>,
    Language(lang): Language,
) -> Result<Response, Problem> {
    let spanish = query.lang.as_deref().and_then(Lang::parse) == Some(Lang::Es);
    let separator = if spanish { ';' } else { ',' };
    stream(&app, staff, Format::Csv(separator), query, lang).await
}

async fn stream(
    app: &AppState,
    staff: Staff,
    format: Format,
    query: ReportQuery,
    lang: Lang,
) -> Result<Response, Problem> {
    let city = query.city.map(|text| find_city(app, text)).transpose()?;
    let period = Period::parse(
        query.since.as_deref(),
        query.until.as_deref(),
        &app.time_zone,
    );
    let spec = ReportSpec {
        format,
        city,
        period: period.map_err(Problem::invalid)?,
        lang,
        zone: app.time_zone.clone(),
        instance: app.instance.clone(),
        origin: app.origin.clone(),
        cities: app.cities.clone(),
        keyring: app.keyring.clone(),
        actor: staff.actor,
    };
    let place = app.reports.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::new(Kind::Busy).detail("too many reports at once"))?;
    let snapshot = app.store.rows(&spec.scope()).await?;
    let media_type = match format {
        Format::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Format::Csv(_) => "text/csv; charset=utf-8",
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (
            header::CONTENT_DISPOSITION,
            file_name(spec.city.as_ref(), snapshot.as_of, app, format),
        ),
        (X_REPORT_ROWS, snapshot.rows().into()),
    ];
    let board = app.board.clone();
    let body = report::stream(snapshot, spec, place, &app.tracker, |counted| async move {
        board.refresh(&counted).await
    });
    Ok((headers, Body::from_stream(body)).into_response())
}

fn find_city(app: &AppState, text: String) -> Result<City, Problem> {
    registration::find_city(Some(Ok(text)), &app.cities)
        .map_err(|error| Problem::invalid(vec![error]))
}

/// `padron-CITY-DATE.xlsx`, once in ASCII and once in UTF-8 (RFC 6266).
fn file_name(city: Option<&City>, as_of: Timestamp, app: &AppState, format: Format) -> HeaderValue {
    let date = as_of.to_zoned(app.time_zone.clone()).date();
    let extension = format.extension();
    let place = city.map_or(String::new(), |city| format!("{}-", city.name));
    let full = format!("padron-{place}{date}.{extension}");
    let encoded = utf8_percent_encode(&full, FILE_NAME);
    let code = city.map_or(String::new(), |city| format!("{}-", city.code));
    let plain = format!("padron-{code}{date}.{extension}");
    HeaderValue::from_str(&format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    ))
    .unwrap_or(HeaderValue::from_static("attachment"))
}
