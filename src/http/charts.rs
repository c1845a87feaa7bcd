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
    app::charts::{ChartSpec, Format},
    foundation::chart::Geometry,
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
    /// Pixels: the nearest of 320, 640, 1000 and 2000 is drawn.
    #[param(minimum = 320, maximum = 2000, default = 1000)]
    width: Option<u32>,
    /// Pixels: the nearest of 240, 400, 600, 1200 and 2000 is drawn.
    #[param(minimum = 240, maximum = 2000, default = 600)]
    height: Option<u32>,
    /// Cities with a bar of their own, at most: the nearest of 3, 5, 10, 20 and 50; the rest share one.
    #[param(minimum = 1, maximum = 50, default = 20)]
    top: Option<u32>,
    /// Language of its words, `es` or `en`.
    #[serde(rename = "lang")]
    _lang: Option<String>,
}

/// The chart of totals per city as PNG.
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

/// The chart of totals per city as SVG.
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
        malformed("the parameters are width, height and top, whole numbers, and lang".into())
    })?;
    let geometry = Geometry::nearest(query.width, query.height, query.top);
    let spec = ChartSpec {
        format,
        geometry: geometry.map_err(|error| malformed(error.to_string()))?,
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
    total: u64,
    /// Largest first.
    cities: Vec<CityTotal>,
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
    get, path = "/totals", tag = "public",
    responses(
        (status = 200, description = "The totals", body = TotalsBody),
        (status = 500, description = "`internal`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`", body = ProblemBody, content_type = "application/problem+json", headers(("Retry-After" = String))),
    ),
)]
pub(super) async fn totals(State(app): State<Arc<AppState>>) -> Result<Json<TotalsBody>, Problem> {
    let totals = app.board.totals().await?;
    let cities = totals.largest_first().into_iter().map(|(code, count)| {
        let city = app.cities.named(code);
        CityTotal {
            code: code.to_string(),
            name: city.name,
            department: city.department,
            count,
        }
    });
    Ok(Json(TotalsBody {
        version: totals.version,
        as_of: totals.as_of,
        instance: app.instance.to_string(),
        total: totals.total(),
        cities: cities.collect(),
    }))
}
