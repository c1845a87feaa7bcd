//! The chart, with `ETag` and conditional requests, and the totals that it shows.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    app::charts::{ChartSpec, Format, Subject},
    domain::{city::Department, totals::Totals},
    foundation::chart::{Geometry, Theme},
    foundation::lang::Lang,
    http::state::AppState,
    http::{
        negotiate::{Language, is_known},
        problem::{Kind, Problem},
        tell::ProblemBody,
    },
};

/// Which chart.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChartQuery {
    /// What there is a bar for: each `city`, each `department`, or each `day` of the last thirty, today included.
    #[param(inline, default = "city")]
    by: Option<By>,
    /// Only the cities of this department: DANE code or name. Not with another `by`.
    #[param(example = "05")]
    department: Option<String>,
    /// Pixels: the nearest of 320, 640, 1000 and 2000 is drawn; where it is not of all cities, of the first three.
    #[param(minimum = 320, maximum = 2000, default = 1000)]
    width: Option<u32>,
    /// Pixels: the nearest of 240, 400, 600, 1200 and 2000 is drawn; where it is not of all cities, of 240 and 600.
    #[param(minimum = 240, maximum = 2000, default = 600)]
    height: Option<u32>,
    /// Cities with a bar, at most: the nearest of 3, 5, 10, 20 and 50, where it is of all cities; the rest is told in
    /// a line below.
    #[param(minimum = 1, maximum = 50, default = 20)]
    top: Option<u32>,
    /// Its colours.
    #[param(inline, default = "light")]
    theme: Option<ThemeName>,
    /// Language of its words, `es` or `en`.
    #[serde(rename = "lang")]
    _lang: Option<String>,
}

/// What there is a bar for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    #[default]
    City,
    Department,
    Day,
}

/// The colours of a chart.
#[derive(Clone, Copy, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
enum ThemeName {
    #[default]
    Light,
    Dark,
}

/// A chart as PNG: of totals per city or department, as the latest reports counted them, or of registrations per day,
/// as they are now.
#[utoipa::path(
    get, path = "/chart.png", tag = "public", params(ChartQuery),
    responses(
        (status = 200, description = "The chart", content_type = "image/png", headers(("ETag" = String))),
        (status = 304, description = "The chart that `If-None-Match` names"),
        (status = 400, description = "`malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`, or `busy` when too many other charts wait to be drawn", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn png(
    State(app): State<Arc<AppState>>,
    query: Result<Query<ChartQuery>, QueryRejection>,
    Language(lang): Language,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    chart(&app, Format::Png, query, lang, &headers).await
}

/// The same chart as SVG.
#[utoipa::path(
    get, path = "/chart.svg", tag = "public", params(ChartQuery),
    responses(
        (status = 200, description = "The chart", content_type = "image/svg+xml", headers(("ETag" = String))),
        (status = 304, description = "The chart that `If-None-Match` names"),
        (status = 400, description = "`malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`, or `busy` when too many other charts wait to be drawn", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn svg(
    State(app): State<Arc<AppState>>,
    query: Result<Query<ChartQuery>, QueryRejection>,
    Language(lang): Language,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    chart(&app, Format::Svg, query, lang, &headers).await
}

async fn chart(
    app: &AppState,
    format: Format,
    query: Result<Query<ChartQuery>, QueryRejection>,
    lang: Lang,
    asked: &HeaderMap,
) -> Result<Response, Problem> {
    let malformed = |detail: String| Problem::new(Kind::Malformed).detail(detail);
    let Query(query) = query.map_err(|_| {
        malformed(
            "the parameters are by=city, department or day, department, theme=light or dark, and lang, and the whole numbers width, height and top"
                .into(),
        )
    })?;
    let subject = match (query.by.unwrap_or_default(), &query.department) {
        (By::City, Some(text)) => Subject::CitiesOf(find_department(app, text)?.code),
        (_, Some(_)) => {
            return Err(malformed("department is a filter of cities only".into()));
        }
        (By::City, None) => Subject::Cities,
        (By::Department, None) => Subject::Departments,
        (By::Day, None) => Subject::Days,
    };
    let geometry = Geometry::nearest(query.width, query.height, query.top);
    let spec = ChartSpec {
        format,
        subject,
        geometry: geometry.map_err(|error| malformed(error.to_string()))?,
        theme: match query.theme.unwrap_or_default() {
            ThemeName::Light => Theme::Light,
            ThemeName::Dark => Theme::Dark,
        },
        lang,
    };
    let picture = app.charts.chart(spec).await?;
    let media_type = match format {
        Format::Png => "image/png",
        Format::Svg => "image/svg+xml",
    };
    let etag = HeaderValue::from_str(&picture.etag).map_err(|_| Problem::new(Kind::Internal))?;
    let fresh = is_known(asked, &picture.etag);
    let headers = [
        (header::ETAG, etag),
        // Cached by browsers, and revalidated each time: a report may have changed the chart.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::VARY, HeaderValue::from_static("Accept-Language")),
    ];
    Ok(if fresh {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))];
        (headers, media_type, picture.bytes).into_response()
    })
}

/// The department that a parameter names.
fn find_department(app: &AppState, text: &str) -> Result<Department, Problem> {
    app.cities.department(text).ok_or_else(|| {
        Problem::new(Kind::Malformed).detail(
            "department is the code of two digits, or the name, of one that the catalogue has",
        )
    })
}

/// Which totals.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TotalsQuery {
    /// Only the cities of this department: DANE code or name.
    #[param(example = "05")]
    department: Option<String>,
}

/// What the chart shows, in numbers.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Totals)]
pub(super) struct TotalsBody {
    /// Grows with every change.
    version: u64,
    /// When the newest count was taken.
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    /// The replica that answers.
    instance: String,
    /// Of the departments below.
    total: u64,
    /// Largest first.
    departments: Vec<DepartmentTotal>,
    /// Largest first.
    cities: Vec<CityTotal>,
}

/// The count of one department: the sum of its cities.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DepartmentTotal {
    #[schema(example = "11")]
    code: String,
    name: String,
    count: u64,
}

/// The count of one city.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct CityTotal {
    #[schema(example = "11001")]
    code: String,
    name: String,
    department: String,
    count: u64,
}

/// The totals that the chart shows.
#[utoipa::path(
    get, path = "/totals", tag = "public", params(TotalsQuery),
    responses(
        (status = 200, description = "The totals", body = TotalsBody),
        (status = 400, description = "`malformed`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn totals(
    State(app): State<Arc<AppState>>,
    query: Result<Query<TotalsQuery>, QueryRejection>,
) -> Result<Json<TotalsBody>, Problem> {
    let Query(query) = query
        .map_err(|_| Problem::new(Kind::Malformed).detail("the only parameter is department"))?;
    let department = query.department.as_deref();
    let department = department
        .map(|text| find_department(&app, text))
        .transpose()?;
    let totals = app.board.totals().await?;
    Ok(Json(body(&app, &totals, department.as_ref())))
}

fn body(app: &AppState, totals: &Totals, only: Option<&Department>) -> TotalsBody {
    let departments = totals.departments().into_iter();
    let departments = departments.filter(|&(code, _)| only.is_none_or(|only| only.code == code));
    let departments: Vec<_> = departments
        .map(|(code, count)| DepartmentTotal {
            code: code.to_string(),
            name: app.cities.department_name(code),
            count,
        })
        .collect();
    let cities = only.map_or_else(
        || totals.largest_first(),
        |only| totals.largest_of(only.code),
    );
    let cities = cities.into_iter().map(|(code, count)| {
        let city = app.cities.named(code);
        CityTotal {
            code: code.to_string(),
            name: city.name,
            department: city.department,
            count,
        }
    });
    TotalsBody {
        version: totals.version,
        as_of: totals.as_of,
        instance: app.instance.to_string(),
        total: departments.iter().map(|department| department.count).sum(),
        departments,
        cities: cities.collect(),
    }
}
